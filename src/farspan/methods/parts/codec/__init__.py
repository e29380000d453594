"""`codec`: how the keys and values of a stored block are encoded."""
