"""Where every attempt is written down before the application goes on, and stays until the ledger has it."""

from __future__ import annotations

from costspan.journal.audit import Audit, audit
from costspan.journal.orphans import adopt
from costspan.journal.segment import Batch, Segment, Unsettled
from costspan.journal.writer import Journal, JournalStats

__all__ = ["Audit", "Batch", "Journal", "JournalStats", "Segment", "Unsettled", "adopt", "audit"]
