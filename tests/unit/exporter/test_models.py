"""What Prometheus is told of a day's calls by model."""

from __future__ import annotations

from decimal import Decimal

from costspan.exporter.models import calls_by_status, dearest_models, unpriced_calls
from costspan.ledger import Dimension, SummaryRow


def row(tenant: str, model: str, cost: str = "0", **calls: int) -> SummaryRow:
    """Sums of a tenant's calls of one model."""
    keys = {Dimension.TENANT: tenant, Dimension.SERVICE: "anthropic", Dimension.MODEL: model}
    return SummaryRow(keys, calls=sum(calls.values()), cost=Decimal(cost), **calls)


def told(metric) -> dict[tuple[str, ...], float]:
    """Its samples by label values."""
    return {tuple(sample.labels.values()): sample.value for sample in metric.samples}


def test_calls_are_told_by_status():
    """Over all models of a tenant; a status that no call has is not told."""
    rows = [row("acme", "a", priced=3, partial=1), row("acme", "b", priced=1), row("globex", "a", estimated=2)]

    assert told(calls_by_status(rows, 10)) == {
        ("acme", "priced"): 4,
        ("acme", "partial"): 1,
        ("globex", "estimated"): 2,
    }


def test_tenants_beyond_the_limit_are_summed():
    """Those with the fewest calls are `overflow` together."""
    rows = [row("acme", "a", priced=3), row("globex", "a", priced=2), row("initech", "a", priced=1, invalid=1)]

    assert told(calls_by_status(rows, 1)) == {
        ("acme", "priced"): 3,
        ("overflow", "priced"): 3,
        ("overflow", "invalid"): 1,
    }


def test_the_three_dearest_models_of_a_tenant_are_named():
    """With what each cost; models that cost nothing are not among them, and ties are the same everywhere."""
    rows = [
        *(row("acme", name, cost) for name, cost in [("d", "0.5"), ("c", "0.5"), ("b", "0.5"), ("a", "2")]),
        row("globex", "free", "0", unpriced=4),
        row("globex", "dear", "0.1"),
    ]

    wanted = {
        ("acme", "anthropic", "a"): 2,
        ("acme", "anthropic", "b"): 0.5,
        ("acme", "anthropic", "c"): 0.5,
        ("globex", "anthropic", "dear"): 0.1,
    }
    assert told(dearest_models(rows, 10)) == told(dearest_models(rows[::-1], 10)) == wanted


def test_only_tenants_that_spent_most_name_their_models():
    """At the limit, the others' models are not told."""
    rows = [row("acme", "a", "1"), row("globex", "a", "3"), row("globex", "b", "1")]

    assert told(dearest_models(rows, 1)) == {("globex", "anthropic", "a"): 3, ("globex", "anthropic", "b"): 1}


def test_unpriced_calls_are_told_by_model():
    """Models without such calls have no sample."""
    rows = [row("acme", "a", priced=3), row("acme", "llama-9", unpriced=2, priced=1), row("globex", "b", unpriced=9)]

    assert told(unpriced_calls(rows, 1)) == {("globex", "anthropic", "b"): 9}
    assert told(unpriced_calls(rows, 10))[("acme", "anthropic", "llama-9")] == 2
