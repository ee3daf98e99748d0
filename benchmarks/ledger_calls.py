"""A month of calls as an application with fifty tenants makes them, the same for every run of the same size.

Tenants are zipf (1.1: the largest has 27 % of the calls). A session belongs to a tenant and a user, lives for minutes to
hours on one day (a few over days) and makes its calls in traces of about four. 36 % of the chats read from the provider's
cache; 1.5 % have what a row has no column for: searches, an estimate, a model that nobody has a price for.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from zoneinfo import ZoneInfo

from costspan.event import CallEvent, Line

__all__ = ["TENANTS", "Month", "Totals"]

TENANTS = 50
_ZIPF = 1.1
_USERS = 3000
_FEATURES = ("chat", "search", "summary", "compression", "memory", "triage", "draft", "review", "support", "report")
_MULTI_DAY, _SECOND_FEATURE = 0.03, 0.15
_CACHED = 0.36
_SEARCHED, _ESTIMATED, _UNPRICED = 0.007, 0.004, 0.004
_TRACE_SIZES = (1, 2, 3, 3, 4, 4, 4, 5, 6, 8)
_DAY_US = 86_400_000_000
_SLOT_US = 1_800_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ANSWER = '{"model":"%s","usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}'


@dataclass(frozen=True, slots=True)
class _Model:
    service: str
    operation: str
    name: str
    share: int
    rates: dict[str, int]
    """Dollars x 10^-18 a token."""
    reasons: bool = False


def _rates(fresh: int, out: int, read: int, write: int = 0) -> dict[str, int]:
    """From thousandths of a dollar a million tokens."""
    units = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens")
    return {unit: rate * 10**9 for unit, rate in zip(units, (fresh, out, read, write), strict=True) if rate}


_MODELS = (
    _Model("anthropic", "chat", "claude-haiku-4-5", 22, _rates(1000, 5000, 100, 1250)),
    _Model("anthropic", "chat", "claude-sonnet-4-5", 14, _rates(3000, 15000, 300, 3750)),
    _Model("anthropic", "chat", "claude-3-5-haiku-latest", 10, _rates(800, 4000, 80, 1000)),
    _Model("openai", "chat", "gpt-5-mini", 16, _rates(250, 2000, 25), reasons=True),
    _Model("openai", "chat", "gpt-4.1-nano", 12, _rates(100, 400, 25)),
    _Model("openai", "text_completion", "gpt-4o-mini", 6, _rates(150, 600, 75)),
    _Model("openai", "embeddings", "text-embedding-3-large", 14, _rates(130, 0, 0)),
    _Model("openai", "embeddings", "text-embedding-3-small", 6, _rates(20, 0, 0)),
)
_SHARES = list(accumulate(model.share for model in _MODELS))


@dataclass(slots=True)
class Totals:
    """Sums of some calls."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_pico: int = 0

    def add(self, other: Totals) -> None:
        """Add ``other``."""
        self.calls += other.calls
        self.tokens_in += other.tokens_in
        self.tokens_out += other.tokens_out
        self.cost_pico += other.cost_pico


@dataclass(frozen=True, slots=True)
class _Session:
    seed: int
    tenant: int
    name: str
    user: str
    features: tuple[str, str]
    start_us: int
    length_us: int
    calls: int

    @property
    def days(self) -> range:
        return range(self.start_us // _DAY_US, (self.start_us + self.length_us) // _DAY_US + 1)


@dataclass(slots=True)
class Month:
    """``rows`` calls over ``days`` days that end with ``last_day``, and what they sum up to.

    Args:
        sessions: how many; fewer for small runs, or each would have but a call or two.
    """

    rows: int
    days: int
    last_day: date
    sessions: int
    truth: dict[tuple[int, int], Totals] = field(default_factory=dict)
    """Sums by tenant and half hour since 1970, of what `day` gave out so far."""
    by_feature: dict[tuple[int, str], Totals] = field(default_factory=dict)
    samples: list[CallEvent] = field(default_factory=list)
    """Some calls of each day."""
    tenants: list[str] = field(init=False)
    _of_day: list[list[_Session]] = field(init=False)

    def __post_init__(self) -> None:
        chance = random.Random(self.rows)  # noqa: S311  # the same in every run
        self.tenants = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(TENANTS)]
        self._of_day = [[] for _ in range(self.days)]
        for session in self._sessions(chance):
            for day in session.days:
                self._of_day[day].append(session)

    @property
    def first_day(self) -> date:
        """The first day (UTC) with calls."""
        return self.last_day - timedelta(days=self.days - 1)

    def instant(self, day: int) -> datetime:
        """The beginning of a day (UTC), counted from 0."""
        return datetime.combine(self.first_day + timedelta(days=day), datetime.min.time(), UTC)

    def bounds(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """The month by a zone's days."""
        return tuple(  # type: ignore[return-value]  # two
            datetime.combine(day, datetime.min.time(), zone)
            for day in (self.first_day, self.last_day + timedelta(days=1))
        )

    def _sessions(self, chance: random.Random) -> Iterator[_Session]:
        weights = list(accumulate((number + 1) ** -_ZIPF for number in range(TENANTS)))
        calls = list(accumulate(chance.lognormvariate(0, 0.8) for _ in range(self.sessions)))
        given = 0
        for number in range(self.sessions):
            upto = round(self.rows * calls[number] / calls[-1])
            tenant = chance.choices(range(TENANTS), cum_weights=weights)[0]
            start, length = self._lifetime(chance)
            yield _Session(
                seed=chance.getrandbits(32),
                tenant=tenant,
                name=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
                user=f"user-{tenant * _USERS // TENANTS + int(chance.random() ** 2 * _USERS / TENANTS):05d}",
                features=self._features(chance),
                start_us=start,
                length_us=length,
                calls=upto - given,
            )
            given = upto

    @staticmethod
    def _features(chance: random.Random) -> tuple[str, str]:
        first = chance.choice(_FEATURES)
        return first, chance.choice(_FEATURES) if chance.random() < _SECOND_FEATURE else first

    def _lifetime(self, chance: random.Random) -> tuple[int, int]:
        day = chance.randrange(self.days)
        if chance.random() < _MULTI_DAY:
            start = day * _DAY_US + chance.randrange(_DAY_US)
            return start, min(chance.randrange(_DAY_US, 3 * _DAY_US), self.days * _DAY_US - start - 1)
        length = int(min(max(chance.lognormvariate(3.2, 1), 1), 720) * 60_000_000)
        noon = min(max(chance.gauss(0.55, 0.2), 0), 0.999_999)
        return day * _DAY_US + int(noon * (_DAY_US - length)), length

    def day(self, number: int) -> list[CallEvent]:
        """The calls of a day, in the order in which they left; each adds to `truth`."""
        midnight = (self.first_day - _EPOCH.date()).days * _DAY_US
        first, after = number * _DAY_US, (number + 1) * _DAY_US
        planned = [
            (at, trace, session)
            for session in self._of_day[number]
            for at, trace in _instants(session)
            if first <= at < after
        ]
        planned.sort(key=lambda call: call[0])
        chance = random.Random(f"{self.rows} {number}")  # noqa: S311  # the same in every run
        events = [self._event(chance, midnight + at, trace, session) for at, trace, session in planned]
        self.samples += events[:: max(1, len(events) // 40)]
        return events

    def _event(self, chance: random.Random, at_us: int, trace: bytes, session: _Session) -> CallEvent:
        model = chance.choices(_MODELS, cum_weights=_SHARES)[0]
        quantities = _quantities(chance, model)
        feature = session.features[chance.random() < 0.3]
        tokens_out = quantities.get("output_tokens", 0)
        tokens_in = sum(quantities.values()) - tokens_out
        kind, more = chance.random(), {}
        name, rates = model.name, model.rates
        if kind < _SEARCHED and model.operation == "chat":
            quantities["web_searches"] = chance.randrange(1, 5)
            rates = {**rates, "web_searches": 10**16}
        elif kind < _SEARCHED + _ESTIMATED:
            evidence = _ANSWER % (name, tokens_in, tokens_out, tokens_in + tokens_out)
            more = {"status": "estimated", "problem": "the provider sent no usage", "evidence": evidence}
        elif kind < _SEARCHED + _ESTIMATED + _UNPRICED:
            name, rates = "in-house-model", {}
            evidence = _ANSWER % (name, tokens_in, tokens_out, tokens_in + tokens_out)
            more = {"status": "unpriced", "problem": f"no price is known for {name}", "evidence": evidence}
        lines = [_line(name, unit, quantity, rates) for unit, quantity in quantities.items()]
        cost = sum(line.amount_pico or 0 for line in lines) if rates else None
        self._count(session.tenant, at_us, feature, Totals(1, tokens_in, tokens_out, cost or 0))
        return CallEvent(
            attempt=b"\0" * 16,
            at_ns=at_us * 1000,
            duration_ms=int(chance.lognormvariate(6.6, 0.8)),
            service=model.service,
            provider=model.service,
            operation=model.operation,
            model=name,
            request_model=name,
            cost_pico=cost,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            quantities=quantities,
            reasoning=int(tokens_out * chance.random()) if model.reasons else 0,
            terms="standard",
            price_version="genai-prices 0.2.3",
            lines=lines,
            tenant=self.tenants[session.tenant],
            session=session.name,
            user=session.user,
            feature=feature,
            trace_id=trace,
            span_id=chance.randbytes(8),
            **{"status": "priced", **more},
        )

    def _count(self, tenant: int, at_us: int, feature: str, totals: Totals) -> None:
        self.truth.setdefault((tenant, at_us // _SLOT_US), Totals()).add(totals)
        self.by_feature.setdefault((tenant, feature), Totals()).add(totals)

    def total(self, tenant: int | None = None, start: datetime | None = None, end: datetime | None = None) -> Totals:
        """The sums of a tenant's calls (None: everybody's) in [start, end), which begin and end at a half hour."""
        first = (start - _EPOCH) // timedelta(minutes=30) if start else 0
        after = (end - _EPOCH) // timedelta(minutes=30) if end else 1 << 60
        sums = Totals()
        for (whose, slot), totals in self.truth.items():
            if (tenant is None or whose == tenant) and first <= slot < after:
                sums.add(totals)
        return sums

    def ranked(self) -> list[int]:
        """The tenants, those with most calls first."""
        calls = [0] * TENANTS
        for (tenant, _), totals in self.truth.items():
            calls[tenant] += totals.calls
        return sorted(range(TENANTS), key=lambda tenant: -calls[tenant])


def _instants(session: _Session) -> Iterator[tuple[int, bytes]]:
    """When each call of a session leaves, and its trace."""
    chance = random.Random(session.seed)  # noqa: S311  # the same in every run
    left = session.calls
    while left:
        size = min(left, chance.choice(_TRACE_SIZES))
        trace = chance.randbytes(16)
        at = session.start_us + int(chance.random() * session.length_us)
        last = session.start_us + session.length_us
        for _ in range(size):
            yield at, trace
            at = min(at + int(chance.expovariate(0.5) * 1_000_000), last)
        left -= size


def _quantities(chance: random.Random, model: _Model) -> dict[str, int]:
    tokens_in = int(chance.lognormvariate(7.3, 1.1)) + 1
    if model.operation == "embeddings":
        return {"input_tokens": tokens_in}
    tokens_out = int(chance.lognormvariate(5.6, 0.9)) + 1
    if chance.random() >= _CACHED / 0.8:  # of all calls: a fifth embeds
        return {"input_tokens": tokens_in, "output_tokens": tokens_out}
    cached = 1024 + int(chance.random() * 8 * tokens_in)
    found = {"input_tokens": tokens_in, "output_tokens": tokens_out, "cache_read_tokens": cached}
    if "cache_write_5m_tokens" in model.rates and chance.random() < 0.25:
        found["cache_write_5m_tokens"] = 1 + int(chance.random() * tokens_in)
    return found


def _line(model: str, unit: str, quantity: int, rates: dict[str, int]) -> Line:
    if unit not in rates:
        return Line(model, unit, quantity, None, None, "none")
    return Line(model, unit, quantity, rates[unit], quantity * rates[unit] // 1_000_000, "list")
