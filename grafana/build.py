#!/usr/bin/env python3
"""Write the dashboards: `python grafana/build.py` into `grafana/dashboards`, or into the folder that is named.

They are made of the names in code, so that a metric that is renamed there is renamed here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from source.efficiency import efficiency
from source.explore import explore
from source.overview import overview
from source.pipeline import pipeline

_HERE = Path(__file__).resolve().parent


def build(folder: Path) -> None:
    """Write every dashboard into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for made in (overview(), explore(), efficiency(), pipeline()):
        name = made["uid"].removeprefix("costspan-")
        (folder / f"{name}.json").write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    build(Path(sys.argv[1]) if sys.argv[1:] else _HERE / "dashboards")
