"""What the demo prints."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from costspan.cli import demo_outcome
from costspan.cli.progress import progress
from costspan.demo.comparison import Comparison, Tally
from costspan.demo.play import Plan
from costspan.settings import Settings

TALLY = Tally(1, 450, 180, Decimal("0.00135"))
BILL = {(f"2026-10-{day:02}", "anthropic", "claude-3-5-haiku-latest"): TALLY for day in range(1, 15)}
SAME = Comparison(bill=BILL, ledger=BILL, rows=14, refused=2, failed=2, unsettled=0)


def printed(show, *arguments):
    """What ``show`` prints where there is no terminal."""
    console = Console(file=io.StringIO(), width=60, highlight=False)
    show(console, *arguments)
    return console.file.getvalue()


def test_equal_accounts_are_shown_as_equal():
    """Both sums and a difference of nothing, with their decimal points in one column."""
    lines = printed(demo_outcome._print_comparison, SAME).splitlines()

    assert lines[:2] == [
        "Billed by the providers  $0.0189  for 14 answers",
        "Booked in the ledger     $0.0189  in 14 rows",
    ]
    assert lines[2].startswith("Difference               $0.00    the same on every day")


def test_unequal_accounts_are_shown_with_where_they_differ():
    """The first ten places with both figures, the number of the others, and what became of refused requests."""
    text = printed(demo_outcome._print_comparison, replace(SAME, ledger={}, rows=0, failed=0))

    assert "-$0.0189" in text
    assert "the two do not agree" in text
    assert text.count("billed 1 calls") == 10
    assert "and 4 more" in text
    assert (
        "2026-10-01 anthropic claude-3-5-haiku-latest: billed 1 calls, 450 tokens in, 180 tokens out, $0.00135;" in text
    )
    assert "Requests refused: 2; attempts booked as failed: 0, as never settled: 0" in text


@pytest.mark.parametrize(
    ("url", "expected"),
    [("", "begun anew by each run: /somewhere/demo"), ("postgresql://me:secret@host/db", "it must be empty")],
)
def test_the_opening_says_where_it_writes_and_keeps_passwords(url, expected):
    """A database's address may hold a password, so it is not repeated."""
    settings = Settings(state_dir=Path("/somewhere/demo"), database_url=url)

    text = printed(demo_outcome.opening, Plan(first_day=date(2026, 10, 1)), settings)

    assert "October 2026: 100 sessions" in text
    assert expected in text
    assert "secret" not in text
    assert "secret" not in demo_outcome._command(settings)


def test_commands_to_try_can_be_pasted_into_a_shell():
    """A state directory with a space in it (as on a Mac) is quoted."""
    settings = Settings(state_dir=Path("/Users/me/Application Support/demo"))

    assert demo_outcome._command(settings) == "COSTSPAN_STATE_DIR='/Users/me/Application Support/demo' costspan"


@pytest.mark.parametrize(("of", "lines"), [(1, 1), (7, 7), (10, 10), (2157, 10)])
def test_progress_is_a_line_every_tenth_without_a_terminal(of, lines):
    """Never more than ten lines, and the last one says that all is done."""
    console = Console(file=io.StringIO(), width=60)

    with progress(console, "Turns") as on_turn:
        for done in range(1, of + 1):
            on_turn(done, of)

    said = console.file.getvalue().splitlines()
    assert len(said) == lines
    assert said[-1] == f"Turns: {of:,} of {of:,}"


def test_progress_is_a_bar_on_a_terminal_that_goes_when_all_is_done():
    """What is printed after the last turn is not overwritten by a bar."""
    console = Console(file=io.StringIO(), width=80, force_terminal=True, legacy_windows=False)

    with progress(console, "Turns") as on_turn:
        on_turn(1, 2)
        on_turn(2, 2)
        console.print("after")

    assert console.file.getvalue().endswith("after\n")
