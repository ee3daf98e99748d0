"""What a check of `costspan doctor` found: whether it is well, what it is, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Verdict"]


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTICE = "notice"
    """Nothing is broken; somebody may want to know."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of one check."""

    about: str
    verdict: Verdict
    said: str
    todo: str = ""
    """What to do, as a sentence; empty where there is nothing to do."""
