"""Who may ask what: by a bearer token, or because the question comes from this very machine and that was said to be enough.

Every route under `/api/` and `/v1/` depends on `known` or `admin`; the gate before them only makes it cheap to be refused.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPBearer
from starlette.datastructures import Headers

from costspan.exporter.keyring import Caller, Keyring
from costspan.exporter.problem import Problem

__all__ = ["Access", "Caller", "admin", "is_loopback", "known", "names_loopback", "scraper"]

_SHOWN = 80
_CHALLENGE = 'Bearer realm="costspan"'
#: Says that a request came through somebody else's server, so that its address says nothing of who asks.
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
_SCHEME = HTTPBearer(
    scheme_name="token",
    auto_error=False,
    description="A token of `costspan token create`: a tenant's, or an administrator's.",
)
_LOCAL = Caller("loopback", None)


def is_loopback(address: str) -> bool:
    """Whether ``address`` is of this machine alone."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def names_loopback(host: str) -> bool:
    """Whether a Host header (with or without a port) names this machine, in a way that no DNS server decides about."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, "0"
    if "%" in name or not (port.isascii() and port.isdigit()):
        return False
    if name.startswith("[") and name.endswith("]"):
        return ":" in name and is_loopback(name[1:-1])
    return name.lower() == "localhost" or (":" not in name and is_loopback(name))


class Access:
    """The rules of one server.

    Args:
        keyring: which tokens count.
        is_local: the server listens on loopback only.
        is_open: who comes from loopback is an administrator without a token.
        has_open_metrics: `/metrics` needs no token, wherever a request comes from.
    """

    def __init__(
        self, keyring: Keyring, *, is_local: bool, is_open: bool = False, has_open_metrics: bool = False
    ) -> None:
        self._keyring = keyring
        self.is_local = is_local
        self._is_open = is_open
        self._has_open_metrics = has_open_metrics

    async def caller(self, request: Request) -> Caller | None:
        """Return who asks; None where no token is shown.

        Raises:
            Problem: 401 for a token that does not count, or that cannot be read.
            LedgerUnavailable: nobody can say now.
        """
        known: Caller | None = getattr(request.state, "caller", None)
        if known is None:
            token = _token(request.headers)
            if token is None:
                known = (
                    _LOCAL
                    if self._is_open and self._is_at_home(request) and not _is_of_a_page(request.headers)
                    else None
                )
            else:
                known = await self._keyring.caller(token)
                if known is None:
                    raise _unknown("the token is not known, expired or revoked")
            request.state.caller = known
        return known

    def may_scrape_unasked(self, request: Request) -> bool:
        """Whether `/metrics` needs no token."""
        return self._has_open_metrics or self._is_at_home(request)

    def _is_at_home(self, request: Request) -> bool:
        """Whether a request was made on this machine, and not only handed on by a server on it."""
        here = self.is_local and request.client is not None and is_loopback(request.client.host)
        return here and not any(name in request.headers for name in _FORWARDED)


async def known(request: Request, _: Annotated[object, Security(_SCHEME)] = None) -> Caller:
    """Return who asks.

    Raises:
        Problem: 401 for who shows no token that counts.
    """
    access: Access = request.app.state.access
    caller = await access.caller(request)
    if caller is None:
        raise Problem(401, "a bearer token is needed", headers={"WWW-Authenticate": _CHALLENGE})
    return caller


async def admin(request: Request, _: Annotated[object, Security(_SCHEME)] = None) -> Caller:
    """Return who asks, when that is an administrator.

    Raises:
        Problem: as `known`; 403 for a tenant.
    """
    caller = await known(request)
    if caller.tenant is not None:
        told = f"this token is for tenant {caller.tenant[:_SHOWN]!r} only: an administrator's is needed"
        raise Problem(403, told)
    return caller


async def scraper(request: Request) -> None:
    """Let pass who may see the metrics, which are of all tenants.

    Raises:
        Problem: as `admin`.
    """
    access: Access = request.app.state.access
    if not access.may_scrape_unasked(request):
        await admin(request)


def _token(headers: Headers) -> str | None:
    given = headers.getlist("authorization")
    if not given:
        return None
    scheme, _, token = given[0].strip().partition(" ")
    # Two could be one for a proxy before us, and the other one for us.
    if len(given) > 1 or scheme.lower() != "bearer":
        raise _unknown("the Authorization header is not one bearer token: allowed is `Bearer csp_…`")
    return token.strip()


def _unknown(detail: str) -> Problem:
    return Problem(401, detail, headers={"WWW-Authenticate": f'{_CHALLENGE}, error="invalid_token"'})


def _is_of_a_page(headers: Headers) -> bool:
    """Whether a browser sent this for a page that is not ours: it would be an administrator's by where the browser runs."""
    site = headers.get("sec-fetch-site", "none")
    origin = headers.get("origin")
    return site not in ("none", "same-origin") or origin not in (None, f"http://{headers.get('host')}")
