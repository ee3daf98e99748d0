"""The functions that stand in place of the SDKs' own, each around the one it was made for.

Each calls the original once, and hands its result or exception on untouched. The SDKs' private signatures are the same
in every version from the floors on; `selftest` makes sure of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from costspan.guard import guard
from costspan.hooks import points
from costspan.hooks.call import current
from costspan.hooks.exchange import KEY, Exchange
from costspan.hooks.injection import HIDDEN
from costspan.hooks.stream import awatched, watched

__all__ = [
    "around_async_close",
    "around_async_iteration",
    "around_async_processing",
    "around_async_request",
    "around_build",
    "around_close",
    "around_data",
    "around_iteration",
    "around_processing",
    "around_request",
    "around_retry",
    "around_retry_wait",
    "around_status_error",
]

Function = Callable[..., Any]
_TAKE = guard("hooks.take")
_NONE: dict[str, object] = {}


def around_request(original: Function, service: str) -> Function:
    """One call of the application, with all its attempts."""

    @wraps(original)
    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = points.enter(self, service, args, kwargs)
        if call is None and current.get() is None:
            return original(self, *args, **kwargs)
        token = current.set(call)
        try:
            try:
                return original(self, *args, **kwargs)
            except BaseException as error:
                if not points.was_refused(call, error):
                    raise
            # Outside of the handler: what we added leaves no trace, in the context of an exception neither.
            return original(self, *args, **kwargs)
        except BaseException as error:
            points.failed(call, error)
            raise
        finally:
            points.returned(call, token)

    return request


def around_async_request(original: Function, service: str) -> Function:
    """Like `around_request`."""

    @wraps(original)
    async def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = points.enter(self, service, args, kwargs)
        if call is None and current.get() is None:
            return await original(self, *args, **kwargs)
        token = current.set(call)
        try:
            try:
                return await original(self, *args, **kwargs)
            except BaseException as error:
                if not points.was_refused(call, error):
                    raise
            return await original(self, *args, **kwargs)
        except BaseException as error:
            points.failed(call, error)
            raise
        finally:
            points.returned(call, token)

    return request


def around_build(original: Function, service: str) -> Function:
    """One attempt: its request is built, and leaves next."""

    @wraps(original)
    def _build_request(self: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        call, question = points.opening(self, service, options)
        if call is None:
            return original(self, options, *args, **kwargs)
        extra = options.extra_json
        if question is not None:
            options.extra_json = {**(extra or _NONE), **question}
        try:
            request = original(self, options, *args, **kwargs)
        finally:
            if question is not None:
                options.extra_json = extra
        retries = kwargs.get("retries_taken", 0)
        points.built(call, options, request, is_asked=question is not None, retries=retries)
        return request

    return _build_request


def around_processing(original: Function, _service: str) -> Function:
    """One answer, on its way into what the application gets."""

    @wraps(original)
    def _process_response(self: Any, *args: Any, **kwargs: Any) -> Any:
        exchange = points.answered(kwargs)
        if exchange is None:
            return original(self, *args, **kwargs)
        try:
            return original(self, *args, **kwargs)
        finally:
            points.processed(exchange, kwargs["response"])

    return _process_response


def around_async_processing(original: Function, _service: str) -> Function:
    """Like `around_processing`."""

    @wraps(original)
    async def _process_response(self: Any, *args: Any, **kwargs: Any) -> Any:
        exchange = points.answered(kwargs)
        if exchange is None:
            return await original(self, *args, **kwargs)
        try:
            return await original(self, *args, **kwargs)
        finally:
            points.processed(exchange, kwargs["response"])

    return _process_response


def around_data(original: Function, _service: str) -> Function:
    """A parsed body, or one event of a stream, as the provider sent it. Hot: once for each chunk."""

    @wraps(original)
    def _process_response_data(self: Any, *, data: Any, cast_to: Any, response: Any) -> Any:
        try:
            exchange = response.extensions[KEY]
        except (AttributeError, KeyError, TypeError):  # not metered, or a stand-in for a response
            exchange = None
        if exchange.__class__ is Exchange:
            try:
                data = exchange.take(data)
            except Exception:
                with _TAKE:  # entered only where something failed: this runs for each chunk
                    raise
            if data is HIDDEN:
                return data
        return original(self, data=data, cast_to=cast_to, response=response)

    return _process_response_data


def around_iteration(original: Function, _service: str) -> Function:
    """The generator of a stream's items."""

    @wraps(original)
    def iteration(self: Any) -> Any:
        items = original(self)
        exchange = points.parsing(self)
        return items if exchange is None else watched(items, exchange)

    return iteration


def around_async_iteration(original: Function, _service: str) -> Function:
    """Like `around_iteration`."""

    @wraps(original)
    def iteration(self: Any) -> Any:
        items = original(self)
        exchange = points.parsing(self)
        return items if exchange is None else awatched(items, exchange)

    return iteration


def around_close(original: Function, _service: str) -> Function:
    """A stream closed by the application: settled before the SDK ends a span of its own."""

    @wraps(original)
    def close(self: Any) -> Any:
        points.closing(self)
        return original(self)

    return close


def around_async_close(original: Function, _service: str) -> Function:
    """Like `around_close`."""

    @wraps(original)
    async def close(self: Any) -> Any:
        points.closing(self)
        return await original(self)

    return close


def around_retry(original: Function, _service: str) -> Function:
    """An answer of 4xx or 5xx, while attempts are left."""

    @wraps(original)
    def _should_retry(self: Any, response: Any) -> Any:
        points.refused(response)
        return original(self, response)

    return _should_retry


def around_status_error(original: Function, _service: str) -> Function:
    """An answer of 4xx or 5xx that becomes the application's exception."""

    @wraps(original)
    def _make_status_error_from_response(self: Any, response: Any) -> Any:
        points.refused(response)
        return original(self, response)

    return _make_status_error_from_response


def around_retry_wait(original: Function, _service: str) -> Function:
    """A pause before the next attempt: the one before it failed, and the error in hand says how."""

    @wraps(original)
    def _calculate_retry_timeout(self: Any, remaining_retries: Any, options: Any, response_headers: Any = None) -> Any:
        points.retrying(sys.exc_info()[1], is_answered=response_headers is not None)
        return original(self, remaining_retries, options, response_headers)

    return _calculate_retry_timeout
