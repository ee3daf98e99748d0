"""Why a status is not ``priced``, in a sentence that can be read back.

The ledger keeps the sentence and not the reading. Whoever prices a call again must know from it what no price list can
mend: an answer that was cut, a usage that was estimated, a field that nobody knows.
"""

from __future__ import annotations

from typing import NamedTuple

from costspan.usage import Completeness

__all__ = ["Doubt", "doubt", "sentence"]

_WORDS = {
    Completeness.CUT: "the answer was not read to its end: its output is an estimate of what was seen",
    Completeness.ESTIMATED: "the provider sent no usage: tokens are estimated from the texts' lengths",
    Completeness.ASSUMED: "a span told of it, and not on which terms or with which tools: standard and none are assumed",
}
_UNKNOWN = "nobody knows the usage field "
_NEXT = "; "


class Doubt(NamedTuple):
    """What is not certain of a usage, whatever the prices are."""

    completeness: Completeness = Completeness.COMPLETE
    unknown: tuple[str, ...] = ()


def sentence(completeness: Completeness, unknown: tuple[str, ...], gap: str) -> str:
    """Return the reason. What the prices lack comes last: a sentence that is cut to fit keeps the beginning."""
    fields = f"{_UNKNOWN}{', '.join(unknown)}" if unknown else ""
    parts = (_WORDS.get(completeness, ""), fields, gap)
    return _NEXT.join(part for part in parts if part)


def doubt(text: str) -> Doubt:
    """Return what a `sentence` says of the usage. Of names of fields only that there are some is certain."""
    completeness = next((known for known, words in _WORDS.items() if text.startswith(words)), Completeness.COMPLETE)
    rest = text.removeprefix(_WORDS.get(completeness, "")).removeprefix(_NEXT)
    if not rest.startswith(_UNKNOWN):
        return Doubt(completeness)
    return Doubt(completeness, tuple(rest.removeprefix(_UNKNOWN).partition(_NEXT)[0].split(", ")))
