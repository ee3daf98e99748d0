"""The public names are the ones that are listed, and no more."""

from __future__ import annotations

import importlib
import pkgutil
import types

import pytest

import costspan

PACKAGES = ["costspan", "costspan.capture", "costspan.hooks", "costspan.journal", "costspan.ledger", "costspan.pricing"]


@pytest.mark.parametrize("name", PACKAGES)
def test_the_table_of_contents_is_true(name):
    """Each package lists its public names once, and has each of them."""
    package = importlib.import_module(name)

    assert len(package.__all__) == len(set(package.__all__))
    assert [public for public in package.__all__ if not hasattr(package, public)] == []


def test_nothing_is_public_by_accident():
    """What can be reached as `costspan.x` is in the list, a module, or private."""
    names = {
        name
        for name, value in vars(costspan).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType) and name != "annotations"
    }

    assert names == set(costspan.__all__) - {"__version__"}


def test_every_module_can_be_imported_alone():
    """No module leans on another having been imported before it."""
    modules = [module.name for module in pkgutil.walk_packages(costspan.__path__, "costspan.")]

    assert len(modules) > 100
    for name in modules:
        if not name.endswith(("supervisor", "instrumentor")):
            importlib.import_module(name)
