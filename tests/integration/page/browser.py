"""A headless Chromium that looks at the page as its users do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from integration.exporter.api import Api

__all__ = ["DESKTOP", "PHONE", "Tab", "browser", "screenshots", "tab"]

DESKTOP, PHONE = (1280, 900), (360, 780)
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE_MS = 20_000


@dataclass
class Tab:
    """A tab with nothing kept from others, and what went wrong in it."""

    page: Any
    api: Api
    errors: list[str] = field(default_factory=list)
    """What the browser complained of, refused requests apart."""
    asked: list[str] = field(default_factory=list)
    """Addresses of all requests."""

    def open(self, place: str = "/", *, token: str | None = None) -> Any:
        """Go to ``place`` by a link with ``token``; the administrator's when not given, none when empty."""
        shown = self.api.admin if token is None else token
        self.page.goto(f"{self.api.url}{place}" + (f"#token={shown}" if shown else ""))
        if shown:
            self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until all is shown."""
        self.page.wait_for_selector("main:not([aria-busy])")

    def card(self, title: str) -> Any:
        """The part of the page that is headed so."""
        return self.page.get_by_role("region", name=title, exact=True)

    def exact(self) -> None:
        """Show amounts with all of their decimals."""
        self.page.get_by_label("Exact amounts").check()

    def run(self, module: str, expression: str, given: object = None) -> Any:
        """What ``expression`` of a module's ``m`` and ``given`` is."""
        return self.page.evaluate(
            f"async (given) => {{ const m = await import('/page/{module}'); return {expression}; }}", given
        )


@contextmanager
def browser() -> Iterator[Any]:
    """Start it; the test is skipped, or fails where all must be there, when it is not installed."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        _missing("needs a browser: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415  # not there everywhere
    except ImportError:
        _missing("needs playwright: pip install playwright axe-playwright-python")
    with sync_playwright() as playwright:
        # Inside of a container there is no sandbox to be had, and what is looked at is our own.
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@contextmanager
def tab(browser: Any, api: Api, **looks: Any) -> Iterator[Tab]:
    """A tab; ``looks`` are the browser's settings, such as ``color_scheme``."""
    width, height = looks.pop("size", DESKTOP)
    context = browser.new_context(viewport={"width": width, "height": height}, **looks)
    context.set_default_timeout(_PATIENCE_MS)
    opened = Tab(context.new_page(), api)
    opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
    opened.page.on("console", lambda message: _note(opened, message))
    opened.page.on("request", lambda request: opened.asked.append(request.url))
    yield opened
    context.close()


def screenshots(kept: Path) -> Path:
    """Where pictures go: COSTSPAN_TEST_SCREENSHOTS, or a folder of the test run's own."""
    folder = Path(os.environ.get("COSTSPAN_TEST_SCREENSHOTS") or kept)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _note(opened: Tab, message: Any) -> None:
    if message.type in {"error", "warning"} and "the server responded with a status" not in message.text:
        opened.errors.append(message.text)


def _missing(what: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)
