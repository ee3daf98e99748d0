"""Names from outside, made safe for every sink: Postgres, Prometheus, OpenTelemetry and a terminal."""

from __future__ import annotations

import hashlib
import re

__all__ = ["MAX_NAME", "clean"]

#: Characters of a model, tenant, session, user or feature name. Longer ones keep their start and get a digest.
MAX_NAME = 256
_DIGEST = 12
#: Control characters (NUL kills a Postgres insert, a newline forges a log line), lone surrogates (one kills a whole
#: Prometheus scrape) and direction marks (they make a name read as another one).
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def clean(value: object) -> str:
    """Return ``value`` as a name of at most `MAX_NAME` safe characters.

    Unsafe characters become U+FFFD. A longer name is cut and ends in ``~`` and a digest of the whole, so two long
    names that differ stay two names.
    """
    text = value if type(value) is str else _as_text(value)
    if len(text) <= MAX_NAME and text.isascii() and text.isprintable():  # nearly every name there is
        return text
    safe = _UNSAFE.sub("\ufffd", text[: MAX_NAME + 1])
    if len(text) > MAX_NAME:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
        safe = f"{safe[: MAX_NAME - _DIGEST - 1]}~{digest}"
    return safe


def _as_text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # an application's own __str__ may do anything; a name is never worth its call
        return f"<{type(value).__name__}>"
