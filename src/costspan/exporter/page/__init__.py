"""`/`: one page for who has no Grafana. Its files are served as they lie here: nothing to build, nothing from elsewhere."""

from __future__ import annotations

from costspan.exporter.page.route import router

__all__ = ["router"]
