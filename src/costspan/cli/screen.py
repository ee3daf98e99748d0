"""Where a command prints: for people with the width of their terminal, for programs as JSON."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.console import Console

__all__ = ["Json", "as_document", "console", "print_json"]

_WIDE = 200

Json = Annotated[bool, typer.Option("--json", help="Print JSON; amounts are exact numbers.")]


def console(*, is_error: bool = False) -> Console:
    """Return where to print; a file or a pipe has no edge to fold names at."""
    made = Console(stderr=is_error, highlight=False)
    if not made.is_terminal:
        made.width = _WIDE
    return made


def print_json(content: object) -> None:
    """Print ``content`` as indented JSON in UTF-8."""
    typer.get_binary_stream("stdout").write(as_document(content))


def as_document(content: object) -> bytes:
    """Return ``content`` as indented JSON in UTF-8, with a last newline."""
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
