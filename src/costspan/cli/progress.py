"""How far something is: a bar on a terminal, a line every tenth elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from costspan.cli.table import say

__all__ = ["progress"]

_LINES = 10


@contextmanager
def progress(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function to be told how many of how many are done; the bar goes when all are, or when the block ends."""
    if not console.is_terminal:
        yield lambda done, of: _line(console, what, done, of)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def advance(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of)
            if done == of:
                bar.stop()

        yield advance


def _line(console: Console, what: str, done: int, of: int) -> None:
    if done * _LINES // of > (done - 1) * _LINES // of:
        say(console, f"{what}: {done:,} of {of:,}")
