"""Every setting, read once from the environment (``COSTSPAN_*``); frozen after that.

An unusable value never breaks an application: `instrument()` takes what `Settings.usable` leaves and says what is wrong in
one warning. The command line asks `Settings.from_environment`, which refuses.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import platformdirs

from costspan.errors import ConfigurationError
from costspan.zone import zone_named

__all__ = ["PREFIX", "UNREADABLE_URL", "Settings", "is_readable", "state_dir", "variables"]

PREFIX = "COSTSPAN_"
#: Without the value: it may have a password in it.
UNREADABLE_URL = "COSTSPAN_DATABASE_URL cannot be read: allowed is postgresql://user:password@host:port/database"


def state_dir() -> Path:
    """Where costspan keeps its journal and its embedded Postgres when not told otherwise.

    Root gets the system's state directory: the embedded server must run as another user, who cannot enter root's home.
    """
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/costspan")
    return Path(platformdirs.user_state_path("costspan", appauthor=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a user may choose. Each field is ``COSTSPAN_`` and its name in capitals."""

    database_url: str = field(default="", metadata={"help": "Postgres of the ledger; empty: an embedded one"})
    state_dir: Path = field(default_factory=state_dir, metadata={"help": "folder of journal and embedded Postgres"})
    journal_dir: Path | None = field(default=None, metadata={"help": "folder of the journal (state_dir/journal)"})
    journal_max_bytes: int = field(default=1 << 30, metadata={"help": "bytes of journal on disk at the most"})
    journal_sync: str = field(
        default="group", metadata={"help": "fdatasync every 100 ms, or at each record", "allowed": ("group", "always")}
    )
    drain: str = field(
        default="thread",
        metadata={"help": "who writes to Postgres: this process, or not", "allowed": ("thread", "off")},
    )
    tenant: str = field(default="", metadata={"help": "tenant of calls that name none"})
    prices: Path | None = field(default=None, metadata={"help": "TOML file of contract prices, discounts, own models"})
    daily_budget_usd: Decimal = field(default=Decimal(10), metadata={"help": "a tenant's day, in dollars"})
    compact_after_days: int = field(
        default=1, metadata={"help": "days after which a day's calls are compacted; 0: once it is over", "least": 0}
    )
    retention_days: int | None = field(
        default=None, metadata={"help": "days that keep their calls one by one; sums are kept for ever"}
    )
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"), metadata={"help": "where a day begins"})
    include_usage: str = field(
        default="auto",
        metadata={"help": "ask OpenAI streams for their usage and hide the extra chunk", "allowed": ("auto", "never")},
    )
    spans: bool = field(default=True, metadata={"help": "put cost on spans, starting one where there is none"})
    otel_metrics: bool = field(default=False, metadata={"help": "emit OpenTelemetry metrics besides Prometheus'"})
    open_on_loopback: bool = field(
        default=False, metadata={"help": "who asks `costspan serve` from this machine needs no token"}
    )
    metrics_open: bool = field(default=False, metadata={"help": "nobody needs a token for `/metrics`"})
    requests_per_second: int = field(
        default=100, metadata={"help": "requests of a token, and of an address without one"}
    )
    max_label_values: int = field(default=100, metadata={"help": "values of a metric label; more are 'overflow'"})

    @property
    def journal_path(self) -> Path:
        """The journal's folder."""
        return self.journal_dir or self.state_dir / "journal"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read ``COSTSPAN_*``.

        Raises:
            ConfigurationError: for values that cannot be used; it names each variable and what is allowed.
        """
        settings, problems = cls.usable(environ)
        if settings.database_url and not is_readable(settings.database_url):
            problems = (*problems, UNREADABLE_URL)
        if problems:
            raise ConfigurationError("; ".join(problems))
        return settings

    @classmethod
    def usable(cls, environ: Mapping[str, str] = os.environ) -> tuple[Settings, tuple[str, ...]]:
        """Read what can be used of ``COSTSPAN_*``; where a value cannot, the default stands and a problem is told."""
        problems: list[str] = []
        known = {PREFIX + item.name.upper(): item for item in fields(cls)}
        values: dict[str, Any] = {}
        for variable, item in known.items():
            text = environ.get(variable, "").strip()
            if text:
                try:
                    values[item.name] = _parse(variable, text, item)
                except ConfigurationError as error:
                    problems.append(str(error))
        return cls(**values), tuple(problems)


def variables() -> frozenset[str]:
    """Return the name of every variable that is a setting."""
    return frozenset(PREFIX + item.name.upper() for item in fields(Settings))


def is_readable(url: str) -> bool:
    """Return whether ``url`` can be the database's. Not whether there is one."""
    # Only commands refuse: an application whose URL cannot be read goes on, and its journal keeps everything.
    import psycopg.conninfo  # noqa: PLC0415  # an application that meters does not load the driver at its start

    try:
        psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return False
    return True


def _parse(variable: str, text: str, item: Field[Any]) -> object:
    allowed = item.metadata.get("allowed")
    if allowed is not None:
        if text.lower() not in allowed:
            raise ConfigurationError(f"{variable} is {text!r}: allowed are {', '.join(allowed)}")
        return text.lower()
    kind = "natural" if item.metadata.get("least") == 0 else str(item.type).removesuffix(" | None")
    try:
        return _PARSERS[kind](text)
    except (ValueError, InvalidOperation) as error:
        raise ConfigurationError(f"{variable} is {text!r}: {_ALLOWED[kind]}") from error


def _boolean(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


def _amount(text: str) -> Decimal:
    value = Decimal(text)
    if not value.is_finite() or value < 0:
        raise ValueError(text)
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise ValueError(text)
    return value


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value


_PARSERS: dict[str, Any] = {
    "str": str,
    "Path": lambda text: Path(text).expanduser(),
    "int": _positive,
    "natural": _natural,
    "bool": _boolean,
    "Decimal": _amount,
    "ZoneInfo": zone_named,
}
_ALLOWED = {
    "str": "allowed is a text",
    "Path": "allowed is a path",
    "int": "allowed are whole numbers above 0",
    "natural": "allowed are whole numbers from 0",
    "bool": "allowed are on and off",
    "Decimal": "allowed is an amount in dollars, 0 or more",
    "ZoneInfo": "allowed are IANA time zones such as Europe/Berlin",
}
