"""The long-running part: drains what the host's processes journalled, looks after the ledger, answers over HTTP."""

from __future__ import annotations

from costspan.exporter.service import Service

__all__ = ["Service"]
