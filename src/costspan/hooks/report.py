"""What `instrument()` found, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Instrumentation", "Sdk", "State"]


class State(StrEnum):
    """Whether an SDK's calls are metered."""

    HOOKED = "hooked"
    WAITING = "waiting"
    """Installed and not imported yet: hooked when it is."""
    ABSENT = "absent"
    REFUSED = "refused"
    """Not hooked, for a reason. Its calls go on as without costspan, unmetered."""


@dataclass(frozen=True, slots=True)
class Sdk:
    """One SDK."""

    name: str
    state: State
    version: str = ""
    reason: str = ""

    def __str__(self) -> str:
        named = f"{self.name} {self.version}".rstrip()
        return f"{named}: {self.state.value}{f' ({self.reason})' if self.reason else ''}"


@dataclass(frozen=True, slots=True)
class Instrumentation:
    """The SDKs that costspan knows, and whether each is metered."""

    sdks: tuple[Sdk, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every SDK that is installed is metered, or will be when it is imported."""
        return not any(sdk.state is State.REFUSED for sdk in self.sdks)

    def __str__(self) -> str:
        return "; ".join(str(sdk) for sdk in self.sdks)
