"""`place`: in which layers, and for which of their heads, a method holds."""
