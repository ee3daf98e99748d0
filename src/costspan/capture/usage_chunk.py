"""The extra chunk of an OpenAI chat stream that has its usage: who has to ask for it, and which chunk it is.

OpenAI sends it only where ``stream_options.include_usage`` asks for it. Hooks ask where the application did not, and
hide the chunk, so that the application sees the stream it would have seen.
"""

from __future__ import annotations

from collections.abc import Mapping

from costspan.capture.endpoint import Endpoint, Shape

__all__ = ["is_usage_only_chunk", "wants_usage_chunk"]

#: The first version of Azure's deployments API that knows ``stream_options``; earlier ones answer it with an error.
_AZURE_SINCE = "2024-09-01"


def wants_usage_chunk(endpoint: Endpoint, request: Mapping[str, object] | None) -> bool:
    """Whether a request is a stream that would have no usage, and whose server can be asked for it.

    Of an Azure deployment the version must be known: its older ones refuse what they do not know.
    """
    if endpoint.shape is not Shape.CHAT and endpoint.shape is not Shape.COMPLETION:
        return False
    if request is None or request.get("stream") is not True:
        return False
    if endpoint.api_version is not None and endpoint.api_version < _AZURE_SINCE:
        return False
    options = request.get("stream_options")
    return options is None or (isinstance(options, Mapping) and options.get("include_usage") is not True)


def is_usage_only_chunk(event: object) -> bool:
    """Whether a chunk has usage and no choices. Azure's first chunk has neither, and is the application's."""
    return (
        isinstance(event, Mapping)
        and event.get("usage") is not None
        and type(event.get("choices")) is list
        and not event["choices"]
    )
