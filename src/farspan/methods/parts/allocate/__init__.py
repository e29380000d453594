"""`allocate`: how the room for the tokens worth most is shared by the layers."""
