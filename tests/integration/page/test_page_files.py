"""What the page is made of: only files of its own, which a browser may run nothing but."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources

import pytest

from costspan.settings import Settings
from fix_postgres import new_database
from integration.exporter.api import Api, running

FOLDER = resources.files("costspan.exporter.page")
ASSETS = sorted(item.name for item in FOLDER.iterdir() if item.name.endswith((".html", ".css", ".js", ".svg")))


@pytest.fixture(scope="module")
def api(server_url: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The application on an empty ledger."""
    with new_database(server_url, template=ledger_template) as url:
        settings = Settings(database_url=url, state_dir=tmp_path_factory.mktemp("files"), requests_per_second=10_000)
        with running(settings) as api:
            yield api


def text(name: str) -> str:
    """The text of a file of the page."""
    return FOLDER.joinpath(name).read_text()


def test_the_page_needs_no_token_and_runs_nothing_foreign(api):
    """Who has no token gets the empty page, with a policy that lets it run and load its own files only."""
    said = api.get("/", token="")

    assert said.status == 200
    assert said.headers["content-type"].startswith("text/html")
    policy = said.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert said.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ASSETS)
def test_every_file_is_served_with_its_type(api, name):
    """As it lies there, and no script as anything but a script."""
    said = api.get(f"/page/{name}", token="")

    kinds = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    assert said.status == 200
    assert said.headers["content-type"].split(";")[0] == kinds[name.rsplit(".")[-1]]
    assert said.text == text(name)


@pytest.mark.parametrize("name", ASSETS)
def test_no_file_refers_to_another_server_or_holds_markup_with_scripts(name):
    """It works without internet, and what the ledger says never becomes markup."""
    found = text(name)

    assert set(re.findall(r"https?://[^\s\"'`)]+", found)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", found)
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=\"|\sstyle=\"", found)


@pytest.mark.parametrize("name", [name for name in ASSETS if name.endswith(".js")])
def test_every_import_is_of_a_file_that_is_there(name):
    """A module that is missing would leave an empty page."""
    assert set(re.findall(r"from \"\./([^\"]+)\"", text(name))) <= set(ASSETS)


def test_what_did_not_change_is_not_sent_again(api):
    """A browser asks each time, so that an upgrade counts at once, and is told in a line that nothing changed."""
    first = api.get("/page/main.js", token="")

    again = api.ask("GET", "/page/main.js", token="", headers={"If-None-Match": first.headers["etag"]})
    other = api.ask("GET", "/page/main.js", token="", headers={"If-None-Match": '"another"'})

    assert first.headers["cache-control"] == "no-cache"
    assert (again.status, again.text) == (304, "")
    assert other.text == first.text


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/page/__init__.py",
        "/page/route.py",
        "/page/..%2Fapp.py",
        "/page/%2e%2e/app.py",
        "/page/none.js",
        "/page/%00",
    ],
)
def test_nothing_else_is_served(api, path):
    """No source, and nothing outside of the folder."""
    assert api.get(path, token="").status == 404


def test_a_head_has_no_body(api):
    """For who only wants to know whether it is there."""
    said = api.ask("HEAD", "/", token="")

    assert (said.status, said.text) == (200, "")
