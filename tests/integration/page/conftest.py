"""One server with thirteen weeks of calls and one browser, for the tests of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from costspan.settings import Settings
from fix_postgres import new_database
from integration.exporter.api import Api, running
from integration.ledger.calls import NOON
from integration.page.browser import Tab, browser, tab
from integration.page.month import fill


@pytest.fixture(scope="module")
def filled(server_url: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The application at noon of 21 November 2026, with the calls of `month`."""
    with new_database(server_url, template=ledger_template) as url:
        settings = Settings(database_url=url, state_dir=tmp_path_factory.mktemp("page"), requests_per_second=10_000)
        with running(settings, now=NOON) as api:
            fill(api.ledger)
            yield api


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser. Not for longer than a module: while it is there, asyncio's loop is taken."""
    with browser() as started:
        yield started


@pytest.fixture
def opened(chromium: Any, filled: Api) -> Iterator[Callable[..., Tab]]:
    """Opens tabs, and closes them after the test."""
    with ExitStack() as tabs:
        yield lambda **looks: tabs.enter_context(tab(chromium, filled, **looks))


@pytest.fixture
def page(opened: Callable[..., Tab]) -> Tab:
    """A tab on a desktop, in light."""
    return opened()


@pytest.fixture(scope="module")
def modules(chromium: Any, filled: Api) -> Iterator[Tab]:
    """A tab whose modules can be run, with nothing shown but the form."""
    with tab(chromium, filled) as opened:
        opened.open(token="")
        yield opened


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for pictures."""
    return tmp_path_factory.mktemp("pictures")
