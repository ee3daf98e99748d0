"""OTLP over HTTP as bytes: requests in protobuf or JSON, and the answers in the same.

JSON is not what protobuf makes of it by itself: ids are in hexadecimal, and 64-bit integers may be texts. Any field may be
null, which is as if it was not there.
"""

from __future__ import annotations

from binascii import Error as NotHexadecimal
from binascii import unhexlify
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it ships no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from costspan.exporter.otlp.dialect import WANTED
from costspan.exporter.otlp.span import Span, Value

__all__ = ["JSON", "PROTOBUF", "Unreadable", "read", "refusal", "response"]

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_ERROR = Status.STATUS_CODE_ERROR
_LAST_COUNT = 2**63


class Unreadable(ValueError):
    """The request is no export of spans."""


def read(body: bytes, media_type: str) -> list[Span]:
    """Return the spans of an export.

    Raises:
        Unreadable: it is none.
    """
    return _from_protobuf(body) if media_type == PROTOBUF else _from_json(body)


def response(media_type: str, *, rejected: int, message: str) -> bytes:
    """Return the answer to an export that was taken, but for ``rejected`` spans; ``message`` says why, and may warn."""
    if media_type == JSON:
        partial = {"rejectedSpans": str(rejected), "errorMessage": message}
        return msgspec.json.encode({"partialSuccess": partial} if rejected or message else {})
    made = ExportTraceServiceResponse()
    if rejected or message:
        made.partial_success.rejected_spans = rejected
        made.partial_success.error_message = message
    return bytes(made.SerializeToString())


def refusal(media_type: str, code: int, message: str) -> bytes:
    """Return the answer to an export that was not taken: a ``google.rpc.Status``, as OTLP wants it.

    Args:
        media_type: of the request.
        code: of ``google.rpc.Code``.
        message: a sentence.
    """
    if media_type == JSON:
        return msgspec.json.encode({"code": code, "message": message})
    text = message.encode()
    return bytes([0x08, code, 0x12]) + _varint(len(text)) + text


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:  # noqa: PLR2004  # seven bits a byte
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def _from_protobuf(body: bytes) -> list[Span]:
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        raise Unreadable("the body is no ExportTraceServiceRequest in protobuf") from None
    return [
        Span(
            span.trace_id,
            span.span_id,
            span.parent_span_id,
            span.name,
            span.start_time_unix_nano,
            span.end_time_unix_nano,
            span.status.code == _ERROR,
            part.scope.name,
            _known(span.attributes),
            resource,
        )
        for whole in request.resource_spans
        for resource in (_known(whole.resource.attributes),)
        for part in whole.scope_spans
        for span in part.spans
    ]


def _known(attributes: Iterable[KeyValue]) -> Mapping[str, Value]:
    found: dict[str, Value] = {}
    for attribute in attributes:
        if attribute.key in WANTED:
            value = _plain(attribute.value)
            if value is not None:
                found[attribute.key] = value
    return found


_GETTERS: Mapping[str, Callable[[AnyValue], Value]] = {
    "string_value": lambda value: value.string_value,
    "int_value": lambda value: value.int_value,
    "double_value": lambda value: value.double_value,
    "bool_value": lambda value: value.bool_value,
}


def _plain(value: AnyValue) -> Value | None:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        first = value.array_value.values[:1]
        return first[0].string_value or None if first else None
    getter = _GETTERS.get(kind or "")
    return getter(value) if getter is not None else None


class _Value(msgspec.Struct, rename="camel", gc=False):
    string_value: str | None = None
    int_value: int | str | None = None
    double_value: int | float | str | None = None
    bool_value: bool | None = None
    array_value: Any = None


class _Attribute(msgspec.Struct, gc=False):
    key: str | None = None
    value: _Value | None = None


class _Status(msgspec.Struct, gc=False):
    code: int | str | None = None


class _Span(msgspec.Struct, rename="camel", gc=False):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    start_time_unix_nano: int | str | None = None
    end_time_unix_nano: int | str | None = None
    attributes: list[_Attribute] | None = None
    status: _Status | None = None


class _Scope(msgspec.Struct, gc=False):
    name: str | None = None


class _ScopeSpans(msgspec.Struct, gc=False):
    scope: _Scope | None = None
    spans: list[_Span] | None = None


class _Resource(msgspec.Struct, gc=False):
    attributes: list[_Attribute] | None = None


class _ResourceSpans(msgspec.Struct, rename="camel", gc=False):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _Request(msgspec.Struct, rename="camel", gc=False):
    resource_spans: list[_ResourceSpans] | None = None


_decoder = msgspec.json.Decoder(_Request)


def _from_json(body: bytes) -> list[Span]:
    try:
        request = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # a ValidationError says where
        raise Unreadable(f"the body is no ExportTraceServiceRequest in JSON: {str(error)[:200]}") from None
    return [
        Span(
            _id(span.trace_id or ""),
            _id(span.span_id or ""),
            _id(span.parent_span_id or ""),
            span.name or "",
            _number(span.start_time_unix_nano or 0),
            _number(span.end_time_unix_nano or 0),
            span.status is not None and span.status.code in (_ERROR, "STATUS_CODE_ERROR"),
            (part.scope.name or "") if part.scope is not None else "",
            _named(span.attributes),
            resource,
        )
        for whole in request.resource_spans or ()
        for resource in (_named(whole.resource.attributes if whole.resource is not None else None),)
        for part in whole.scope_spans or ()
        for span in part.spans or ()
    ]


def _id(text: str) -> bytes:
    """An id's bytes; what is no id keeps a length that no id has, so that its span is rejected and no other."""
    try:
        return unhexlify(text)
    except (NotHexadecimal, ValueError):
        return b"\0"


def _number(value: int | str) -> int:
    if type(value) is int:
        return value if 0 <= value < _LAST_COUNT else 0
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else 0  # noqa: PLR2004  # digits of 2**63


def _named(attributes: list[_Attribute] | None) -> Mapping[str, Value]:
    found: dict[str, Value] = {}
    for attribute in attributes or ():
        if attribute.key is not None and attribute.key in WANTED and attribute.value is not None:
            value = _unpacked(attribute.value)
            if value is not None:
                found[attribute.key] = value
    return found


def _unpacked(value: _Value) -> Value | None:
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return _whole(value.int_value)
    if value.bool_value is not None:
        return value.bool_value
    if value.double_value is not None:
        return value.double_value
    values = value.array_value.get("values") if isinstance(value.array_value, dict) else None
    first = values[0] if isinstance(values, list) and values else None
    text = first.get("stringValue") if isinstance(first, dict) else None
    return text if isinstance(text, str) and text else None


def _whole(value: int | str) -> Value:
    """An integer that came as a text; a text that is none stays one, and is refused as a count where it is used as one."""
    if type(value) is int:
        return value
    text = str(value)
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= 19 else text  # noqa: PLR2004  # as above
