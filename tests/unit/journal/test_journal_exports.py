"""The package's table of contents."""

from __future__ import annotations

from types import ModuleType

import costspan.journal


def test_all_is_complete_and_sorted() -> None:
    """``__all__`` names exactly what the package offers."""
    offered = {
        name
        for name, value in vars(costspan.journal).items()
        if not name.startswith("_") and name != "annotations" and not isinstance(value, ModuleType)
    }

    assert costspan.journal.__all__ == sorted(offered)
