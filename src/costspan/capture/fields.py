"""The fields of a usage object, read so that none goes unnoticed and none is believed unchecked.

A provider may send anything: a number where an object was, a field that was born yesterday. What is known is read by
name and checked; what is not known and is not zero is listed, because it may be billed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from costspan.errors import InvalidUsage
from costspan.text import clean
from costspan.usage import MAX_COUNT, count

__all__ = ["Fields", "is_nothing", "number", "part", "portion_of", "share", "strangers", "word"]

Fields = Mapping[str, object]

_NOTHING: Fields = {}
#: Unknown fields that a reading lists at the most.
_MAX_STRANGERS = 32
_MAX_DEPTH = 6
_MAX_WORD = 64
_MAY_BE_EMPTY = frozenset({bool, float, int, list, str, tuple})
_PRINTABLE_BITS = 64
_PRINTABLE_LENGTH = 24


def number(fields: Fields, name: str, prefix: str = "") -> int:
    """Return the count called ``name``; 0 where it is null or not there.

    Raises:
        InvalidUsage: for anything but a whole number from 0 to `MAX_COUNT`.
    """
    value = fields.get(name)
    if value is None:
        return 0
    if type(value) is int and 0 <= value <= MAX_COUNT:
        return value
    return count(_printable(value), prefix + name)


def part(fields: Fields, name: str) -> Fields:
    """Return the object called ``name``; an empty one where it is null, empty or not there.

    Raises:
        InvalidUsage: where it is anything else.
    """
    value = fields.get(name)
    if value is None:
        return _NOTHING
    if type(value) is dict or isinstance(value, Mapping):  # asking for the type first spares an abstract class's check
        return value
    if type(value) in _MAY_BE_EMPTY and not value:
        return _NOTHING
    raise InvalidUsage(f"{name} is {_printable(value)!r}: allowed is an object")


def share(fields: Fields, name: str, whole: int, whole_name: str, prefix: str = "") -> int:
    """Return the count called ``name``, a part of ``whole``; 0 where it is null or not there.

    Raises:
        InvalidUsage: for no count, and for one that is more than the whole.
    """
    value = fields.get(name)
    if value is None:
        return 0
    if type(value) is int and 0 <= value <= whole:
        return value
    return portion_of(number(fields, name, prefix), whole, prefix + name, whole_name)


def portion_of(part: int, whole: int, name: str, whole_name: str) -> int:
    """Return ``part``, which is one of ``whole``.

    Raises:
        InvalidUsage: when the part is more than the whole.
    """
    if part > whole:
        raise InvalidUsage(f"{name} is {part:,}, a part of {whole_name}: allowed is at most {whole:,}")
    return part


def strangers(fields: Fields, known: frozenset[str], prefix: str = "") -> tuple[str, ...]:
    """Return the dotted paths of numbers that are not zero under names other than ``known``."""
    if known.issuperset(fields):
        return ()
    extra = sorted(fields.keys() - known, key=str)
    found = (path for name in extra for path in _numbers(fields[name], prefix + _label(name), 0))
    return tuple(islice(found, _MAX_STRANGERS))


def word(value: object) -> str:
    """Return a provider's word for a term, in small letters; empty where it is null. Other types show as themselves."""
    if value is None:
        return ""
    if type(value) is str:
        return clean(value.strip().lower()[:_MAX_WORD])
    return clean(str(_printable(value))[:_MAX_WORD])


def is_nothing(usage: object) -> bool:
    """Whether a usage was not given: absent, null, or an object in which all is null."""
    if usage is None:
        return True
    if type(usage) is not dict and not isinstance(usage, Mapping):
        return False
    for value in usage.values():  # noqa: SIM110  # `all` makes a generator, and mostly the first value says it
        if value is not None:
            return False
    return True


def _numbers(value: object, path: str, depth: int) -> Iterator[str]:
    """The paths of numbers other than zero in ``value``; of anything at all where it is too deep to look."""
    if type(value) is int or type(value) is float:
        if value:
            yield path
        return
    if not isinstance(value, (Mapping, list)) or not value:
        return
    if depth >= _MAX_DEPTH:
        yield path
        return
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    for name, inner in items:
        yield from _numbers(inner, f"{path}.{_label(name)}", depth + 1)


def _label(name: object) -> str:
    return clean(name[:_MAX_WORD] if type(name) is str else _printable(name))


def _printable(value: object) -> object:
    """``value``, or what it is where printing it could fail, take long or show content."""
    if type(value) is int:
        return value if value.bit_length() <= _PRINTABLE_BITS else f"<a number of {value.bit_length()} bits>"
    if type(value) is str:
        return value if len(value) <= _PRINTABLE_LENGTH else f"<text of {len(value)}>"
    if value is None or type(value) in (bool, float):
        return value
    return f"<{type(value).__name__}>"
