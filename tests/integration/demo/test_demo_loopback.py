"""The demo's HTTP server, by hand: what no SDK would send."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

import pytest

HEADERS = {"authorization": "Bearer demo", "x-api-key": "demo", "anthropic-version": "2023-06-01"}


@pytest.fixture(params=["anthropic", "openai"])
def connection(request, served):
    """A plain connection to one provider and a path that it answers."""
    url = urlsplit(served.anthropic_url if request.param == "anthropic" else served.openai_url)
    link = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
    yield link, "/v1/messages" if request.param == "anthropic" else "/v1/embeddings"
    link.close()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"model": "\\ud800"}'])
def test_a_body_that_is_no_request_is_refused_and_the_connection_lives(connection, body):
    """HTTP 400 or 404 with a JSON error, twice on one connection."""
    link, path = connection
    for _ in range(2):
        link.request("POST", path, body, HEADERS)
        answer = link.getresponse()

        assert answer.status in {400, 404}
        assert json.loads(answer.read())["error"]["message"]


def test_a_caller_without_a_key_is_refused(connection):
    """HTTP 401, as both providers answer."""
    link, path = connection
    link.request("POST", path, b"{}", {})

    assert link.getresponse().status == 401


@pytest.mark.parametrize("length", ["99999999999", "-1", "many"])
def test_a_length_that_cannot_be_is_refused(connection, length):
    """HTTP 413, without reading what follows."""
    link, path = connection
    link.request("POST", path, None, {**HEADERS, "content-length": length})

    assert link.getresponse().status == 413


def test_the_servers_listen_on_loopback_only(served):
    """Nothing of the demo can be reached from another machine."""
    assert urlsplit(served.anthropic_url).hostname == urlsplit(served.openai_url).hostname == "127.0.0.1"
