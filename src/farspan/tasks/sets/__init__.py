"""Public data sets, read from a path of the user's or from the Hub: one module a set. None is bundled."""
