"""The fixtures of the journal's unit tests."""

from __future__ import annotations

from unit.journal.conftest import disk, folder, make_journal

__all__ = ["disk", "folder", "make_journal"]
