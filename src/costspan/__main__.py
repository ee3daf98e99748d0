"""`python -m costspan` is the command line."""

from __future__ import annotations

from costspan.cli import main

if __name__ == "__main__":
    main()
