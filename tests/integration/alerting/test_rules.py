"""The rules: right by promtool's tests, each alert complete, explained and tested, and about metrics that there are."""

from __future__ import annotations

import re
import subprocess
from collections import Counter

import pytest
import yaml

from costspan.sinks import names
from integration.alerting.processes import PROMETHEUS, tool

TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
#: It has no condition, so there is no case in which it is quiet.
ALWAYS_FIRING = "CostspanWatchdog"
#: What a counter or a histogram is exposed as.
SUFFIXES = ("", "_total", "_bucket", "_sum", "_count")
METRICS = {
    value + suffix
    for name, value in vars(names).items()
    if name.isupper() and isinstance(value, str) and value.startswith("costspan_")
    for suffix in SUFFIXES
}
#: Names of metrics in an expression; a recorded one has a colon.
METRIC = re.compile(r"(?<![\w:])(?:\w+:)?costspan[_:](?:[\w:]*\w)")


def promtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run it."""
    command = [tool("promtool"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def unknown_in(text: str, recorded: set[str]) -> set[str]:
    """Metrics in ``text`` that are neither exposed by costspan nor recorded."""
    return set(METRIC.findall(text)) - METRICS - recorded


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_alerts_fire_when_they_must_and_only_then(file):
    """Each scenario is played by promtool: exact labels and annotations where an alert fires, and silence elsewhere."""
    played = promtool("test", "rules", file)

    assert played.returncode == 0, played.stdout + played.stderr


def test_prometheus_accepts_its_configuration():
    """Together with every rule that it names."""
    checked = promtool("check", "config", PROMETHEUS / "prometheus.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count("rules found") == len(list((PROMETHEUS / "rules").glob("*.yml")))


def test_rules_are_about_metrics_that_there_are(rules):
    """A metric that is renamed in code and not here would silence its alerts for ever."""
    recorded = set(rules.recorded)

    found = {
        name: unknown_in(f"{rule['expr']} {rule['annotations']}", recorded) for name, rule in rules.alerts.items()
    } | {name: unknown_in(expression, recorded) for name, expression in rules.recorded.items()}

    assert {name: metrics for name, metrics in found.items() if metrics} == {}
    assert unknown_in("costspan_spend_todai_usd > costspan:setting:spike_faktor", recorded) == {
        "costspan_spend_todai_usd",
        "costspan:setting:spike_faktor",
    }


def test_scenarios_are_about_metrics_that_there_are():
    """Else an alert would be silent in them for the wrong reason."""
    series = [
        given["series"]
        for file in TESTS
        for test in yaml.safe_load(file.read_text())["tests"]
        for given in test.get("input_series", ())
    ]

    assert set().union(*(unknown_in(name, set()) for name in series)) == set()


def test_each_alert_fires_in_a_scenario_and_is_silent_in_two(rules):
    """Nobody adds an alert, or removes the test of one, unseen."""
    firing: Counter[str] = Counter()
    silent: Counter[str] = Counter()
    for file in TESTS:
        for test in yaml.safe_load(file.read_text())["tests"]:
            for case in test.get("alert_rule_test", ()):
                (firing if case["exp_alerts"] else silent)[case["alertname"]] += 1

    assert set(firing) == set(rules.alerts)
    assert {name for name in rules.alerts if silent[name] < 2} == {ALWAYS_FIRING}


def test_each_alert_says_what_somebody_needs(rules):
    """How bad it is, what happened, what it means, where to look and what to do."""
    for name, rule in rules.alerts.items():
        assert set(rule["labels"]) == {"app", "severity", "threshold"}, name
        assert rule["labels"]["severity"] in {"critical", "warning", "none"}, name
        assert {"summary", "description", "dashboard_url", "runbook_url"} <= set(rule["annotations"]), name
        assert rule["annotations"]["runbook_url"].endswith(f"#{name.lower()}"), name


def test_each_alert_has_a_section_in_the_runbook(rules):
    """What it means, how to check it, what to do."""
    runbook = (PROMETHEUS / "runbook.md").read_text()
    sections = dict(re.findall(r"^## (\w+)$(.*?)(?=^## |\Z)", runbook, re.MULTILINE | re.DOTALL))

    assert set(sections) == set(rules.alerts)
    for name, section in sections.items():
        for part in ("**What it means.**", "**How to check.**", "**What to do.**"):
            assert part in section, f"{name} has no {part}"


def test_the_runbook_asks_for_metrics_that_there_are(rules):
    """Its queries can be run as they stand."""
    assert unknown_in((PROMETHEUS / "runbook.md").read_text(), set(rules.recorded)) == set()


def test_thresholds_have_one_place(rules):
    """Every setting is used, and no alert has a number of its own beside 0 and the half that is rounding."""
    settings = {name for name in rules.recorded if name.startswith("costspan:setting:")}
    text = " ".join(
        [*rules.recorded.values(), *(f"{rule['expr']} {rule['annotations']}" for rule in rules.alerts.values())]
    )

    assert {name for name in settings if name not in text} == set()
    for name, rule in rules.alerts.items():
        compared = re.findall(r"[<>]=?\s*(?:on \(\w+\) )?([\d.]+)", str(rule["expr"]))
        assert set(compared) <= {"0", "0.5"}, name


def test_alerts_are_documented(rules):
    """Each with its threshold on the page."""
    page = (PROMETHEUS.parent / "docs" / "alerting.md").read_text()

    missing = [name for name, rule in rules.alerts.items() if f"`{name}`" not in page]
    assert missing == []
    assert [name for name in rules.recorded if "setting" in name and f"`{name.split(':')[-1]}`" not in page] == []
