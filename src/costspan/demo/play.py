"""The month, played: providers serve, costspan meters, the conversation memory talks and remembers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta

from anthropic import Anthropic
from anthropic import DefaultHttpxClient as AnthropicHttp
from openai import DefaultHttpxClient as OpenAIHttp
from openai import OpenAI

import costspan
from costspan.demo.clock import SimulatedClock
from costspan.demo.conversation import Session, Turn, month
from costspan.demo.memory import COMPRESSOR, Conversation, ConversationMemory
from costspan.demo.providers import Providers, providers
from costspan.errors import ConfigurationError, LedgerUnavailable
from costspan.settings import Settings

__all__ = ["Plan", "last_month", "play", "talk"]

_FAULT_EVERY = 25
_FLUSH_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to play. The same plan is the same month, to the digit."""

    first_day: date
    sessions: int = 100
    seed: int = 3


def last_month(today: date) -> date:
    """Return the first day of the last month that is over: its bill is final, as a provider's invoice is."""
    return (today.replace(day=1) - timedelta(days=1)).replace(day=1)


@contextmanager
def play(plan: Plan, settings: Settings, *, on_turn: Callable[[int, int], None]) -> Iterator[Providers]:
    """Play ``plan``; when the block begins everything has been said, billed and booked. The providers still serve in it.

    Args:
        plan: the month.
        settings: where to meter to; its ledger should be empty.
        on_turn: told after each turn how many were taken, and of how many.

    Raises:
        ConfigurationError: when an installed SDK cannot be metered.
        LedgerUnavailable: when what was metered did not land in time; the journal has it.
    """
    sessions = month(sessions=plan.sessions, seed=plan.seed, first_day=plan.first_day)
    clock = SimulatedClock(sessions[0].turns[0].at)
    with providers(clock, fault_every=_FAULT_EVERY) as served:
        found = costspan.instrument(settings, clock=clock)
        try:
            if not found.is_complete:
                raise ConfigurationError(f"an SDK of the demo cannot be metered: {found}")
            talk(served, sessions, clock, on_turn)
            if not costspan.flush(_FLUSH_S):
                raise LedgerUnavailable(f"not everything landed in the ledger within {_FLUSH_S:.0f} s.")
            yield served
        finally:
            costspan.uninstrument()


def talk(
    served: Providers, sessions: list[Session], clock: SimulatedClock, on_turn: Callable[[int, int], None]
) -> ConversationMemory:
    """Let ``sessions`` take their turns in the order of time, several of them at once where they overlap."""
    going = {session.id: _conversation(session) for session in sessions}
    turns = sorted(((session, turn) for session in sessions for turn in session.turns), key=lambda taken: taken[1].at)
    # Loopback is reached directly, whatever proxy the environment names.
    with (
        Anthropic(base_url=served.anthropic_url, api_key="demo", http_client=AnthropicHttp(trust_env=False)) as claude,
        OpenAI(base_url=served.openai_url, api_key="demo", http_client=OpenAIHttp(trust_env=False)) as openai,
        warnings.catch_warnings(),
    ):
        # The SDK says that the model is retired. So it is; the demo keeps the model and the price of its contract.
        warnings.filterwarnings("ignore", f"The model '{COMPRESSOR}' is deprecated", DeprecationWarning)
        memory = ConversationMemory(claude, openai)
        for taken, (session, turn) in enumerate(turns, start=1):
            clock.set(turn.at)
            _take(memory, going[session.id], turn)
            on_turn(taken, len(turns))
    return memory


def _conversation(session: Session) -> Conversation:
    return Conversation(session.id, session.tenant, session.user, session.guide, session.is_watched)


def _take(memory: ConversationMemory, conversation: Conversation, turn: Turn) -> None:
    if turn.is_question:
        memory.recall(conversation, turn.text)
    memory.hear(conversation, turn.speaker, turn.text)
