"""What `costspan report` cannot make sense of, it says in a line, before it looks for a ledger."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from costspan.cli.report import report

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(report)


@pytest.mark.parametrize(
    ("options", "value", "allowed"),
    [
        (["--period", "fortnight"], "'fortnight'", "day, week, month"),
        (["--date", "2026-02-29"], "'2026-02-29'", "YYYY-MM-DD"),
        (["--tz", "Mars/Olympus"], "'Mars/Olympus'", "IANA time zones"),
        (["--tz", "right/Europe/Berlin"], "'right/Europe/Berlin'", "IANA time zones"),
        (["--compare", "previous", "--by", "day"], "--by is 'day'", "model, operation"),
        (["--by", "day,colour"], "'colour'", "day, hour, service"),
        (["--tenant", " "], "' '", "the id of a tenant"),
        (["--service", "google"], "'google'", "anthropic, openai"),
        (["--target", "cheap"], "'cheap'", "0.33/100sessions"),
        (["--target", "1/session/day"], "'1/session/day'", "the same"),
        (["--json", "--csv"], "--csv", "one of them"),
        (["--format", "xml"], "'xml'", "table, json, csv, focus"),
        (["--format", "table", "--csv"], "'table'", "one of them"),
        (["--from", "2026-11-01", "--date", "2026-11-01"], "--from", "one of them"),
        (["--to", "2026-11-01"], "'2026-11-01'", "to give both"),
        (["--compare", "yesterday"], "'yesterday'", "previous"),
        (["--compare", "previous", "--target", "1/session"], "--target", "one of them"),
        (["--format", "focus", "--compare", "previous"], "'focus'", "leave these out"),
        (["--billing-account", "org-1"], "--billing-account", "--format focus"),
    ],
)
def test_a_bad_option_is_named_with_what_is_allowed(options, value, allowed):
    """One line on standard error, nothing on standard output, exit code 2."""
    found = CliRunner().invoke(app, options)

    assert found.exit_code == 2
    assert found.stdout == ""
    assert found.stderr.startswith("costspan report: ")
    assert value in found.stderr
    assert allowed in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_a_bad_setting_is_named_too():
    """The zone may come from the environment."""
    found = CliRunner(env={"COSTSPAN_TIMEZONE": "Mars/Olympus"}).invoke(app, [])

    assert found.exit_code == 2
    assert "COSTSPAN_TIMEZONE is 'Mars/Olympus'" in found.stderr


def test_help_has_examples_and_exit_codes():
    """All that a script needs to know."""
    found = CliRunner(env={"TERMINAL_WIDTH": "100"}).invoke(app, ["--help"])

    assert "costspan report --target 0.33/100sessions" in found.stdout
    for code, meaning in enumerate(("printed", "the ledger cannot be read", "makes no sense", "over the target")):
        assert any(line.split()[:1] == [str(code)] and meaning in line for line in found.stdout.splitlines())
