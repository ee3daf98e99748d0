"""Programs that run for the time of a block, and what they answer."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Broken", "answers", "fetched", "finished", "free_port", "running", "until"]

_ENDS_S = 30.0
_LAST_LINES = 20


class Broken(Exception):
    """A program did not do what it was started for."""

    def __init__(self, command: Sequence[str], said: str) -> None:
        last = "\n".join(said.splitlines()[-_LAST_LINES:])
        super().__init__(f"{' '.join(command)} did not work:\n{last}")


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def finished(command: Sequence[str], environment: Mapping[str, str], seconds: float = 120.0) -> str:
    """Run a program to its end; what it printed.

    Raises:
        Broken: when it fails or takes longer.
    """
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=seconds)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Broken(command, str(error)) from error
    if done.returncode:
        raise Broken(command, done.stdout + done.stderr)
    return done.stdout


@contextmanager
def running(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    ready: Callable[[str], object],
    seconds: float = 120.0,
) -> Iterator[None]:
    """A program that runs until the end of the block, which begins once it is ready, by what it has written so far.

    Raises:
        Broken: when it ends before that, or takes longer.
    """
    with log.open("wb") as output:
        # Of a session of its own: Ctrl-C ends the block, and the block ends the program.
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        until(lambda: process.poll() is not None or ready(log.read_text(errors="replace")), seconds)
        if process.poll() is not None:
            raise Broken(command, log.read_text(errors="replace"))
        yield
    except TimeoutError as error:
        raise Broken(command, log.read_text(errors="replace")) from error
    finally:
        process.terminate()
        try:
            process.wait(_ENDS_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(is_so: Callable[[], object], seconds: float) -> None:
    """Wait for it.

    Raises:
        TimeoutError: when it takes longer.
    """
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s in vain")
        time.sleep(0.05)


def answers(url: str) -> bool:
    """Whether there is a 200 at ``url``."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  # http, on loopback
            return bool(answer.status == 200)  # noqa: PLR2004  # what it says
    except OSError:
        return False


def fetched(url: str) -> Any:
    """The JSON at ``url``."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # http, on loopback
        return json.load(answer)
