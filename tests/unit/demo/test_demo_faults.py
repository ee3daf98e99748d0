"""Failures by the calendar."""

from __future__ import annotations

import pytest

from costspan.demo.faults import ANTHROPIC_FAULTS, OPENAI_FAULTS, Faults


@pytest.mark.parametrize("kinds", [OPENAI_FAULTS, ANTHROPIC_FAULTS])
def test_faults_come_at_the_same_places_in_every_run(kinds):
    """Each so-many-th request fails, the kinds take turns, and no two fail in a row."""
    faults = Faults(kinds, every=4)

    drawn = [faults.draw() for _ in range(24)]

    assert [place for place, fault in enumerate(drawn, start=1) if fault] == [4, 8, 12, 16, 20, 24]
    assert [fault for fault in drawn if fault] == [*kinds, *kinds]


def test_no_faults_when_none_are_asked_for():
    """Zero refuses nothing."""
    faults = Faults(OPENAI_FAULTS, every=0)

    assert not any(faults.draw() for _ in range(100))


@pytest.mark.parametrize("fault", [*OPENAI_FAULTS, *ANTHROPIC_FAULTS])
def test_every_fault_is_one_that_the_sdks_try_again(fault):
    """Only rate limits and server errors are retried."""
    assert fault.status == 429 or fault.status >= 500
