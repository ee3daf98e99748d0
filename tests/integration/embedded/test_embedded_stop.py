"""When an embedded server stops, and what survives when it is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from costspan.ledger import embedded
from costspan.ledger.embedded_account import Account
from costspan.ledger.embedded_home import Home
from integration.embedded.servers import GRACE, count, fill, is_over, kill, stop, supervisor_of, wait_until

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells a child that its parent died")


@pytest.mark.parametrize("ending", ["leave", "kill"])
def test_server_stops_when_its_last_user_is_gone(state, user, ending) -> None:
    """One user keeps the server after another went; when the last went, in order or by SIGKILL, nothing is left."""
    first, last = user(state), user(state)
    pid = first.line()
    last.line()

    first.kill()
    joined = embedded.ensure(state)
    embedded.release(state)
    getattr(last, ending)()

    assert joined.pid == int(pid)
    wait_until(lambda: is_over(state))
    assert not embedded.status(state).is_running
    assert not Path(f"/proc/{pid}").exists()


def test_server_without_users_waits_for_its_grace(state, user) -> None:
    """A process that comes within the grace joins the server that the last one left."""
    first = embedded.ensure(state, grace_seconds=600)
    embedded.release(state)

    second = user(state).line()

    os.kill(supervisor_of(state), signal.SIGTERM)  # 600 s would be long
    wait_until(lambda: is_over(state))
    assert int(second) == first.pid


@on_linux
def test_what_a_killed_server_left_is_ended(state) -> None:
    """A process of a killed server that cannot notice it is ended by the supervisor, and the next server starts."""
    killed = embedded.ensure(state)
    with psycopg.connect(killed.conninfo) as connection:
        left = connection.info.backend_pid
        os.kill(left, signal.SIGSTOP)
        os.kill(killed.pid, signal.SIGKILL)

        wait_until(lambda: not Path(f"/proc/{left}").exists())

    assert embedded.ensure(state).pid != killed.pid


def test_user_who_comes_within_the_grace_keeps_the_server(state) -> None:
    """When the grace is over the supervisor looks again, and a user who came meanwhile keeps the server."""
    embedded.ensure(state, grace_seconds=0.5)
    embedded.release(state)
    time.sleep(0.2)  # the supervisor sees that there is no user; nothing tells when

    joined = embedded.ensure(state)

    time.sleep(0.8)  # the grace passes
    assert embedded.status(state).pid == joined.pid


def test_forked_child_is_no_user_by_inheritance(state, user) -> None:
    """A child that was forked from a user and lives on does not keep the server."""
    parent = user(state, "fork")
    parent.line()

    forked = parent.line()

    assert forked == "forked"
    wait_until(lambda: is_over(state))


def test_forked_child_becomes_a_user_by_using(state, user) -> None:
    """A forked child that asks for the server itself keeps it after its parent is gone."""
    parent = user(state, "fork-use")
    pid = parent.line()
    forked = parent.line()
    parent.process.wait()

    joined = embedded.ensure(state)

    assert forked == "forked"
    assert joined.pid == int(pid)


def test_fork_takes_no_lock_from_its_parent(state) -> None:
    """A parent stays a user when its forked child ends, and its child's child can start anew."""
    first = embedded.ensure(state, grace_seconds=0)
    child = os.fork()
    if child == 0:
        os._exit(0 if not embedded._users else 1)
    _, ended = os.waitpid(child, 0)

    second = embedded.ensure(state)

    assert ended == 0
    assert second.pid == first.pid


def test_killed_server_recovers_every_row(state) -> None:
    """After SIGKILL of the server the next ensure starts it again, with each committed row."""
    first = embedded.ensure(state, grace_seconds=GRACE)
    fill(first, 5000)

    kill(first.pid)
    second = embedded.ensure(state, grace_seconds=GRACE)

    assert second.pid != first.pid
    assert count(second) == 5000


@on_linux
def test_server_does_not_outlive_its_supervisor(state) -> None:
    """After SIGKILL of the supervisor the server stops though a user is left, and the next ensure starts it again."""
    first = embedded.ensure(state, grace_seconds=GRACE)
    fill(first, 100)

    kill(supervisor_of(state))
    wait_until(lambda: not embedded.status(state).is_running)
    second = embedded.ensure(state, grace_seconds=GRACE)
    rows = count(second)
    stop(state)

    assert second.pid != first.pid
    assert rows == 100


def test_everything_killed_at_once_recovers(state) -> None:
    """After SIGKILL of supervisor and server together the next ensure waits for the remains and recovers each row."""
    first = embedded.ensure(state, grace_seconds=GRACE)
    fill(first, 100)
    supervisor = supervisor_of(state)

    with psycopg.connect(first.conninfo):  # a backend, which ends a moment after its server
        kill(supervisor, first.pid)
        second = embedded.ensure(state, grace_seconds=GRACE)

    assert count(second) == 100


@pytest.mark.parametrize("whose", ["somebody else", "zombie"])
def test_stale_pid_file_does_not_block(state, whose) -> None:
    """A pid file of a killed server does not stop the next one when its number is somebody else's, or a zombie's."""
    first = embedded.ensure(state, grace_seconds=GRACE)
    fill(first, 10)
    kill(supervisor_of(state), first.pid)
    wait_until(lambda: is_over(state))
    same_user = Account.choose().identity  # of others' processes Postgres knows that they are not it
    other = subprocess.Popen(["sleep", "600" if whose == "somebody else" else "0"], **same_user)
    pid_file = Home.of(state).data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
    if whose == "zombie":
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)

    second = embedded.ensure(state, grace_seconds=GRACE)

    other.kill()
    other.wait()
    assert count(second) == 10


def test_killed_initialisation_leaves_nothing_half(fresh, user) -> None:
    """SIGKILL in the middle of the first initialisation leaves no database; the next ensure makes a whole one."""
    starter = user(fresh)
    home = Home.of(fresh)
    wait_until((home.server / "data.new" / "base").exists)

    kill(supervisor_of(fresh))
    starter.leave()
    was_created = embedded.status(fresh).is_created
    endpoint = embedded.ensure(fresh, grace_seconds=GRACE)
    fill(endpoint, 1)

    assert not was_created
    assert count(endpoint) == 1
    assert set(home.server.iterdir()) - {endpoint.socket_folder} == {home.data}


def test_killed_starter_does_not_disturb_the_first_start(fresh, user) -> None:
    """When the process that asked for the first start is killed, the next one joins what it began."""
    starter = user(fresh)
    wait_until((Home.of(fresh).server / "data.new").exists)

    starter.kill()
    endpoint = embedded.ensure(fresh, grace_seconds=GRACE)

    fill(endpoint, 1)
    assert count(endpoint) == 1


def test_supervisor_stops_the_server_when_asked(own) -> None:
    """SIGTERM to the supervisor stops the server in order, users or not; the next ensure starts it again."""
    Home.of(own).log_file.unlink()
    first = embedded.ensure(own, grace_seconds=GRACE)
    fill(first, 7)

    os.kill(supervisor_of(own), signal.SIGTERM)
    wait_until(lambda: not embedded.status(own).is_running)
    second = embedded.ensure(own, grace_seconds=GRACE)

    assert count(second) == 7
    assert "database system was not properly shut down" not in Home.of(own).log_file.read_text()


def test_removed_folder_does_not_confuse(own) -> None:
    """When somebody removes the folder of a running server, the next ensure makes a new one."""
    first = embedded.ensure(own, grace_seconds=600)
    supervisor = supervisor_of(own)
    while own.exists():
        shutil.rmtree(own, ignore_errors=True)  # the server that notices removes files of it at the same time

    second = embedded.ensure(own, grace_seconds=GRACE)
    fill(second, 1)
    os.kill(supervisor, signal.SIGTERM)
    wait_until(lambda: not Path(f"/proc/{supervisor}").exists())

    assert second.pid != first.pid
    assert embedded.ensure(own).pid == second.pid
    assert count(second) == 1


def test_log_is_bounded(state) -> None:
    """However much a server logs, its log is two files of at most half a megabyte each."""
    endpoint = embedded.ensure(state, grace_seconds=GRACE)
    log = Home.of(state).log_file
    with psycopg.connect(endpoint.conninfo, autocommit=True) as connection:
        for _ in range(60):
            connection.execute("DO $$ BEGIN RAISE WARNING '%', repeat('x', 30000); END $$")
    stop(state)

    sizes = {path.name: path.stat().st_size for path in log.parent.iterdir()}

    assert set(sizes) == {"server.log", "server.log.1"}
    assert max(sizes.values()) <= 1 << 19
    assert sum(sizes.values()) > 1 << 19
