"""Recorded exchanges, answered again over loopback HTTP and asked for again through the real SDKs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anthropic
import openai

_HEADER = "x-exchange"
_PARAMETERS = ("model", "messages", "input", "prompt", "max_tokens", "stream")


@dataclass(frozen=True)
class Exchange:
    """One recorded request and its answer."""

    number: int
    id: str
    url: str
    request: dict[str, Any]
    status: int
    content_type: str
    body: str

    @property
    def path(self) -> str:
        """Path of the URL."""
        return urlsplit(self.url).path

    @property
    def is_azure(self) -> bool:
        """Whether it went to an Azure deployment."""
        return "/openai/deployments/" in self.path

    @property
    def service(self) -> str:
        """The API family."""
        return "anthropic" if self.path.endswith("/messages") else "openai"

    @property
    def is_stream(self) -> bool:
        """Whether the answer is server-sent events."""
        return bool(self.request.get("stream"))

    @property
    def events(self) -> list[dict[str, Any]]:
        """The answer's JSON documents: one, or one an event."""
        if not self.is_stream:
            return [json.loads(self.body)]
        lines = (line.removeprefix("data:").strip() for line in self.body.splitlines() if line.startswith("data:"))
        return [json.loads(line) for line in lines if line != "[DONE]"]


def load(folder: Path) -> list[Exchange]:
    """Return the exchanges of ``folder``, in order."""
    lines = (folder / "recorded" / "exchanges.jsonl").read_text(encoding="utf-8").splitlines()
    found = []
    for number, line in enumerate(lines):
        raw = json.loads(line)
        found.append(
            Exchange(
                number,
                raw["id"],
                raw["url"],
                raw["request"] or {},
                raw["status"],
                raw["content_type"] or "",
                raw["body"],
            )
        )
    return found


@contextmanager
def serve(exchanges: list[Exchange]) -> Iterator[str]:
    """Answer each request with the exchange its header names; gives the server's URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            exchange = exchanges[int(self.headers[_HEADER])]
            body = exchange.body.encode()
            self.send_response(exchange.status)
            self.send_header("content-type", exchange.content_type or "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Player:
    """The real SDKs, pointed at a replay server."""

    def __init__(self, url: str) -> None:
        self.openai = openai.OpenAI(api_key="none", base_url=f"{url}/v1", max_retries=0)
        self.azure = openai.AzureOpenAI(api_key="none", azure_endpoint=url, api_version="2024-10-21", max_retries=0)
        self.anthropic = anthropic.Anthropic(api_key="none", base_url=url, max_retries=0)

    def play(self, exchange: Exchange) -> None:
        """Make the recorded request; read the answer to its end. Raises what the SDK raises."""
        answer = self._ask(exchange)
        if exchange.is_stream:
            for _ in answer:
                pass

    def close(self) -> None:
        """Close the clients' connections."""
        for client in (self.openai, self.azure, self.anthropic):
            client.close()

    def _ask(self, exchange: Exchange) -> Any:
        # Old requests have parameters that the newest SDKs dropped: what is not named goes into the body as it was.
        named = {key: value for key, value in exchange.request.items() if key in _PARAMETERS}
        rest = {key: value for key, value in exchange.request.items() if key not in _PARAMETERS}
        extra = {"extra_headers": {_HEADER: str(exchange.number)}, "extra_body": rest}
        if exchange.service == "anthropic":
            return self.anthropic.messages.create(**named, **extra)
        client = self.openai
        if exchange.is_azure:
            client = self.azure
            named["model"] = exchange.path.split("/deployments/")[1].split("/")[0]
        if exchange.path.endswith("/chat/completions"):
            return client.chat.completions.create(**named, **extra)
        if exchange.path.endswith("/completions"):
            return client.completions.create(**named, **extra)
        if exchange.path.endswith("/embeddings"):
            return client.embeddings.create(**named, **extra)
        if not hasattr(client, "responses"):  # older SDKs reach the newer API by its path
            stream = {"stream": True, "stream_cls": openai.Stream[object]} if exchange.is_stream else {}
            options = {"headers": extra["extra_headers"]}
            return client.post("/responses", body=exchange.request, cast_to=object, options=options, **stream)
        return client.responses.create(**named, **extra)
