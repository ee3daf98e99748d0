"""What is made of `prometheus/` for containers: Prometheus' configuration with a token, and the rules as a PrometheusRule.

    python deploy/generate.py

Change `prometheus/`, not what is made of it. It needs PyYAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

__all__ = ["generated"]

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "prometheus"
_MADE = "# Made by deploy/generate.py of prometheus/: change that, and run it again.\n"
#: The line of the shipped configuration that is for servers which want a token, and what it is here.
_TOKEN = "    # authorization: {credentials_file: secrets/costspan_token}"  # noqa: S105  # where it is, not what
_TOKEN_HERE = "    authorization: {credentials_file: /run/tokens/token}"  # noqa: S105  # the same


def generated() -> Mapping[Path, str]:
    """Every file that is made, with what belongs in it."""
    return {
        ROOT / "deploy" / "prometheus" / "prometheus.yml": _configuration(),
        ROOT / "kubernetes" / "prometheusrule.yaml": _rules(),
    }


def _configuration() -> str:
    text = (SHIPPED / "prometheus.yml").read_text()
    if text.count(_TOKEN) != 1:
        raise LookupError(f"prometheus.yml has no line {_TOKEN!r}")
    return _MADE + text.replace(_TOKEN, _TOKEN_HERE)


def _rules() -> str:
    files = [yaml.safe_load(file.read_text()) for file in sorted((SHIPPED / "rules").glob("*.yml"))]
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "costspan", "labels": {"app.kubernetes.io/name": "costspan"}},
        "spec": {"groups": [group for file in files for group in file["groups"]]},
    }
    return _MADE + yaml.dump(rule, Dumper=_Written, sort_keys=False, width=10_000, allow_unicode=True)


class _Written(yaml.SafeDumper):
    """Without anchors, which `kubectl` and people read less well; texts of several lines as such."""

    def ignore_aliases(self, _: object) -> bool:
        """Write everything out."""
        return True


def _text(dumper: _Written, value: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Written.add_representer(str, _text)


if __name__ == "__main__":
    for file, text in generated().items():
        file.write_text(text)
