"""The prompt cache of the demo's Anthropic."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from costspan.demo.prompt_cache import FIVE_MINUTES, ONE_HOUR, Block, CacheUse, PromptCache

MODEL = "claude-3-5-haiku-latest"
MINUTE = 60 * 10**9


class Hand:
    """A clock that is turned by hand."""

    def __init__(self):
        self.now = 10**18

    def __call__(self):
        """Nanoseconds since the epoch."""
        return self.now


def cache(clock=None):
    """An empty cache with Claude Haiku's minimum."""
    return PromptCache(clock or Hand(), minimum_tokens=2048)


GUIDE = Block("guide", 2138, FIVE_MINUTES)
SAID = Block("said", 460)


def test_the_first_request_writes_and_the_second_reads():
    """Writes and reads are the marked prefix; what follows is fresh each time."""
    here = cache()

    first, second = here.use(MODEL, [GUIDE, SAID]), here.use(MODEL, [GUIDE, Block("other", 7)])

    assert first == CacheUse(fresh=460, read=0, written_5m=2138, written_1h=0)
    assert second == CacheUse(fresh=7, read=2138, written_5m=0, written_1h=0)


def test_a_prefix_is_forgotten_after_five_minutes_without_a_read():
    """Each read renews it, on the simulation's clock."""
    clock = Hand()
    here = cache(clock)
    here.use(MODEL, [GUIDE, SAID])

    clock.now += 4 * MINUTE
    renewed = here.use(MODEL, [GUIDE, SAID])
    clock.now += 4 * MINUTE
    still_there = here.use(MODEL, [GUIDE, SAID])
    clock.now += 5 * MINUTE
    gone = here.use(MODEL, [GUIDE, SAID])

    assert (renewed.read, still_there.read, gone.read) == (2138, 2138, 0)
    assert gone.written_5m == 2138


def test_an_hour_is_an_hour():
    """A prefix marked with `ttl: 1h` outlives one of five minutes, and is counted apart."""
    clock = Hand()
    here = cache(clock)
    guide = Block("guide", 2138, ONE_HOUR)
    wrote = here.use(MODEL, [guide, SAID])

    clock.now += 59 * MINUTE
    read = here.use(MODEL, [guide, SAID])

    assert wrote == CacheUse(fresh=460, read=0, written_5m=0, written_1h=2138)
    assert read.read == 2138


def test_a_short_prefix_is_not_cached():
    """Below the model's minimum a mark is ignored without an error, as Anthropic does."""
    here = cache()
    short = Block("short", 2047, FIVE_MINUTES)

    uses = [here.use(MODEL, [short, SAID]) for _ in range(2)]

    assert uses == [CacheUse(fresh=2507, read=0, written_5m=0, written_1h=0)] * 2


def test_a_longer_conversation_reads_what_the_shorter_one_wrote():
    """Blocks before a mark are searched for a prefix that an earlier request wrote; only the rest is written."""
    here = cache()
    here.use(MODEL, [GUIDE, Block("turn 1", 100, FIVE_MINUTES)])

    use = here.use(MODEL, [GUIDE, Block("turn 1", 100), Block("turn 2", 50), Block("turn 3", 30, FIVE_MINUTES)])

    assert use == CacheUse(fresh=0, read=2238, written_5m=80, written_1h=0)


def test_two_marks_of_different_lives_are_split():
    """What lies up to the one-hour mark is written for an hour, the rest for five minutes."""
    here = cache()

    use = here.use(MODEL, [Block("guide", 2138, ONE_HOUR), Block("notes", 300, FIVE_MINUTES), SAID])

    assert use == CacheUse(fresh=460, read=0, written_5m=300, written_1h=2138)


def test_models_do_not_share_a_cache():
    """A prefix that one model cached is new to another."""
    here = cache()
    here.use(MODEL, [GUIDE, SAID])

    assert here.use("claude-haiku-4-5", [GUIDE, SAID]).read == 0


blocks = st.builds(
    Block,
    st.sampled_from("abc"),
    st.integers(min_value=0, max_value=3000),
    st.sampled_from([0, 0, FIVE_MINUTES, ONE_HOUR]),
)


@given(st.lists(st.lists(blocks, min_size=1, max_size=6), max_size=5))
def test_every_token_of_a_prompt_is_counted_once(prompts):
    """Fresh, read and written tokens are disjoint and add up to the prompt."""
    here = cache()

    for prompt in prompts:
        use = here.use(MODEL, prompt)

        assert min(use.fresh, use.read, use.written_5m, use.written_1h) >= 0
        assert use.fresh + use.read + use.written_5m + use.written_1h == sum(block.tokens for block in prompt)
