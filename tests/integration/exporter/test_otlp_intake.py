"""`POST /v1/traces` over real HTTP, with spans of the real SDK: each call once, for whom it was."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from prometheus_client import CollectorRegistry

from costspan import hooks
from costspan.journal import Journal
from costspan.meter import Meter
from costspan.pricing import PriceBook
from costspan.settings import Settings
from costspan.sinks import spans
from costspan.sinks.prometheus import PrometheusSink
from fix_postgres import new_database
from fix_sdk import CHAT, EMBEDDINGS, MESSAGE
from integration.exporter.api import Api, Said, running
from integration.exporter.instrumentations import Player, at, playing
from integration.ledger.calls import NOON, batch, call
from integration.ledger.proxy import Proxy

PROTOBUF, JSON = "application/x-protobuf", "application/json"
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.response.model": "gpt-5-2025-08-07",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
}
COST = Decimal("0.00225")


def made(*layers: dict[str, Any], resource: dict[str, str] | None = None) -> list[ReadableSpan]:
    """Spans with these attributes, each inside of the one before; at noon."""
    provider = TracerProvider(resource=Resource(resource or {}))
    tracer = provider.get_tracer("opentelemetry.instrumentation.genai.openai")
    entered = []
    spans = []
    for attributes in layers:
        context = tracer.start_as_current_span("chat gpt-5", attributes=attributes)
        spans.append(context.__enter__())
        entered.append(context)
    for context in reversed(entered):
        context.__exit__(None, None, None)
    provider.shutdown()
    return [at(span, NOON) for span in spans]  # type: ignore[arg-type]


def sent(
    api: Api,
    spans: Sequence[ReadableSpan],
    *,
    media_type: str = PROTOBUF,
    headers: dict[str, str] | None = None,
    **who: Any,
) -> Said:
    """Send spans as an exporter does."""
    request = encode_spans(spans)
    body = request.SerializeToString() if media_type == PROTOBUF else _as_json(request)
    return api.ask("POST", "/v1/traces", content=body, headers={"Content-Type": media_type, **(headers or {})}, **who)


def _as_json(request: Any) -> bytes:
    """OTLP's JSON: as protobuf's, but for ids in hexadecimal and kinds as numbers."""
    import json  # noqa: PLC0415  # for this alone
    from base64 import b64decode  # noqa: PLC0415

    document = MessageToDict(request, use_integers_for_enums=True)
    for resource in document["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in span:
                        span[name] = b64decode(span[name]).hex()
    return json.dumps(document).encode()


def counted(api: Api, tenant: str) -> tuple[int, Decimal]:
    """Calls of a tenant, and their cost."""
    total = api.ledger.daily_costs(tenant, NOON.date()).total
    return total.calls, total.cost


def outcomes(api: Api) -> dict[str, float]:
    """What the metric says of all spans so far."""
    lines = [line for line in api.get("/metrics").text.splitlines() if line.startswith("costspan_otlp_spans_total{")]
    return {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in lines}


@pytest.fixture
def player():
    """The SDKs under the official instrumentations."""
    with playing("official") as player:
        yield player


@pytest.fixture
def twice():
    """The SDKs under two instrumentations at once."""
    with playing("official", "openinference") as player:
        yield player


def play(player: Player, service: str, endpoint: str, response: dict[str, Any]) -> list[ReadableSpan]:
    """Spans of a call, at noon."""
    case = {"name": "", "service": service, "endpoint": endpoint, "request": {}, "response": response}
    return [at(span, NOON) for span in player.play(case)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("compression", list(Compression))
def test_the_real_exporter_is_understood(api, player, compression):
    """What the SDK's OTLP exporter sends, gzip or not, is a call with all that its span has, and the exporter is content."""
    tenant = f"exported-{compression.value}"
    (span,) = play(player, "openai", "/v1/chat/completions", CHAT)
    exporter = OTLPSpanExporter(
        f"{api.url}/v1/traces", headers={"authorization": f"Bearer {api.token(tenant)}"}, compression=compression
    )

    result = exporter.export([span])

    exporter.shutdown()
    if compression is Compression.Deflate:
        assert result is SpanExportResult.FAILURE
        assert counted(api, tenant) == (0, 0)
        return
    assert result is SpanExportResult.SUCCESS
    assert counted(api, tenant) == (1, COST)
    (row,) = api.ledger.newest_calls(tenant=tenant)
    assert (row.model, row.status, row.tokens_in, row.tokens_out) == ("gpt-5-2025-08-07", "priced", 1000, 100)
    assert (row.trace_id, row.span_id) == (f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}")
    assert row.timestamp == NOON


@pytest.mark.parametrize("media_type", [PROTOBUF, JSON])
def test_a_span_says_whom_its_call_was_for(api, media_type):
    """Tenant, session, user and feature by costspan's names or by others', of the span or of its process."""
    tenant = f"named-{media_type[-4:]}"
    ours = {"costspan.session": "s-1", "session.id": "not this", "costspan.feature": "search", "enduser.id": "u-1"}
    theirs = {"gen_ai.conversation.id": "c-2", "user.id": "u-2"}
    spans = [
        *made({**CALL, **ours, "costspan.tenant": tenant}),
        *made({**CALL, **theirs}, resource={"costspan.tenant": tenant}),
    ]

    said = sent(api, spans, media_type=media_type)

    assert (said.status, said.headers["content-type"], said.text) == (
        200,
        media_type,
        "" if media_type == PROTOBUF else "{}",
    )
    rows = api.ledger.newest_calls(tenant=tenant)
    assert {(row.session_id, row.user_id, row.feature) for row in rows} == {
        ("s-1", "u-1", "search"),
        ("c-2", "u-2", None),
    }


def test_a_tenants_token_books_for_that_tenant(api):
    """Whatever a span or its process says, and to the database it is that tenant's."""
    spans = made({**CALL, "costspan.tenant": "forged-victim"}, resource={"costspan.tenant": "forged-victim"})

    said = sent(api, spans, tenant="forger")

    assert said.status == 200
    assert (counted(api, "forger"), counted(api, "forged-victim")) == ((1, COST), (0, 0))


@pytest.mark.parametrize("token", ["", "csp_wrong"])
def test_without_a_token_nothing_is_taken(api, token):
    """A sender without a token, or with one that does not count, is told so."""
    said = sent(api, made({**CALL, "costspan.tenant": "unasked"}), token=token)

    assert said.status == 401
    assert counted(api, "unasked") == (0, 0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_export_that_is_sent_again_counts_once(api, player):
    """The same spans, once more and in another order, in one export and at once from many senders."""
    spans = [
        *play(player, "openai", "/v1/chat/completions", CHAT),
        *play(player, "anthropic", "/v1/messages", MESSAGE),
        *play(player, "openai", "/v1/embeddings", EMBEDDINGS),
    ]
    token = api.token("again")
    senders = [threading.Thread(target=sent, args=(api, spans), kwargs={"token": token}) for _ in range(6)]

    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    said = sent(api, [*reversed(spans), *spans], tenant="again")

    assert (said.status, said.text) == (200, "")
    assert counted(api, "again") == (3, COST + Decimal("0.00135") + Decimal("0.00013"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("together", [True, False], ids=["in one export", "in two"])
def test_two_instrumentations_of_one_call_count_once(api, twice, together):
    """Official and OpenInference around the same SDK: by the response's id, and the one that tells more where it can."""
    tenant = f"twice-{together}"
    spans = play(twice, "anthropic", "/v1/messages", MESSAGE)
    assert len(spans) == 2

    for part in [spans] if together else [spans[:1], spans[1:]]:
        assert sent(api, part, tenant=tenant).status == 200

    assert counted(api, tenant) == (1, Decimal("0.00135"))
    (row,) = api.ledger.newest_calls(tenant=tenant)
    assert row.status == "priced" if together else row.status in ("priced", "estimated")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_span_around_an_inference_is_none(api, twice):
    """Embeddings have no id: of two spans, one inside the other, the inner one counts, and so does that of a framework."""
    spans = play(twice, "openai", "/v1/embeddings", EMBEDDINGS)
    framework = made(CALL, {}, {**CALL, "gen_ai.usage.input_tokens": 500})
    agent = made({**CALL, "gen_ai.operation.name": "invoke_agent"}, CALL)

    sent(api, [*spans, *framework, *agent], tenant="around")

    assert len(spans) == 2
    assert counted(api, "around") == (3, Decimal("0.00013") + COST - 500 * Decimal("0.00000125") + COST)


MARKED = {**CALL, "costspan.status": "priced"}
LLM = {**CALL, "openinference.span.kind": "LLM", "llm.token_count.prompt": 500}


@pytest.mark.parametrize("who", [{"tenant": "earlier"}, {}], ids=["a tenant's token", "an administrator's"])
@pytest.mark.parametrize(
    ("layers", "calls"),
    [
        ((CALL, MARKED), 0),
        ((LLM, MARKED), 0),
        (({**CALL, "gen_ai.response.id": "chatcmpl-of-somebody-else"}, MARKED), 0),
        ((CALL, {}, {"openinference.span.kind": "CHAIN"}, MARKED), 0),
        ((CALL, CALL), 1),
        ((CALL, {}, CALL, {}, CALL), 1),
        ((CALL, {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5", "error.type": "429"}), 1),
    ],
    ids=["marked", "in OpenInference", "with an id", "with wrappers", "two", "three with wrappers", "a failure"],
)
def test_a_span_around_a_call_of_an_earlier_export_is_none(api, layers, calls, who):
    """Spans end from the inside, each in an export of its own: as in one export the inner one counts, also when sent again."""
    tenant = who.get("tenant", "earlier-named")
    before = counted(api, tenant)
    spans = made(*layers, resource={"costspan.tenant": tenant})

    for span in [*reversed(spans), *reversed(spans), *spans]:
        assert sent(api, [span], **who).status == 200

    after = counted(api, tenant)
    assert (after[0] - before[0], after[1] - before[1]) == (calls, calls * COST)


def test_calls_side_by_side_count_each_also_when_exported_one_by_one(api):
    """Two inferences of one agent, which is none; and what is around a call is nothing to another trace or tenant."""
    agent, first = made({**CALL, "gen_ai.operation.name": "invoke_agent"}, CALL)
    request = encode_spans([first])
    second = request.resource_spans[0].scope_spans[0].spans[0]
    second.span_id = b"sibling!"
    headers = {"Content-Type": PROTOBUF}

    for span in (first, agent):
        sent(api, [span], tenant="siblings")
    api.ask("POST", "/v1/traces", tenant="siblings", content=request.SerializeToString(), headers=headers)
    outer, inner = made(CALL, CALL)
    sent(api, [inner], tenant="siblings")
    sent(api, [outer], tenant="siblings-neighbour")

    assert (counted(api, "siblings"), counted(api, "siblings-neighbour")) == ((3, 3 * COST), (1, COST))


@pytest.mark.parametrize("together", [True, False], ids=["in one export", "in two"])
def test_what_the_hooks_counted_counts_no_second_time(api, together):
    """A span with the hooks' mark is theirs, and so is another span of that response, which does not know their tenant."""
    tenant = f"hooked-{together}"
    response = {"gen_ai.response.id": f"msg_{uuid4().hex}"}
    mark = {"costspan.status": "priced", "costspan.tenant": f"{tenant}-by-hooks"}
    (theirs,) = made({**CALL, **response}, resource={"costspan.tenant": tenant})
    (marked,) = made({**CALL, **response, **mark}, resource={"costspan.tenant": tenant})

    for part in [[theirs, marked]] if together else [[marked], [theirs]]:
        assert sent(api, part).status == 200

    assert (counted(api, tenant), counted(api, f"{tenant}-by-hooks")) == ((0, 0), (0, 0))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_spans_of_calls_that_the_real_hooks_metered_add_nothing(api, tmp_path, monkeypatch):
    """Hooks, two instrumentations and the SDK's own spans at once: the journal has each call, and the export adds none."""
    journal = Journal(tmp_path)
    with playing("openinference", "official", "native") as player:
        monkeypatch.setattr(spans, "_tracer", player.provider.get_tracer("costspan"))
        hooks.instrument(Meter(journal, PriceBook.load(), PrometheusSink(CollectorRegistry())))
        try:
            made = [
                *play(player, "openai", "/v1/chat/completions", CHAT),
                *play(player, "openai", "/v1/embeddings", EMBEDDINGS),
                *play(player, "anthropic", "/v1/messages", MESSAGE),
            ]
        finally:
            hooks.uninstrument()
    metered = [event for segment in journal.segments() for event in segment.read(0, 99).events]
    journal.shutdown()

    said = sent(api, made, tenant="hooks-and-all")

    assert (len(metered), len(made), said.status) == (3, 7, 200)
    assert sum("costspan.status" in (span.attributes or {}) for span in made) == 3
    assert counted(api, "hooks-and-all") == (0, 0)


def test_a_row_of_the_hooks_is_found_by_its_span(api):
    """Where a collector stripped the mark, the ids of trace and span tell that the call is in the ledger."""
    (span,) = made({**CALL, "costspan.tenant": "stripped"})
    ids = {"trace_id": span.context.trace_id.to_bytes(16, "big"), "span_id": span.context.span_id.to_bytes(8, "big")}
    api.ledger.write(batch([call(tenant="stripped", **ids)]), uuid4())

    sent(api, [span])

    assert counted(api, "stripped") == (1, Decimal("0.00135"))


def test_what_is_no_inference_is_left_out_and_counted(api):
    """Tools, agents, workflows and HTTP are none; an unknown operation with tokens is not counted but shows."""
    before = outcomes(api)
    others = [
        {"http.request.method": "POST"},
        {**CALL, "gen_ai.operation.name": "execute_tool"},
        {**CALL, "gen_ai.operation.name": "invoke_agent"},
        {"traceloop.span.kind": "workflow"},
        {**CALL, "openinference.span.kind": "CHAIN"},
        {**CALL, "gen_ai.operation.name": "divination"},
        {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5", "error.type": "429"},
    ]

    said = sent(api, [span for attributes in others for span in made(attributes)], tenant="others")

    assert (said.status, said.text, counted(api, "others")) == (200, "", (0, 0))
    after = outcomes(api)
    assert {name: after[name] - before[name] for name in after} == {
        "stored": 0,
        "duplicate": 0,
        "metered": 0,
        "failed": 1,
        "other": 5,
        "unknown": 1,
        "rejected": 0,
        "quarantined": 0,
    }


@pytest.mark.parametrize("media_type", [PROTOBUF, JSON])
def test_what_cannot_be_a_call_is_rejected_and_the_rest_is_not(api, media_type):
    """Partial success, as OTLP has it: how many, and why. What is no inference is none of these."""
    tenant = f"rejected-{media_type[-4:]}"
    good, old, ahead = (made(CALL)[0] for _ in range(3))
    request = encode_spans([good, old, ahead])
    spans = [span for part in request.resource_spans for scope in part.scope_spans for span in scope.spans]
    spans[1].start_time_unix_nano = 0
    spans[2].trace_id = b"short"
    body = request.SerializeToString() if media_type == PROTOBUF else _as_json(request)

    headers = {"Content-Type": media_type, "Authorization": f"Bearer {api.token(tenant)}"}
    said = api.client.post("/v1/traces", content=body, headers=headers)

    assert said.status_code == 200
    if media_type == PROTOBUF:
        partial = ExportTraceServiceResponse.FromString(said.content).partial_success
        rejected, message = partial.rejected_spans, partial.error_message
    else:
        rejected = int(said.json()["partialSuccess"]["rejectedSpans"])
        message = said.json()["partialSuccess"]["errorMessage"]
    assert rejected == 2
    assert "a trace id needs 16 bytes" in message
    assert "within the last 366 days" in message
    assert counted(api, tenant) == (1, COST)


@pytest.mark.parametrize(
    ("media_type", "body", "status"),
    [
        (PROTOBUF, b"\xff\xff\xff", 400),
        (JSON, b"{", 400),
        (JSON, b'{"resourceSpans": 7}', 400),
        (JSON, b'{"resourceSpans":' + b"[" * 100_000, 400),
        (JSON, b"\xff", 400),
        ("text/plain", b"hello", 415),
        ("", b"", 415),
    ],
)
def test_what_is_no_export_is_refused(api, media_type, body, status):
    """For good, in the words of OTLP: a status with a message, never a stack trace."""
    said = api.ask("POST", "/v1/traces", content=body, headers={"Content-Type": media_type})

    assert said.status == status
    assert said.headers["content-type"] == (media_type if status == 400 else JSON)
    assert "Traceback" not in said.text
    if said.headers["content-type"] == JSON:
        assert (said.json["code"], bool(said.json["message"])) == (3, True)
    else:
        assert said.text.encode().startswith(b"\x08\x03\x12")


@pytest.mark.parametrize("media_type", [PROTOBUF, JSON])
def test_an_empty_export_is_fine(api, media_type):
    """Nothing to take is no failure; and a batch is unpacked before it is read."""
    body = gzip.compress(b"" if media_type == PROTOBUF else b"{}")

    said = api.ask("POST", "/v1/traces", content=body, headers={"Content-Type": media_type, "Content-Encoding": "gzip"})

    assert (said.status, said.text) == (200, "" if media_type == PROTOBUF else "{}")


def test_hostile_values_are_only_values(api):
    """Names that are code, too long or unprintable, parents in a circle, counts that cannot be: rows, and nothing else."""
    evil = "'; drop table costspan.call; --\x00\u202e" + "x" * 10_000
    huge = {"gen_ai.usage.input_tokens": 2**62, "gen_ai.usage.output_tokens": -5}
    named = {
        "gen_ai.request.model": evil,
        "gen_ai.response.model": evil,
        "session.id": evil,
        "gen_ai.response.id": evil,
    }
    request = encode_spans([*made({**CALL, **named}), *made({**CALL, **huge}), *made(CALL)])
    spans = [span for part in request.resource_spans for scope in part.scope_spans for span in scope.spans]
    spans[2].parent_span_id = spans[2].span_id
    body, headers = request.SerializeToString(), {"Content-Type": PROTOBUF}

    said = api.ask("POST", "/v1/traces", tenant="hostile", content=body, headers=headers)

    assert (said.status, said.text) == (200, "")
    rows = api.ledger.newest_calls(tenant="hostile")
    assert sorted(row.status for row in rows) == ["invalid", "priced", "unpriced"]
    assert all(len(row.model) <= 256 for row in rows)


def test_while_the_ledger_is_away_the_sender_keeps_it(server_url, ledger_template, tmp_path):
    """503 with a time to come back; what is sent again then counts once, also where a commit's answer was lost."""
    spans = made(CALL)
    with new_database(server_url, template=ledger_template) as url, Proxy(url) as proxy:
        settings = Settings(database_url=proxy.url, state_dir=tmp_path)
        with running(settings, now=NOON) as api:
            token = api.token("patient")
            assert sent(api, made(CALL), token=token).status == 200
            proxy.cut()
            away = sent(api, spans, token=token)
            proxy.mend()
            back = sent(api, spans, token=token)
            again = sent(api, spans, token=token)

            assert (away.status, away.headers["retry-after"]) == (503, "5")
            assert away.headers["content-type"] == PROTOBUF
            assert (back.status, again.status) == (200, 200)
            assert counted(api, "patient") == (2, 2 * COST)
            assert api.ledger.verify(is_whole=True).wrong == 0
            audit = api.ledger.audit()
            assert audit.intents == audit.calls + audit.duplicates + audit.quarantined
