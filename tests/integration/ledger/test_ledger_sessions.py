"""Whose rows a connection shows ends with the question, whatever a pool, an error or another left on it."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from psycopg import sql

from integration.ledger.calls import NOON


def test_the_tenant_of_a_question_ends_with_it(world):
    """A connection that is used again, also after an error, belongs to nobody."""
    hour = (NOON, NOON + timedelta(hours=1))
    assert world.ledger.summary(*hour, tenant="acme").total.calls == 3
    with pytest.raises(ValueError, match="allowed"):
        world.ledger.summary(*hour, tenant="acme", by=["nonsense"])

    with world.ledger._database.transaction() as cursor:
        state = cursor.execute(
            "select current_setting('app.current_tenant', true), current_user = session_user"
        ).fetchall()

    assert state in ([("", True)], [(None, True)])


@pytest.mark.parametrize("left_behind", ["rival", "", "acme"])
@pytest.mark.parametrize("role", [None, "costspan_admin", "costspan_writer", "costspan_keeper"])
def test_what_a_pool_left_behind_does_not_count(world, left_behind, role):
    """A session that still has somebody's tenant, or role, answers each question for whom it is asked, and stays as it was."""
    hour = (NOON, NOON + timedelta(hours=1))
    world.ledger.close()
    with world.ledger._database.transaction():
        connection = world.ledger._database._connection
    connection.execute("select set_config('app.current_tenant', %s, false)", [left_behind])
    if role is not None:
        connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))

    seen = {
        tenant: world.ledger.summary(*hour, tenant=tenant).total
        for tenant in ("acme", "rival", "", "nobody", "' or ''='")
    }
    everybody = world.ledger.summary(*hour).total.calls

    assert {tenant: total.calls for tenant, total in seen.items()} == {
        "acme": 3,
        "rival": 3,
        "": 0,
        "nobody": 0,
        "' or ''='": 0,
    }
    assert "77717" not in repr(seen["acme"])
    assert everybody == 6
    assert connection.execute("select current_setting('app.current_tenant')").fetchall() == [(left_behind,)]
    world.ledger.close()


def test_after_set_local_the_setting_is_empty_and_not_null(world):
    """Which is nobody, and no error: not in the policies, not in a view, not in a function."""
    with psycopg.connect(world.url, autocommit=True) as connection:
        connection.execute("set role costspan_tenant")
        with connection.transaction():
            connection.execute("set local app.current_tenant = 'rival'")
            assert connection.execute("select count(*) from ai_usage_metrics").fetchall() == [(6,)]

        left = connection.execute("select current_setting('app.current_tenant', true)").fetchall()
        seen = [
            connection.execute(f"select count(*) from {name}").fetchall()
            for name in ("ai_usage_metrics", "costspan.call_slice")
        ]

    assert (left, seen) == ([("",)], [[(0,)], [(0,)]])
