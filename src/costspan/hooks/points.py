"""What is done at each point where an SDK's call comes by. Nothing in here raises: each is one guarded step.

The functions of `wrappers` are the SDK's side of it; here is ours, the same for a synchronous and an asynchronous client.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Token
from typing import Any

from costspan import capture
from costspan.event import Outcome
from costspan.guard import guard
from costspan.hooks import abandoned, active, body
from costspan.hooks.call import Call, current, place, whole
from costspan.hooks.exchange import KEY, Exchange, of, of_request

__all__ = [
    "answered",
    "built",
    "closing",
    "enter",
    "failed",
    "opening",
    "parsing",
    "processed",
    "refused",
    "retrying",
    "returned",
    "was_refused",
]

Question = Mapping[str, object] | None
# Guards have no state, so one serves all. On the way of every call each is entered only where something failed: a `with`
# block costs two calls, a `try` block nothing.
_ANSWER = guard("hooks.answer")
_BODY = guard("hooks.body")
_BUILD = guard("hooks.build")
_CLOSE = guard("hooks.close")
_ENTER = guard("hooks.enter")
_FAILED = guard("hooks.failed")
_OPEN = guard("hooks.open")
_REFUSED = guard("hooks.refused")
_REPEAT = guard("hooks.repeat")
_RETRY = guard("hooks.retry")
_RETURNED = guard("hooks.returned")
_STREAM = guard("hooks.stream")


def enter(client: Any, service: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call | None:
    """A call begins; None where it is not metered."""
    call = None
    try:
        abandoned.settle_left()
        call = place(client, service, kwargs["options"] if "options" in kwargs else args[1], is_whole=True)
        if call is not None:
            call.enter(client, is_stream=bool(kwargs.get("stream")), stream_class=kwargs.get("stream_cls"))
    except Exception:
        with _ENTER:
            raise
    return call


def opening(client: Any, service: str, options: Any) -> tuple[Call | None, Question]:
    """A request is about to be built. Returns its call, and what is to be sent besides."""
    call: Call | None = None
    question: Question = None
    try:
        call = current.get()
        if call is None:
            call = place(client, service, options, is_whole=False)
        if call is not None:
            question = call.question(client, options)
    except Exception:
        with _BUILD:
            raise
    return call, question


def built(call: Call, options: Any, request: Any, *, is_asked: bool, retries: int) -> None:
    """A request is built, and leaves next: journal the intent."""
    try:
        if of(request) is not None:  # wrapped twice, by whatever chance: one attempt is one row
            return
        asked = whole(options)
        where = call.endpoint
        if asked is None or "model" not in asked:  # a cloud's client may have moved the model into the path
            path = request.url.raw_path.decode("ascii", "replace")
            where = capture.endpoint(where.service, "POST", path) or where
        exchange = Exchange(call, where, asked, is_asked=is_asked)
        request.extensions[KEY] = exchange
        call.exchanges.append(exchange)
        call.show_attempt(is_stream=asked is not None and asked.get("stream") is True)
        exchange.open(max(retries, call.attempts))
        call.attempts += 1
    except Exception:
        with _OPEN:
            raise


def answered(kwargs: Mapping[str, Any]) -> Exchange | None:
    """An answer has come, whole or its beginning; None where it is not metered."""
    exchange: Exchange | None = None
    try:
        response = kwargs["response"]
        exchange = of_request(response)
        if exchange is not None:
            response.extensions[KEY] = exchange
            _receive(exchange, response, is_stream=bool(kwargs.get("stream")))
    except Exception:
        with _ANSWER:
            raise
    return exchange


def processed(exchange: Exchange, response: Any) -> None:
    """The SDK has made of the answer what the application gets."""
    if not exchange.is_streaming:
        try:
            exchange.settle_response(response)
        except Exception:
            with _BODY:
                raise


def refused(response: Any) -> None:
    """An answer of 4xx or 5xx."""
    with _REFUSED:
        exchange = of_request(response)
        if exchange is not None:
            exchange.end(Outcome.FAILED, f"HTTP {response.status_code}")


def retrying(error: BaseException | None, *, is_answered: bool) -> None:
    """The attempt before the next one has failed: with a status, or by the error in hand."""
    with _RETRY:
        call = current.get()
        if call is not None:
            call.refused("HTTP error") if is_answered else call.unanswered(error)


def parsing(stream: Any) -> Exchange | None:
    """The SDK begins to parse a stream, and will show each event."""
    with _STREAM:
        return of(stream.response)
    return None


def closing(stream: Any) -> None:
    """The application closes a stream."""
    with _CLOSE:
        exchange = of(stream.response)
        if exchange is not None:
            exchange.finish()


def was_refused(call: Call | None, error: BaseException) -> bool:
    """Whether the call is to be made again, without what we added."""
    if call is not None:
        with _REPEAT:
            return call.was_refused(error)
    return False


def failed(call: Call | None, error: BaseException) -> None:
    """A call raised."""
    if call is not None:
        with _FAILED:
            call.failed(error)


def returned(call: Call | None, token: Token[Call | None]) -> None:
    """A call is over, though its stream may not be."""
    try:
        current.reset(token)
    except ValueError:  # a coroutine that was carried on in another context, or closed in one
        current.set(None)
    if call is not None:
        try:
            call.returned()
        except Exception:
            with _RETURNED:
                raise


def _receive(exchange: Exchange, response: Any, *, is_stream: bool) -> None:
    if not response.is_success:
        exchange.end(Outcome.FAILED, f"HTTP {response.status_code}")
        return
    if exchange.is_asked:
        exchange.call.was_accepted()
    if not response.is_closed:
        exchange.stream()
        body.wrap(response, exchange)
        if active.probe.get() is None:
            abandoned.watch(exchange)
    elif is_stream:  # the events are all here: a transport in memory, or a cache
        exchange.stream()
        body.read(response, exchange)
