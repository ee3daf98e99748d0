"""The table, with a terminal and without."""

from __future__ import annotations

import io
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from costspan.attribution import NO_TENANT
from costspan.cli.question import ask
from costspan.cli.table import print_days, print_table, say, title

FIRST, SECOND = date(2026, 11, 1), date(2026, 11, 2)


class Screen(io.StringIO):
    """A terminal that remembers, of an encoding."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:
        """What rich asks for, to know which letters there are."""
        return self._encoding


def terminal(width: int = 100, **options) -> Console:
    """A terminal of a width."""
    usual = {"file": Screen(), "force_terminal": True, "highlight": False, "no_color": True, "_environ": {}}
    return Console(width=width, **{**usual, **options})


def pipe() -> Console:
    """Where output goes that nobody looks at."""
    return Console(file=Screen(), highlight=False, _environ={})


def shown(console: Console) -> str:
    """What was printed, without the terminal's own codes."""
    return console.file.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "")


@pytest.fixture
def statement(november, row, stated):
    """Two days, one of them with two services and a call of which nothing is known."""
    return stated(
        november,
        row(cost="0.00135", calls=1200, tokens_in=1_000_000, tokens_out=180, day=FIRST, service="anthropic"),
        row(cost="12.5", calls=2, tokens_in=20, cache_read=7, day=FIRST, service="openai"),
        row("unpriced", calls=1, tokens_in=5, day=SECOND, service="openai"),
    )


def test_without_a_terminal_it_is_aligned_text(statement):
    """No box, no separators in numbers, nothing broken or left out."""
    console = pipe()

    print_table(statement, console)

    assert shown(console).splitlines() == [
        "day         service    calls  tokens in  tokens out  cached       cost  not priced",
        "2026-11-01  anthropic   1200    1000000         180       0   $0.00135",
        "2026-11-01  openai         2         20           0       7  $12.50",
        "2026-11-02  openai         1          5           0       0    unknown           1",
        "total                   1203    1000025         180       7  $12.50135           1",
    ]


def test_on_a_terminal_it_is_a_table(statement):
    """Thousands are separated, and a day is named once."""
    console = terminal()

    print_table(statement, console)

    lines = shown(console).splitlines()
    assert [line.split() for line in lines if "─" not in line] == [
        ["day", "service", "calls", "tokens", "in", "tokens", "out", "cached", "cost", "not", "priced"],
        ["2026-11-01", "anthropic", "1,200", "1,000,000", "180", "0", "$0.00135"],
        ["openai", "2", "20", "0", "7", "$12.50"],
        ["2026-11-02", "openai", "1", "5", "0", "0", "unknown", "1"],
        ["total", "1,203", "1,000,025", "180", "7", "$12.50135", "1"],
    ]
    points = {line.index(".") for line in lines if "$" in line}
    assert len(points) == 1


def test_eighty_columns_are_enough_for_the_usual(statement):
    """Day, service and every number, doubts included, fit the usual terminal."""
    console = terminal(width=80)

    print_table(statement, console)

    assert max(map(len, shown(console).splitlines())) <= 80


def test_a_narrow_terminal_loses_no_digit(statement):
    """Lines may be broken by it; nothing is cut or left out."""
    console = terminal(width=30)

    print_table(statement, console)

    for text in ("anthropic", "1,000,025", "$12.50135", "unknown"):
        assert text in shown(console)


def test_a_wide_alphabet_does_not_bend_the_columns(row, stated):
    """A letter of two cells is counted as two."""
    question = ask("month", FIRST, ZoneInfo("UTC"), by=("feature",))
    console = pipe()

    print_table(stated(question, row(cost="2", feature="要約"), row(cost="1", feature="search")), console)

    assert shown(console).splitlines()[1:3] == [
        "要約         1          0           0       0  $2.00",
        "search       1          0           0       0  $1.00",
    ]


def test_a_terminal_without_letters_for_rules_gets_dashes(statement):
    """And no character that it could not show."""
    console = terminal(file=Screen("ascii"))

    print_table(statement, console)

    assert shown(console).isascii()
    assert "-----" in shown(console)


def test_without_doubts_there_is_no_column_for_them(november, row, stated):
    """A column of blanks says nothing."""
    console = pipe()

    print_table(stated(november, row(cost="1", day=FIRST, service="openai")), console)

    assert "not priced" not in shown(console)


def test_names_are_not_markup(row, stated):
    """A model may be called like an instruction to rich, and calls may have no session and no tenant."""
    question = ask("month", FIRST, ZoneInfo("UTC"), by=("model", "session", "tenant"))
    consoles = terminal(), pipe()

    for console in consoles:
        print_table(stated(question, row(cost="1", model="[red]x[/red]", session="", tenant=NO_TENANT)), console)

    for console in consoles:
        assert "[red]x[/red]" in shown(console)
        assert shown(console).count("(none)") == 2


def test_every_day_has_a_bar(november, row, stated):
    """The highest is the most expensive day; a day without calls has none."""
    console = terminal()
    rows = (row(cost=cost, day=day, service="openai") for cost, day in (("1", FIRST), ("0.1", SECOND)))

    print_days(stated(november, *rows), console)

    assert shown(console) == f"Nov 01 █▁{' ' * 28} Nov 30, most on 2026-11-01: $1.00\n"


@pytest.mark.parametrize(
    "console", [pipe(), terminal(file=Screen("ascii"))], ids=["no terminal", "no letters for bars"]
)
def test_bars_need_a_terminal_that_can_draw(statement, console):
    """Elsewhere they are left out."""
    print_days(statement, console)

    assert shown(console) == ""


def test_bars_need_days(row, stated):
    """By model there are none to draw, and a single day is no row of bars."""
    console = terminal()

    print_days(stated(ask("month", FIRST, ZoneInfo("UTC"), by=("model",)), row(cost="1", model="m")), console)
    print_days(stated(ask("day", FIRST, ZoneInfo("UTC"), by=("day",)), row(cost="1", day=FIRST)), console)

    assert shown(console) == ""


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_are_only_for_who_wants_them(environment):
    """NO_COLOR and a dumb terminal get none."""
    console = Console(file=Screen(), force_terminal=True, highlight=False, _environ=environment)

    say(console, "most on Monday", "cyan")

    assert "\x1b[36m" not in console.file.getvalue()


@pytest.mark.parametrize(
    ("period", "text"),
    [
        ("month", "November 2026: 2026-11-01 00:00 until 2026-12-01 00:00 (Asia/Kolkata), tenant acme, service openai"),
        (
            "week",
            "Week 47 of 2026: 2026-11-16 00:00 until 2026-11-23 00:00 (Asia/Kolkata), tenant acme, service openai",
        ),
        ("day", "Wednesday: 2026-11-18 00:00 until 2026-11-19 00:00 (Asia/Kolkata), tenant acme, service openai"),
    ],
)
def test_the_title_says_what_is_summed(period, text):
    """The exact range, its zone, and for whom."""
    question = ask(period, date(2026, 11, 18), ZoneInfo("Asia/Kolkata"), by=("day",), tenant="acme", service="openai")

    assert title(question) == text
