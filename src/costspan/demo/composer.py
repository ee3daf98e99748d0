"""Writes answers: what a model would say is beside the point, how many tokens it says it in is not."""

from __future__ import annotations

import hashlib
import itertools
import re

from costspan.demo import tokens

__all__ = ["compose"]

_SENTENCE = re.compile(r"[^.!?]+[.!?]?")
_SHORTEST, _LONGEST = 160, 200


def compose(text: str, *, limit: int) -> tuple[str, bool]:
    """Return an answer to ``text`` of 160 to 200 tokens, and whether ``limit`` cut it short.

    It is made of the text's own sentences, every other one first, so that a summary is about what it sums up. The same
    text always gets the same answer.
    """
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    wanted = _SHORTEST + int.from_bytes(digest[:4], "big") % (_LONGEST - _SHORTEST + 1)
    sentences = _SENTENCE.findall(" ".join(text.split())) or ["Nothing was said."]
    pieces: list[str] = []
    for sentence in itertools.cycle(sentences[::2] + sentences[1::2]):
        pieces += tokens.split(f" {sentence.strip()}" if pieces else sentence.strip())
        if len(pieces) >= wanted:
            break
    if limit < wanted:
        return "".join(pieces[:limit]), True
    return "".join(pieces[: wanted - 1]) + ".", False
