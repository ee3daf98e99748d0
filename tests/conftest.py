"""Fixtures that every suite uses."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# A first price loads the whole list, and machines that build are busy: time is no finding here.
hypothesis.settings.register_profile("costspan", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("costspan")

pytest_plugins = ["fix_postgres"]

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden and recorded exchanges beside the checkout; tests that need it skip where it is absent."""
    folder = ROOT.parent / "shared"
    if not (folder / "golden").is_dir():
        pytest.skip("needs the golden and recorded exchanges in ../shared, which is not part of the repository")
    return folder


@pytest.fixture(autouse=True, scope="session")
def _own_environment(tmp_path_factory: pytest.TempPathFactory):
    """Nothing of the developer's own settings or state is read or written."""
    patch = pytest.MonkeyPatch()
    for name in [name for name in os.environ if name.startswith("COSTSPAN_") and "TEST" not in name]:
        patch.delenv(name)
    patch.setenv("COSTSPAN_STATE_DIR", str(tmp_path_factory.mktemp("state")))
    yield
    patch.undo()
