"""From a call to the message that a budget is passed: the shipped files and the real programs, on loopback and without Docker.

    python deploy/stack.py            as shipped: the message takes up to a minute
    python deploy/stack.py --fast     what waits 10 and 15 seconds waits one, and the demo's month is short
    python deploy/stack.py --stay     leaves everything running until Ctrl-C, to be looked at

It needs Prometheus and Alertmanager (`apt-get install prometheus prometheus-alertmanager`), and costspan with its extras `embedded`,
`sdk` and `server`. Nothing of it stays: no process, no file. Your own ledger and settings are not touched.

Exit codes: 0 the message came, 1 it did not, or something did not start, 2 a program is missing, 130 stopped before its end.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from process import Broken, answers, fetched, finished, free_port, running, until
from webhook import Message, Webhook, webhook

SHIPPED = Path(__file__).resolve().parent.parent / "prometheus"
COSTSPAN = (sys.executable, "-m", "costspan")
ALERT, TENANT = "CostspanDailyBudgetPassed", "acme"
#: Twelve calls of a dollar each; it prints when the one was over that passed the budget of $10.
CALLS = """\
import costspan, sys, time
for number in range(1, 13):
    costspan.track({"input_tokens": 1_000_000}, "claude-3-5-haiku-latest", tenant=sys.argv[1], feature="compression")
    if number == 11:
        print(time.time())
"""
#: 49 s in the worst case; the rest is for machines that are busy.
_TOLD_S = 120.0
_SCRAPED_S = 120.0
_FAILED, _MISSING, _INTERRUPTED = 1, 2, 130


@dataclass(frozen=True)
class Programs:
    """What has to be installed."""

    prometheus: str
    alertmanager: str

    @classmethod
    def installed(cls) -> Programs | None:
        """Where they are; None where one is missing."""
        prometheus = shutil.which("prometheus")
        alertmanager = shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
        return cls(prometheus, alertmanager) if prometheus and alertmanager else None


class Stack:
    """Everything that a message passes, each part for the time of a block.

    Args:
        folder: empty; whatever is written is in it.
        is_fast: what waits 10 and 15 seconds waits one, and the month is short.
    """

    def __init__(self, folder: Path, programs: Programs, *, is_fast: bool) -> None:
        self._folder = folder
        self._programs = programs
        self._is_fast = is_fast
        self._demo = folder / "demo"
        self.sessions = 10 if is_fast else 100
        self._costspan, self._application, self._prometheus, self._alertmanager = (
            f"127.0.0.1:{free_port()}" for _ in range(4)
        )

    @property
    def links(self) -> tuple[str, ...]:
        """Where there is something to look at; of costspan's page with a token that counts as long as it runs."""
        page = re.search(r"\S+/#token=\S+", (self._folder / "serve.log").read_text())
        return (page[0] if page else "", f"http://{self._prometheus}/alerts", f"http://{self._alertmanager}/")

    @contextmanager
    def alerting(self, told: Webhook) -> Iterator[None]:
        """Prometheus and Alertmanager, with the shipped files."""
        with ExitStack() as stack:
            for command, address in (self._alertmanager_of(told), self._prometheus_of()):
                ready = partial(_answers_at, f"http://{address}/-/ready")
                log = self._folder / f"{Path(command[0]).name}.log"
                stack.enter_context(running(command, self._environment(), log, ready))
            yield

    @contextmanager
    def application(self) -> Iterator[None]:
        """The demo: it plays its month, and goes on to serve /metrics."""
        port = self._application.rpartition(":")[2]
        command = [*COSTSPAN, "demo", "--json", "--metrics-port", port, "--sessions", str(self.sessions)]
        try:
            log = self._folder / "demo.log"
            with running(command, self._environment(), log, lambda said: '"is_exact": true' in said):
                yield
        finally:
            # It waits for the demo's Postgres to end, which is some seconds after the last who used it.
            finished([*COSTSPAN, "demo", "--reset"], self._environment())

    @contextmanager
    def costspan(self) -> Iterator[None]:
        """`costspan serve` over the demo's ledger."""
        command = [*COSTSPAN, "serve", "--port", self._costspan.rpartition(":")[2], "--print-token"]
        ready = partial(_answers_at, f"http://{self._costspan}/readyz")
        with running(command, self._environment(self._demo), self._folder / "serve.log", ready):
            yield

    def is_watching(self) -> bool:
        """Whether Prometheus knows what the ledger says, how the application does, and whom to tell."""
        both = 'count(costspan_ledger_last_success_timestamp_seconds)%20and%20count(up{job="applications"}==1)'
        asked = f"http://{self._prometheus}/api/v1"
        return bool(
            fetched(f"{asked}/query?query={both}")["data"]["result"]
            and fetched(f"{asked}/alertmanagers")["data"]["activeAlertmanagers"]
        )

    def spend(self) -> float:
        """Drive a tenant over its budget, from a process of its own; when it was passed, of the clock."""
        return float(finished([sys.executable, "-c", CALLS, TENANT], self._environment(self._demo)))

    def _environment(self, state: Path | None = None) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("COSTSPAN_")}
        # Where it is about noon: no day may end between a call and its message.
        zone = f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
        state = state or self._folder
        return {**own, "COSTSPAN_STATE_DIR": str(state), "COSTSPAN_TIMEZONE": zone, "COSTSPAN_DRAIN": "off"}

    def _alertmanager_of(self, told: Webhook) -> tuple[list[str], str]:
        folder = self._folder / "alertmanager"
        channels = {"ALERT_WEBHOOK_URL": f"{told.url}/alerts", "ALERT_HEARTBEAT_URL": f"{told.url}/heartbeat"}
        finished(["sh", str(SHIPPED / "configure-alertmanager.sh"), str(folder)], {**self._environment(), **channels})
        if self._is_fast:
            _quicken(folder / "alertmanager.yml", "10s")
        command = [
            self._programs.alertmanager,
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address={self._alertmanager}",
            "--cluster.listen-address=",
        ]
        return command, self._alertmanager

    def _prometheus_of(self) -> tuple[list[str], str]:
        folder = self._folder / "prometheus"
        shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("tests"))
        listening = {
            "costspan": self._costspan,
            "applications": self._application,
            "alertmanager": self._alertmanager,
        }
        for name, address in listening.items():
            (folder / "targets" / f"{name}.yml").write_text(f'- targets: ["{address}"]\n')
        if self._is_fast:
            for file in (folder / "prometheus.yml", *(folder / "rules").glob("*.yml")):
                _quicken(file, "15s", "10s")
        command = [
            self._programs.prometheus,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=15d",
            f"--web.listen-address={self._prometheus}",
        ]
        return command, self._prometheus


def _answers_at(url: str, _: str) -> bool:
    return answers(url)


def _quicken(file: Path, *waits: str) -> None:
    text = file.read_text()
    for wait in waits:
        text = re.sub(rf"(?<=: ){wait}\b", "1s", text)
    file.write_text(text)


def play(stack: Stack, *, stays: bool) -> None:
    """Bring everything up, pass a budget, and show the message.

    Raises:
        Broken: when a program does not do what it is there for.
        TimeoutError: when the message does not come.
    """
    with webhook() as told, stack.alerting(told):
        say("Prometheus and Alertmanager run, with the shipped rules, routes and templates.")
        with stack.application():
            say(
                f"The demo has played its month, {stack.sessions} sessions of a conversation memory. Its ledger is exact."
            )
            with stack.costspan():
                until(stack.is_watching, _SCRAPED_S)
                say("`costspan serve` and the demo are scraped, and Prometheus knows Alertmanager.")
                passed_at = stack.spend()
                say(f"{TENANT} has called for $12, of a budget of $10. Waiting for somebody to be told …")
                until(lambda: _passed(told), _TOLD_S)
                _show(_passed(told)[0], passed_at)
                if stays:
                    _stay(stack)


def _passed(told: Webhook) -> list[Message]:
    return [said for said in told.of("/alerts", TENANT) if said.labels["alertname"] == ALERT]


def _show(said: Message, passed_at: float) -> None:
    say(
        f"Told {said.at - passed_at:.1f} s after the call that passed it ({said.fired_at - passed_at:.1f} s to the alert):"
    )
    shown = ("summary", "amount", "budget", "top_models", "description", "dashboard_url", "runbook_url")
    for name in shown:
        print(f"           {name}: {said.annotations.get(name, '')}")


def _stay(stack: Stack) -> None:
    say("Everything goes on until Ctrl-C:")
    for link in stack.links:
        print(f"           {link}", flush=True)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


_BEGAN = time.monotonic()


def say(what: str) -> None:
    """Print it, with the seconds so far."""
    print(f"{time.monotonic() - _BEGAN:7.1f} s  {what}", flush=True)


def main() -> int:
    """Play it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="wait one second where it is 10 or 15; a short month")
    parser.add_argument("--stay", action="store_true", help="leave everything running until Ctrl-C")
    chosen = parser.parse_args()
    programs = Programs.installed()
    if programs is None:
        print("stack: needs both: apt-get install prometheus prometheus-alertmanager", file=sys.stderr)
        return _MISSING
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="costspan-stack-"))
    try:
        play(Stack(folder, programs, is_fast=chosen.fast), stays=chosen.stay)
    except (Broken, TimeoutError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print("stack: stopped before its end.", file=sys.stderr)
        return _INTERRUPTED
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say("All of it has ended.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
