"""The command on a real Postgres."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import typer
from typer.testing import CliRunner

from costspan.cli.report import report
from costspan.event import CallEvent
from costspan.ledger import Ledger
from fix_postgres import *  # noqa: F403  # the fixtures of a real Postgres
from integration.ledger.calls import batch

_app = typer.Typer(pretty_exceptions_enable=False)
_app.command()(report)


@dataclass(frozen=True)
class Answer:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Its output, with exact decimals."""
        return json.loads(self.out, parse_float=Decimal)


@pytest.fixture
def environment(ledger_url: str, tmp_path: Path) -> dict[str, str | None]:
    """Settings of a ledger and a journal folder of this test's own."""
    return {"COSTSPAN_DATABASE_URL": ledger_url, "COSTSPAN_STATE_DIR": str(tmp_path), "COSTSPAN_TIMEZONE": None}


@pytest.fixture
def ask(environment: dict[str, str | None]) -> Callable[..., Answer]:
    """Runs `costspan report` with options."""

    def run(*options: str, **changed: str) -> Answer:
        found = CliRunner(env={**environment, **changed}).invoke(_app, list(options))
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return Answer(found.exit_code, found.stdout, found.stderr)

    return run


@pytest.fixture
def seed(ledger: Ledger) -> Callable[..., None]:
    """Writes calls as a drain does."""

    def write(events: Sequence[CallEvent] = (), **others: Any) -> None:
        ledger.write(batch(events, **others), uuid4())

    return write
