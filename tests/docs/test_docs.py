"""What the documentation says is so: its code runs, and nothing is left undocumented."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest
import typer
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from costspan.cli import app
from costspan.demo.providers import providers
from costspan.exporter.app import create_app
from costspan.exporter.pool import Pool
from costspan.journal import Journal
from costspan.ledger import Ledger
from costspan.settings import PREFIX, Settings
from costspan.sinks import names
from costspan.sinks.pipeline import PipelineCollector
from costspan.sinks.prometheus import PrometheusSink
from costspan.usage import Status

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("page", "code"),
    [
        pytest.param(page.name, code, id=f"{page.stem}-{n}")
        for page in PAGES
        for n, code in enumerate(BLOCK.findall(page.read_text()))
    ],
)
def test_python_in_the_docs_runs(page, code, database_url, tmp_path):
    """Each Python block runs as it stands, against providers on loopback, without a warning."""
    with providers(time.time_ns) as both:
        environment = {
            **os.environ,
            "ANTHROPIC_API_KEY": "none",
            "ANTHROPIC_BASE_URL": both.anthropic_url,
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": both.openai_url,
            "COSTSPAN_DATABASE_URL": database_url,
            "COSTSPAN_STATE_DIR": str(tmp_path),
        }
        command = [sys.executable, "-W", "error", "-W", "default::DeprecationWarning", "-c", code]
        run = subprocess.run(
            command, check=False, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )

    assert run.returncode == 0, run.stderr


def test_every_setting_is_documented():
    """Each COSTSPAN_* variable has its row."""
    page = (ROOT / "docs" / "settings.md").read_text()

    assert [field.name for field in fields(Settings) if f"`{PREFIX}{field.name.upper()}`" not in page] == []


def test_every_metric_is_documented(tmp_path):
    """Each metric that a process exposes has its row."""
    registry = CollectorRegistry()
    PipelineCollector(registry, PrometheusSink(registry), Journal(tmp_path), None)
    page = (ROOT / "docs" / "metrics.md").read_text()

    missing = [family.name for family in registry.collect() if not re.search(rf"`{family.name}(_total)?`", page)]
    assert missing == []


def test_every_metric_name_is_documented():
    """Also those that only `costspan serve` tells."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    told = [value for value in vars(names).values() if isinstance(value, str) and value.startswith("costspan_")]

    assert len(told) > 15
    assert [name for name in told if not re.search(rf"`{name}(_total)?`", page)] == []


def test_every_status_is_explained():
    """Each status a call can have is on the page about pricing."""
    page = (ROOT / "docs" / "pricing.md").read_text()

    assert [status.value for status in Status if f"`{status.value}`" not in page] == []


def _commands(group=None, prefix=()):
    group = group or typer.main.get_command(app)
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from _commands(command, (*prefix, name))
        else:
            yield (*prefix, name), command


def test_every_command_and_option_is_documented():
    """Each command has a heading, and each of its options is named under it."""
    page = (ROOT / "docs" / "cli.md").read_text()

    for name, command in _commands():
        section = re.search(rf"^## `costspan {' '.join(name)}`$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        assert section, f"costspan {' '.join(name)} has no section"
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("--") and option != "--help":
                    assert f"`{option}" in section[1], f"{option} of costspan {' '.join(name)} is not documented"


def test_every_question_over_http_is_documented():
    """Each route has its method and path on a page, and under it each of its parameters."""
    described = create_app(Pool(Ledger.connect), CollectorRegistry(), Settings()).openapi()
    page = "\n".join(page.read_text() for page in PAGES)

    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {path}"
            assert f"`{name}`" in page, f"{name} is not documented"
            section = re.search(rf"^## `{re.escape(name)}`$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "query":
                    assert section, f"{name} has no section"
                    assert f"`{parameter['name']}`" in section[1], f"{parameter['name']} of {name} is not documented"


def test_every_command_has_help():
    """`--help` works for each command, and says what it does."""
    for name, _ in _commands():
        result = CliRunner().invoke(app, [*name, "--help"])

        assert result.exit_code == 0
        assert len(result.output) > 200


def test_links_between_pages_lead_somewhere():
    """No page links to one that is not there."""
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
