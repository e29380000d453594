"""`frequencies`: into which angles a position is turned."""
