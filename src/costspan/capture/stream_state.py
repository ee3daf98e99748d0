"""What a stream has told so far, whatever its dialect."""

from __future__ import annotations

from abc import ABC, abstractmethod

from costspan.capture.openai_tools import ToolTally
from costspan.usage import Completeness

__all__ = ["StreamState"]


class StreamState(ABC):
    """Keeps the few events that tell something, and counts the bytes of text in all others.

    `feed` runs for every event of every stream: it looks for the commonest event first, and leaves checking to Python's
    own exceptions, which cost nothing until they are raised.

    Args:
        choices: how many answers the request asked for.
    """

    __slots__ = ("choices", "has_failed", "tally", "usage", "written")

    def __init__(self, choices: int = 1) -> None:
        self.choices = choices
        self.written = 0
        """Bytes of text seen."""
        self.usage: object = None
        """The latest usage object."""
        self.has_failed = False
        """Whether the provider reported an error inside the stream."""
        self.tally: ToolTally | None = None
        """Output items seen, where the answer in one piece does not have them."""

    @abstractmethod
    def feed(self, event: object) -> None:
        """Take one event. Never raises."""

    @property
    @abstractmethod
    def is_complete(self) -> bool:
        """Whether the last word on usage was seen."""

    @property
    @abstractmethod
    def has_finished(self) -> bool:
        """Whether the answer came to its end, with or without usage."""

    @abstractmethod
    def body(self) -> dict[str, object]:
        """The answer that the stream would have been in one piece, without its texts."""

    def completeness(self, *, has_ended: bool) -> Completeness:
        """How far the usage can be trusted. A dialect that always marks its ends takes ``has_ended`` for nothing."""
        del has_ended
        if self.is_complete:
            return Completeness.COMPLETE
        return Completeness.ESTIMATED if self.has_finished and not self.has_failed else Completeness.CUT
