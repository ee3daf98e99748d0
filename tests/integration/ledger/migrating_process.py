"""Migrates when it is told to, and says what it applied: ``migrating_process.py URL``."""

from __future__ import annotations

import sys

from costspan.ledger.database import Database
from costspan.ledger.migration import migrate


def main(url: str) -> None:
    """Wait for a line, migrate, print the names."""
    database = Database(lambda: url)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.stdout.write(",".join(migrate(database)) + "\n")
    sys.stdout.flush()
    database.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
