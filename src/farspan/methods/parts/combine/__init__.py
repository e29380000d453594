"""`combine`: how a chunk's queries attend to the keys that they meet."""
