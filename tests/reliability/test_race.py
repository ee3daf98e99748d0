"""Readers beside late calls and compaction: thousands of totals, none of them wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from costspan.ledger import Ledger
from costspan.settings import Settings
from integration.ledger.race import Race


@pytest.mark.reliability
def test_none_of_five_thousand_totals_is_wrong(ledger_url: str, tmp_path: Path):
    """While late calls land and are moved and their partitions come and go, each total is what was committed."""
    ledgers = [Ledger.connect(Settings(database_url=ledger_url, state_dir=tmp_path)) for _ in range(3)]
    race = Race(*ledgers)

    race.run(reads=5000)
    for ledger in ledgers:
        ledger.close()

    assert race.wrong == []
    assert race.reads == 5000
    assert race.landed > 0
