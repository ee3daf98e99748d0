"""Every API and every way to call it: one answered request is one row with the provider's own numbers."""

from __future__ import annotations

import anthropic
import httpx
import openai
import pytest
from pydantic import BaseModel, ValidationError

from costspan import hooks
from costspan.attribution import attribute
from fix_sdk import (
    CHAT,
    COMPLETION,
    EMBEDDINGS,
    MESSAGE,
    MESSAGES,
    RESPONSE,
    sdk_version,
)
from loopback import Json

CHAT_HELLO = {"messages": MESSAGES, "model": "gpt-5"}
HELLO = {"messages": MESSAGES, "model": "claude-haiku-4-5", "max_tokens": 200}
HAS_RESPONSES = sdk_version(openai) >= (1, 66)


class Number(BaseModel):
    """What no answer here is."""

    number: int


needs_responses = pytest.mark.skipif(not HAS_RESPONSES, reason="this openai has no responses API")
needs_httpx2 = pytest.mark.skipif(sdk_version(openai) < (3, 0), reason="this openai has only one HTTP library")


def test_chat_completion_is_one_row(server, gpt, kept):
    """A chat completion is journalled with the served model and the provider's counts before it returns."""
    server.answer(Json(CHAT))

    answer = gpt.chat.completions.create(**CHAT_HELLO)

    call = kept.call()
    assert answer.choices[0].message.content == "Hello."
    assert (call.service, call.provider, call.operation) == ("openai", "openai", "chat")
    assert (call.model, call.request_model) == ("gpt-5-2025-08-07", "gpt-5")
    assert (call.tokens_in, call.tokens_out, call.status, call.response_id) == (1000, 100, "priced", "chatcmpl-1")
    assert call.cost_pico == 2_250_000_000


def test_message_is_one_row(server, claude, kept):
    """A message is journalled and priced."""
    server.answer(Json(MESSAGE))

    answer = claude.messages.create(**HELLO)

    call = kept.call()
    assert answer.content[0].text == "Hello."
    assert (call.service, call.provider, call.operation, call.model) == (
        "anthropic",
        "anthropic",
        "chat",
        "claude-haiku-4-5",
    )
    assert (call.tokens_in, call.tokens_out, call.cost_pico) == (450, 180, 1_350_000_000)


def test_beta_message_is_one_row(server, claude, kept):
    """The beta API's messages are metered like any."""
    server.answer(Json(MESSAGE))

    claude.beta.messages.create(**HELLO)

    assert kept.call().cost_pico == 1_350_000_000


def test_legacy_completion_is_one_row(server, gpt, kept):
    """A legacy completion is metered."""
    server.answer(Json(COMPLETION))

    gpt.completions.create(model="gpt-3.5-turbo-instruct", prompt="Say hello.")

    call = kept.call()
    assert (call.operation, call.tokens_in, call.tokens_out, call.status) == ("text_completion", 1000, 100, "priced")


def test_embeddings_record_their_dimensions(server, gpt, kept):
    """An embedding is metered, priced, and its vectors measured."""
    server.answer(Json(EMBEDDINGS))

    gpt.embeddings.create(model="text-embedding-3-large", input="hello", encoding_format="float")

    call = kept.call()
    assert (call.operation, call.tokens_in, call.cost_pico, call.dimensions) == ("embeddings", 1000, 130_000_000, 3)


@needs_responses
def test_response_is_one_row(server, gpt, kept):
    """The responses API is metered."""
    server.answer(Json(RESPONSE))

    gpt.responses.create(model="gpt-5", input="Say hello.")

    call = kept.call()
    assert (call.operation, call.tokens_in, call.tokens_out, call.response_id) == ("chat", 1000, 100, "resp_1")


def test_transcription_is_one_row(server, gpt, kept):
    """A transcription, sent as a form, is metered by the model it asked for."""
    server.answer(Json({"text": "Hello.", "usage": {"type": "duration", "seconds": 60}}))

    gpt.audio.transcriptions.create(model="whisper-1", file=("hello.wav", b"RIFF"))

    call = kept.call()
    assert (call.operation, call.model, call.cost_pico) == ("transcription", "whisper-1", 6_000_000_000)


@needs_responses
def test_reading_a_response_again_is_no_row(server, gpt, kept):
    """What repeats a usage that was metered before, or costs nothing, makes no row and announces none."""
    server.answer(Json(RESPONSE), Json({"object": "list", "data": []}))

    gpt.responses.retrieve("resp_1")
    gpt.models.list()

    assert (kept.opened, kept.calls, kept.endings) == (0, [], [])


def test_counting_tokens_is_no_row(server, claude, kept):
    """Counting tokens costs nothing."""
    server.answer(Json({"input_tokens": 12}))

    claude.messages.count_tokens(model="claude-haiku-4-5", messages=MESSAGES)

    assert kept.opened == 0


async def test_asynchronous_calls_are_one_row_each(server, agpt, aclaude, kept):
    """Asynchronous clients are metered like synchronous ones."""
    server.answer(Json(CHAT), Json(MESSAGE))

    await agpt.chat.completions.create(**CHAT_HELLO)
    await aclaude.messages.create(**HELLO)

    assert [call.cost_pico for call in kept.calls] == [2_250_000_000, 1_350_000_000]
    assert kept.is_settled


def test_raw_response_is_one_row_parsed_or_not(server, gpt, claude, kept):
    """`with_raw_response` is metered before it returns; parsing it later, or twice, adds nothing."""
    server.answer(Json(CHAT), Json(MESSAGE))

    raw = gpt.chat.completions.with_raw_response.create(**CHAT_HELLO)
    before = len(kept.calls)
    parsed = raw.parse(), raw.parse()
    claude.messages.with_raw_response.create(**HELLO)

    assert before == 1
    assert parsed[0].usage.prompt_tokens == 1000
    assert [call.tokens_in for call in kept.calls] == [1000, 450]


async def test_asynchronous_raw_response_is_one_row(server, agpt, aclaude, kept):
    """The asynchronous `with_raw_response` too."""
    server.answer(Json(CHAT), Json(MESSAGE))

    await agpt.chat.completions.with_raw_response.create(**CHAT_HELLO)
    await aclaude.messages.with_raw_response.create(**HELLO)

    assert [call.tokens_in for call in kept.calls] == [1000, 450]


@pytest.mark.parametrize("is_gzipped", [False, True])
@pytest.mark.parametrize("way", ["read", "text", "json", "parse", "iter_bytes", "iter_text", "iter_lines"])
def test_streaming_response_of_json_is_one_row(server, both, kept, way, is_gzipped):
    """`with_streaming_response` is metered whichever way its body is read, compressed or not."""
    server.answer(Json(CHAT, is_gzipped=is_gzipped), Json(MESSAGE, is_gzipped=is_gzipped))

    for create, hello in ((both.gpt.chat.completions, CHAT_HELLO), (both.claude.messages, HELLO)):
        with create.with_streaming_response.create(**hello) as response:
            read = getattr(response, way)()
            list(read) if way.startswith("iter") else read

    assert [(call.tokens_in, call.status) for call in kept.calls] == [(1000, "priced"), (450, "priced")]
    assert kept.is_settled


@pytest.mark.parametrize("way", ["read", "text", "json", "parse", "iter_bytes", "iter_text", "iter_lines"])
async def test_asynchronous_streaming_response_of_json_is_one_row(server, agpt, aclaude, kept, way):
    """So is the asynchronous one."""
    server.answer(Json(CHAT, is_gzipped=True), Json(MESSAGE))

    for create, hello in ((agpt.chat.completions, CHAT_HELLO), (aclaude.messages, HELLO)):
        async with create.with_streaming_response.create(**hello) as response:
            read = getattr(response, way)()
            if way.startswith("iter"):
                async for _ in read:
                    pass
            else:
                await read

    assert [(call.tokens_in, call.status) for call in kept.calls] == [(1000, "priced"), (450, "priced")]


def test_streaming_response_read_as_raw_bytes_is_one_row(server, gpt, kept):
    """Even undecoded bytes, read from the HTTP response itself, are metered."""
    server.answer(Json(CHAT, is_gzipped=True))

    with gpt.chat.completions.with_streaming_response.create(**CHAT_HELLO) as response:
        list(response.http_response.iter_raw())

    assert kept.call().tokens_in == 1000


def test_streaming_response_left_unread_is_partial(server, gpt, kept):
    """An answer that was paid for and not read is a lower bound, never a final price."""
    server.answer(Json(CHAT))

    with gpt.chat.completions.with_streaming_response.create(**CHAT_HELLO):
        pass
    kept.wait()

    assert kept.call().status == "partial"


def test_clients_made_before_and_copies_are_metered(server, meter, monkeypatch):
    """A client made before `instrument()`, its copies and its resources that were kept are all metered."""
    monkeypatch.setenv("COSTSPAN_RAISE", "1")
    server.otherwise = Json(CHAT)
    with openai.OpenAI(api_key="none", base_url=f"{server.url}/v1") as client:
        create = client.chat.completions.with_raw_response.create
        hooks.instrument(meter)

        client.chat.completions.create(**CHAT_HELLO)
        client.with_options(timeout=3).chat.completions.create(**CHAT_HELLO)
        client.copy(max_retries=0).chat.completions.create(**CHAT_HELLO)
        create(**CHAT_HELLO)

    hooks.uninstrument()
    assert meter.journal.stats.intents == 4
    assert meter.journal.stats.open_intents == 0


@pytest.mark.parametrize("has_deployment", [False, True])
def test_azure_clients_are_azure(server, kept, has_deployment):
    """Azure's clients are told from OpenAI's, with a deployment in the path or in the model."""
    server.answer(Json(CHAT))
    where = {"azure_deployment": "my-gpt"} if has_deployment else {}
    client = openai.AzureOpenAI(api_key="none", azure_endpoint=server.url, api_version="2024-10-21", **where)

    with client:
        client.chat.completions.create(messages=MESSAGES, model="my-gpt")

    call = kept.call()
    assert server.seen[0].path == "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"
    assert (call.provider, call.model, call.request_model) == ("azure.ai.openai", "gpt-5-2025-08-07", "my-gpt")


def test_model_that_nobody_knows_is_unpriced(server, gpt, kept):
    """A compatible server's own model is a row without a price, and not a free one."""
    server.answer(Json({**CHAT, "model": "my-llama-finetune"}))

    gpt.chat.completions.create(messages=MESSAGES, model="my-llama-finetune")

    call = kept.call()
    assert (call.status, call.cost_pico, call.tokens_in) == ("unpriced", None, 1000)


def test_low_level_request_is_one_row(server, gpt, kept):
    """A call below the resources, with a whole URL and answering an HTTP response, is metered."""
    server.answer(Json(CHAT))
    response = type(gpt._client.build_request("GET", server.url)).__module__.partition(".")[0]
    library = __import__(response)

    gpt.post(f"{server.url}/v1/chat/completions", body=CHAT_HELLO, cast_to=library.Response)

    assert kept.call().tokens_in == 1000


@needs_httpx2
def test_legacy_http_client_of_openai_3_is_one_row(server, kept):
    """A client of the older HTTP library, given to a newer SDK, is metered too."""
    server.answer(Json(CHAT))

    with (
        httpx.Client() as http_client,
        openai.OpenAI(api_key="none", base_url=f"{server.url}/v1", http_client=http_client) as client,
    ):
        client.chat.completions.create(**CHAT_HELLO)

    assert kept.call().tokens_in == 1000


def test_response_from_memory_is_one_row(kept):
    """A transport that answers from memory, as tests use, is metered like a network."""
    client_type = type(openai.OpenAI(api_key="none")._client).__mro__[-2]
    library = __import__(client_type.__module__.partition(".")[0])
    transport = library.MockTransport(lambda _request: library.Response(200, json=CHAT))

    with openai.OpenAI(api_key="none", http_client=library.Client(transport=transport)) as client:
        client.chat.completions.create(**CHAT_HELLO)

    assert kept.call().provider == "openai"


def test_call_belongs_to_whom_it_was_made_for(server, gpt, kept):
    """Attribution reaches the row, and is not sent to the provider."""
    server.answer(Json(CHAT))

    with attribute(tenant="acme", session="s-1", user="u-7", feature="search", tags={"team": "red"}):
        gpt.chat.completions.create(**CHAT_HELLO)

    call = kept.call()
    assert (call.tenant, call.session, call.user, call.feature) == ("acme", "s-1", "u-7", "search")
    assert call.tags == {"team": "red"}
    assert "baggage" not in server.seen[0].headers


def test_request_is_the_one_that_would_have_been_sent(server, gpt, claude, meter):
    """Bodies and headers of plain calls are the same with costspan and without."""
    server.otherwise = lambda seen: Json(MESSAGE if seen.path.endswith("messages") else CHAT)

    for _ in range(2):
        gpt.chat.completions.create(**CHAT_HELLO, extra_body={"top_k": 3})
        claude.messages.create(**HELLO)
        hooks.instrument(meter)
    hooks.uninstrument()

    bare, metered = server.seen[:2], server.seen[2:]
    own = {"x-stainless-retry-count", "idempotency-key"}
    assert [seen.raw for seen in bare] == [seen.raw for seen in metered]
    assert [{k: v for k, v in seen.headers.items() if k not in own} for seen in bare] == [
        {k: v for k, v in seen.headers.items() if k not in own} for seen in metered
    ]


def test_structured_output_that_fails_to_parse_is_one_row(server, gpt, kept):
    """An answer whose content the application's own type refuses was billed: one row, and the SDK's exception."""
    if not hasattr(gpt.chat.completions, "parse"):
        pytest.skip("this openai has no parse()")
    server.answer(Json(CHAT))

    with pytest.raises(ValidationError):
        gpt.chat.completions.parse(**CHAT_HELLO, response_format=Number)

    assert kept.call().tokens_in == 1000


def test_anthropic_version_of_the_floor_is_metered(kept):
    """The suite runs on the oldest supported SDKs and on the newest; both say which they are."""
    states = {sdk.name: (sdk.state, sdk.version) for sdk in hooks.report().sdks}

    assert states == {
        "openai": (hooks.State.HOOKED, openai.__version__),
        "anthropic": (hooks.State.HOOKED, anthropic.__version__),
    }
