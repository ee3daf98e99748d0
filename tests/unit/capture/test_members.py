"""The table of contents of capture."""

from __future__ import annotations

import types

from costspan import capture


def test_everything_public_is_listed():
    """The package's names are those it lists, in order."""
    public = {
        name
        for name, value in vars(capture).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType) and name != "annotations"
    }

    assert sorted(public) == sorted(capture.__all__)
    assert list(capture.__all__) == sorted(capture.__all__, key=lambda name: (name[0].islower(), name))
