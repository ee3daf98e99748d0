"""From a call to somebody's mailbox: a real journal, ledger, exporter, Prometheus and Alertmanager, with short intervals."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from integration.alerting.processes import (
    PROMETHEUS,
    Alertmanager,
    configure,
    fast,
    free_port,
    people,
    running,
    tool,
    until,
)

#: A call of claude-3-5-haiku, whose input costs a dollar a million tokens.
CALL = "import costspan, sys; costspan.track({'input_tokens': int(sys.argv[2])}, 'claude-3-5-haiku-latest', tenant=sys.argv[1])"
#: Most of it is the exporter, which asks every 7.5 seconds; the rest is for machines that are busy.
_TOLD_S = 90
PASSED, EARLY = "CostspanDailyBudgetPassed", "CostspanDailyBudget80Percent"


def _environment(ledger_url: str, folder: Path) -> dict[str, str]:
    offset = 12 - datetime.now(UTC).hour  # where it is about noon, so that no day ends meanwhile
    return {
        **os.environ,
        "COSTSPAN_DATABASE_URL": ledger_url,
        "COSTSPAN_STATE_DIR": str(folder),
        "COSTSPAN_DRAIN": "off",
        "COSTSPAN_TIMEZONE": f"Etc/GMT{-offset:+d}",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }


def _spend(environment: dict[str, str], tenant: str, cents: int) -> None:
    """Call a provider from a process of its own."""
    command = [sys.executable, "-c", CALL, tenant, str(cents * 10_000)]
    subprocess.run(command, env=environment, check=True, timeout=60)


@contextmanager
def _serving(environment: dict[str, str]) -> Iterator[str]:
    """`costspan serve`; its host and port."""
    command = [sys.executable, "-m", "costspan", "serve", "--port", "0"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        address = re.search(r"http://(\S+:\d+)", process.stdout.readline())
        assert address
        yield address[1]
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@contextmanager
def _prometheus(folder: Path, **targets: str) -> Iterator[None]:
    shutil.copytree(PROMETHEUS, folder)
    fast(folder / "prometheus.yml", _15s="1s", _10s="1s")
    for file in ("settings", "spend", "pipeline"):
        fast(folder / "rules" / f"{file}.yml", _15s="1s")
    (folder / "targets" / "applications.yml").write_text("[]")
    for name, target in targets.items():
        (folder / "targets" / f"{name}.yml").write_text(json.dumps([{"targets": [target]}]))
    address = f"127.0.0.1:{free_port()}"
    command = [
        tool("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--rules.alert.resend-delay=1s",
    ]
    with running(command, f"http://{address}/-/ready", folder / "prometheus.log"):
        yield


def _known_to(manager: Alertmanager) -> set[tuple[str, str]]:
    with urllib.request.urlopen(f"http://{manager.target}/api/v2/alerts", timeout=10) as answer:
        return {(found["labels"]["alertname"], found["labels"].get("tenant", "")) for found in json.load(answer)}


@pytest.mark.xdist_group("alerting")
def test_somebody_is_told_of_each_tenant_that_passes_its_budget(ledger_url, tmp_path):
    """$9.50 is told as 80 %; $10.01 as passed; a second tenant by itself; and nothing more, also after a restart."""
    tool("prometheus")
    tool("alertmanager", "prometheus-alertmanager")
    environment = _environment(ledger_url, tmp_path / "state")
    (tmp_path / "alertmanager").mkdir()
    manager = Alertmanager(tmp_path / "alertmanager")
    with ExitStack() as stack:
        listening = stack.enter_context(people())
        configured = configure(
            tmp_path / "alertmanager",
            ALERT_WEBHOOK_URL=f"{listening.url}/alerts",
            ALERT_SLACK_URL=f"{listening.url}/slack",
            ALERT_EMAIL_TO="finance@example.com",
            ALERT_EMAIL_FROM="alerts@example.com",
            ALERT_SMTP_HOST=listening.mail,
            ALERT_SMTP_TLS="false",
            ALERT_HEARTBEAT_URL=f"{listening.url}/heartbeat",
        )
        assert configured.returncode == 0, configured.stderr
        fast(tmp_path / "alertmanager" / "alertmanager.yml", _10s="1s")
        exporter = stack.enter_context(_serving(environment))
        stack.enter_context(_prometheus(tmp_path / "prometheus", costspan=exporter, alertmanager=manager.target))
        with manager.started():
            _spend(environment, "acme", 950)
            until(lambda: listening.told() == [(EARLY, "acme")], _TOLD_S)
            _spend(environment, "acme", 51)
            _spend(environment, "globex", 1200)
            until(lambda: len(listening.told()) >= 3, _TOLD_S)
            until(lambda: len(listening.mails) >= 3)
        with manager.started():
            until(lambda: {(PASSED, "acme"), (PASSED, "globex")} <= _known_to(manager))
            time.sleep(3)  # three times as long as it waits before it tells of something

    assert listening.told()[0] == (EARLY, "acme")
    assert sorted(listening.told()) == [(EARLY, "acme"), (PASSED, "acme"), (PASSED, "globex")]
    assert set(listening.told("/heartbeat")) == {("CostspanWatchdog", "")}
    said = {
        posted["attachments"][0]["title"]: posted["attachments"][0]
        for _, path, posted in listening.posts
        if path == "/slack"
    }
    assert set(said) == {
        "acme has spent 95% of its budget of the day",
        "acme has passed its budget of the day: $10.01 spent",
        "globex has passed its budget of the day: $12.00 spent",
    }
    globex = said["globex has passed its budget of the day: $12.00 spent"]
    assert globex["text"].startswith("*$12.00* of $10.00")
    assert globex["title_link"] == "http://localhost:3000/d/costspan-overview?var-tenant=globex"
    mails = {str(mail["subject"]): mail for mail in listening.mails}
    mail = mails["[critical] acme has passed its budget of the day: $10.01 spent"]
    html, text = mail.get_body(("html",)), mail.get_body(("plain",))
    assert html is not None
    # Models are asked for by themselves, and may be a moment behind.
    assert re.search(r"<td>claude-3-5-haiku-latest \$(9\.50|10\.01)</td>", html.get_content())
    assert text is not None
    assert "Budget: $10.00" in text.get_content()
