"""The dashboards as data: made of the names in code, complete, and leading somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import combinations
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from costspan.sinks import names
from integration.grafana.boards import BOARDS, GRAFANA, boards, questions

UIDS = {"costspan-overview", "costspan-explore", "costspan-efficiency", "costspan-pipeline"}
ALL = boards()
PANELS = [(uid, panel) for uid, board in ALL.items() for panel in board["panels"]]
#: What a counter is exposed as.
METRICS = {
    value + suffix
    for name, value in vars(names).items()
    if name.isupper() and isinstance(value, str) and value.startswith("costspan_")
    for suffix in ("", "_total")
}
#: A column that is an amount: of calls whose cost is known, of one of them, of what a cache avoided or saved.
AMOUNT = re.compile(r"""(?:'invalid'\){3}|'invalid'\)\), 0\)|cost_usd\)?|_usd\)|_pico\)\)) as "([^"]+)\"""")


def each_panel(test):
    """Parametrize by panel."""
    ids = [f"{uid}-{panel['title']}" for uid, panel in PANELS]
    return pytest.mark.parametrize(("uid", "panel"), PANELS, ids=ids)(test)


def named_columns(panel):
    """What its tables call their columns: the names that SQL gives, or that a transformation does."""
    texts = [target.get("rawSql", "") for target in panel["targets"]]
    renamed = [step["options"].get("renameByName", {}).values() for step in panel["transformations"]]
    return {name for text in texts for name in re.findall(r'as "([^"]+)"', text)}.union(*renamed)


def test_generated_files_are_up_to_date(tmp_path):
    """Building them again changes nothing; a metric that is renamed in code is another one here, too."""
    subprocess.run([sys.executable, "-B", GRAFANA / "build.py", tmp_path], check=True, timeout=60)

    made = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert made == {file.name: file.read_text() for file in BOARDS.iterdir()}
    assert {f"{name.removesuffix('.json')}" for name in made} == {uid.removeprefix("costspan-") for uid in UIDS}


def test_questions_are_about_metrics_that_there_are():
    """A metric that is renamed would leave its panel empty for ever."""
    asked = {
        name for question in questions() if not question.is_sql for name in re.findall(r"costspan_\w+", question.text)
    }

    assert asked - METRICS == set()
    assert len(asked) > 12


@each_panel
def test_each_panel_says_what_it_answers(uid, panel):
    """With a question, a unit, something that is asked, and a number of its own."""
    assert "?" in panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    assert [target["refId"] for target in panel["targets"]] == list("ABCDEFG"[: len(panel["targets"])])


@each_panel
def test_looks_are_of_columns_that_there_are(uid, panel):
    """A unit or a link of a column that was renamed would be lost unseen; an amount without its unit would be a number."""
    overrides = panel["fieldConfig"]["overrides"]
    looks = {override["matcher"]["options"] for override in overrides}
    in_dollars = {
        override["matcher"]["options"]
        for override in overrides
        for look in override["properties"]
        if look == {"id": "unit", "value": "currencyUSD"}
    }
    columns = named_columns(panel)
    amounts = {name for target in panel["targets"] for name in AMOUNT.findall(target.get("rawSql", ""))}

    assert looks <= columns
    assert panel["fieldConfig"]["defaults"]["unit"] == "currencyUSD" or amounts <= in_dollars


def test_panels_do_not_overlap():
    """Nor do two have the same number, and none is wider than the screen."""
    for board in ALL.values():
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        for panel in board["panels"]:
            assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        for one, other in combinations([panel["gridPos"] for panel in board["panels"]], 2):
            assert (
                one["x"] + one["w"] <= other["x"]
                or other["x"] + other["w"] <= one["x"]
                or one["y"] + one["h"] <= other["y"]
                or other["y"] + other["h"] <= one["y"]
            )


def test_money_is_read_from_the_ledger():
    """A process's counter never says what something cost: it forgets at each restart."""
    asked = " ".join(question.text for question in questions() if not question.is_sql)

    assert names.COST not in asked
    assert names.CACHE_AVOIDED not in asked


def test_dashboards_and_data_sources_are_provisioned_by_the_same_uids():
    """What a panel or a variable asks is a data source that provisioning makes, of the same kind."""
    given = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "costspan.yml").read_text())["datasources"]
    sources = {(source["uid"], source["type"]) for source in given}

    asked = [panel["datasource"] for _, panel in PANELS]
    asked += [question.target["datasource"] for question in questions()]
    asked += [
        variable["datasource"]
        for board in ALL.values()
        for variable in board["templating"]["list"]
        if "datasource" in variable
    ]
    assert {(source["uid"], source["type"]) for source in asked} == sources
    assert set(ALL) == UIDS
    assert all(board["id"] is None for board in ALL.values())


def test_no_secret_is_in_a_file():
    """Whoever may read comes from the environment."""
    text = (GRAFANA / "provisioning" / "datasources" / "costspan.yml").read_text()
    (password,) = re.findall(r"password: (.+)", text)

    assert password == "${COSTSPAN_GRAFANA_DATABASE_PASSWORD}"


def test_links_lead_to_dashboards_and_variables_that_there_are():
    """Of cells; and of alerts, which name the tenant."""
    rules = (GRAFANA.parent / "prometheus" / "rules").glob("*.yml")
    from_alerts = [found for file in rules for found in re.findall(r"(/d/[^'\s]+)", file.read_text())]
    from_cells = [
        look["url"]
        for _, panel in PANELS
        for override in panel["fieldConfig"]["overrides"]
        for change in override["properties"]
        if change["id"] == "links"
        for look in change["value"]
    ]

    led = [urlsplit(url) for url in [*from_alerts, *from_cells] if url.startswith("/d/")]
    assert {url.path for url in led} <= {f"/d/{uid}" for uid in UIDS}
    assert {"/d/costspan-overview", "/d/costspan-pipeline", "/d/costspan-efficiency"} <= {url.path for url in led}
    for url in led:
        variables = {variable["name"] for variable in ALL[url.path.removeprefix("/d/")]["templating"]["list"]}
        assert {name.removeprefix("var-") for name in parse_qs(url.query)} <= variables
    for url in from_cells:
        assert url.startswith(("/d/", "${trace_url:raw}"))


def test_whoever_chooses_sees_it_in_every_panel():
    """Each question to the ledger of a dashboard of spend keeps to the tenant, service, model and feature that are chosen."""
    for question in questions():
        if question.is_sql and question.board != "costspan-pipeline":
            used = {
                name for name in ("tenant", "service", "model", "feature") if f"${{{name}:sqlstring}}" in question.text
            }
            lacking = {"tenant", "service", "model", "feature"} - used
            assert lacking == ({"service"} if "ai_cache_usage" in question.text else set()), str(question)


def test_each_dashboard_and_panel_is_documented():
    """On the page, by its title."""
    page = (GRAFANA.parent / "docs" / "grafana.md").read_text()

    assert [uid for uid in ALL if f"`{uid}`" not in page] == []
    assert [panel["title"] for _, panel in PANELS if panel["title"] not in page] == []
