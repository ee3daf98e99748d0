"""What the hooks meter into. Set by `instrument()`, read at each call; empty, every hook steps aside."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol

from costspan.event import Outcome
from costspan.usage import Reading

__all__ = ["Metering", "clear", "install", "target"]


class Metering(Protocol):
    """What the hooks ask of a `costspan.meter.Meter`."""

    @property
    def open(self) -> Callable[..., Any]:
        """An attempt is about to leave."""

    def settle(self, attempt: Any, reading: Reading, /) -> object:
        """It was answered."""

    def end(self, attempt: Any, outcome: Outcome, reason: str, /) -> None:
        """It was not billed, or nobody can know."""


meter: Metering | None = None
with_usage = True
"""Whether an OpenAI stream is asked for its usage where the application did not ask."""
with_spans = True
generation = 0
"""Grows in a forked child: what was open in the parent is the parent's to end."""
#: The meter of a self-test, for its own calls only.
probe: ContextVar[Metering | None] = ContextVar("costspan_probe", default=None)


def install(running: Metering, *, include_usage: bool = True, spans: bool = True) -> None:
    """Meter every call from now on into ``running``."""
    global meter, with_usage, with_spans  # the hooks are as global as the classes they patch
    meter, with_usage, with_spans = running, include_usage, spans


def clear() -> None:
    """Meter no further call. A stream that is open keeps the meter it began with."""
    global meter  # noqa: PLW0603  # as above
    meter = None


def target() -> Metering | None:
    """The meter of a call that begins here."""
    return probe.get() or meter


def _forked() -> None:
    global generation  # noqa: PLW0603  # as above
    generation += 1


os.register_at_fork(after_in_child=_forked)
