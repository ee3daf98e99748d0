"""How often somebody may ask, and which Host headers name this machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.exporter.access import is_loopback, names_loopback
from costspan.exporter.rate import Rate


class Clock:
    """Seconds, as a test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The present second."""
        return self.now


def test_a_burst_and_then_so_many_a_second():
    """Three at once; then one each half second, and who asks in between is told how long to wait."""
    clock = Clock()
    rate = Rate(2, 3, clock=clock)

    assert [rate.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    clock.now += 0.5
    assert [rate.take("a"), rate.take("a")] == [0, 0.5]
    clock.now += 60
    assert [rate.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_nobody_uses_up_what_is_anothers():
    """Each key has a burst of its own."""
    rate = Rate(1, 1, clock=Clock())

    assert rate.take("a") == 0
    assert rate.take("a") > 0
    assert rate.take("b") == 0


def test_only_so_many_are_remembered():
    """Who was not seen for longest is forgotten; who asks all the time is not, however many others come."""
    rate = Rate(1, 1, most=2, clock=Clock())
    rate.take("busy")

    for number in range(10):
        rate.take(number)
        assert rate.take("busy") > 0

    assert len(rate._due) == 2


@given(st.integers(1, 50), st.integers(1, 20), st.lists(st.floats(0, 2), max_size=200))
def test_never_more_than_the_rate_and_one_burst(per_second, burst, pauses):
    """Whatever the pauses, so many seconds let through no more than so many times the rate, and one burst."""
    clock = Clock()
    rate = Rate(per_second, burst, clock=clock)
    began, passed = clock.now, 0

    for pause in pauses:
        clock.now += pause
        passed += rate.take("a") == 0
        assert passed <= (clock.now - began) * per_second + burst + 1e-6


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:9465", "127.0.0.1", "127.0.0.1:1", "127.9.8.7:80", "[::1]", "[::1]:9465", "[0:0::1]:1"],
)
def test_a_loopback_address_or_name_is_this_machine(host):
    """With any port: a tunnel may have another one."""
    assert names_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "", ":80", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:9465", "localhost.",
        "0.0.0.0", "0.0.0.0:9465", "10.0.0.1", "[::]", "[::2]:9465", "::1", "[127.0.0.1]", "[localhost]:1", "127.1", "2130706433",
        "0x7f.0.0.1", "0177.0.0.1", "localhost:", "localhost:x", "localhost:1:2", "evil@localhost", "localhost/evil",
        "127.0.0.1%evil.example", "[::1%evil]:1", "localhost, evil.example", " localhost", "localhost\x00", "\uff11\uff12\uff17.0.0.1", "localhost:\uff11",
        "[::ffff:10.0.0.1]", "[", "]", "[]", "[]:1",
    ],
)  # fmt: skip
def test_any_other_host_is_not(host):
    """Neither what resolves elsewhere, nor what only looks like an address."""
    assert not names_loopback(host)


@given(st.text())
def test_no_header_is_too_odd(host):
    """Whatever is sent, the answer is yes or no."""
    assert names_loopback(host) in (True, False)
    assert is_loopback(host) in (True, False)
