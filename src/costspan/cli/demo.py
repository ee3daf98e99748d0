"""`costspan demo`: a month of a conversation memory, metered, and its bill to the digit."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from prometheus_client import REGISTRY
from rich.console import Console

import costspan
from costspan.cli import demo_outcome
from costspan.cli.demo_outcome import Outcome
from costspan.cli.opened import FAILED, REFUSED, refuse
from costspan.cli.progress import progress
from costspan.errors import ConfigurationError, LedgerError
from costspan.settings import Settings
from costspan.sinks import names

if TYPE_CHECKING:
    from costspan.demo.play import Plan
    from costspan.demo.providers import Providers

__all__ = ["demo"]

_METRICS_PORT = 9464
_INTERRUPTED = 130


def demo(
    *,
    sessions: Annotated[int, typer.Option(min=1, max=100_000, help="How many conversations the month has.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed is the same month, to the digit.")] = 3,
    once: Annotated[
        bool, typer.Option("--once", help="End after the report; else /metrics is served until Ctrl-C.")
    ] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help=f"Port of /metrics; {_METRICS_PORT} or a free one when not given."),
    ] = None,
    database_url: Annotated[
        str, typer.Option(metavar="URL", help="Fill this empty Postgres instead of the demo's own.")
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON; amounts are exact numbers.")
    ] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Remove what the demo has stored, and end.")] = False,
) -> None:
    """Play a month of a small AI application, and check the ledger against the bill.

    Both providers are played on this machine: no key, and nothing is sent anywhere.
    The demo has a ledger of its own, begun anew by each run; yours is not touched.

    Try:

    \b
    costspan demo                  plays, reports, serves /metrics until Ctrl-C
    costspan demo --once           plays, reports and ends
    costspan demo --sessions 1000  a bigger month
    costspan demo --reset          removes what the demo has stored

    Exit codes: 0 bill and ledger agree, 1 they do not, or the ledger fails, 2 the demo cannot run as asked.
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    try:
        from costspan.demo.home import DemoHome  # noqa: PLC0415  # only this command needs the demo
        from costspan.demo.play import Plan, last_month  # noqa: PLC0415  # nor the SDKs, which are an extra
    except ModuleNotFoundError as error:
        refuse(
            "demo", f"{error.name} is not installed. The demo needs it: pip install 'costspan[sdk,embedded]'", REFUSED
        )
    try:
        home = DemoHome.of(Settings.from_environment().state_dir)
        if reset:
            typer.echo(f"Removed {home.folder}." if home.remove() else f"There is no {home.folder}: nothing to remove.")
            return
        home.begin()
    except ConfigurationError as error:
        refuse("demo", str(error), REFUSED)
    settings = Settings(state_dir=home.folder, database_url=database_url)
    plan = Plan(first_day=last_month(datetime.now(UTC).date()), sessions=sessions, seed=seed)
    try:
        with _terminable():
            is_exact = _perform(plan, settings, once=once, metrics_port=metrics_port, is_json=as_json)
    except ConfigurationError as error:
        refuse("demo", str(error), REFUSED)
    except LedgerError as error:
        refuse("demo", str(error), FAILED)
    except KeyboardInterrupt:
        refuse("demo", "stopped before its end.", _INTERRUPTED)
    finally:
        home.release()
    raise typer.Exit(0 if is_exact else FAILED)


def _perform(plan: Plan, settings: Settings, *, once: bool, metrics_port: int | None, is_json: bool) -> bool:
    """Play, show, and stay; whether bill and ledger agree."""
    from costspan.demo.comparison import require_empty  # noqa: PLC0415  # as above
    from costspan.demo.play import play  # noqa: PLC0415  # as above

    out = Console(quiet=is_json, highlight=False)
    demo_outcome.opening(out, plan, settings)
    require_empty(settings)
    with (
        progress(Console(stderr=True, highlight=False), "Turns of conversation") as on_turn,
        play(plan, settings, on_turn=on_turn) as served,
    ):
        outcome = _outcome(plan, settings, served, _serve_metrics(metrics_port))
        # From here on Ctrl-C is how a demo that stays is ended, even when it comes before the last line.
        with nullcontext() if once else suppress(KeyboardInterrupt):
            if is_json:
                sys.stdout.write(demo_outcome.as_json(outcome).decode())
                sys.stdout.flush()
            else:
                demo_outcome.closing(out, outcome, once=once)
            if not once:
                threading.Event().wait()
    return outcome.comparison.is_exact


def _outcome(plan: Plan, settings: Settings, served: Providers, port: int) -> Outcome:
    from costspan.demo.comparison import compare  # noqa: PLC0415  # as above

    return Outcome(
        plan=plan,
        settings=settings,
        comparison=compare(served.bill, settings),
        refused=served.bill.refused,
        hits=int(_counted(names.CACHE_REQUESTS, result="hit")),
        misses=int(_counted(names.CACHE_REQUESTS, result="miss")),
        spared_usd=_counted(names.CACHE_AVOIDED),
        metrics_url=f"http://127.0.0.1:{port}/metrics",
        openai_url=served.openai_url,
        anthropic_url=served.anthropic_url,
    )


def _counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"{name}_total", {"cache": "embeddings", **labels}) or 0.0


def _serve_metrics(port: int | None) -> int:
    """Serve /metrics; the port it is on."""
    try:
        return costspan.start_metrics_server(_METRICS_PORT if port is None else port)
    except OSError as error:
        if port is not None:
            raise ConfigurationError(f"--metrics-port {port} cannot be used: {error}") from error
        return costspan.start_metrics_server(0)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does, so that servers and ledger are left in order."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
