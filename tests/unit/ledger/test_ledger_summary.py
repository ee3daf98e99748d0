"""What sums say besides themselves: shares and classes, exact."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from costspan.ledger import SummaryRow
from costspan.ledger.summary import total

counts = st.integers(0, 10**9)
dollars = st.integers(0, 10**21).map(lambda pico: Decimal(pico).scaleb(-12))


@st.composite
def rows(draw: st.DrawFn) -> SummaryRow:
    """Of calls of every status."""
    statuses = {name: draw(counts) for name in ("priced", "estimated", "partial", "unpriced", "invalid")}
    priced, estimated, partial = draw(dollars), draw(dollars), draw(dollars)
    reads, writes, reasoning = draw(counts), draw(counts), draw(counts)
    return SummaryRow(
        calls=sum(statuses.values()),
        **statuses,
        tokens_in=draw(counts) + reads + writes,
        tokens_out=draw(counts) + reasoning,
        cache_read=reads,
        cache_write=writes,
        reasoning=reasoning,
        cost=priced + estimated + partial,
        cost_not_priced=estimated + partial,
        cost_estimated=estimated,
    )


@given(rows())
def test_shares_are_exact_and_together_all(row):
    """Of calls and of dollars; none where there is nothing to share."""
    assert sum(row.calls_by_status.values()) == row.calls
    assert sum(row.cost_by_status.values()) == row.cost
    assert sum(row.call_shares.values()) == (1 if row.calls else 0)
    assert sum(row.cost_shares.values()) == (1 if row.cost else 0)
    assert all(share * row.calls == row.calls_by_status[status] for status, share in row.call_shares.items())


@given(rows())
def test_classes_of_tokens_do_not_overlap(row):
    """Together they are what was read and written."""
    assert sum(row.tokens_by_class.values()) == row.tokens_in + row.tokens_out
    assert min(row.tokens_by_class.values()) >= 0


@given(st.lists(rows(), max_size=5))
def test_a_total_has_the_shares_of_all(found):
    """Whatever is summed by row is summed in the total, to the digit."""
    whole = total(found)

    for status in whole.calls_by_status:
        assert whole.calls_by_status[status] == sum(row.calls_by_status[status] for row in found)
    for status in whole.cost_by_status:
        assert whole.cost_by_status[status] == sum((row.cost_by_status[status] for row in found), Decimal())
