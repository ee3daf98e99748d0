"""Recorded exchanges as `costspan price` reads them: a list, one object, or one object a line."""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from costspan.errors import ConfigurationError

__all__ = ["Exchange", "read"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_STDIN = "-"
_MICROSECOND = dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange, and when it was made."""

    name: str
    at_ns: int
    case: Mapping[str, Any]


def read(file: str) -> list[Exchange]:
    """Return the exchanges of ``file``, or of standard input where it is ``-``.

    Raises:
        ConfigurationError: for what cannot be read as exchanges; the message says where and what is allowed.
    """
    where = "standard input" if file == _STDIN else file
    try:
        content = sys.stdin.buffer.read() if file == _STDIN else Path(file).read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{where} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{where}: byte {error.start} is not UTF-8") from error
    return [_exchange(case, number, where) for number, case in enumerate(_cases(text, where), 1)]


def _cases(text: str, where: str) -> list[Any]:
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise ConfigurationError(f"{where} is empty: allowed is a JSON list of exchanges, one exchange, or one a line")
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        if len(lines) == 1 or not _is_json(lines[0][1]):
            raise ConfigurationError(f"{where}:{error.lineno}: not JSON: {error.msg}") from error
        return [_line(line, number, where) for number, line in lines]
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{where}: not JSON that can be read: {error}") from error
    return whole if isinstance(whole, list) else [whole]


def _line(line: str, number: int, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{where}:{number}: not JSON: {error}") from error


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _exchange(case: Any, number: int, where: str) -> Exchange:
    if not isinstance(case, dict):
        raise ConfigurationError(f"{where}: exchange {number} is {str(case)[:40]!r}: allowed are JSON objects")
    for key in ("service", "endpoint"):
        if not isinstance(case.get(key), str):
            raise ConfigurationError(
                f"{where}: exchange {number} has no {key}: it needs service (anthropic or openai), endpoint "
                "(such as /v1/messages), and response or events"
            )
    if "response" not in case and "events" not in case:
        raise ConfigurationError(f"{where}: exchange {number} has neither response nor events")
    return Exchange(str(case.get("name", f"exchange {number}")), _moment(case.get("at"), number, where), case)


def _moment(value: Any, number: int, where: str) -> int:
    if value is None:
        return time.time_ns()
    try:
        moment = dt.datetime.fromisoformat(value)
        at = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        return (at - _EPOCH) // _MICROSECOND * 1000
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigurationError(
            f"{where}: exchange {number} was made at {str(value)[:40]!r}: allowed is a time such as 2026-11-20T12:00:00Z"
        ) from error
