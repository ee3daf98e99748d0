"""The program that keeps an embedded Postgres while it has users; started by `costspan.ledger.embedded`, never by hand.

    python -I -B supervisor.py STATE_DIR PROGRAMS GRACE_SECONDS ANSWER_DESCRIPTOR

A process of its own, because the server must outlive the process that started it and must be stopped after the last one
was killed. It is run by its path and not with ``-m``, which would import the whole of costspan (150 ms, 40 MB) into a
process that needs the standard library and a few small modules: their packages are stood in for by empty ones.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Leave the caller's session and family, then supervise."""
    if os.fork() != 0:
        os._exit(0)  # the caller waits for this one only, and the server is no child of an application
    watch = importlib.import_module("costspan.ledger.embedded_watch")
    watch.supervise(watch.Order(*arguments))


def _stand_in(package: str, folder: Path) -> None:
    module = ModuleType(package)
    module.__path__ = [str(folder)]
    sys.modules[package] = module


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    _stand_in("costspan", here.parent)
    _stand_in("costspan.ledger", here)
    main(sys.argv[1:])
