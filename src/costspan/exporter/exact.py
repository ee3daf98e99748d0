"""Answers and bodies whose numbers are exact: written from Decimals and read as Decimals, no float between.

A kind of answer is a `msgspec.Struct`: what a route returns, and what the OpenAPI document says of it, are one thing.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Request, Response

from costspan.exporter.problem import Problem, shown
from costspan.text import clean

__all__ = ["Exact", "Number", "Usd", "answers", "body", "components", "expects", "fill_in", "said"]

Kind = TypeVar("Kind", bound=msgspec.Struct)

#: An exact number of any size, as `costspan.pricing.money.json_number` writes it.
Number = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "number"})]
Usd = Annotated[
    msgspec.Raw, msgspec.Meta(description="Dollars, exact to the pico-dollar.", extra_json_schema={"type": "number"})
]
#: Where msgspec says which field is at fault.
_MISSING = re.compile(r"missing required field `(.+?)`")
_UNKNOWN = re.compile(r"contains unknown field `(.*)`", re.DOTALL)
_WRONG = re.compile(r" - at `[$][.](\w+)")
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_REFERENCE = "#/components/schemas/{name}"
#: What the document describes: every kind that a route answers with or expects.
_kinds: dict[str, type[msgspec.Struct]] = {}
#: By the place that is held for each in what FastAPI is given, as that leaves out what is null in an example.
_examples: dict[str, Mapping[str, object]] = {}


class Exact(Response):
    """A `msgspec.Struct` as JSON."""

    media_type = "application/json"

    def render(self, content: msgspec.Struct) -> bytes:
        """Return ``content`` in UTF-8."""
        return msgspec.json.encode(content)


def answers(
    kind: type[msgspec.Struct], example: Mapping[str, object], text: str = "The answer"
) -> dict[int | str, Any]:
    """Return what a route's ``responses`` are, when it returns an `Exact` of ``kind``."""
    return {200: {"description": text, "content": _content(kind, example)}}


def expects(kind: type[msgspec.Struct], example: Mapping[str, object]) -> dict[str, Any]:
    """Return what a route's ``openapi_extra`` is, when it takes a `body` of ``kind``."""
    return {"requestBody": {"required": True, "content": _content(kind, example)}}


def body(kind: type[Kind], allowed: Mapping[str, str]) -> Callable[[Request], Coroutine[None, None, Kind]]:
    """Return a dependency that reads a request's JSON as ``kind``.

    Args:
        kind: what is read.
        allowed: for each of its fields, what is told where it is something else.

    Raises:
        Problem: 415 for another type than JSON, 422 for what is no ``kind``; it names the field and what is allowed.
    """
    decoder = msgspec.json.Decoder(kind)

    async def read(request: Request) -> Kind:
        given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if given != "application/json":
            raise Problem(415, f"Content-Type is {given[:80]!r}: allowed is application/json")
        content = await request.body()
        try:
            found = decoder.decode(content)
            json.loads(content, object_pairs_hook=_once, parse_int=str, parse_float=str)
        except _UNREADABLE as error:
            raise _refusal(str(error), content, allowed) from error
        return found

    return read


def _once(pairs: Sequence[tuple[str, object]]) -> None:
    """Of two fields of one name, readers differ in which they take: nobody could say what was asked for."""
    for name, times in Counter(name for name, _ in pairs).items():
        if times > 1:
            raise Problem(422, f"{clean(name[:80])} is given {times} times: once is allowed", parameter=clean(name))


def _refusal(told: str, content: bytes, allowed: Mapping[str, str]) -> Problem:
    try:
        given = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    except _UNREADABLE:  # whatever is wrong with a field: further on it is no JSON
        return Problem(422, f"the body cannot be read: {told}")
    if found := _MISSING.search(told):
        return Problem(422, f"{found[1]} is missing: {allowed[found[1]]}", parameter=found[1])
    if found := _UNKNOWN.search(told):
        return Problem(
            422, f"there is no field {shown(found[1])}: allowed are {', '.join(allowed)}", parameter=clean(found[1])
        )
    if found := _WRONG.search(told):
        return Problem(422, f"{found[1]} is {said(given[found[1]])}: {allowed[found[1]]}", parameter=found[1])
    return Problem(422, f"the body cannot be read: {told}")


def said(value: msgspec.Raw) -> str:
    """Return a value of a body as a refusal repeats it."""
    text = bytes(value).decode(errors="replace")
    return shown(msgspec.json.decode(value) if text.startswith('"') else text)


def components() -> Mapping[str, object]:
    """Return the schema of every kind, by its name."""
    _, found = msgspec.json.schema_components(_kinds.values(), ref_template=_REFERENCE)
    return found


def fill_in(content: dict[str, Any]) -> None:
    """Put the example of an answer or a body where its place is held."""
    if isinstance(content.get("example"), str):
        content["example"] = _examples.get(content["example"], content["example"])


def _content(kind: type[msgspec.Struct], example: Mapping[str, object]) -> Mapping[str, object]:
    assert _kinds.setdefault(kind.__name__, kind) is kind, f"two kinds are named {kind.__name__}"  # noqa: S101
    schema = {"$ref": _REFERENCE.format(name=kind.__name__)}
    place = f"example {len(_examples)}"
    _examples[place] = example
    return {"application/json": {"schema": schema, "example": place}}
