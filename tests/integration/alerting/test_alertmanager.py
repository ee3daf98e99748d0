"""Who is told, how often, and what they read."""

from __future__ import annotations

import itertools
import json
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from integration.alerting.processes import PROMETHEUS, Alertmanager, configure, fast, people, tool

#: An hour is so many seconds here, and everything else of the configuration in proportion.
HOUR_S = 4.0
ALL = {
    "ALERT_WEBHOOK_URL": "http://127.0.0.1:9/alerts?a=1&b='2'",
    "ALERT_SLACK_URL": "https://hooks.example.com/services/T0/B0/secret",
    "ALERT_SLACK_CHANNEL": "#it's-money",
    "ALERT_EMAIL_TO": "finance@example.com",
    "ALERT_EMAIL_FROM": "alerts@example.com",
    "ALERT_SMTP_HOST": "smtp.example.com:587",
    "ALERT_SMTP_USER": "alerts",
    "ALERT_SMTP_PASSWORD": r"p&ss\1'\"$(id)",
    "ALERT_HEARTBEAT_URL": "http://127.0.0.1:9/heartbeat",
}


def amtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run it."""
    command = [tool("amtool"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(ALL, id="everything"),
        pytest.param({"ALERT_WEBHOOK_URL": ALL["ALERT_WEBHOOK_URL"]}, id="webhook"),
        pytest.param({"ALERT_SLACK_URL": ALL["ALERT_SLACK_URL"]}, id="slack"),
        pytest.param(
            {name: ALL[name] for name in ("ALERT_EMAIL_TO", "ALERT_EMAIL_FROM", "ALERT_SMTP_HOST")},
            id="email-without-login",
        ),
    ],
)
def test_a_configuration_has_the_channels_that_were_named(given, tmp_path):
    """And none that was not; Alertmanager accepts it."""
    done = configure(tmp_path, **given)

    assert (done.returncode, done.stderr) == (0, "")
    text = (tmp_path / "alertmanager.yml").read_text()
    channels = {"webhook": "/alerts", "slack": "slack_configs", "email": "email_configs", "login": "auth_username"}
    named = {"webhook": "WEBHOOK_URL", "slack": "SLACK_URL", "email": "EMAIL_TO", "login": "SMTP_USER"}
    assert {name for name, word in channels.items() if word in text} == {
        name for name, variable in named.items() if f"ALERT_{variable}" in given
    }
    checked = amtool("check-config", tmp_path / "alertmanager.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "1 templates" in checked.stdout


def test_the_configuration_that_is_shipped_is_accepted():
    """As it stands, with its examples."""
    checked = amtool("check-config", PROMETHEUS / "alertmanager.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_secrets_are_in_files_that_only_their_owner_reads(tmp_path):
    """Byte for byte; the configuration names the files."""
    configure(tmp_path, **ALL)

    secrets = {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}
    assert secrets == {"slack_url": ALL["ALERT_SLACK_URL"], "smtp_password": ALL["ALERT_SMTP_PASSWORD"]}
    text = (tmp_path / "alertmanager.yml").read_text()
    assert not any(secret in text for secret in secrets.values())
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.rglob("*") if file.is_file()}
    assert modes == {0o600}


def test_secrets_can_come_from_files(tmp_path):
    """As containers get them."""
    given = tmp_path / "given"
    given.write_text("https://hooks.example.com/services/T0\n")

    done = configure(tmp_path / "made", ALERT_SLACK_URL_FILE=str(given))

    assert done.returncode == 0
    assert (tmp_path / "made" / "secrets" / "slack_url").read_text() == "https://hooks.example.com/services/T0"


def test_a_secret_goes_with_its_channel(tmp_path):
    """Made anew without Slack, nothing of it stays; and Slack has no channel that nobody named."""
    made = tmp_path / "made"
    assert configure(made, ALERT_SLACK_URL="https://hooks.example.com/services/T0").returncode == 0
    assert "ai-cost" not in (made / "alertmanager.yml").read_text()
    assert (made / "secrets" / "slack_url").exists()

    assert configure(made, ALERT_WEBHOOK_URL="http://127.0.0.1:9/").returncode == 0

    assert list((made / "secrets").iterdir()) == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "nobody would be told"),
        ({"ALERT_HEARTBEAT_URL": "http://127.0.0.1:9"}, "nobody would be told"),
        ({"ALERT_SLACK_URL": "x", "ALERT_SLACK_URL_FILE": "/y"}, "both set"),
        ({"ALERT_WEBHOOK_URL_FILE": "/nowhere"}, "/nowhere, which cannot be read"),
        ({"ALERT_WEBHOOK_URL_FILE": "/dev/null"}, "which is empty"),
        ({"ALERT_EMAIL_TO": "a@example.com"}, "name ALERT_EMAIL_FROM"),
        ({"ALERT_EMAIL_TO": "a@example.com", "ALERT_EMAIL_FROM": "b@example.com"}, "name ALERT_SMTP_HOST"),
        ({**ALL, "ALERT_SMTP_PASSWORD": ""}, "name ALERT_SMTP_PASSWORD"),
        ({**ALL, "ALERT_SMTP_TLS": "maybe"}, "allowed are true and false"),
        ({"ALERT_WEBHOOK_URL": "example.com/x"}, "ALERT_WEBHOOK_URL is no address"),
        ({"ALERT_SLACK_URL": "foo"}, "ALERT_SLACK_URL is no address"),
        ({**ALL, "ALERT_HEARTBEAT_URL": "127.0.0.1"}, "ALERT_HEARTBEAT_URL is no address"),
        ({**ALL, "ALERT_SLACK_URL": ""}, "name ALERT_SLACK_URL"),
        ({**ALL, "ALERT_SMTP_HOST": "smtp.example.com"}, "allowed is host:port"),
        ({"ALERT_WEBHOOK_URL": "http://a\nreceivers: []"}, "line break"),
    ],
)
def test_what_makes_no_sense_is_refused(given, told, tmp_path):
    """With a word about what is wrong, and without a configuration."""
    done = configure(tmp_path, **given)

    assert done.returncode == 1
    assert told in done.stderr
    assert not (tmp_path / "alertmanager.yml").exists()


def test_alerts_go_where_they_belong(rules):
    """Everything to people, but what always fires."""
    for name, rule in rules.alerts.items():
        labels = [f"{label}={value}" for label, value in rule["labels"].items()]

        routed = amtool(
            "config", "routes", "test", f"--config.file={PROMETHEUS / 'alertmanager.yml'}", f"alertname={name}", *labels
        )

        wanted = "heartbeat" if name == "CostspanWatchdog" else "people"
        assert routed.stdout.strip() == wanted, name


_SAID = {
    "receiver": "people",
    "status": "firing",
    "commonLabels": {"alertname": "CostspanDailyBudgetPassed", "severity": "critical", "tenant": "<!channel> & co"},
    "alerts": [
        {
            "status": "firing",
            "labels": {"tenant": "<!channel> & co", "severity": "critical"},
            "annotations": {
                "summary": "<!channel> & co has passed its budget of the day: $12.00 spent",
                "description": "Calls go on.",
                "amount": "$12.00",
                "budget": "$10.00",
                "top_models": "claude-<b>haiku $8.10, gpt-5 $3.90",
                "dashboard_url": "http://localhost:3000/d/costspan-overview?var-tenant=%3C%21channel%3E",
                "runbook_url": "https://example.com/runbook.md#costspandailybudgetpassed",
            },
        },
        {"status": "resolved", "labels": {"tenant": "over"}, "annotations": {"summary": "of what is over"}},
    ],
}


def _rendered(name: str, kind: str, tmp_path) -> str:
    data = tmp_path / "data.json"
    data.write_text(json.dumps(_SAID))
    done = amtool(
        "template",
        "render",
        f"--template.glob={PROMETHEUS / 'templates' / '*.tmpl'}",
        f"--template.text={{{{ template {json.dumps(name)} . }}}}",
        f"--template.type={kind}",
        f"--template.data={data}",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_slack_reads_a_tenants_name_and_not_a_command(tmp_path):
    """Whoever calls a tenant or a model `<!channel>` wakes nobody up; amount, budget, models and links are there."""
    dashboard = "http://localhost:3000/d/costspan-overview?var-tenant=%3C%21channel%3E"
    title = _rendered("costspan.slack.title", "text", tmp_path)
    text = _rendered("costspan.slack.text", "text", tmp_path)

    assert title.strip() == "&lt;!channel&gt; &amp; co has passed its budget of the day: $12.00 spent"
    assert text.splitlines()[:3] == [
        "*$12.00* of $10.00: claude-&lt;b&gt;haiku $8.10, gpt-5 $3.90",
        "Calls go on.",
        f"<{dashboard}|Dashboard> · <https://example.com/runbook.md#costspandailybudgetpassed|Runbook>",
    ]
    assert "of what is over" not in text


def test_an_email_shows_what_matters_and_no_markup_of_others(tmp_path):
    """As HTML and as text; what is over already is not told."""
    html = _rendered("costspan.html", "html", tmp_path)
    text = _rendered("costspan.text", "text", tmp_path)

    assert "<td>&lt;!channel&gt; &amp; co</td>" in html
    assert "<td>claude-&lt;b&gt;haiku $8.10, gpt-5 $3.90</td>" in html
    assert '<a href="https://example.com/runbook.md#costspandailybudgetpassed">Runbook</a>' in html
    for line in ("Tenant: <!channel> & co", "Amount: $12.00", "Budget: $10.00"):
        assert line in text.splitlines()
    assert "of what is over" not in html + text


def _begun(folder: Path, url: str) -> Alertmanager:
    configure(folder, ALERT_WEBHOOK_URL=f"{url}/alerts")
    minute = HOUR_S * 1000 / 60
    # Its timers are late by some milliseconds, which is more of such an hour than of a real one: half a minute more.
    scaled = {"_61m": 61.5, "_1h": 60.0, "_12h": 720.0}
    intervals = {name: f"{round(minutes * minute)}ms" for name, minutes in scaled.items()}
    fast(folder / "alertmanager.yml", _10s="100ms", **intervals)
    return Alertmanager(folder)


def _tell(manager: Alertmanager, hours: float, *tenants: str, flapping: str = "") -> None:
    """Say every five minutes that the alerts of ``tenants`` fire; each fourth time that ``flapping``'s is over."""
    end = time.monotonic() + hours * HOUR_S
    for beat in itertools.count():
        if time.monotonic() >= end:
            return
        for tenant in tenants:
            manager.tell(tenant)
        if flapping:
            manager.tell(flapping, is_firing=beat % 4 != 1)
        time.sleep(HOUR_S / 12)


def _steadily(manager: Alertmanager) -> None:
    with manager.started():
        _tell(manager, 0.4, "steady")
        _tell(manager, 3, "steady", "second", flapping="flapping")


def _restarted(manager: Alertmanager) -> None:
    with manager.started():
        _tell(manager, 0.5, "restarted")
    with manager.started():
        _tell(manager, 2.9, "restarted")


@pytest.fixture(scope="module")
def an_hour(tmp_path_factory):
    """What came in more than three hours, each of `HOUR_S`: when each tenant was told of, in hours."""
    tool("alertmanager", "prometheus-alertmanager")
    with people() as listening, ThreadPoolExecutor() as threads:
        plays = [
            threads.submit(play, _begun(tmp_path_factory.mktemp(play.__name__), listening.url))
            for play in (_steadily, _restarted)
        ]
        for play in plays:
            play.result()
        tenants = ("steady", "flapping", "second", "restarted")
        return {tenant: [at / HOUR_S for at in listening.moments(tenant)] for tenant in tenants}


@pytest.mark.parametrize("tenant", ["steady", "flapping", "second", "restarted"])
def test_nobody_is_told_twice_in_an_hour(an_hour, tenant):
    """Whether an alert stays, comes and goes every few minutes, or Alertmanager starts again in between."""
    moments = an_hour[tenant]

    assert len(moments) >= 2, "told once and never again"
    # Messages travel: two that left an hour apart may arrive closer by a part of a second, which is some minutes here.
    assert min(later - earlier for earlier, later in itertools.pairwise(moments)) > 0.9


def test_a_second_tenant_does_not_wait_for_the_first_ones_hour(an_hour):
    """It is told of as soon as it passes its budget."""
    assert 0 < an_hour["second"][0] - an_hour["steady"][0] < 0.9
