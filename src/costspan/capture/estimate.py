"""How many tokens a text has, told from its length where a provider does not say.

One rule for all scripts: a token is four bytes of UTF-8. Today's tokenizers were built by merging bytes, so the rule
holds across scripts better than any count of characters: about 4 characters a token in English, 1.3 in Chinese and
Japanese, 2 in Russian, 1 in emoji. Code and JSON are denser (3 bytes), English prose thinner (4.5). It is an estimate,
and a call that rests on it says so.

Texts are measured and not kept. Images, audio and files are not estimated: their tokens do not follow from their bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard

from costspan.capture.endpoint import Shape

__all__ = ["answer_bytes", "prompt_tokens", "structure_bytes", "text_bytes", "tokens"]

_BYTES_PER_TOKEN = 4
#: Tokens that wrap a message: its role and its delimiters.
_MESSAGE_BYTES = 4 * _BYTES_PER_TOKEN
#: Values that are looked at in one request; a larger one is measured as far as that.
_MAX_VALUES = 100_000
#: Where a request keeps what its model reads.
_READ = {
    Shape.MESSAGES: ("system", "messages", "tools"),
    Shape.CHAT: ("messages", "tools", "functions", "response_format"),
    Shape.COMPLETION: ("prompt", "suffix"),
    Shape.RESPONSES: ("instructions", "input", "tools", "text", "questions"),
    Shape.EMBEDDINGS: ("input",),
    Shape.TRANSCRIPTION: ("prompt",),
    Shape.IMAGES: ("prompt",),
    Shape.SPEECH: ("input", "instructions"),
}
#: Where an answer keeps what its model wrote.
_WRITTEN = {
    Shape.MESSAGES: "content",
    Shape.CHAT: "choices",
    Shape.COMPLETION: "choices",
    Shape.RESPONSES: "output",
    Shape.TRANSCRIPTION: "text",
}
#: Requests whose text may come as lists of token ids.
_TAKES_IDS = frozenset({Shape.EMBEDDINGS, Shape.COMPLETION})
#: Fields whose text no model reads or writes: names of things, and files in base64.
_NOT_TEXT = frozenset(
    {
        "annotations",
        "audio",
        "cache_control",
        "call_id",
        "content_filter_results",
        "data",
        "encrypted_content",
        "file_data",
        "file_id",
        "file_url",
        "finish_reason",
        "id",
        "image_url",
        "input_audio",
        "logprobs",
        "result",
        "results",
        "role",
        "signature",
        "status",
        "tool_call_id",
        "tool_use_id",
        "type",
        "url",
    }
)


def text_bytes(text: str) -> int:
    """Return the length of ``text`` in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def tokens(size: int) -> int:
    """Return the tokens of a text of ``size`` bytes, rounded up."""
    return -(-size // _BYTES_PER_TOKEN)


def prompt_tokens(shape: Shape, request: Mapping[str, object] | None) -> int:
    """Return the tokens that a request asks its model to read. Lists of token ids count exactly."""
    if request is None:
        return 0
    return sum(_tokens(request.get(name), shape) for name in _READ[shape])


def answer_bytes(shape: Shape, body: Mapping[str, object]) -> int:
    """Return the bytes of text in an answer."""
    return structure_bytes(body.get(_WRITTEN[shape])) if shape in _WRITTEN else 0


def structure_bytes(value: object, per_message: int = 0) -> int:
    """Return the bytes of all texts in ``value``, and ``per_message`` for each object with a role.

    Looks into lists and mappings; what else an application put there (an iterator, a file) is left alone.
    """
    size = 0
    waiting = [value]
    for _ in range(_MAX_VALUES):
        if not waiting:
            break
        current = waiting.pop()
        if type(current) is str:
            size += 0 if current.startswith("data:") else text_bytes(current)
        elif isinstance(current, Mapping):
            size += per_message if "role" in current else 0
            waiting.extend(inner for name, inner in list(current.items()) if name not in _NOT_TEXT)
        elif isinstance(current, (list, tuple)):
            waiting.extend(current)
    return size


def _tokens(value: object, shape: Shape) -> int:
    if shape in _TAKES_IDS and isinstance(value, (list, tuple)):
        if _is_ids(value):
            return len(value)
        return sum(len(item) if _is_ids(item) else tokens(structure_bytes(item)) for item in value[:_MAX_VALUES])
    return tokens(structure_bytes(value, _MESSAGE_BYTES))


def _is_ids(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, (list, tuple)) and bool(value) and type(value[0]) is int
