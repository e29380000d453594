"""What the task families are made of: samples, the space they fit into, layouts, fillers, words, cards."""
