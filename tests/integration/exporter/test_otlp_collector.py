"""Spans on their way through a real collector, from a package: what it makes of an export still counts once."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from integration.exporter.api import Api
from integration.exporter.test_otlp_intake import CALL, COST, counted, made

_PATIENCE_S = 30.0
TENANT = "through-a-collector"


def _packaged(package: str, binary: str) -> Path:
    """A package's executable; its test is skipped where it is not installed, or not made for this machine."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        pytest.skip(f"needs the package {package}")
    path = Path(found.origin).parent / binary
    try:
        subprocess.run([path, "--help"], check=True, capture_output=True, timeout=_PATIENCE_S)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"{package} does not run here: {error}")
    return path


def _options(folder: Path, port: int, url: str, token: str) -> dict[str, str]:
    return {
        "ROTEL_OTLP_HTTP_ENDPOINT": f"127.0.0.1:{port}",
        "ROTEL_OTLP_GRPC_ENDPOINT": f"127.0.0.1:{_free_port()}",
        "ROTEL_EXPORTER": "otlp",
        "ROTEL_OTLP_EXPORTER_ENDPOINT": url,
        "ROTEL_OTLP_EXPORTER_PROTOCOL": "http",
        "ROTEL_OTLP_EXPORTER_COMPRESSION": "gzip",
        "ROTEL_OTLP_EXPORTER_CUSTOM_HEADERS": f"Authorization=Bearer {token}",
        "ROTEL_PID_FILE": str(folder / "rotel.pid"),
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture
def collector(api: Api, tmp_path: Path) -> Iterator[str]:
    """Where a collector listens that hands on what it gets."""
    binary = _packaged("rotel", "rotel-agent")
    port = _free_port()
    options = _options(tmp_path, port, api.url, api.token(TENANT))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([binary, "start"], env={**os.environ, **options}, stdout=log, stderr=log)
        try:
            _wait(lambda: _listens(port), tmp_path / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(_PATIENCE_S)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait(is_so: Callable[[], bool], log: Path) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not is_so():
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)


def test_a_collector_hands_on_what_it_got(api, collector, tmp_path):
    """Batched anew and compressed by the collector, with its token: each call once, also where it got a span twice."""
    spans = [*made(CALL), *made(CALL)]
    exporter = OTLPSpanExporter(f"{collector}/v1/traces")

    results = [exporter.export(spans), exporter.export([*spans, *made(CALL)])]

    exporter.shutdown()
    assert results == [SpanExportResult.SUCCESS] * 2
    _wait(lambda: counted(api, TENANT)[0] >= 3, tmp_path / "log")
    assert counted(api, TENANT) == (3, 3 * COST)
