"""The command line: parse, call, print."""

from __future__ import annotations

import typer

from costspan._version import __version__
from costspan.cli.demo import demo
from costspan.cli.prices import price, prices_app
from costspan.cli.report import report

__all__ = ["app", "main"]

app = typer.Typer(
    name="costspan",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What every call to Anthropic and OpenAI cost, and why.",
)
app.command()(demo)
app.command()(report)
app.command()(price)
app.add_typer(prices_app, name="prices")


@app.callback(invoke_without_command=True)
def _root(*, version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point of ``costspan``."""
    app()
