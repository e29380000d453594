"""Who takes part in a race: farspan, transformers in the same process, and programs in environments of their own.

`worker` and the files that end in `_side` are run by another interpreter, which has no farspan: they import neither it
nor each other, and speak JSON, a line each, over standard input and output.
"""
