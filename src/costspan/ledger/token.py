"""Tokens of the HTTP API: made, listed, revoked. The ledger knows their digests and never the tokens themselves."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from costspan.errors import InvalidQuestion
from costspan.ledger.database import Cursor, Database
from costspan.ledger.queries import queries
from costspan.ledger.tenant import key_of, tenant_named
from costspan.text import MAX_NAME, clean

__all__ = ["LONGEST", "LiveToken", "NewToken", "Token", "Tokens", "digest_of", "new_token"]

#: A prefix that secret scanners can look for, and 256 random bits in characters that one double click selects.
_WRITTEN = re.compile(r"csp_[0-9a-f]{64}", re.ASCII)
#: Tokens that count at once: whoever checks them keeps them all in memory.
_MOST = 10_000
#: How long a token counts at the most, unless it counts until it is revoked.
LONGEST = timedelta(days=3660)


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was made, by what is known of it."""

    number: int
    name: str
    tenant: str | None
    """None: an administrator's."""
    login: str
    """Who was connected to Postgres when it was made."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None
    """Who was connected to Postgres when it was revoked."""
    state: str
    """``live``, ``expired`` or ``revoked``, by the database's clock."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token as it is shown once, to who made it."""

    text: str = field(repr=False)
    name: str
    tenant: str | None
    expires_at: datetime | None


class LiveToken(NamedTuple):
    """What it takes to know who shows a token."""

    digest: bytes
    name: str
    tenant: str | None
    """None: an administrator's."""
    seconds_left: float | None
    """None: it does not expire."""


def new_token() -> str:
    """Return a token that nobody can guess."""
    return f"csp_{secrets.token_hex(32)}"


def digest_of(text: str) -> bytes | None:
    """Return what is stored of a token; None for a text that is none."""
    return hashlib.sha256(text.encode()).digest() if _WRITTEN.fullmatch(text) else None


class Tokens:
    """Makes and revokes as the keeper, looks up as admin.

    Every method raises `LedgerError` as `Database.transaction` does.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("token")

    def create(self, name: str, *, tenant: str | None, expires: timedelta | None = None) -> NewToken:
        """Make a token.

        Args:
            name: what it is listed and revoked by; no other that counts may have it.
            tenant: whose calls it shows; None makes an administrator's, which shows and may do everything.
            expires: how long it counts; None: until it is revoked.

        Raises:
            InvalidQuestion: for a name, tenant or time that cannot be, or too many tokens.
        """
        _check(name, expires)
        text = new_token()
        values = {
            "name": name,
            "is_admin": tenant is None,
            "digest": digest_of(text),
            "seconds": None if expires is None else expires.total_seconds(),
        }
        with self._as("keeper") as cursor:
            ((live, same),) = cursor.execute(self._sql["counting"], {"name": name}).fetchall()
            if same:
                raise InvalidQuestion(
                    f"name is {name!r}: a token of that name counts already; revoke it, or take another"
                )
            if live >= _MOST:
                raise InvalidQuestion(f"{_MOST:,} tokens count already, and more are not allowed: revoke some")
            values["tenant_key"] = None if tenant is None else key_of(cursor, tenant_named(tenant))
            ((expires_at,),) = cursor.execute(self._sql["create"], values).fetchall()
        return NewToken(text, name, None if tenant is None else tenant_named(tenant), expires_at)

    def revoke(self, name_or_number: str) -> int:
        """Revoke what has that name, or that number; return how many that were."""
        number = int(name_or_number) if re.fullmatch(r"[1-9]\d{0,8}", name_or_number, re.ASCII) else None
        with self._as("keeper") as cursor:
            return len(
                cursor.execute(self._sql["revoke"], {"name": clean(name_or_number), "number": number}).fetchall()
            )

    def all(self) -> tuple[Token, ...]:
        """Every token that was ever made, the newest first."""
        with self._as("admin") as cursor:
            return tuple(Token(*row) for row in cursor.execute(self._sql["all"]).fetchall())

    def live(self) -> tuple[LiveToken, ...]:
        """Every token that counts now."""
        with self._as("admin") as cursor:
            rows = cursor.execute(self._sql["live"]).fetchall()
        # A token of a tenant that is not found is nobody's, and never an administrator's.
        return tuple(
            LiveToken(bytes(digest), name, tenant, left)
            for digest, name, is_admin, tenant, left in rows
            if is_admin is (tenant is None)
        )

    @contextmanager
    def _as(self, role: str) -> Iterator[Cursor]:
        with self._database.transaction() as cursor:
            cursor.execute(self._sql[f"become_{role}"])
            yield cursor


def _check(name: str, expires: timedelta | None) -> None:
    if not name.strip() or name != clean(name) or name != name.strip() or len(name) > MAX_NAME:
        raise InvalidQuestion(
            f"name is {name[:80]!r}: allowed are up to {MAX_NAME} printable characters that neither begin nor end in a blank"
        )
    if name.isascii() and name.isdigit():
        raise InvalidQuestion(
            f"name is {name[:80]!r}: a number alone is not allowed, as tokens are revoked by numbers, too"
        )
    if expires is not None and not timedelta(0) < expires <= LONGEST:
        raise InvalidQuestion(
            f"expires is {expires}: allowed is more than nothing, and {LONGEST.days} days at the most"
        )
