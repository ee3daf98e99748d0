"""The dashboards against Grafana's own types: a field that it does not know, or of another type, is an error of the compiler."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from integration.grafana.boards import boards

#: Where `npm install --prefix` put them.
NODE = Path(sys.prefix) / "grafana" / "node_modules"
NEEDS = "@grafana/schema@12.4 typescript@5"
MODULES = {"stat": "Stat", "timeseries": "TimeSeries", "histogram": "Histogram", "table": "Table"}
HEAD = """
import type { Dashboard } from "@grafana/schema";
/** JSON has the text of an enum's member, and not the member. */
type Plain<T> = T extends string ? `${T}` : T extends (infer Item)[] ? Plain<Item>[]
    : T extends object ? { [Key in keyof T]: Plain<T[Key]> } : T;
"""


def compiled(folder: Path, found: dict) -> str:
    """What the compiler has to say."""
    source = [HEAD]
    for kind, name in MODULES.items():
        module = f"@grafana/schema/dist/esm/raw/composable/{kind}/panelcfg/x/{name}PanelCfg_types.gen"
        source.append(f'import type {{ Options as {kind} }} from "{module}";')
        if kind != "stat":  # which has none
            source.append(f'import type {{ FieldConfig as {kind}_field }} from "{module}";')
    for place, board in enumerate(found.values()):
        source.append(f"export const board_{place}: Plain<Dashboard> = {json.dumps(board)};")
        for panel in board["panels"]:
            name = f"panel_{place}_{panel['id']}"
            custom = panel["fieldConfig"]["defaults"]["custom"]
            source.append(f"export const {name}: Plain<{panel['type']}> = {json.dumps(panel['options'])};")
            if custom:
                source.append(f"export const {name}_field: Plain<{panel['type']}_field> = {json.dumps(custom)};")
    (folder / "boards.ts").write_text("\n".join(source))
    (folder / "node_modules").symlink_to(NODE)
    command = [
        NODE / ".bin" / "tsc",
        "--noEmit",
        "--strict",
        "--skipLibCheck",
        "--target",
        "es2022",
        "--module",
        "esnext",
    ]
    command += ["--moduleResolution", "bundler", "boards.ts"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120).stdout


@pytest.fixture(scope="module", autouse=True)
def _types():
    if not (NODE / "@grafana" / "schema").is_dir():
        missing = f"needs npm install --prefix {NODE.parent} {NEEDS}"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)


def test_dashboards_are_what_grafana_expects(tmp_path):
    """The dashboards, the options of each panel and its fields."""
    assert compiled(tmp_path, boards()) == ""


def test_the_compiler_sees_what_is_wrong(tmp_path):
    """A field that nobody knows and a value that is not allowed, each at its place."""
    found = {"costspan-overview": boards()["costspan-overview"]}
    found["costspan-overview"]["titel"] = "Overview"
    found["costspan-overview"]["panels"][0]["options"]["textMode"] = "loud"

    said = compiled(tmp_path, found)

    assert "'\"titel\"' does not exist" in said
    assert "'\"loud\"' is not assignable" in said
