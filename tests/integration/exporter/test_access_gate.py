"""What an attacker tries over HTTP before any question is asked: tokens, headers, hosts, paths, bodies, patience."""

from __future__ import annotations

import gzip
import hashlib
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from costspan.exporter import protocol
from costspan.exporter.access import Access
from costspan.exporter.body import Bodies
from costspan.exporter.gate import INTAKE
from costspan.exporter.keyring import Keyring
from costspan.exporter.pool import Pool
from costspan.ledger import Ledger
from costspan.ledger.token import new_token
from costspan.settings import Settings
from fix_postgres import new_database
from integration.exporter.gated import Gated, Reply, reply, request, serving

OWN = new_token()
LIMIT, INTAKE_LIMIT = 64 << 10, 16 << 20


def bearer(token: str) -> str:
    """The header that shows ``token``."""
    return f"Authorization: Bearer {token}"


@dataclass
class World:
    """A ledger, and tokens of it."""

    pool: Pool
    ledger: Ledger
    acme: str
    admin: str

    @contextmanager
    def served(self, *, is_local: bool = True, bodies: Bodies | None = None, per_second: int = 10_000, **rules: bool):
        """An application of these rules, with a token of its own."""
        access = Access(Keyring(self.pool, own=OWN), is_local=is_local, **rules)
        with serving(access, bodies=bodies, per_second=per_second) as gated:
            yield gated


@pytest.fixture(scope="module")
def world(server_url, ledger_template, tmp_path_factory) -> Iterator[World]:
    """For the tests of this module, which change nothing of it."""
    with new_database(server_url, template=ledger_template) as url:
        settings = Settings(database_url=url, state_dir=tmp_path_factory.mktemp("gate"))
        pool = Pool(lambda: Ledger.connect(settings), size=2)
        ledger = Ledger.connect(settings)
        acme = ledger.tokens.create("of acme", tenant="acme").text
        yield World(pool, ledger, acme, ledger.tokens.create("of all", tenant=None).text)
        ledger.close()
        pool.close()


@pytest.fixture(scope="module")
def gated(world: World) -> Iterator[Gated]:
    """An application on loopback, as it is by default."""
    with world.served() as gated:
        yield gated


def test_a_token_says_who_asks(gated, world):
    """A tenant's is that tenant, an administrator's and the server's own are everybody's."""
    assert gated.ask("GET", "/api/who", bearer(world.acme)).json == {"name": "of acme", "tenant": "acme"}
    assert gated.ask("GET", "/api/who", bearer(world.admin)).json == {"name": "of all", "tenant": None}
    assert gated.ask("GET", "/api/who", bearer(OWN)).json == {"name": "costspan serve", "tenant": None}
    assert gated.ask("GET", "/api/who", f"aUtHoRiZaTiOn:  bEARER   {world.acme} ").json["tenant"] == "acme"


def refused(answer: Reply) -> bool:
    """Whether an answer is a refusal as it should be: of a known kind, and without anything of who is inside."""
    problem = answer.json
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert problem["status"] == answer.status
    return answer.status == 401 and answer.headers["www-authenticate"].startswith('Bearer realm="costspan"')


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "TRACE", "NONSENSE"])
@pytest.mark.parametrize(
    "path", ["/api/who", "/api/", "/api/nothing", "/v1/traces", "/v1/nothing", "/hidden/by/its/route"]
)
def test_nothing_without_a_token(gated, method, path):
    """401 for every method and path that has something to hide, also where there is nothing; a wrong method is no way in."""
    answer = gated.ask(method, path)

    assert answer.status == 401 or (answer.status == 405 and path.startswith("/hidden"))
    assert answer.status == 405 or answer.headers["www-authenticate"] == 'Bearer realm="costspan"'
    assert b"acme" not in answer.body


@pytest.mark.parametrize(
    "path",
    [
        "//api/who", "/api//who", "/api/../api/who", "/./api/who", "/API/who", "/api/who/", "/api%2fwho", "/%61pi/who", "/api/wh%6f",
        "/api;x/who", "/api/who;x", "/api/who%00", "/healthz/../api/who", "/healthz/%2e%2e/api/who", "/metrics/../api/who",
        "http://localhost/api/who", "http://evil.example/api/who", "/api\\who", "/hidden/by/its/%72oute",
    ],
)  # fmt: skip
def test_no_spelling_of_a_path_is_a_way_in(gated, path):
    """A path that leads to a guarded route is guarded, however it is written; any other leads nowhere."""
    assert gated.ask("GET", path).status in (400, 401, 404)


#: What is shown instead of a token, made from one that counts.
FALSE = (
    "{0}0", "{0}g", "csp_{0}", "", " ", "{0}, Bearer {0}", "{0} {0}", "csp_" + "é" * 64, "csp_" + "²" * 64, '"{0}"', "{0};", "{0}\t{0}",
)  # fmt: skip
ELSEWHERE = (
    ["Authorization: Bearer"], ["Authorization:"], ["Authorization: {0}"], ["Authorization: Basic {0}"], ["Authorization: Token {0}"],
    ["Authorization: Bearer={0}"], ["Authorization: Bearer {0}", "Authorization: Bearer {0}"],
    ["Authorization: Basic eDp5", "Authorization: Bearer {0}"], ["Authorization: Bearer {0}", "Authorization: Bearer csp_0"],
    ["Cookie: token={0}; Authorization=Bearer {0}"], ["X-Authorization: Bearer {0}"], ["Proxy-Authorization: Bearer {0}"],
    ["Authorization : Bearer {0}"], ["X: y", " Authorization: Bearer {0}"],
)  # fmt: skip


def test_a_token_that_is_none_is_refused(world):
    """Cut, longer, of other case or letters, twice, its digest, another one; and nothing of it comes back."""
    right = world.acme
    shown = [false.format(right) for false in FALSE]
    digest = hashlib.sha256(right.encode()).hexdigest()
    shown += [right[:-1], right[4:], right.upper(), digest, f"csp_{digest}", new_token()]

    with world.served() as gated:
        for token in shown:
            answer = gated.ask("GET", "/api/who", bearer(token))
            assert refused(answer), token
            assert digest.encode() not in answer.body
            assert right.encode() not in answer.body


def test_a_token_counts_where_it_belongs_only(world):
    """Not of another scheme, in a second header or another one, in a cookie, nor in the address, which proxies log."""
    with world.served() as gated:
        for headers in ELSEWHERE:
            answer = gated.ask("GET", "/api/who", *(header.format(world.acme) for header in headers))
            assert answer.status == 400 or refused(answer), headers
        for query in ("token={0}", "access_token={0}", "authorization=Bearer+{0}"):
            assert refused(gated.ask("GET", f"/api/who?{query.format(world.acme)}")), query


@pytest.fixture
def fresh(world: World) -> Iterator[Gated]:
    """As `gated`, with counts of its own: of wrong tokens, above all."""
    with world.served() as gated:
        yield gated


def test_a_tenant_is_no_administrator(gated, world):
    """403 for what is an administrator's; and no header makes one."""
    assert gated.ask("PUT", "/api/all", bearer(world.admin)).status == 200
    for more in (
        [],
        ["X-Tenant: "],
        ["X-Admin: true"],
        ["X-HTTP-Method-Override: GET"],
        ["X-Forwarded-For: 127.0.0.1"],
    ):
        assert gated.ask("PUT", "/api/all", bearer(world.acme), *more).status == 403


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/api/who", "/nothing"])
@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:9465", "127.0.0.1.nip.io", "0.0.0.0", "10.0.0.1", ""]
)
def test_a_name_of_somebody_elses_is_not_served(gated, path, host):
    """DNS rebinding: a page whose name suddenly means this machine gets nothing, not even with a token."""
    assert gated.ask("GET", path, bearer(OWN), host=host).status == 403


def test_a_request_without_or_with_two_hosts_is_not_served(gated):
    """HTTP/1.0 needs none by itself; two could be one for us and one for a browser."""
    assert gated.send(b"GET /healthz HTTP/1.0\r\n\r\n").status == 403
    assert gated.send(b"GET /healthz HTTP/1.1\r\n\r\n").status == 400
    assert gated.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n").status == 400
    forwarded = request(
        "GET", "/healthz", "X-Forwarded-Host: localhost", "Forwarded: host=localhost", host="evil.example"
    )
    assert gated.send(forwarded).status == 403


OURS = ([], ["Origin: http://localhost", "Sec-Fetch-Site: same-origin"], ["Sec-Fetch-Site: none"])
ANOTHERS = (
    ["Sec-Fetch-Site: cross-site"], ["Sec-Fetch-Site: same-site"], ["Origin: https://evil.example"], ["Origin: null"],
    ["Origin: http://localhost:3000"], ["Origin: http://localhost.evil.example"], ["Origin: https://localhost"],
    ["X-Forwarded-For: 127.0.0.1"], ["X-Forwarded-For: 203.0.113.9"], ["Forwarded: for=203.0.113.9"], ["X-Real-IP: 127.0.0.1"],
    ["Via: 1.1 proxy"], ["X-Forwarded-Proto: https"], ["X-Forwarded-Host: costs.example"],
)  # fmt: skip


def test_without_tokens_only_who_is_here_is_let_in(world):
    """Where loopback is open: not a page of another origin, not what a proxy hands on, and nobody with a wrong token."""
    with world.served(is_open=True) as gated:
        for headers in OURS:
            assert gated.ask("PUT", "/api/all", *headers).json == {"name": "loopback"}
        for headers in ANOTHERS:
            assert gated.ask("GET", "/api/who", *headers).status == 401, headers
            assert gated.ask("GET", "/api/who", *headers, bearer(OWN)).status == 200, headers
        assert gated.ask("GET", "/api/who", bearer(new_token())).status == 401
        assert gated.ask("GET", "/api/who", bearer(world.acme)).json["tenant"] == "acme"
        assert gated.ask("PUT", "/api/all", bearer(world.acme)).status == 403


def test_metrics_are_open_to_this_machine_only(world, gated):
    """A server that listens elsewhere, or that stands behind a proxy, asks for an administrator's token."""
    assert gated.ask("GET", "/metrics").status == 200
    assert gated.ask("GET", "/metrics", "X-Forwarded-For: 203.0.113.9").status == 401
    with world.served(is_local=False) as reachable:
        asked = [reachable.ask("GET", "/metrics", *shown, host="costs.example") for shown in ([], [bearer(world.acme)])]
        assert [answer.status for answer in asked] == [401, 403]
        assert reachable.ask("GET", "/metrics", bearer(world.admin)).status == 200
        assert reachable.ask("GET", "/healthz", host="costs.example").status == 200
    with world.served(is_local=False, has_open_metrics=True) as reachable:
        assert reachable.ask("GET", "/metrics", host="costs.example").status == 200
        assert reachable.ask("GET", "/api/who", host="costs.example").status == 401


def test_being_reachable_opens_nothing_to_loopback(world):
    """A server that listens elsewhere trusts no address, whatever the settings say."""
    with world.served(is_local=False, is_open=True) as gated:
        assert gated.ask("GET", "/api/who").status == 401


def test_health_asks_for_nothing(gated):
    """A probe with an old token, or a wrong one, is no reason to say that the process is not well."""
    assert gated.ask("GET", "/healthz", bearer("old")).status == 200


def chunked(*parts: bytes) -> bytes:
    """A body in chunks."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))


def sent(gated: Gated, path: str, body: bytes, *headers: str, token: str = OWN) -> Reply:
    """The answer to a body."""
    return gated.ask("POST", path, bearer(token), *headers, body=body)


@pytest.mark.parametrize(("path", "limit"), [("/api/echo", LIMIT), (INTAKE, INTAKE_LIMIT)])
def test_a_body_is_as_large_as_is_allowed(gated, path, limit):
    """To the byte, whether its length is said before or not; one byte more is 413, which the client gets to read."""
    body = b"x" * limit
    said = {"bytes": limit, "sha": hashlib.sha256(body).hexdigest(), "encoding": None}

    assert sent(gated, path, body).json == said
    assert sent(gated, path, chunked(body[:5], body[5:]), "Transfer-Encoding: chunked").json == said
    assert sent(gated, path, body + b"x").status == 413
    assert sent(gated, path, chunked(body, b"x"), "Transfer-Encoding: chunked").status == 413


def test_a_length_that_is_a_lie_helps_nobody(gated):
    """Said too large it is refused unread; said too small the rest is no part of it; both lengths at once are no request."""
    assert (
        gated.send(request("POST", INTAKE, bearer(OWN), "Content-Length: 99999999999", "Expect: 100-continue")).status
        == 413
    )
    assert sent(gated, INTAKE, b"abcdef", "Content-Length: 3").json["bytes"] == 3
    smuggled = chunked(b"") + request("GET", "/api/who", bearer(OWN))
    answer = sent(gated, INTAKE, smuggled, f"Content-Length: {len(smuggled)}", "Transfer-Encoding: chunked")
    assert answer.status in (200, 400)
    assert b"costspan serve" not in answer.body
    for wrong in ("-1", "abc", "1e3", "0x10", "3, 4"):
        assert sent(gated, INTAKE, b"abc", f"Content-Length: {wrong}").status == 400


def test_gzip_is_unpacked_where_spans_come_in(gated):
    """The route sees what was packed, and is not told that it was."""
    body = b'{"resourceSpans": []}' * 1000

    answer = sent(gated, INTAKE, gzip.compress(body), "Content-Encoding: gzip")

    assert answer.json == {"bytes": len(body), "sha": hashlib.sha256(body).hexdigest(), "encoding": None}
    assert sent(gated, INTAKE, body, "Content-Encoding: identity").json["bytes"] == len(body)


def test_a_bomb_is_not_unpacked(gated):
    """256 MiB in 256 KiB, at once or in chunks, are refused at the limit; that much exactly is not."""
    bomb = gzip.compress(bytes(256 << 20), 1)
    packed = gzip.compress(bytes(INTAKE_LIMIT), 1)

    assert sent(gated, INTAKE, bomb, "Content-Encoding: gzip").status == 413
    pieces = chunked(*(bomb[at : at + 1000] for at in range(0, len(bomb), 1000)))
    assert sent(gated, INTAKE, pieces, "Content-Encoding: gzip", "Transfer-Encoding: chunked").status == 413
    assert sent(gated, INTAKE, packed, "Content-Encoding: gzip").json["bytes"] == INTAKE_LIMIT
    assert sent(gated, INTAKE, gzip.compress(gzip.compress(bytes(1000))), "Content-Encoding: gzip").json["bytes"] < 100


def test_what_is_packed_wrongly_is_told(gated):
    """Garbage, half of it, something behind it, another packing; and none at all where none is allowed."""
    packed = gzip.compress(b"abc" * 1000)
    for body in (
        b"",
        b"x",
        b"garbage",
        packed[:-1],
        packed[:20],
        packed + b"x",
        packed + packed,
        zlib.compress(b"abc"),
        packed[1:],
    ):
        if body:
            assert sent(gated, INTAKE, body, "Content-Encoding: gzip").status == 400
    for packing in ("br", "deflate", "zstd", "gzip, gzip", "x" * 1000):
        assert sent(gated, INTAKE, packed, f"Content-Encoding: {packing}").status == 415
    assert sent(gated, "/api/echo", packed, "Content-Encoding: gzip").status == 415


def test_a_body_is_not_read_for_who_has_no_token(gated):
    """It is not even asked for; and one that comes unasked is thrown away while the refusal is on its way."""
    waiting = request("POST", INTAKE, "Content-Length: 1000000", "Expect: 100-continue")

    with gated.connect() as connection:
        connection.sendall(waiting)
        answer = reply(connection)

    assert answer is not None
    assert (answer.status, answer.headers["connection"]) == (401, "close")
    assert gated.ask("POST", INTAKE, body=b"x" * (1 << 20)).status == 401


def test_a_slow_body_has_an_end(world):
    """Byte by byte keeps nobody for longer than all of it may take."""
    with world.served(bodies=Bodies(within=0.3)) as gated:
        answer = gated.send(request("POST", INTAKE, bearer(OWN), "Content-Length: 1000"), b"x")

        assert answer is not None
        assert (answer.status, answer.headers["connection"]) == (408, "close")


def test_all_bodies_together_have_an_end(world):
    """Who comes while others' bodies fill what is allowed is told to come back; once they are gone there is room."""
    with world.served(bodies=Bodies(most=1000)) as gated:
        with gated.connect() as slow:
            slow.sendall(request("POST", INTAKE, bearer(OWN), "Content-Length: 700") + b"x" * 600)
            answers = [sent(gated, INTAKE, b"x" * 600)]
            while answers[-1].status == 200:  # the other one's is still on its way
                answers.append(sent(gated, INTAKE, b"x" * 600))
            slow.sendall(b"x" * 100)
            assert reply(slow).status == 200

        assert (answers[-1].status, answers[-1].headers["retry-after"]) == (503, "2")
        assert sent(gated, INTAKE, b"x" * 1000).status == 200


def test_who_hangs_up_leaves_nothing(world):
    """A body that ends too early is no request, and takes no room from the next."""
    with world.served(bodies=Bodies(most=1000)) as gated:
        for _ in range(5):
            with gated.connect() as connection:
                connection.sendall(request("POST", INTAKE, bearer(OWN), "Content-Length: 900") + b"x" * 800)

        answer = sent(gated, INTAKE, b"x" * 900)
        while answer.status == 503:  # the server has not seen them all go
            answer = sent(gated, INTAKE, b"x" * 900)
        assert answer.status == 200


def test_headers_that_never_end_do(world, monkeypatch):
    """Who says nothing, or a little now and then, is hung up on; others are served meanwhile."""
    monkeypatch.setattr(protocol, "_HEADERS_WITHIN_S", 0.3)
    with world.served() as gated, ExitStack() as open_ones:
        slow = [open_ones.enter_context(gated.connect()) for _ in range(20)]
        for number, connection in enumerate(slow):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "[: number * 3])

        assert gated.ask("GET", "/healthz").status == 200
        assert [reply(connection) for connection in slow] == [None] * 20

        kept = open_ones.enter_context(gated.connect())
        kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hea")
        assert reply(kept).status == 200


def test_headers_have_a_size_and_a_number(gated):
    """Also where all come at once; a path, too. What is allowed is enough for any proxy's."""
    assert gated.ask("GET", "/healthz", *(f"X{n}: y" for n in range(90))).status == 200
    assert gated.ask("GET", "/healthz", *(f"X{n}: y" for n in range(100))).status == 431
    assert gated.ask("GET", "/healthz", f"X: {'x' * 15_000}").status == 200
    assert gated.ask("GET", "/healthz", f"X: {'x' * 17_000}").status == 431
    assert gated.ask("GET", f"/healthz?{'x' * 8000}").status == 200
    assert gated.ask("GET", f"/healthz?{'x' * 8200}").status == 414
    assert gated.ask("GET", f"/{'x' * 8200}").status == 414


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"GET /healthz HTTP/1.1\nHost: localhost\nX\x00: y\n\n",
        b"GET /healthz\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    ],
    ids=["long", "nul", "name", "old", "tls", "http2", "coding"],
)
def test_what_is_no_request_is_refused(gated, nonsense):
    """Endless headers, malformed ones, and other protocols: refused, and the connection is closed."""
    answer = gated.send(nonsense)

    assert answer is None or answer.status in (400, 403, 431, 501)
    assert gated.ask("GET", "/healthz").status == 200


def test_an_upgrade_is_no_way_around(gated):
    """A web socket, and HTTP/2 over clear text, are answered as the request that they are."""
    for to in ("websocket", "h2c"):
        upgrade = request("GET", "/api/who", "Upgrade: " + to, "Sec-WebSocket-Key: x", "HTTP2-Settings: x")
        assert gated.send(upgrade.replace(b"Connection: close", b"Connection: close, Upgrade")).status == 401


def test_too_often_is_told(world):
    """A token has a burst and a rate; another one, and who has none, have their own."""
    with world.served(per_second=5) as gated:
        answers = [gated.ask("GET", "/api/who", bearer(OWN)) for _ in range(40)]
        late = [answer for answer in answers if answer.status == 429]

        assert {answer.status for answer in answers[:10]} == {200}
        assert late
        assert {answer.headers["retry-after"] for answer in late} == {"1"}
        assert gated.ask("GET", "/api/who", bearer(world.acme)).status == 200
        assert gated.ask("GET", "/healthz").status == 200
        statuses = [gated.ask("GET", "/healthz").status for _ in range(40)]
        assert statuses[0] == 200
        assert 429 in statuses


def test_who_tries_tokens_is_slowed_down_and_disturbs_nobody(fresh, world):
    """Twenty wrong ones at once, then 429; a right one from the same address is served all the while."""
    statuses = [fresh.ask("GET", "/api/who", bearer(new_token())).status for _ in range(60)]

    assert set(statuses[:20]) == {401}
    assert 429 in statuses
    assert fresh.ask("GET", "/api/who", bearer(world.acme)).status == 200
    assert fresh.ask("GET", "/api/who").status == 401


def test_who_asks_much_at_once_waits_for_themselves(gated, world):
    """Four questions of a token are worked on at once, and all are answered; another token's do not wait for them."""
    found: dict[str, list[object]] = {world.acme: [], world.admin: []}

    def ask(token: str) -> None:
        found[token].append(gated.ask("GET", "/api/slow", bearer(token)).json["at_once"])

    threads = [threading.Thread(target=ask, args=(token,)) for token in [world.acme] * 12 + [world.admin]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(found[world.acme]), len(found[world.admin])) == (12, 1)
    assert max(found[world.acme]) <= 5  # with the other token's


def test_many_at_once_get_their_own_answer(gated, world):
    """Tokens of two tenants, mixed over many connections: nobody is taken for somebody else."""
    wrong: list[object] = []
    tokens = {"of acme": world.acme, "of all": world.admin, "costspan serve": OWN}

    def ask(name: str) -> None:
        for _ in range(15):
            answer = gated.ask("GET", "/api/who", bearer(tokens[name])).json
            if answer["name"] != name:
                wrong.append(answer)

    threads = [threading.Thread(target=ask, args=(name,)) for name in [*tokens] * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
