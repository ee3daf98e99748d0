"""A process that uses the embedded Postgres until its standard input ends. Run as: user_process.py STATE_DIR [fork|fork-use].

It prints the server's process id. With ``fork`` it leaves a child behind and ends; the child uses the server, or does not.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from costspan.ledger import embedded


def say(what: object) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


state, how = Path(sys.argv[1]), sys.argv[2]
say(embedded.ensure(state, grace_seconds=0.1).pid)
if how.startswith("fork"):
    if os.fork() != 0:
        os._exit(0)
    if how == "fork-use":
        embedded.ensure(state)
    say("forked")
sys.stdin.read()
