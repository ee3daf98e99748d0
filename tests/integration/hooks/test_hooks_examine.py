"""Whether an SDK can be metered, asked without metering it."""

from __future__ import annotations

import pytest

from costspan import hooks
from costspan.hooks import State


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_an_sdk_is_tried_and_left_as_it_was(name):
    """It is hooked, called and put back: what was there before is there again."""
    module = __import__(name)
    client = __import__(f"{name}._base_client", fromlist=["SyncAPIClient"]).SyncAPIClient
    before = client.request

    found = hooks.examine(name)

    assert (found.name, found.state, found.version) == (name, State.HOOKED, module.__version__)
    assert client.request is before
    assert all(sdk.state is not State.HOOKED for sdk in hooks.report().sdks)


def test_an_sdk_that_changed_is_refused_with_the_reason(monkeypatch):
    """And put back too."""
    base = __import__("openai._base_client", fromlist=["BaseClient"])
    monkeypatch.delattr(base.BaseClient, "_process_response_data")

    found = hooks.examine("openai")

    assert found.state is State.REFUSED
    assert found.reason == "there is no BaseClient._process_response_data"


def test_an_sdk_that_is_not_there_is_absent(monkeypatch):
    """No failure."""
    monkeypatch.setattr(hooks.util, "find_spec", lambda _: None)

    assert hooks.examine("openai").state is State.ABSENT
