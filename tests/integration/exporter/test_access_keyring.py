"""Which tokens count, and for how long after that changed: new ones, revoked and expired ones, and without a ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from costspan.errors import LedgerUnavailable
from costspan.exporter import keyring
from costspan.exporter.keyring import Caller, Keyring
from costspan.exporter.pool import Pool
from costspan.ledger import Ledger
from costspan.ledger.token import new_token
from costspan.settings import Settings
from integration.ledger.proxy import Proxy


class Clock:
    """Seconds, as a test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The present second."""
        return self.now


class World:
    """A keyring whose way to the ledger can be cut."""

    def __init__(self, ledger: Ledger, proxy: Proxy, pool: Pool) -> None:
        self.ledger = ledger
        self.proxy = proxy
        self.pool = pool
        self.clock = Clock()
        self.keyring = Keyring(pool, clock=self.clock)
        self.acme = ledger.tokens.create("of acme", tenant="acme").text

    async def who(self, token: str) -> str | None:
        """The name of the token that counts."""
        found = await self.keyring.caller(token)
        return None if found is None else found.name


@pytest.fixture
def world(ledger: Ledger, ledger_url: str, tmp_path) -> Iterator[World]:
    """A ledger of the test's own, and a keyring that reaches it through a proxy."""
    with Proxy(ledger_url) as proxy:
        settings = Settings(database_url=proxy.url, state_dir=tmp_path)
        pool = Pool(lambda: Ledger.connect(settings), size=1)
        yield World(ledger, proxy, pool)
        pool.close()


async def test_a_request_costs_no_query(world):
    """What was read counts on without the ledger; so does that a token is none."""
    assert await world.who(world.acme) == "of acme"
    commits = world.proxy.commits

    assert {await world.who(world.acme) for _ in range(200)} == {"of acme"}
    assert {await world.who(new_token()) for _ in range(200)} == {None}

    assert world.proxy.commits == commits


async def test_wrong_tokens_ask_once_a_second(world):
    """However many are tried: not once each."""
    await world.who(world.acme)
    commits = world.proxy.commits

    for _ in range(10):
        world.clock.now += 1.01
        await asyncio.gather(*(world.who(new_token()) for _ in range(50)))

    assert world.proxy.commits - commits == 10


async def test_a_new_token_counts_within_a_second(world):
    """Also one that somebody tried a moment too early."""
    await world.who(world.acme)
    made = world.ledger.tokens.create("new", tenant=None).text
    early = await world.who(made)

    world.clock.now += 1.01

    assert (early, await world.who(made)) == (None, "new")


async def test_a_revoked_token_dies_within_seconds(world):
    """Ten at the most; it does not come back."""
    assert await world.who(world.acme) == "of acme"
    world.ledger.tokens.revoke("of acme")

    world.clock.now += 5.01

    assert [await world.who(world.acme) for _ in range(3)] == [None] * 3
    world.clock.now += 3600
    assert await world.who(world.acme) is None


async def test_an_expired_token_dies_by_itself(world):
    """To the moment, without another reading; and no clock but the database's and a steady one is asked."""
    made = world.ledger.tokens.create("short", tenant="acme", expires=timedelta(seconds=2)).text
    assert await world.who(made) == "short"

    world.clock.now += 2.01

    assert await world.who(made) is None


async def test_the_servers_own_token_needs_no_ledger(world):
    """It is an administrator's, and counts without one; any other does not while nothing was ever read."""
    own = new_token()
    alone = Keyring(world.pool, own=own, clock=world.clock)
    world.proxy.cut()

    assert await alone.caller(own) == Caller("costspan serve", None)
    for token in (world.acme, new_token()):
        with pytest.raises(LedgerUnavailable, match="who asks cannot be told"):
            await alone.caller(token)
    assert await alone.caller("nonsense") is None


async def test_without_the_ledger_what_is_known_counts_for_a_while(world):
    """Ten minutes; what is not known cannot be told; and when the ledger is back, everything is as it is there."""
    await world.who(world.acme)
    world.ledger.tokens.revoke("of acme")
    made = world.ledger.tokens.create("new", tenant="globex").text
    world.proxy.cut()

    world.clock.now += 500
    assert await world.who(world.acme) == "of acme"
    with pytest.raises(LedgerUnavailable):
        await world.who(made)
    world.clock.now += 101
    with pytest.raises(LedgerUnavailable):
        await world.who(world.acme)

    world.proxy.mend()
    world.clock.now += 5.01
    assert [await world.who(token) for token in (world.acme, made)] == [None, "new"]


async def test_a_ledger_that_hangs_keeps_nobody_waiting_for_long(world, monkeypatch):
    """Who is known goes on; who is not is told that nobody can say."""
    await world.who(world.acme)
    world.clock.now += 60
    with world.pool.ledger(), monkeypatch.context() as patch:  # the only connection: whoever reads waits for it
        patch.setattr(keyring, "_PATIENCE_S", 0.1)
        assert await world.who(world.acme) == "of acme"
        with pytest.raises(LedgerUnavailable):
            await world.who(new_token())

    world.clock.now += 60
    assert await world.who(new_token()) is None


async def test_the_first_who_ask_at_once_are_all_known(world):
    """One reading answers them."""
    other = world.ledger.tokens.create("other", tenant="globex").text

    found = await asyncio.gather(*(world.who(token) for token in [world.acme, other, new_token()] * 20))

    assert found == ["of acme", "other", None] * 20


async def test_a_key_made_for_one_tenant_never_shows_another(world):
    """Many tokens of many tenants: each says its own."""
    made = {f"t{n}": world.ledger.tokens.create(f"n{n}", tenant=f"t{n}").text for n in range(50)}

    for tenant, token in made.items():
        assert await world.keyring.caller(token) == Caller(f"n{tenant[1:]}", tenant)
