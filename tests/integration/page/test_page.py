"""The page at `/`, as Chromium shows it: what it says, how it is used, and what it looks like."""

from __future__ import annotations

import random
import re
import struct
import zlib
from decimal import Decimal, localcontext
from uuid import uuid4

import pytest

from costspan.pricing.money import plain
from integration.ledger.calls import NOON, batch, call
from integration.page.browser import DESKTOP, PHONE, screenshots
from integration.page.month import HOSTILE, LONGEST_SESSION

pytestmark = pytest.mark.xdist_group("page")
#: When no other test looks; and no forecast, which looks 13 weeks back.
LONG_AGO = NOON.replace(month=3, day=15)
MINUS = "\N{MINUS SIGN}"
VIEWS = {
    "overview": "/",
    "week": "/?period=week&tenant=acme",
    "session": "/?session=acme-89-1&tenant=acme",
    "unpriced": "/?calls=1&status=unpriced",
}


def dollars(amount: Decimal) -> str:
    """``amount`` as the page writes it where it is exact."""
    whole, _, decimals = plain(amount).partition(".")
    return f"${int(whole):,}" + (f".{decimals.ljust(2, '0')}" if decimals else "")


def violations(page) -> list[str]:
    """What axe has to say against the page as it is shown."""
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415  # not there everywhere, as the browser

    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [f"{item['id']}: {node['html'][:200]}" for item in found for node in item["nodes"]]


def brightness(png: bytes) -> float:
    """How bright the first pixel of a picture is, from 0 to 1."""
    data, place = b"", 8
    while place < len(png):
        (size,) = struct.unpack(">I", png[place : place + 4])
        if png[place + 4 : place + 8] == b"IDAT":
            data += png[place + 8 : place + 8 + size]
        place += size + 12
    red, green, blue = zlib.decompress(data)[1:4]
    return (red + green + blue) / 765


@pytest.mark.parametrize(
    ("scheme", "size", "views"),
    [
        ("light", DESKTOP, tuple(VIEWS)),
        ("dark", DESKTOP, ("overview",)),
        ("light", PHONE, ("overview",)),
        ("dark", PHONE, ("overview", "session")),
    ],
    ids=["light-desktop", "dark-desktop", "light-phone", "dark-phone"],
)
def test_it_is_legible_in_both_schemes_and_widths(opened, pictures, scheme, size, views):
    """Nothing is wider than the screen, axe finds nothing, nothing is asked of another server; and a picture is kept."""
    tab = opened(color_scheme=scheme, size=size, bypass_csp=True)  # axe is put into the page

    for name in views:
        page = tab.open(VIEWS[name])
        if name == "week":
            page.get_by_text("As a table").click()
        if name == "session":
            page.get_by_role("button", name="Bill of").first.click()
            page.get_by_text("cache read tokens").wait_for()
        picture = page.screenshot(path=screenshots(pictures) / f"{name}-{scheme}-{size[0]}.png", full_page=True)

        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], name
        assert violations(page) == [], name
        assert (brightness(picture) < 0.2) is (scheme == "dark")
    assert tab.errors == []
    assert {address.split("/")[2] for address in tab.asked} == {tab.api.url.removeprefix("http://")}


def test_the_policy_lets_the_page_work(page):
    """Under its own policy, which no test tool lifts, the page is shown without a complaint."""
    page.open()

    assert page.card("By day").locator("svg rect.series-0").count() == 21
    assert page.errors == []


def test_it_says_what_the_api_says_to_the_last_digit(page):
    """Today, the month, each model, feature and tenant, as exact as the API; and they add up."""
    page.open()
    page.exact()

    month = page.api.get("/api/metrics", period="month", group_by="model").json
    day = page.api.get("/api/metrics", period="day").json
    assert dollars(day["total_cost"]) in page.card("Today").inner_text()
    assert dollars(month["total_cost"]) in page.card("This month").inner_text()
    assert f"{month['usage_count']:,}" in page.card("Calls").inner_text()
    for title, by in (("By model", "model"), ("By feature", "feature"), ("By tenant", "tenant")):
        rows = page.api.get("/api/metrics", period="month", group_by=by).json["breakdown"]
        shown = page.card(title).locator("td data").all()
        costs = [Decimal(item.get_attribute("value")) for item in shown]
        assert sorted(costs) == sorted(row["cost"] for row in rows if row["cost"] is not None)
        assert sum(costs) == month["total_cost"]
        assert all(item.inner_text() == dollars(cost) for item, cost in zip(shown, costs, strict=True))


def test_budgets_and_forecast_of_a_tenant(page):
    """Spend against the budget of the day and the month, where they will end, and when the month's is used up."""
    page.open("/?tenant=acme")

    forecast = page.api.get("/api/forecast", tenant="acme").json
    budgets = {item["window"]: item for item in page.api.get("/api/budgets", tenant="acme").json["budgets"]}
    for title, window in (("Today", "day"), ("This month", "month")):
        meter = page.card(title).get_by_role("meter")
        assert meter.get_attribute("aria-valuenow") == str(round(100 * budgets[window]["share"]))
        assert "Heading for" in page.card(title).inner_text()
    assert f"${forecast['expected']:,.2f}" in page.card("This month").inner_text()
    assert "will be spent on Tue 24 Nov" in page.card("This month").inner_text()
    assert forecast["exhausted_on"] == "2026-11-24"
    assert page.card("By day").locator("line.limit").count() == 1
    assert page.card("By day").locator("rect.expected").count() == 10


def test_who_is_over_budget_is_told(page):
    """Of all tenants how many, in the table which ones; of the tenant itself that it is, in words and not by colour alone."""
    page.open()
    assert "1 of 3 tenants with a budget is over it." in page.card("Today").inner_text()
    assert page.card("Budgets").get_by_role("row", name="globex").get_by_text("over budget").count() == 1
    assert page.card("Budgets").get_by_text("over budget").count() == 1

    page.card("Budgets").get_by_role("link", name="globex").click()
    page.page.wait_for_url("**/?tenant=globex")
    page.card("Today").get_by_text("over budget").wait_for()


def test_the_table_behind_the_chart_has_every_day(page):
    """With its cost and calls, and a link to the day."""
    page.open()
    page.page.get_by_text("As a table").click()

    table = page.card("By day").get_by_role("table", name="Cost by day")
    days = page.api.get("/api/metrics", period="month", group_by="day").json["breakdown"]
    assert table.locator("tbody tr").count() == 30
    for row in days:
        text = table.get_by_role("row", name=re.compile(rf"^\w+ {int(row['day'][8:])} Nov ")).inner_text()
        assert str(row["count"]) in text.split()
    table.get_by_role("link", name="Fri 20 Nov").click()
    page.page.get_by_role("heading", name="Friday, 20 November 2026").wait_for()


def test_a_click_through(page):
    """From the month to a week of a tenant, to the calls of a model, to a session, to a bill, and all the way back."""
    view = page.open()

    view.get_by_role("radio", name="Week").check()
    view.get_by_role("heading", name="Week of 16 November 2026").wait_for()
    view.get_by_role("button", name="Week before").dblclick()
    view.get_by_role("heading", name="Week of 2 November 2026").wait_for()
    view.get_by_role("button", name="Week after").click()
    view.get_by_role("heading", name="Week of 9 November 2026").wait_for()
    view.get_by_role("combobox", name="Tenant").select_option(label="acme")
    view.wait_for_url("**/?period=week&date=2026-11-14&tenant=acme")
    view.get_by_role("combobox", name="Service").select_option("anthropic")
    view.get_by_text("Budgets are of all services together.").first.wait_for()
    page.card("By model").get_by_role("link", name="claude-sonnet-4-5").click()
    view.get_by_role("heading", name="Calls of claude-sonnet-4-5, Week of 9 November 2026").wait_for()
    assert view.evaluate("document.activeElement.tagName") == "H1"
    rows = page.card("Calls").locator("tbody tr:not(.bill)")
    rows.first.wait_for()
    asked = {"from": "2026-11-09", "to": "2026-11-15", "tenant": "acme", "model": "claude-sonnet-4-5", "limit": 1000}
    assert rows.count() == len(page.api.get("/api/calls", **asked).json["calls"])
    session = rows.first.get_by_role("link").inner_text()
    rows.first.get_by_role("link").click()
    view.get_by_role("heading", name=f"Session {session}").wait_for()
    view.get_by_role("button", name="Bill of").first.click()
    bill = view.get_by_role("table", name="Lines of the bill")
    bill.wait_for()
    amounts = [Decimal(text.lstrip("$")) for text in bill.locator("tbody td").all_inner_texts()]
    told = view.locator(".bill dd").first.inner_text()
    assert dollars(sum(amounts)) == told

    view.go_back()
    view.get_by_role("heading", name="Calls of claude-sonnet-4-5").wait_for()
    view.get_by_role("link", name="All figures").click()
    view.get_by_role("heading", name="Week of 9 November 2026").wait_for()
    view.get_by_role("button", name="Today").click()
    view.get_by_role("heading", name="Week of 16 November 2026").wait_for()
    assert page.errors == []


def test_a_table_is_sorted_by_its_headings(page):
    """A click sorts by a column, another turns it around, and the heading says so."""
    page.open()
    card = page.card("By feature")

    card.get_by_role("button", name="Calls").click()

    def calls() -> list[int]:
        return [int(text) for text in card.locator("tbody tr td:nth-child(4)").all_inner_texts()]

    assert calls() == sorted(calls(), reverse=True)
    assert card.get_by_role("columnheader", name="Calls").get_attribute("aria-sort") == "descending"
    card.get_by_role("button", name="Calls").click()
    assert calls() == sorted(calls())
    assert card.get_by_role("columnheader", name="Cost").get_attribute("aria-sort") is None


def test_a_long_table_begins_short(page):
    """With its first rows and a button for the others."""
    calls = [call(LONG_AGO, tenant="many", feature=f"f-{number:02}") for number in range(12)]
    page.api.ledger.write(batch(calls), uuid4())
    page.open("/?date=2026-03-15&tenant=many")
    rows = page.card("By feature").locator("tbody tr")

    assert rows.count() == 8
    page.card("By feature").get_by_role("button", name="Show all 12").click()
    assert rows.count() == 12
    page.card("By feature").get_by_role("button", name="Show the first 8 only").click()
    assert rows.count() == 8


def test_it_is_used_by_keyboard_alone(page):
    """The first stop leads past the controls; arrows choose the period; focus stays where it was when all is drawn anew."""
    view = page.open()

    view.keyboard.press("Tab")
    assert view.evaluate("document.activeElement.textContent") == "Skip to the figures"
    view.keyboard.press("Enter")
    assert view.evaluate("document.activeElement.id") == "main"
    view.get_by_role("radio", name="Month").focus()
    view.keyboard.press("ArrowLeft")
    view.get_by_role("heading", name="Week of 16 November 2026").wait_for()
    page.settle()
    assert view.evaluate("document.activeElement.id") == "period-week"
    assert "shown" in view.get_by_role("status").inner_text()


def test_a_link_signs_in_and_leaves_no_token_behind(page):
    """Neither in the address nor in the history, and in no request but its own header; a reload still knows it."""
    view = page.open()

    assert view.url == f"{page.api.url}/"
    assert not any(page.api.admin in address for address in page.asked)
    view.reload()
    page.settle()
    assert view.get_by_role("heading", name="November 2026").count() == 1
    view.get_by_role("button", name="Sign out").click()
    view.get_by_role("heading", name="Sign in").wait_for()
    view.reload()
    view.get_by_role("heading", name="Sign in").wait_for()
    assert view.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


def test_a_wrong_token_is_asked_for_again(page):
    """With the reason; the right one then shows the page, where the address led to."""
    view = page.open("/?period=week", token="")

    view.get_by_label("Token").fill("csp_" + "0" * 64)
    view.keyboard.press("Enter")
    view.get_by_role("alert").get_by_text("not known, expired or revoked").wait_for()
    view.get_by_label("Token").fill(f" {page.api.admin} ")
    view.get_by_role("button", name="Show the figures").click()
    view.get_by_role("heading", name="Week of 16 November 2026").wait_for()


def test_a_token_that_no_longer_counts_ends_the_session(page):
    """The next question is refused, and the page asks for a token instead of showing old figures."""
    view = page.open()

    revoked = {"authorization": "Bearer csp_" + "1" * 64}
    view.route("**/api/**", lambda route: route.continue_(headers={**route.request.headers, **revoked}))
    view.get_by_role("button", name="Refresh").click()

    view.get_by_role("heading", name="Sign in").wait_for()
    assert "$" not in view.locator("main").inner_text()


def test_a_tenants_token_shows_that_tenant_only(page):
    """There is nothing to choose, nobody else's name or figure, and no pipeline; also where the address asks for another."""
    view = page.open("/?tenant=acme", token=page.api.token("globex"))
    page.exact()

    spent = page.api.get("/api/metrics", tenant="globex", period="month").json["total_cost"]
    assert dollars(spent) in page.card("This month").inner_text()
    assert view.get_by_role("combobox", name="Tenant").count() == 0
    for title in ("By tenant", "Pipeline", "Budgets"):
        assert page.card(title).count() == 0
    assert not re.search("acme|initech", view.locator("body").inner_text())
    assert page.errors == []


def test_names_are_text_whatever_they_are(page):
    """A feature and a session named as markup are shown as they are, and lead to their calls."""
    view = page.open("/?period=day&tenant=acme")

    page.card("By feature").get_by_role("link", name=HOSTILE).click()
    view.get_by_role("heading", name=f"Calls of {HOSTILE}, Saturday, 21 November 2026").wait_for()
    page.card("Calls").get_by_role("link", name=HOSTILE).click()
    view.get_by_role("heading", name=f"Session {HOSTILE}").wait_for()
    page.settle()
    page.open(f"/?session={LONGEST_SESSION}")
    assert "$4.45" in page.card("Cost").inner_text()
    assert view.title() != "owned"
    assert page.errors == []


def test_what_is_refused_hides_nothing_else(page):
    """A part that cannot be told says why and can be tried again; the others are shown meanwhile."""
    view = page.page
    problem = '{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"every connection is busy"}'
    answer = {"status": 503, "content_type": "application/problem+json", "body": problem}
    view.route("**/api/savings*", lambda route: route.fulfill(**answer))
    page.open()

    assert "Every connection is busy." in page.card("Savings").inner_text()
    assert "$" in page.card("By model").inner_text()
    view.unroute("**/api/savings*")
    page.card("Savings").get_by_role("button", name="Try again").click()
    page.card("Savings").get_by_text("Prompt caches saved").wait_for()


def test_a_server_that_is_gone_is_told(page):
    """With a button to try again, which works as soon as it is back."""
    view = page.page
    view.route("**/api/**", lambda route: route.abort())
    page.open()

    assert view.get_by_role("alert").inner_text() == "The server does not answer."
    view.unroute("**/api/**")
    view.get_by_role("button", name="Try again").click()
    view.get_by_role("heading", name="November 2026").wait_for()


def test_refresh_shows_what_is_new(page):
    """A call that came meanwhile is in the figures after a click, without a reload."""
    page.open("/?date=2026-03-15&tenant=newcomer")
    assert "Nothing was spent." in page.card("By day").inner_text()

    page.api.ledger.write(batch([call(LONG_AGO, tenant="newcomer")]), uuid4())
    page.page.get_by_role("button", name="Refresh").click()

    page.card("By day").get_by_text("$0.00135 in all").wait_for()


def test_a_ledger_without_calls_is_no_failure(page):
    """A month before anything was metered says so, and shows no empty drawing."""
    view = page.open("/?date=2025-01-15")

    assert "Nothing was spent." in page.card("By day").inner_text()
    assert page.card("By day").locator("svg").count() == 0
    assert "There was no call." in page.card("Priced exactly").inner_text()
    page.open("/?period=day&tenant=nobody")
    assert view.get_by_text("costspan.instrument()").count() == 1


def test_pages_of_calls_follow_each_other(page):
    """Each click brings the next ones, until all are there once."""
    view = page.open("/?calls=1&period=week")

    rows = page.card("Calls").locator("tbody tr:not(.bill)")
    older = view.get_by_role("button", name="Older calls")
    while older.is_visible():
        before = rows.count()
        older.click()
        view.wait_for_function(
            "before => document.querySelectorAll('.calls tbody tr:not(.bill)').length > before", arg=before
        )
    asked = {"from": "2026-11-16", "to": "2026-11-22", "limit": 1000}
    assert rows.count() == len(page.api.get("/api/calls", **asked).json["calls"])


def test_amounts_are_exact_beyond_floats(modules):
    """Numbers of up to 30 digits are read, added and written as Python's decimals are, to the last digit."""
    chance = random.Random(4)
    amounts = [Decimal(chance.randrange(10 ** chance.randrange(1, 31))).scaleb(-12) for _ in range(300)]
    amounts += [Decimal(0), Decimal("0.000000000001"), Decimal("9007199254740993.1"), Decimal("-12.5")]
    texts = [plain(amount) for amount in amounts]

    read = modules.run("amount.js", "m.read(given).map((text) => m.exactly(m.pico(text)))", f"[{','.join(texts)}]")
    total = modules.run("amount.js", "m.exactly(m.sum(given.map(m.pico)))", texts)

    assert read == [dollars(amount) if amount >= 0 else f"{MINUS}{dollars(-amount)}" for amount in amounts]
    with localcontext(prec=60):
        assert total == dollars(sum(amounts))


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0"), ("0.00135", "$0.00135"), ("0.000000000001", "$0.000000000001"), ("0.0123456", "$0.0123"),
        ("0.05", "$0.05"), ("0.1", "$0.10"), ("0.125", "$0.12"), ("0.995", "$1.00"), ("12.345", "$12.34"), ("1234567.899", "$1,234,567.90"),
        ("0.09996", "$0.10"), ("-0.5", f"{MINUS}$0.50"),
    ],
)  # fmt: skip
def test_amounts_are_short_to_read(modules, amount, shown):
    """Cents; of what is less than ten cents the first three digits; ties to the even one."""
    assert modules.run("amount.js", "m.roughly(m.pico(given))", amount) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 9, "0 %"),
        (1, 3, "33.3 %"),
        (1, 9999, "< 0.1 %"),
        (9999, 10000, "> 99.9 %"),
        (9, 9, "100 %"),
        (25, 2, "1,250 %"),
        (1, 0, ""),
    ],
)
def test_a_share_is_never_all_or_nothing_by_rounding(modules, part, whole, shown):
    """What is not all is not 100 %, and what is something is not 0 %."""
    assert modules.run("amount.js", "m.percent(BigInt(given[0]), BigInt(given[1]))", [part, whole]) == shown


def test_days_have_as_many_hours_as_their_clocks_say(modules):
    """23 and 25 where they are changed; weeks begin on Monday, months end with their last day."""
    spring, autumn = (
        modules.run("when.js", "m.hours(...given).length", span)
        for span in (
            ["2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"],
            ["2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"],
        )
    )
    assert (spring, autumn) == (23, 25)
    assert modules.run("when.js", "m.range('week', given)", "2026-11-22") == ["2026-11-16", "2026-11-22"]
    assert modules.run("when.js", "m.range('month', given)", "2024-02-29") == ["2024-02-01", "2024-02-29"]
    assert modules.run("when.js", "m.stepped('month', given, 1)", "2026-01-31") == "2026-02-01"


def test_nothing_moves_for_who_wants_it_so(page):
    """With reduced motion no bar has a transition; else one has."""
    view = page.open()
    spans = "[...document.querySelectorAll('.bar span')].map((bar) => getComputedStyle(bar).transitionDuration)"

    view.emulate_media(reduced_motion="reduce")
    still = set(view.evaluate(spans))
    view.emulate_media(reduced_motion="no-preference")

    assert still == {"0s"}
    assert set(view.evaluate(spans)) == {"0.25s"}
