"""The demo's tokenizer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from costspan.demo import tokens


@given(st.text())
def test_the_tokens_of_a_text_join_to_the_text(text):
    """Nothing of a text is lost or counted twice, whatever characters it has."""
    pieces = tokens.split(text)

    assert "".join(pieces) == text
    assert tokens.count(text) == len(pieces)


def test_english_has_about_as_many_tokens_as_with_the_real_tokenizers():
    """Between three and five characters make a token."""
    text = "We should settle the lease before Friday, because Amara needs an answer before anything else can start."

    assert 3 <= len(text) / tokens.count(text) <= 5
