"""A real embedded server, created once, started for each test and stopped after it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from costspan.ledger import embedded
from integration.embedded.servers import GRACE, User, stop


@pytest.fixture(scope="session")
def created(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory whose server was created, used and stopped."""
    state = tmp_path_factory.mktemp("created") / "state"
    embedded.ensure(state, grace_seconds=GRACE)
    stop(state)
    return state


@pytest.fixture
def copy(created: Path) -> Iterator[Callable[[Path], Path]]:
    """Copies the created state directory to a path, owners included; nothing of it is left running."""
    copies: list[Path] = []

    def copy(target: Path) -> Path:
        subprocess.run(["cp", "-a", created, target], check=True)
        copies.append(target)
        return target

    yield copy
    for state in copies:
        stop(state)
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's, which pytest's own does not."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def state(created) -> Iterator[Path]:
    """A state directory whose server was created and is not running; other tests use it before and after."""
    yield created
    stop(created)


@pytest.fixture
def own(copy: Callable[[Path], Path], tmp_path: Path) -> Path:
    """The same for a test which spoils it."""
    return copy(tmp_path / "state")


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Path]:
    """A state directory that does not exist yet."""
    state = tmp_path / "fresh"
    yield state
    stop(state)


@pytest.fixture
def user() -> Iterator[Callable[..., User]]:
    """Starts processes that use a server."""
    users: list[User] = []

    def user(state: Path, how: str = "stay") -> User:
        users.append(User(state, how))
        return users[-1]

    yield user
    for one in users:
        one.leave()
