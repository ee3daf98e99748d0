"""POST /v1/embeddings: as floats or base64, in as many dimensions as asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from costspan.demo import embedding, tokens
from costspan.demo.bill import Bill
from costspan.demo.bodies import EmbeddingsBody, read
from costspan.demo.loopback import Answer, Refusal, Request

__all__ = ["embeddings"]

#: Each model's own number of dimensions, which is also the most it can be asked for.
_DIMENSIONS: Mapping[str, int] = MappingProxyType({"text-embedding-3-large": 3072, "text-embedding-3-small": 1536})
_MAX_INPUTS = 2048
_MAX_TOKENS = 8192


def embeddings(request: Request, bill: Bill) -> Answer:
    """Embed.

    Raises:
        Refusal: for a body or a model that OpenAI would refuse.
    """
    body = read(request.body, EmbeddingsBody)
    most = _DIMENSIONS.get(body.model)
    if most is None:
        raise Refusal(404, "invalid_request_error", f"The model `{body.model}` does not exist.", code="model_not_found")
    dimensions = body.dimensions or most
    if dimensions > most:
        raise Refusal(400, "invalid_request_error", f"'dimensions' is {dimensions}: {body.model} has at most {most}.")
    texts, counts = _inputs(body.input)
    billed = sum(counts)
    bill.charge(
        service="openai", operation="embeddings", model=body.model, request_id=request.id, tokens={"input": billed}
    )
    vectors = (embedding.vector(text, dimensions) for text in texts)
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": embedding.as_base64(values) if body.encoding_format == "base64" else values.tolist(),
        }
        for index, values in enumerate(vectors)
    ]
    usage = {"prompt_tokens": billed, "total_tokens": billed}
    return Answer({"object": "list", "data": data, "model": body.model, "usage": usage})


def _inputs(given: str | Sequence[str | int | Sequence[int]]) -> tuple[list[str], list[int]]:
    """The texts to embed and their tokens. A list of numbers is one text, already in tokens."""
    items: list[str | Sequence[int]]
    if isinstance(given, str):
        items = [given]
    elif given and all(isinstance(item, int) for item in given):
        items = [[item for item in given if isinstance(item, int)]]
    else:
        items = [item for item in given if not isinstance(item, int)]
        if len(items) != len(given):
            raise Refusal(400, "invalid_request_error", "'input' mixes tokens with texts.")
    counts = [tokens.count(item) if isinstance(item, str) else len(item) for item in items]
    if not items or len(items) > _MAX_INPUTS or not all(0 < count <= _MAX_TOKENS for count in counts):
        raise Refusal(
            400,
            "invalid_request_error",
            f"'input' must be 1 to {_MAX_INPUTS} texts of 1 to {_MAX_TOKENS} tokens each.",
        )
    return [item if isinstance(item, str) else " ".join(map(str, item)) for item in items], counts
