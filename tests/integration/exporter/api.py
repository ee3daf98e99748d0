"""The application on a port of loopback, on a real Postgres, and questions asked of it."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import uvicorn
from prometheus_client import CollectorRegistry

from costspan.exporter.access import Access
from costspan.exporter.app import create_app
from costspan.exporter.keyring import Keyring
from costspan.exporter.pool import Pool
from costspan.exporter.protocol import configured
from costspan.ledger import Ledger
from costspan.settings import Settings

__all__ = ["Api", "Said", "running"]

_READY_S = 30


@dataclass(frozen=True)
class Said:
    """What the server said."""

    status: int
    headers: httpx.Headers
    text: str

    @property
    def json(self) -> Any:
        """Its body, with numbers as exact as they were sent."""
        return json.loads(self.text, parse_float=Decimal)

    @property
    def problem(self) -> dict[str, Any]:
        """Its body, which must be a problem document."""
        assert self.headers["content-type"] == "application/problem+json", self.text
        found = self.json
        assert found["status"] == self.status
        return found


@dataclass
class Api:
    """A running application."""

    url: str
    ledger: Ledger
    """What it answers from."""
    settings: Settings
    clock: list[datetime]
    """Its first one is now."""
    admin: str
    """An administrator's token."""
    client: httpx.Client
    tokens: dict[str, str] = field(default_factory=dict)

    def token(self, tenant: str) -> str:
        """A token of ``tenant``'s."""
        if tenant not in self.tokens:
            self.tokens[tenant] = self.ledger.tokens.create(f"of {tenant}", tenant=tenant).text
        return self.tokens[tenant]

    def ask(self, method: str, path: str, *, tenant: str | None = None, token: str | None = None, **more: Any) -> Said:
        """Ask as an administrator, as ``tenant``, or with ``token``; an empty one is none."""
        shown = token if token is not None else self.admin if tenant is None else self.token(tenant)
        headers = {**({"Authorization": f"Bearer {shown}"} if shown else {}), **more.pop("headers", {})}
        answer = self.client.request(method, path, headers=headers, **more)
        return Said(answer.status_code, answer.headers, answer.text)

    def get(self, path: str, *, tenant: str | None = None, token: str | None = None, **params: Any) -> Said:
        """Ask for ``path``; a parameter that is a Python word ends in ``_``."""
        given = {name.rstrip("_"): value for name, value in params.items()}
        return self.ask("GET", path, tenant=tenant, token=token, params=given)


@contextmanager
def running(settings: Settings, now: datetime | None = None) -> Iterator[Api]:
    """Serve until the end of the block; ``now`` is the present instant."""
    pool = Pool(lambda: Ledger.connect(settings))
    clock = [now or datetime.now(UTC)]
    # Time flies for the keyring, so that a token counts as soon as it is made.
    access = Access(Keyring(pool, clock=itertools.count(0.0, 2.0).__next__), is_local=True)
    app = create_app(pool, CollectorRegistry(), settings, access=access, now=lambda: clock[0])
    config = configured(app)
    config.port = 0
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + _READY_S
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < until
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    ledger = Ledger.connect(settings)
    try:
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            yield Api(url, ledger, settings, clock, ledger.tokens.create("admin", tenant=None).text, client)
    finally:
        server.should_exit = True
        thread.join(_READY_S)
        ledger.close()
        pool.close()
