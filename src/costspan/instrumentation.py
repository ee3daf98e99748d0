"""Turning metering on and off: the two lines of an application."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server

from costspan import hooks, runtime
from costspan.errors import ConfigurationError
from costspan.guard import guard

if TYPE_CHECKING:
    from costspan.hooks import Instrumentation
    from costspan.settings import Settings

__all__ = ["flush", "instrument", "start_metrics_server", "uninstrument"]

logger = logging.getLogger("costspan")


def instrument(
    settings: Settings | None = None,
    *,
    registry: CollectorRegistry | None = None,
    clock: Callable[[], int] | None = None,
) -> Instrumentation:
    """Meter every call of the installed openai and anthropic SDKs from now on; a second time changes nothing.

    Args:
        settings: instead of ``COSTSPAN_*``.
        registry: where the counters go; the default Prometheus registry when not given.
        clock: nanoseconds since the epoch, for a simulation; the system's when not given.

    Returns what was hooked, and what could not be and why. Never raises: an application starts without metering rather
    than not at all.
    """
    with guard("instrument"):
        here = runtime.start(settings, registry=registry, clock=clock)
        here.warm()
        return hooks.instrument(here.meter, include_usage=here.settings.include_usage, spans=here.settings.spans)
    return hooks.report()


def uninstrument() -> None:
    """Put the SDKs back as they were, drain what is journalled (2 s at the most) and release everything."""
    with guard("uninstrument"):
        hooks.uninstrument()
        runtime.stop()


def flush(timeout: float = 5.0) -> bool:
    """Wait until everything metered so far is in the ledger; False when that took longer than ``timeout`` seconds.

    Nothing is lost on False: the journal has it, and the drain goes on.
    """
    drainer = runtime.running().drainer
    return drainer.flush(timeout) if drainer is not None else False


def start_metrics_server(port: int = 9464, address: str = "127.0.0.1") -> int:
    """Serve this process's counters at ``http://{address}:{port}/metrics``; returns the port (0 picks a free one).

    It ends with `uninstrument`.

    Raises:
        ConfigurationError: when the address cannot be served at, as another program does.
    """
    here = runtime.running()
    try:
        server, _ = start_http_server(port, addr=address, registry=here.counters.registry)
    except OSError as error:
        raise ConfigurationError(
            f"/metrics cannot be served at {address}:{port} ({error.strerror or error}): name another port, or 0 for a free one"
        ) from error
    here.servers.append(server)
    return int(server.server_port)
