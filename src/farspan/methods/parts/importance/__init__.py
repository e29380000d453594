"""What a token is worth to the part of `keep` that holds the best tokens."""
