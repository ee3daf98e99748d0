"""In which quantities prices are written: dollars per million tokens, per thousand searches, per minute of audio.

The same words name a unit in the overlay, in a user's price file and in what ``costspan prices show`` prints.
"""

from __future__ import annotations

from typing import NamedTuple

from costspan.usage import Unit

__all__ = ["DENOMINATIONS", "FEES", "OF_UNIT", "Denomination"]

_MILLION = 1_000_000
_THOUSAND = 1_000
_MINUTE_MS = 60_000


class Denomination(NamedTuple):
    """A word for a price, the units it prices, and for how many of them the price is meant."""

    key: str
    units: tuple[Unit, ...]
    per: int
    text: str


def _tokens(key: str, *units: Unit) -> Denomination:
    return Denomination(key, units, _MILLION, "per million tokens")


#: By word. ``cache_write`` is the write of whichever lifetime is the provider's ordinary one.
DENOMINATIONS = {
    item.key: item
    for item in (
        _tokens("input", Unit.INPUT),
        _tokens("output", Unit.OUTPUT),
        _tokens("cache_read", Unit.CACHE_READ),
        _tokens("cache_write", Unit.CACHE_WRITE_5M, Unit.CACHE_WRITE_30M),
        _tokens("cache_write_5m", Unit.CACHE_WRITE_5M),
        _tokens("cache_write_30m", Unit.CACHE_WRITE_30M),
        _tokens("cache_write_1h", Unit.CACHE_WRITE_1H),
        _tokens("cache_write_12h", Unit.CACHE_WRITE_12H),
        _tokens("input_audio", Unit.INPUT_AUDIO),
        _tokens("cache_read_audio", Unit.CACHE_READ_AUDIO),
        _tokens("output_audio", Unit.OUTPUT_AUDIO),
        _tokens("input_image", Unit.INPUT_IMAGE),
        _tokens("cache_read_image", Unit.CACHE_READ_IMAGE),
        _tokens("output_image", Unit.OUTPUT_IMAGE),
        Denomination("web_search", (Unit.WEB_SEARCH,), _THOUSAND, "per thousand searches"),
        Denomination("web_fetch", (Unit.WEB_FETCH,), _THOUSAND, "per thousand fetches"),
        Denomination("file_search", (Unit.FILE_SEARCH,), _THOUSAND, "per thousand searches"),
        Denomination("code_session", (Unit.CODE_SESSION,), 1, "per session"),
        Denomination("audio_minute", (Unit.AUDIO_MS,), _MINUTE_MS, "per minute"),
        Denomination("characters", (Unit.CHARACTERS,), _MILLION, "per million characters"),
    )
}
#: By unit, for printing; the words that name one unit only.
OF_UNIT = {item.units[0]: item for item in DENOMINATIONS.values() if len(item.units) == 1}
#: Charged by the piece for a tool's work. Terms such as batch or US inference change token prices, never these.
FEES = frozenset({Unit.WEB_SEARCH, Unit.WEB_FETCH, Unit.FILE_SEARCH, Unit.CODE_SESSION})
