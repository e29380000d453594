"""Attention to keys where they lie, in C that is compiled on the user's machine when it is first needed."""
