"""What fails in costspan stays in costspan."""

from __future__ import annotations

import asyncio
import logging

import pytest

from costspan.guard import failures, guard


def test_an_error_is_counted_logged_once_and_swallowed(caplog, monkeypatch):
    """A hundred failures make a hundred counts and one log line."""
    monkeypatch.delenv("COSTSPAN_RAISE", raising=False)
    before = failures.get("test_place", 0)

    with caplog.at_level(logging.ERROR, "costspan"):
        for _ in range(100):
            with guard("test_place"):
                raise RuntimeError("bug")

    assert failures["test_place"] - before == 100
    assert len(caplog.records) == 1
    assert "your call was not affected" in caplog.records[0].getMessage()


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_the_applications_own_signals_pass(signal):
    """Interrupts, exits and cancellations are not ours to swallow."""
    with pytest.raises(signal), guard("test_place"):
        raise signal


def test_our_own_tests_can_see_the_error(monkeypatch):
    """COSTSPAN_RAISE=1 turns the wall off."""
    monkeypatch.setenv("COSTSPAN_RAISE", "1")

    with pytest.raises(ZeroDivisionError), guard("another_place"):
        1 / 0  # noqa: B018  # the failure is the test
