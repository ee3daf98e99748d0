"""A TOML text that knows on which line each of its values stands, so that a mistake can be pointed at."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

from costspan.errors import PriceFileError

__all__ = ["Row", "TomlFile"]

_MAX_BYTES = 1 << 20
_MAX_ROWS = 10_000
_MAX_TEXT = 1_000
#: Dollars per what a price is written for; above it a figure is a slip of the decimal point.
_MAX_PRICE = Decimal(1_000_000)
_MAX_PLACES = 18
_MAX_WHOLE = 10**12
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LINE = re.compile(r"\(at line (\d+)")


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A parsed text. ``where`` is what messages call it, usually its path."""

    where: str
    lines: tuple[str, ...]
    data: dict[str, Any]

    @classmethod
    def parse(cls, content: bytes, where: str) -> TomlFile:
        """Parse ``content``.

        Raises:
            PriceFileError: with the line, when it is no UTF-8, no TOML, or longer than a megabyte.
        """
        if len(content) > _MAX_BYTES:
            raise PriceFileError(f"{where}:1: the file has {len(content):,} bytes: allowed are {_MAX_BYTES:,}")
        try:
            text = content.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise PriceFileError(f"{where}:{line}: byte {content[error.start]:#04x} is not UTF-8") from error
        lines = tuple(text.split("\n"))
        try:
            return cls(where, lines, _loads(text))
        except tomllib.TOMLDecodeError as error:
            found = _LINE.search(str(error))
            line = int(found[1]) if found else len(lines)
            raise PriceFileError(f"{where}:{line}: not TOML: {_LINE.split(str(error))[0].strip()}") from error
        except (ValueError, RecursionError) as error:
            # A number of thousands of digits, or brackets nested without end: the parser gives up and names no line.
            raise PriceFileError(f"{where}:{_broken_line(lines)}: not TOML: {error}") from error

    def error(self, path: Sequence[str | int], message: str) -> PriceFileError:
        """Return an error that points at the value at ``path``."""
        return PriceFileError(f"{self.where}:{self.line(path)}: {message}")

    def line(self, path: Sequence[str | int]) -> int:
        """Return the line on which the value at ``path`` begins, from 1.

        It is the first line whose prefix of the file has the value. Prefixes that end inside a value are no TOML and
        count as the next one that is.
        """
        low, high = 1, len(self.lines)
        while low < high:
            middle = (low + high) // 2
            if self._begins_within(middle, path):
                high = middle
            else:
                low = middle + 1
        return low

    def _begins_within(self, count: int, path: Sequence[str | int]) -> bool:
        for end in range(count, len(self.lines)):
            try:
                return _has(_loads("\n".join(self.lines[:end])), path)
            except ValueError:
                continue
        return True

    def rows(self, *names: str) -> Iterator[Row]:
        """Yield the tables ``[[name]]`` in the order of ``names``, then as they stand in the file.

        Raises:
            PriceFileError: for a name that is none of these, or is not written with two brackets.
        """
        allowed = ", ".join(f"[[{name}]]" for name in names)
        for name in self.data:
            if name not in names:
                raise self.error([name], f"unknown key {name!r}{_hint(name, names)}; allowed are {allowed}")
        for name in names:
            tables = self.data.get(name, [])
            if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
                raise self.error([name], f"{name!r} is no list of tables: write each as [[{name}]]")
            if len(tables) > _MAX_ROWS:
                raise self.error([name], f"{len(tables):,} tables [[{name}]]: allowed are {_MAX_ROWS:,}")
            headers = self._headers(name)
            for index, table in enumerate(tables):
                # Written as inline tables, they have no headers of their own: all stand where the first does.
                yield Row(self, name, index, table, headers[index] if len(headers) == len(tables) else 0)

    def _headers(self, name: str) -> list[int]:
        header = re.compile(rf"\s*\[\[\s*[\"']?{name}[\"']?\s*\]\]")
        return [number for number, line in enumerate(self.lines, 1) if header.match(line)]


@dataclass(frozen=True, slots=True)
class Row:
    """One table ``[[name]]``, read key by key; each reader raises `PriceFileError` with the line of the key."""

    file: TomlFile
    name: str
    index: int
    values: dict[str, Any]
    line: int
    """Of its header; 0 where it has none."""

    def error(self, key: str | None, message: str) -> PriceFileError:
        """Return an error that points at ``key``, or at the header."""
        path: list[str | int] = [self.name, self.index]
        return self.file.error(path if key is None else [*path, key], message)

    def allow(self, keys: Collection[str]) -> None:
        """Refuse every key but these."""
        for key in self.values:
            if key not in keys:
                listed = ", ".join(keys)
                raise self.error(key, f"unknown key {key!r} in [[{self.name}]]{_hint(key, keys)}; allowed are {listed}")

    def text(self, key: str, default: str = "") -> str:
        """Return a text."""
        value = self.values.get(key, default)
        if not isinstance(value, str) or len(value) > _MAX_TEXT or (key in self.values and not value.strip()):
            raise self.error(key, f"{key} is {_shown(value)}: allowed is a text of 1 to {_MAX_TEXT:,} characters")
        return value.strip()

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a text, or a list of texts, as a tuple; empty where the key is absent."""
        value = self.values.get(key, [])
        listed = value if isinstance(value, list) else [value]
        if (key in self.values and not listed) or not all(
            isinstance(item, str) and 0 < len(item.strip()) <= _MAX_TEXT for item in listed
        ):
            raise self.error(key, f"{key} is {_shown(value)}: allowed is a name or a list of names; * is any text")
        return tuple(item.strip() for item in listed)

    def flag(self, key: str) -> bool:
        """Return true or false; false where the key is absent."""
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise self.error(key, f"{key} is {_shown(value)}: allowed are true and false")
        return value

    def whole(self, key: str) -> int | None:
        """Return a whole number from 0, or None where the key is absent."""
        value = self.values.get(key)
        if value is None:
            return None
        if type(value) is not int or not 0 <= value <= _MAX_WHOLE:
            raise self.error(key, f"{key} is {_shown(value)}: allowed are whole numbers from 0 to {_MAX_WHOLE:,}")
        return value

    def number(self, key: str, most: Decimal = _MAX_PRICE) -> Fraction:
        """Return a number from 0 to ``most``, exactly. A text is none: a number with a point is exact without quotes."""
        value = self.values.get(key)
        number = _decimal(value)
        if number is None or not number.is_finite() or not 0 <= number <= most or _places(number) > _MAX_PLACES:
            bare = ", without quotes" if isinstance(value, str) else ""
            allowed = f"numbers from 0 to {most:,}, with {_MAX_PLACES} decimals{bare}"
            raise self.error(key, f"{key} is {_shown(value)}: allowed are {allowed}")
        return Fraction(number) if number else Fraction(0)

    def percent(self, key: str) -> Fraction:
        """Return a number from 0 to 100."""
        return self.number(key, Decimal(100))

    def moment(self, key: str) -> int | None:
        """Return a date or time as nanoseconds since the epoch, or None where the key is absent.

        A date is its first moment, and a time without a zone is UTC.
        """
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, dt.datetime):
            moment = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        elif isinstance(value, dt.date):
            moment = dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
        else:
            raise self.error(key, f"{key} is {_shown(value)}: allowed is a date such as 2026-11-01, without quotes")
        return (moment - _EPOCH) // dt.timedelta(microseconds=1) * 1000


def _loads(text: str) -> dict[str, Any]:
    return tomllib.loads(text, parse_float=_float)


def _float(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:  # an exponent that no computer holds; refused later, where its line is known
        return Decimal("NaN")


def _broken_line(lines: tuple[str, ...]) -> int:
    """Return the first line with which the parser gives up; it does so for every longer prefix too."""

    def gives_up(count: int) -> bool:
        try:
            _loads("\n".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            return False
        except (ValueError, RecursionError):
            return True
        return False

    return bisect_left(range(1, len(lines)), x=True, key=gives_up) + 1


def _has(data: Any, path: Sequence[str | int]) -> bool:
    for key in path:
        try:
            data = data[key]
        except (LookupError, TypeError):
            return False
    return True


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return Decimal(value)


def _places(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"  # noqa: PLR2004  # a line of a terminal holds the rest


def _hint(key: str, known: Collection[str]) -> str:
    near = get_close_matches(key, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
