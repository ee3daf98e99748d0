"""OpenAI's SDK against the demo's OpenAI, over real HTTP. pytest turns every warning into a failure."""

from __future__ import annotations

import math

import openai
import pytest

from costspan.demo.providers import providers

CHAT = {"model": "gpt-4.1-nano", "messages": [{"role": "user", "content": "Who keeps the lease? Priya does."}]}
EMBED = {"model": "text-embedding-3-large", "input": "Who keeps the lease?", "dimensions": 1024}
needs_responses = pytest.mark.skipif(
    not hasattr(openai.OpenAI, "responses"), reason="this SDK has no Responses API yet"
)


def billed(served):
    """The tokens of the one charge that was made."""
    (charge,) = served.bill.charges
    return dict(charge.tokens)


def test_a_chat_is_parsed_and_billed_as_its_usage_says(gpt, served):
    """The SDK reads every field, and the provider bills the very tokens that it reports."""
    completion = gpt.chat.completions.create(**CHAT)

    assert (completion.object, completion.model, completion.service_tier) == (
        "chat.completion",
        "gpt-4.1-nano",
        "default",
    )
    assert completion.choices[0].finish_reason == "stop"
    assert "Priya" in completion.choices[0].message.content
    usage = completion.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert billed(served) == {"input": usage.prompt_tokens, "output": usage.completion_tokens}


def test_a_stream_ends_with_usage_when_asked(gpt, served):
    """One chunk more, without choices; the others say that they have no usage."""
    chunks = list(gpt.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}))

    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == billed(served)["output"]
    assert all(chunk.usage is None and "usage" in chunk.model_fields_set for chunk in chunks[:-1])
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_a_stream_has_no_usage_unless_asked(gpt, served):
    """As with OpenAI: the field is not even there, and the call is billed all the same."""
    chunks = list(gpt.chat.completions.create(**CHAT, stream=True))

    assert all(chunk.choices and "usage" not in chunk.model_fields_set for chunk in chunks)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert "Priya" in text
    assert billed(served)["output"] > 100


def test_several_choices_are_all_billed(gpt, served):
    """Two answers cost twice the output and once the input."""
    one, two = gpt.chat.completions.create(**CHAT), gpt.chat.completions.create(**CHAT, n=2)

    assert len(two.choices) == 2
    assert two.usage.completion_tokens == 2 * one.usage.completion_tokens
    assert two.usage.prompt_tokens == one.usage.prompt_tokens
    assert [charge.tokens["output"] for charge in served.bill.charges] == [
        one.usage.completion_tokens,
        two.usage.completion_tokens,
    ]


def test_reasoning_is_billed_as_output_and_never_sent(gpt):
    """A reasoning model's usage is more than its text."""
    completion = gpt.chat.completions.create(**{**CHAT, "model": "gpt-5-mini"})

    assert completion.usage.model_dump()["completion_tokens_details"]["reasoning_tokens"] == 64
    assert completion.usage.completion_tokens > 64 + 100


@needs_responses
def test_a_response_is_parsed_and_billed_as_its_usage_says(gpt, served):
    """The Responses API, whole."""
    response = gpt.responses.create(
        model="gpt-5-mini", input="Who keeps the lease? Priya does.", instructions="Be brief."
    )

    assert (response.status, response.model) == ("completed", "gpt-5-mini")
    assert "Priya" in response.output_text
    assert response.usage.output_tokens_details.reasoning_tokens == 64
    assert billed(served) == {"input": response.usage.input_tokens, "output": response.usage.output_tokens}


@needs_responses
def test_a_response_is_streamed_in_numbered_events(gpt, served):
    """Events count from zero, text comes in deltas, usage in the last event only."""
    events = list(gpt.responses.create(model="gpt-4.1-nano", input="Who keeps the lease? Priya does.", stream=True))

    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].response.usage is None
    assert events[-1].type == "response.completed"
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == events[-1].response.output_text
    assert billed(served)["output"] == events[-1].response.usage.output_tokens


@needs_responses
def test_a_response_that_is_cut_short_is_incomplete(gpt, served):
    """Reasoning counts against the limit."""
    events = list(gpt.responses.create(model="gpt-5-mini", input="Why?", max_output_tokens=80, stream=True))

    final = events[-1]
    assert final.type == "response.incomplete"
    assert final.response.incomplete_details.reason == "max_output_tokens"
    assert final.response.usage.output_tokens == billed(served)["output"] == 80


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_an_embedding_has_the_dimensions_asked_for(gpt, served, encoding):
    """As floats, as base64, and as whatever the SDK asks for by itself."""
    extra = {"encoding_format": encoding} if encoding else {}

    answer = gpt.embeddings.create(**EMBED, **extra)

    assert answer.usage.prompt_tokens == billed(served)["input"]
    if encoding == "base64":
        assert isinstance(answer.data[0].embedding, str)
    else:
        assert len(answer.data[0].embedding) == 1024
        assert math.fsum(value * value for value in answer.data[0].embedding) == pytest.approx(1, abs=1e-5)


def test_embeddings_come_in_their_own_size_and_in_batches(gpt):
    """Without `dimensions` a model's own number; one vector a text, in order, tokens summed."""
    one = gpt.embeddings.create(model="text-embedding-3-small", input="one two", encoding_format="float")
    many = gpt.embeddings.create(
        model="text-embedding-3-small", input=["one two", "one two", "three"], encoding_format="float"
    )
    tokens = gpt.embeddings.create(model="text-embedding-3-small", input=[1, 2, 3], encoding_format="float")

    assert len(one.data[0].embedding) == 1536
    assert [item.index for item in many.data] == [0, 1, 2]
    assert many.data[0].embedding == many.data[1].embedding == one.data[0].embedding
    assert (one.usage.total_tokens, many.usage.total_tokens, tokens.usage.total_tokens) == (2, 5, 3)


async def test_the_async_client_is_answered_alike(served):
    """Chat, stream and embeddings, from the asynchronous SDK."""
    async with openai.AsyncOpenAI(base_url=served.openai_url, api_key="demo") as client:
        completion = await client.chat.completions.create(**CHAT)
        chunks = [chunk async for chunk in await client.chat.completions.create(**CHAT, stream=True)]
        await client.embeddings.create(**EMBED)

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == completion.choices[0].message.content
    assert [charge.operation for charge in served.bill.charges] == ["chat", "chat", "embeddings"]


def test_raw_responses_carry_the_request_id(gpt):
    """Headers are those of OpenAI."""
    raw = gpt.chat.completions.with_raw_response.create(**CHAT)

    assert raw.headers["x-request-id"] == raw.parse().id.replace("chatcmpl-", "req_")
    assert raw.headers["openai-version"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "robot"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"n": 99}, r"\$\.n"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_bad_chats_are_refused_with_their_reason(gpt, served, change, words):
    """HTTP 400 names the field; nothing is billed."""
    with pytest.raises(openai.BadRequestError, match=words) as caught:
        gpt.chat.completions.create(**{**CHAT, **change})

    assert caught.value.body["type"] == "invalid_request_error"
    assert not served.bill.charges
    assert served.bill.refused == {400: 1}


@pytest.mark.parametrize(
    "change", [{"input": ""}, {"input": []}, {"input": [1, "two"]}, {"dimensions": 4000}, {"dimensions": 0}]
)
def test_bad_embeddings_are_refused(gpt, served, change):
    """Nothing to embed, mixed inputs, or more dimensions than the model has."""
    with pytest.raises(openai.BadRequestError):
        gpt.embeddings.create(**{**EMBED, **change})

    assert not served.bill.charges


def test_unknown_models_and_paths_are_not_found(gpt):
    """A model of the other provider, and an endpoint that is not played here."""
    with pytest.raises(openai.NotFoundError, match="claude"):
        gpt.chat.completions.create(**{**CHAT, "model": "claude-haiku-4-5"})
    with pytest.raises(openai.NotFoundError, match="/v1/completions"):
        gpt.completions.create(model="gpt-4.1-nano", prompt="x")
    with pytest.raises(openai.APIStatusError) as caught:
        gpt.models.list()
    assert caught.value.status_code == 405


def test_faults_are_retried_by_the_sdk_and_not_billed(clock):
    """Of ten calls with a fault at each third request every one succeeds, and only answers are billed."""
    with providers(clock, fault_every=3) as served, openai.OpenAI(base_url=served.openai_url, api_key="demo") as gpt:
        for _ in range(10):
            gpt.embeddings.create(**EMBED)

        assert len(served.bill.charges) == 10
        assert served.bill.refused == {429: 2, 500: 1, 503: 1}
