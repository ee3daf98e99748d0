"""The only place that touches the SDKs: their base clients' functions are replaced by ones that meter.

Fails open: an SDK that cannot be hooked (too old, changed, or failing its self-test) is left exactly as it was, and said
so in one warning.
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
from importlib import import_module, metadata, util
from typing import TYPE_CHECKING

from costspan.hooks import abandoned, active, late, patch, selftest
from costspan.hooks.report import Instrumentation, Sdk, State

if TYPE_CHECKING:
    from costspan.meter import Meter

__all__ = [
    "FLOORS",
    "Instrumentation",
    "Sdk",
    "State",
    "examine",
    "instrument",
    "report",
    "settle_streams",
    "uninstrument",
]

logger = logging.getLogger("costspan")
#: The SDKs, and the first version of each that is tested.
FLOORS = {"openai": (1, 26), "anthropic": (0, 51)}
_PATIENCE_S = 1.0
_lock = threading.RLock()
_applied: dict[str, list[patch.Applied]] = {}
_found: dict[str, Sdk] = {}


def instrument(meter: Meter, *, include_usage: str = "auto", spans: bool = True) -> Instrumentation:
    """Meter the calls of every installed SDK into ``meter``. A second time changes the meter and hooks nothing twice.

    Args:
        meter: prices and journals each attempt.
        include_usage: ``auto`` asks OpenAI streams for their usage and hides the extra chunk, ``never`` does not.
        spans: whether a call's cost goes on a span.
    """
    with _lock:
        for name in FLOORS:
            if name in sys.modules:
                _hook(name)
            else:
                _wait(name)
        active.install(meter, include_usage=include_usage == "auto", spans=spans)
        atexit.unregister(settle_streams)
        atexit.register(settle_streams)  # anew: last registered, it runs before the journal is closed
        if all(sdk.state is State.ABSENT for sdk in _found.values()):
            logger.warning("costspan meters nothing: neither %s is installed", " nor ".join(FLOORS))
        return report()


def uninstrument() -> None:
    """Put the SDKs' own functions back. A stream that is open is metered to its end."""
    with _lock:
        active.clear()
        for name in FLOORS:
            late.forget(name)
            _applied[name] = [applied for applied in _applied.get(name, []) if not patch.restore(applied)]
            _found.pop(name, None)
        abandoned.rest()


def examine(name: str) -> Sdk:
    """Return whether the SDK ``name`` can be metered: it is imported, hooked, tried with calls that never leave, and put back.

    One that is hooked already stays so, and is not tried again.
    """
    with _lock:
        known = _found.get(name)
        if known is not None and known.state is State.HOOKED:
            return known
        if util.find_spec(name) is None:
            return Sdk(name, State.ABSENT)
        try:
            import_module(name)
        except Exception as error:  # whatever an SDK raises that is broken, or lacks what it needs
            return Sdk(name, State.REFUSED, _version(name), f"it cannot be imported: {_reason(error)}")
        sdk, done = _try(name)
        for applied in done:
            patch.restore(applied)
        return sdk


def report() -> Instrumentation:
    """Which SDKs are metered now. One that was waiting may have been imported meanwhile."""
    return Instrumentation(tuple(_found.values()))


def settle_streams() -> None:
    """Settle every stream that is open or was dropped, by what was seen of it: for the end of the process."""
    abandoned.settle_all()


def _wait(name: str) -> None:
    """Hook ``name`` when the application imports it."""
    if util.find_spec(name) is None:
        _found[name] = Sdk(name, State.ABSENT)
        return
    _found[name] = Sdk(name, State.WAITING, _version(name))
    late.when_imported(name, lambda: _imported(name))


def _imported(name: str) -> None:
    # Not for ever: who holds the lock may be waiting for this very import, and then hooks the SDK itself.
    if _lock.acquire(timeout=_PATIENCE_S):
        try:
            _hook(name)
        finally:
            _lock.release()


def _hook(name: str) -> None:
    """Replace the functions of ``name``, all that are needed or none."""
    known = _found.get(name)
    if known is not None and known.state is State.HOOKED:
        return
    _found[name], done = _try(name)
    _applied[name] = [*_applied.get(name, []), *done]
    if _found[name].state is State.REFUSED:
        logger.warning("costspan does not meter %s; its calls go on untouched", _found[name])


def _try(name: str) -> tuple[Sdk, list[patch.Applied]]:
    """Replace the functions of ``name`` and make calls through them; where that fails, put all of them back."""
    version = _version(name)
    done: list[patch.Applied] = []
    try:
        selftest.check_version(name, version, FLOORS[name])
        points = patch.points(name)
        selftest.check_functions(points)
        done.extend(applied for applied in (patch.apply(point, name) for point in points) if applied is not None)
        selftest.check_calls(name)
    except Exception as error:
        for applied in done:
            patch.restore(applied)
        return Sdk(name, State.REFUSED, version, _reason(error)), []
    return Sdk(name, State.HOOKED, version), done


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, patch.Missing) else f"{type(error).__name__}: {error}"


def _version(name: str) -> str:
    said = getattr(sys.modules.get(name), "__version__", None)
    if isinstance(said, str):
        return said
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
