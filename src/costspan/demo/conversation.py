"""A month of conversations, made up from a seed: who talks when, about what, for how long."""

from __future__ import annotations

import calendar
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from costspan.demo.phrases import ANSWERS, FILLERS, GUIDE, QUESTIONS, STATEMENTS, TOPICS, Topic

__all__ = ["Session", "Turn", "month"]

#: Tenants with the share of sessions they have and how many people talk there.
_TENANTS = (("acme", 6, 5), ("globex", 3, 3), ("initech", 1, 2))
_TENANT_WITH_GUIDE = "initech"
_WEEKEND_WEIGHT, _WEEKDAY_WEIGHT = 1, 4
_SATURDAY = 5
_TURNS = (10, 32)
_PAUSE_S = (10, 45)
_SENTENCES = (2, 3)


@dataclass(frozen=True, slots=True)
class Turn:
    """Something said."""

    at: datetime
    speaker: str
    """``user`` or ``assistant``."""
    text: str
    is_question: bool = False
    """Whether the application must remember something to answer it."""


@dataclass(frozen=True, slots=True)
class Session:
    """One conversation of one user of one tenant."""

    id: str
    tenant: str
    user: str
    guide: str
    """The tenant's own rules for compression; empty where it has none."""
    is_watched: bool
    """Whether someone reads the summary while it is written, so that it has to be streamed."""
    turns: tuple[Turn, ...]


def month(*, sessions: int, seed: int, first_day: date) -> list[Session]:
    """Return ``sessions`` conversations of the calendar month that begins on ``first_day``, by their beginnings.

    The same arguments return the same conversations on every machine.
    """
    chance = random.Random(seed)  # noqa: S311  # play, not cryptography
    length = calendar.monthrange(first_day.year, first_day.month)[1]
    days = [first_day + timedelta(days=number) for number in range(length)]
    weights = [_WEEKEND_WEIGHT if day.weekday() >= _SATURDAY else _WEEKDAY_WEIGHT for day in days]
    made = [_session(chance, day) for day in chance.choices(days, weights, k=sessions)]
    return sorted(made, key=lambda session: session.turns[0].at)


def _session(chance: random.Random, day: date) -> Session:
    tenant, _, users = chance.choices(_TENANTS, [share for _, share, _ in _TENANTS])[0]
    opens = datetime.combine(day, time(hour=7), tzinfo=UTC) + timedelta(seconds=chance.randrange(12 * 3600))
    return Session(
        id=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        tenant=tenant,
        user=f"{tenant}-user-{chance.randint(1, users)}",
        guide=GUIDE if tenant == _TENANT_WITH_GUIDE else "",
        is_watched=chance.random() < 1 / 4,
        turns=tuple(_turns(chance, chance.choice(TOPICS), opens)),
    )


def _turns(chance: random.Random, topic: Topic, at: datetime) -> Iterator[Turn]:
    for number in range(chance.randint(*_TURNS)):
        is_user = number % 2 == 0
        is_question = is_user and (number == 0 or chance.random() < 1 / 4)
        if is_question:
            text = _filled(chance, chance.choice(QUESTIONS), topic)
        else:
            sentences = chance.sample(STATEMENTS if is_user else ANSWERS, chance.randint(*_SENTENCES))
            text = " ".join(_filled(chance, sentence, topic) for sentence in sentences)
        yield Turn(at, "user" if is_user else "assistant", text, is_question)
        at += timedelta(seconds=chance.randint(*_PAUSE_S))


def _filled(chance: random.Random, sentence: str, topic: Topic) -> str:
    gaps = {name: chance.choice(words) for name, words in FILLERS.items()}
    text = sentence.format(subject=topic.subject, thing=chance.choice(topic.things), **gaps)
    return text[0].upper() + text[1:]
