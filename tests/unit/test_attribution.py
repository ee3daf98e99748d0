"""Who a call is for follows the context it is made in."""

from __future__ import annotations

import asyncio
import contextvars
import threading

from opentelemetry import baggage, context

from costspan.attribution import Attribution, attribute, current, without_baggage


def test_nothing_given_is_nobody():
    """Outside of any block there is no attribution."""
    assert current() == Attribution()


def test_inner_blocks_inherit_what_they_do_not_name():
    """A nested block changes what it names and keeps the rest; leaving it restores the outer one."""
    with attribute(tenant="acme", session="s-1", tags={"team": "a"}):
        with attribute(feature="compression", tags={"step": "2"}):
            inner = current()
        outer = current()

    assert inner == Attribution("acme", "s-1", "", "compression", {"team": "a", "step": "2"})
    assert outer == Attribution("acme", "s-1", "", "", {"team": "a"})
    assert current() == Attribution()


async def test_tasks_keep_their_own_attribution_across_awaits():
    """Two tasks at once never see each other's tenant."""

    async def task(tenant):
        with attribute(tenant=tenant):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return current().tenant

    tenants = [f"t{number}" for number in range(20)]

    assert await asyncio.gather(*map(task, tenants)) == tenants


def test_a_thread_started_with_a_copied_context_is_attributed():
    """`contextvars.copy_context().run` carries the attribution into a thread, as the docs say."""
    seen = []
    with attribute(tenant="acme"):
        carried = contextvars.copy_context()
    thread = threading.Thread(target=carried.run, args=(lambda: seen.append(current().tenant),))

    thread.start()
    thread.join()

    assert seen == ["acme"]


def test_baggage_received_from_another_service_is_used():
    """A service that got the baggage attributes its calls without a block of its own."""
    token = context.attach(baggage.set_baggage("costspan.tenant", "acme"))
    try:
        received = current()
        with attribute(session="s-1"):
            merged = current()
    finally:
        context.detach(token)

    assert received.tenant == "acme"
    assert (merged.tenant, merged.session) == ("acme", "s-1")


def test_a_block_writes_baggage_for_services_called_inside():
    """What is attributed here travels as baggage, and is gone with the block."""
    with attribute(tenant="acme", user=7):
        carried = baggage.get_all()

    assert carried == {"costspan.tenant": "acme", "costspan.user": "7"}
    assert not baggage.get_all()


def test_our_baggage_can_be_kept_from_the_provider():
    """Ids are taken out of a request's context, the application's own baggage stays."""
    token = context.attach(baggage.set_baggage("theirs", "1"))
    try:
        with attribute(tenant="acme"):
            stripped = without_baggage(context.get_current())
    finally:
        context.detach(token)

    assert baggage.get_all(stripped) == {"theirs": "1"}


def test_hostile_baggage_is_cleaned():
    """A header of another service cannot smuggle a newline into a log or a label."""
    token = context.attach(baggage.set_baggage("costspan.tenant", "a\nb\x00"))
    try:
        tenant = current().tenant
    finally:
        context.detach(token)

    assert tenant == "a\ufffdb\ufffd"


def test_tags_are_bounded():
    """A thousand tags are cut to sixteen."""
    with attribute(tags={f"tag{number}": number for number in range(1000)}) as who:
        assert len(who.tags) == 16


def test_attribute_is_a_decorator_too():
    """A function can be attributed as a whole."""

    @attribute(tenant="acme")
    def handler():
        return current().tenant

    assert handler() == "acme"
    assert handler() == "acme"
