"""`python -m farspan` is the `farspan` command."""

from __future__ import annotations

from farspan.cli import main

if __name__ == "__main__":
    main()
