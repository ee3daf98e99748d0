"""Exports as bytes: protobuf and JSON say the same, and what is neither is refused in a sentence."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from costspan.exporter.otlp import wire
from costspan.exporter.otlp.dialect import WANTED

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_VALUES = st.one_of(
    _TEXTS, st.integers(-(2**63), 2**63 - 1), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)
)
_SPANS = st.fixed_dictionaries(
    {
        "trace": st.binary(min_size=16, max_size=16),
        "span": st.binary(min_size=8, max_size=8),
        "parent": st.sampled_from([b"", b"\1" * 8]),
        "start": st.integers(0, 2**63 - 1),
        "failed": st.booleans(),
        "attributes": st.dictionaries(st.sampled_from(sorted(WANTED)), _VALUES, max_size=5),
    }
)
_KINDS = {str: "string", int: "int", bool: "bool", float: "double"}


def _protobuf(span) -> bytes:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="costspan.tenant").value.string_value = "acme"
    scope = resource.scope_spans.add()
    scope.scope.name = "a scope"
    made = scope.spans.add(
        trace_id=span["trace"],
        span_id=span["span"],
        parent_span_id=span["parent"],
        name="chat",
        start_time_unix_nano=span["start"],
        end_time_unix_nano=span["start"],
    )
    made.status.code = 2 if span["failed"] else 0
    for key, value in span["attributes"].items():
        setattr(made.attributes.add(key=key).value, f"{_KINDS[type(value)]}_value", value)
    made.attributes.add(key="gen_ai.input.messages").value.string_value = "content"
    return request.SerializeToString()


def _json(span) -> bytes:
    attributes = [
        {"key": key, "value": {f"{_KINDS[type(value)]}Value": str(value) if type(value) is int else value}}
        for key, value in span["attributes"].items()
    ]
    made = {
        "traceId": span["trace"].hex().upper(),
        "spanId": span["span"].hex(),
        "parentSpanId": span["parent"].hex(),
        "name": "chat",
        "kind": 3,
        "startTimeUnixNano": str(span["start"]),
        "endTimeUnixNano": span["start"],
        "attributes": [*attributes, {"key": "gen_ai.input.messages", "value": {"stringValue": "content"}}],
        "status": {"code": 2} if span["failed"] else {},
        "aFieldOfTomorrow": {},
    }
    scope = {"scope": {"name": "a scope"}, "spans": [made]}
    tenant = {"key": "costspan.tenant", "value": {"stringValue": "acme"}}
    return json.dumps({"resourceSpans": [{"resource": {"attributes": [tenant]}, "scopeSpans": [scope]}]}).encode()


@given(_SPANS)
def test_json_and_protobuf_say_the_same(span):
    """Ids in hexadecimal, integers as texts, attributes of any kind; and content is not unpacked."""
    (read,) = wire.read(_protobuf(span), wire.PROTOBUF)
    (same,) = wire.read(_json(span), wire.JSON)

    assert read == same
    assert (read.trace_id, read.span_id, read.parent_id) == (span["trace"], span["span"], span["parent"])
    assert (read.start_ns, read.has_failed, read.scope) == (span["start"], span["failed"], "a scope")
    assert read.attributes == span["attributes"]
    assert read.resource == {"costspan.tenant": "acme"}


@given(st.binary(max_size=200), st.sampled_from([wire.PROTOBUF, wire.JSON]))
@example(b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"zz","startTimeUnixNano":"-1"}]}]}]}', wire.JSON)
@example(b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"9999999999999999999999"}]}]}]}', wire.JSON)
@example(b"[" * 100_000, wire.JSON)
def test_any_bytes_are_spans_or_unreadable(body, media_type):
    """Nothing else comes of bytes from outside."""
    with suppress(wire.Unreadable):
        assert all(span.start_ns >= 0 for span in wire.read(body, media_type))


@pytest.mark.parametrize("message", ["", "2 rejected: x", "é" * 300])
def test_answers_are_what_otlp_says(message):
    """Protobuf that a client's own classes read, JSON by its names; a refusal is a `google.rpc.Status`."""
    whole = ExportTraceServiceResponse.FromString(
        wire.response(wire.PROTOBUF, rejected=2 if message else 0, message=message)
    )
    same = json.loads(wire.response(wire.JSON, rejected=2 if message else 0, message=message))
    status = wire.refusal(wire.PROTOBUF, 14, message)

    assert (whole.partial_success.rejected_spans, whole.partial_success.error_message) == (2 if message else 0, message)
    assert same == ({"partialSuccess": {"rejectedSpans": "2", "errorMessage": message}} if message else {})
    assert status[:3] == b"\x08\x0e\x12"
    assert status.endswith(message.encode())
    assert json.loads(wire.refusal(wire.JSON, 14, message)) == {"code": 14, "message": message}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"arrayValue": {"values": [{"stringValue": "stop"}, {"stringValue": "length"}]}}, "stop"),
        ({"arrayValue": {"values": [7]}}, None),
        ({"arrayValue": 7}, None),
        ({"kvlistValue": {"values": []}}, None),
        ({}, None),
        (None, None),
        ({"intValue": "12x"}, "12x"),
    ],
)
def test_of_a_list_the_first_text_counts_and_of_the_rest_nothing(value, expected):
    """Finish reasons are a list; nothing else that is read here is one."""
    attribute = {"key": "gen_ai.response.finish_reasons", "value": value}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": [attribute]}]}]}]}).encode()

    (span,) = wire.read(body, wire.JSON)

    assert span.attributes.get("gen_ai.response.finish_reasons") == expected


def test_null_is_as_good_as_nothing():
    """ProtoJSON allows it for any field: the export is read as if the field was not there."""
    ids = {"traceId": "01" * 16, "spanId": "02" * 8}
    nothing = dict.fromkeys(("parentSpanId", "name", "startTimeUnixNano", "endTimeUnixNano", "attributes", "status"))
    nameless = {"attributes": [{"key": None, "value": None}], "status": {"code": None}}
    spans = [{**ids, **nothing}, {**ids, **nameless}, {"traceId": None, "spanId": None}]
    scopes = [{"scope": {"name": None}, "spans": spans}, {"scope": None, "spans": None}]
    resources = [{"resource": {"attributes": None}, "scopeSpans": scopes}, {"resource": None, "scopeSpans": None}]

    whole, half, none = wire.read(json.dumps({"resourceSpans": resources}).encode(), wire.JSON)

    assert whole == half
    assert (whole.trace_id, whole.parent_id, whole.name, whole.start_ns) == (b"\1" * 16, b"", "", 0)
    assert (none.trace_id, none.span_id) == (b"", b"")
    assert wire.read(b'{"resourceSpans": null}', wire.JSON) == []
