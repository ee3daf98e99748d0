"""A conversation memory: an application as its authors would write it, with the official SDKs.

When enough was said, Claude compresses it; the summary is embedded and kept; questions search what is kept. An
embedding is asked for once per text. costspan appears in three places: who a call is for, what it is for, and what the
cache spared.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import mul

from anthropic import Anthropic
from anthropic.types import TextBlockParam
from openai import OpenAI

import costspan

__all__ = ["Conversation", "ConversationMemory", "Memory"]

COMPRESSOR = "claude-3-5-haiku-latest"
EMBEDDER = "text-embedding-3-large"
DIMENSIONS = 1024
TURNS_PER_SUMMARY = 8
_LONGEST_SUMMARY = 256
_KEPT_PER_USER = 50
_CACHED_EMBEDDINGS = 512
_INSTRUCTION = "Compress the conversation: what was decided, what is open, who does it, by when."


@dataclass(frozen=True, slots=True)
class Memory:
    """A stretch of conversation, compressed."""

    summary: str
    vector: Sequence[float]


@dataclass(slots=True)
class Conversation:
    """One that is going on."""

    session: str
    tenant: str
    user: str
    guide: str = ""
    """The tenant's own rules for compression."""
    is_watched: bool = False
    """Whether a summary is shown while it is written."""
    unheard: list[str] = field(default_factory=list)
    """What was said since the last summary."""


class ConversationMemory:
    """Remembers, per user, what was said."""

    def __init__(self, claude: Anthropic, openai: OpenAI) -> None:
        self._claude = claude
        self._openai = openai
        self._kept: defaultdict[tuple[str, str], deque[Memory]] = defaultdict(lambda: deque(maxlen=_KEPT_PER_USER))
        self._embeddings: OrderedDict[bytes, tuple[list[float], int]] = OrderedDict()

    def hear(self, conversation: Conversation, speaker: str, text: str) -> None:
        """Take in what was said; compress and keep it when there is enough."""
        conversation.unheard.append(f"{speaker}: {text}")
        if len(conversation.unheard) < TURNS_PER_SUMMARY:
            return
        with costspan.attribute(tenant=conversation.tenant, session=conversation.session, user=conversation.user):
            summary = self._compress(conversation)
            with costspan.attribute(feature="embedding"):
                memory = Memory(summary, self._embed(summary))
        self._kept[conversation.tenant, conversation.user].append(memory)
        conversation.unheard.clear()

    def recall(self, conversation: Conversation, question: str, limit: int = 3) -> list[Memory]:
        """Return what is kept of this user that is nearest to ``question``, the nearest first."""
        who = costspan.attribute(
            tenant=conversation.tenant, session=conversation.session, user=conversation.user, feature="search"
        )
        with who:
            wanted = self._embed(question)
        kept = self._kept[conversation.tenant, conversation.user]
        return sorted(kept, key=lambda memory: sum(map(mul, wanted, memory.vector)), reverse=True)[:limit]

    @costspan.attribute(feature="compression")
    def _compress(self, conversation: Conversation) -> str:
        system: list[TextBlockParam] = [{"type": "text", "text": _INSTRUCTION}]
        if conversation.guide:  # the same for every conversation of the tenant, so it is worth a place in the cache
            system = [{"type": "text", "text": conversation.guide, "cache_control": {"type": "ephemeral"}}, *system]
        said = "\n".join(conversation.unheard)
        if conversation.is_watched:
            with self._claude.messages.stream(
                model=COMPRESSOR,
                max_tokens=_LONGEST_SUMMARY,
                system=system,
                messages=[{"role": "user", "content": said}],
            ) as stream:
                return "".join(stream.text_stream)
        message = self._claude.messages.create(
            model=COMPRESSOR, max_tokens=_LONGEST_SUMMARY, system=system, messages=[{"role": "user", "content": said}]
        )
        return "".join(block.text for block in message.content if block.type == "text")

    def _embed(self, text: str) -> list[float]:
        key = hashlib.sha256(text.encode()).digest()
        if key in self._embeddings:
            self._embeddings.move_to_end(key)
            vector, tokens = self._embeddings[key]
            costspan.cache_hit("embeddings", tokens=tokens, model=EMBEDDER)
            return vector
        costspan.cache_miss("embeddings", model=EMBEDDER)
        answer = self._openai.embeddings.create(model=EMBEDDER, input=text, dimensions=DIMENSIONS)
        vector = answer.data[0].embedding
        self._embeddings[key] = (vector, answer.usage.prompt_tokens)
        if len(self._embeddings) > _CACHED_EMBEDDINGS:
            self._embeddings.popitem(last=False)
        return vector
