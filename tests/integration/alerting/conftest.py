"""The rules as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from integration.alerting.processes import PROMETHEUS

__all__ = ["Rules"]


@dataclass(frozen=True)
class Rules:
    """Everything that Prometheus evaluates."""

    recorded: dict[str, str]
    """Expression by the name that it is recorded as."""
    alerts: dict[str, dict[str, Any]]
    """Alerts by name."""


@pytest.fixture(scope="session")
def rules() -> Rules:
    """Of all files."""
    files = [yaml.safe_load(file.read_text()) for file in sorted((PROMETHEUS / "rules").glob("*.yml"))]
    every = [rule for file in files for group in file["groups"] for rule in group["rules"]]
    recorded = {rule["record"]: str(rule["expr"]) for rule in every if "record" in rule}
    return Rules(recorded, {rule["alert"]: rule for rule in every if "alert" in rule})
