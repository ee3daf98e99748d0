"""The demo's providers on loopback, and the real SDKs pointed at them."""

from __future__ import annotations

from datetime import UTC, datetime

import anthropic
import openai
import pytest

from costspan.demo.clock import SimulatedClock
from costspan.demo.providers import providers


@pytest.fixture
def clock():
    """Simulated time, at noon of a November day."""
    return SimulatedClock(datetime(2026, 11, 1, 12, tzinfo=UTC))


@pytest.fixture
def served(clock):
    """Both providers, without faults."""
    with providers(clock) as running:
        yield running


@pytest.fixture
def claude(served):
    """Anthropic's SDK, not instrumented."""
    with anthropic.Anthropic(base_url=served.anthropic_url, api_key="demo") as client:
        yield client


@pytest.fixture
def gpt(served):
    """OpenAI's SDK, not instrumented."""
    with openai.OpenAI(base_url=served.openai_url, api_key="demo") as client:
        yield client
