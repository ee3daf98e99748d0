"""The command line: parse, call, print."""

from __future__ import annotations

import typer

from costspan._version import __version__
from costspan.cli.audit import audit
from costspan.cli.budget import budget_app
from costspan.cli.demo import demo
from costspan.cli.doctor import doctor
from costspan.cli.drain import drain
from costspan.cli.ledger import ledger_app
from costspan.cli.migrate import migrate
from costspan.cli.prices import price, prices_app
from costspan.cli.prices_diff import diff
from costspan.cli.report import report
from costspan.cli.reprice import reprice
from costspan.cli.serve import serve
from costspan.cli.tail import tail
from costspan.cli.token import token_app

__all__ = ["app", "main"]

app = typer.Typer(
    name="costspan",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What every call to Anthropic and OpenAI cost, and why.",
)
app.command()(demo)
app.command()(serve)
app.command()(report)
app.command()(tail)
app.command()(doctor)
app.command()(audit)
app.command()(drain)
app.command()(migrate)
app.command()(price)
app.command()(reprice)
prices_app.command()(diff)
app.add_typer(prices_app, name="prices")
app.add_typer(budget_app, name="budget")
app.add_typer(token_app, name="token")
app.add_typer(ledger_app, name="ledger")


@app.callback(invoke_without_command=True)
def _root(*, version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point of ``costspan``."""
    app()
