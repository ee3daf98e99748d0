"""`costspan price` and `costspan prices`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from costspan.cli.prices import price, prices_app

APP = typer.Typer()
APP.command("price")(price)
APP.add_typer(prices_app, name="prices")

HAIKU = {
    "name": "compression",
    "service": "anthropic",
    "endpoint": "/v1/messages",
    "at": "2026-11-20T12:00:00Z",
    "response": {
        "id": "msg_01",
        "model": "claude-3-5-haiku-latest",
        "usage": {"input_tokens": 450, "output_tokens": 180},
    },
}
VERSION = "genai-prices"


def run(*arguments: str, prices: Path | None = None, stdin: str | None = None) -> Result:
    """Run a command with a wide terminal and the given price file."""
    environment = {"COSTSPAN_PRICES": "" if prices is None else str(prices), "COLUMNS": "200"}
    return CliRunner().invoke(APP, arguments, input=stdin, env=environment)


def exchange_file(folder: Path, text: str) -> str:
    """Write exchanges to a file and return its name."""
    path = folder / "exchanges.json"
    path.write_text(text)
    return str(path)


def test_prices_as_json_are_texts_with_their_lines(tmp_path):
    """A list of name, status, cost, lines and version, with amounts as plain decimal texts."""
    result = run("price", exchange_file(tmp_path, json.dumps([HAIKU])), "--json")

    (found,) = json.loads(result.stdout)
    assert list(found) == ["name", "status", "cost_usd", "lines", "price_version"]
    assert (found["name"], found["status"], found["cost_usd"]) == ("compression", "priced", "0.00135")
    assert found["price_version"].startswith(VERSION)
    assert found["lines"][0] == {
        "model": "claude-3-5-haiku-latest",
        "unit": "input_tokens",
        "quantity": 450,
        "rate_usd": "0.000001",
        "amount_usd": "0.00045",
        "layer": "overlay",
    }


def test_the_golden_file_prices_to_the_digit(shared):
    """The command says of each golden exchange what is true of it."""
    path = shared / "golden" / "exchanges.json"

    result = run("price", str(path), "--json")

    found = [(case["name"], case["status"], case["cost_usd"]) for case in json.loads(result.stdout)]
    cases = json.loads(path.read_text())
    assert found == [(case["name"], case["expected"]["status"], case["expected"]["cost_usd"]) for case in cases]
    assert result.exit_code == 0


@pytest.mark.parametrize(
    "write",
    [
        json.dumps,
        lambda case: json.dumps([case], indent=2),
        lambda case: json.dumps(case) + "\n\n" + json.dumps(case) + "\n",
        lambda case: "\ufeff" + json.dumps(case),
    ],
)
def test_one_exchange_a_list_or_one_a_line(tmp_path, write):
    """Each way of writing exchanges is read, from a file and from standard input."""
    text = write(HAIKU)

    from_file = run("price", exchange_file(tmp_path, text), "--json")
    from_stdin = run("price", "-", "--json", stdin=text)

    assert from_file.stdout == from_stdin.stdout
    assert {case["cost_usd"] for case in json.loads(from_file.stdout)} == {"0.00135"}


def test_the_table_names_every_line_and_why_a_cost_is_not_known(tmp_path):
    """For a person: each line, the total, the status and its reason; an unknown amount is a word, not a zero."""
    unknown = {**HAIKU, "name": "[bold]odd\x1b[0m", "response": {**HAIKU["response"], "model": "claude-99"}}

    result = run("price", exchange_file(tmp_path, json.dumps([HAIKU, unknown])))

    assert "compression: $0.00135 (priced)" in result.stdout
    assert "0.00045" in result.stdout
    assert "[bold]odd" in result.stdout
    assert "\x1b" not in result.stdout
    assert "unknown (unpriced)" in result.stdout
    assert "no price is known for the model 'claude-99'" in result.stdout
    assert VERSION in result.stdout


def test_names_that_no_terminal_can_print_are_printed_somehow(tmp_path):
    """Half a surrogate pair, as JSON can write it, reaches neither an error nor the terminal."""
    file = exchange_file(tmp_path, json.dumps({**HAIKU, "name": "odd \ud800"}))

    as_json, as_table = run("price", file, "--json"), run("price", file)

    assert json.loads(as_json.stdout)[0]["name"] == "odd \ud800"
    assert "odd \ufffd: $0.00135" in as_table.stdout


def test_the_table_says_why_numbers_are_refused(tmp_path):
    """Impossible usage has no lines; its reason is shown."""
    case = {**HAIKU, "response": {**HAIKU["response"], "usage": {"input_tokens": -5, "output_tokens": 1}}}

    result = run("price", exchange_file(tmp_path, json.dumps(case)))

    assert "compression: unknown (invalid)" in result.stdout
    assert "input_tokens is '-5'" in result.stdout
    assert "quantity" not in result.stdout


def test_the_table_shows_what_a_cut_answer_cost_so_far(tmp_path):
    """A stream that ended early shows what is known of it so far."""
    start = {
        "type": "message_start",
        "message": {"model": "claude-sonnet-5", "usage": {"input_tokens": 1000, "output_tokens": 1}},
    }
    case = {key: value for key, value in HAIKU.items() if key != "response"} | {"events": [start]}

    result = run("price", exchange_file(tmp_path, json.dumps(case)))

    assert "compression: about $0.00201 so far (partial)" in result.stdout


def test_an_exchange_without_a_date_is_priced_today(tmp_path):
    """No date means now."""
    case = {key: value for key, value in HAIKU.items() if key not in ("at", "name")}

    result = run("price", exchange_file(tmp_path, json.dumps(case)), "--json")

    assert json.loads(result.stdout)[0]["name"] == "exchange 1"
    assert json.loads(result.stdout)[0]["cost_usd"] == "0.00135"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("not json", ":1: not JSON"),
        ("not json\nnor this", ":1: not JSON"),
        ('{"a": 1}\n{"b": ', ":2: not JSON"),
        ("[1]", "exchange 1 is '1'"),
        ('{"endpoint": "/v1/messages", "response": {}}', "exchange 1 has no service"),
        ('{"service": "anthropic", "response": {}}', "exchange 1 has no endpoint"),
        ('{"service": "anthropic", "endpoint": "/v1/messages"}', "neither response nor events"),
        ('{"service": "anthropic", "endpoint": "/v1/files", "response": {}}', "no metered endpoint"),
        ('{"service": "openai", "endpoint": "/v1/responses", "events": 5}', "events"),
        (json.dumps({**HAIKU, "at": "yesterday"}), "made at 'yesterday'"),
        (json.dumps({**HAIKU, "at": 5}), "made at '5'"),
        ("[" * 100_000, "not JSON"),
        ("[" + "9" * 5000 + "]", "not JSON"),
    ],
)
def test_a_file_that_is_no_exchange_is_refused_clearly(tmp_path, text, message):
    """The error names file and place, goes to standard error, and the exit code is 2."""
    result = run("price", exchange_file(tmp_path, text))

    assert result.exit_code == 2
    assert message in result.stderr
    assert "exchanges.json" in result.stderr or "exchange 1" in result.stderr
    assert not result.stdout


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    """A missing file and one in another encoding, each in a sentence."""
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe")

    missing, broken = run("price", str(tmp_path / "missing.json")), run("price", str(binary))

    assert (missing.exit_code, broken.exit_code) == (2, 2)
    assert "missing.json cannot be read" in missing.stderr
    assert "is not UTF-8" in broken.stderr


def test_a_broken_price_file_stops_every_command(tmp_path):
    """File, line and what is allowed, with exit code 2, whichever command reads it."""
    prices = tmp_path / "prices.toml"
    prices.write_text('[[price]]\nmodel = "gpt-5"\ninput = -1\n')
    exchanges = exchange_file(tmp_path, json.dumps(HAIKU))

    for arguments in (("price", exchanges), ("prices", "list"), ("prices", "show", "gpt-5"), ("prices", "check")):
        result = run(*arguments, prices=prices)
        assert result.exit_code == 2
        assert f"{prices}:3: input is -1: allowed are numbers" in result.stderr


def test_a_price_file_counts(tmp_path):
    """A contract price is in the cost, in the line's layer and in the version."""
    prices = tmp_path / "prices.toml"
    prices.write_text('[[price]]\nmodel = "claude-3-5-haiku-latest"\ninput = 2\n')

    result = run("price", exchange_file(tmp_path, json.dumps(HAIKU)), "--json", prices=prices)

    (found,) = json.loads(result.stdout)
    assert (found["cost_usd"], found["lines"][0]["layer"]) == ("0.0018", "contract")
    assert ", contract " in found["price_version"]


def test_list_names_models_with_their_prices():
    """Both first parties, per million tokens, with steps of the prompt's length; a provider can be chosen."""
    both = json.loads(run("prices", "list", "--json").stdout)
    groq = json.loads(run("prices", "list", "--provider", "groq", "--json").stdout)

    by_name = {(row["provider"], row["model"]): row for row in both}
    haiku = by_name["anthropic", "claude-haiku-5-5"]
    assert (haiku["input"], haiku["output"]) == ("0.1 (0.5 above 100,000)", "0.5 (2.5 above 100,000)")
    assert by_name["anthropic", "claude-3-5-haiku-latest"]["layer"] == "overlay"
    assert by_name["anthropic", "claude-mythos-5"]["input"] == "10"
    assert by_name["openai", "gpt-6.1-terra"]["cache_write"] == "1.25 (2.5 above 272,000)"
    assert {row["provider"] for row in both} == {"anthropic", "openai"}
    assert {row["provider"] for row in groq} == {"groq"}


def test_list_has_a_price_files_models(tmp_path):
    """Private models are listed with the provider they are sold at."""
    prices = tmp_path / "prices.toml"
    prices.write_text(
        '[[price]]\nprovider = "llm.internal"\nmodel = ["house-7b", "house-*"]\ninput = 0.5\n'
        '[[price]]\nmodel = "anywhere"\ninput = 1\n[[price]]\nprovider = "openai"\nmodel = "gpt-own"\ninput = 7\n'
    )

    rows = json.loads(run("prices", "list", "--json", prices=prices).stdout)

    own = {row["model"]: (row["provider"], row["input"], row["layer"]) for row in rows if row["layer"] == "contract"}
    assert own == {
        "house-7b": ("llm.internal", "0.5", "contract"),
        "anywhere": ("", "1", "contract"),
        "gpt-own": ("openai", "7", "contract"),
    }


def test_list_is_a_table_for_people():
    """The same as text, with the version of the prices below."""
    result = run("prices", "list", "--provider", "anthropic")

    assert "claude-opus-5-5" in result.stdout
    assert VERSION in result.stdout


def test_a_pipe_has_no_edge_to_fold_names_at():
    """Where nothing says how wide the terminal is, and there is none, names stay in one piece."""
    result = CliRunner().invoke(APP, ["prices", "list", "--provider", "anthropic"], env={"COLUMNS": None})

    assert "claude-3-5-haiku-latest" in result.stdout


def test_list_says_when_there_is_no_such_provider():
    """An unknown provider is exit code 1, with the known ones."""
    result = run("prices", "list", "--provider", "nobody")

    assert result.exit_code == 1
    assert "no prices of nobody; known are" in result.stderr


def test_show_has_each_price_with_its_layer_and_source():
    """Every unit on every set of terms with a price, where the figure was read, and at which date."""
    result = run("prices", "show", "gpt-6.1-terra", "--at", "2026-11-20", "--json")

    shown = json.loads(result.stdout)
    cards = {
        card["terms"]: {entry["unit"]: entry for entry in card["prices"] if not entry["prompt_above"]}
        for card in shown["cards"]
    }
    assert (shown["model"], shown["provider"], shown["at"]) == ("gpt-6.1-terra", "openai", "2026-11-20T00:00:00+00:00")
    assert set(cards) == {"standard", "batch", "flex", "priority", "standard+geo=us"}
    half_day = cards["standard"]["cache_write_12h"]
    assert (half_day["usd"], half_day["per"], half_day["layer"]) == ("2.5", "per million tokens", "overlay")
    assert any("openai-12-hour-writes" in source for source in half_day["sources"])
    assert cards["batch"]["input"]["usd"] == "0.5"


def test_show_asks_at_a_date():
    """A price cut is shown on its own side."""
    before = run("prices", "show", "gpt-5.6-sol", "--at", "2026-08-20T23:59:59Z", "--json")
    after = run("prices", "show", "gpt-5.6-sol", "--at", "2026-08-21", "--json")

    prices = [json.loads(result.stdout)["cards"][0]["prices"][0]["usd"] for result in (before, after)]
    assert prices == ["5", "4"]


def test_show_is_a_table_for_people():
    """The provider, the terms, steps of the prompt's length and sources, as text."""
    result = run("prices", "show", "claude-haiku-5-5", "--provider", "anthropic")

    for text in (
        "claude-haiku-5-5 at anthropic",
        "above 100,000",
        "anthropic-us-inference",
        "geo=us",
        "per million tokens",
    ):
        assert text in result.stdout


def test_show_of_an_unknown_model_names_near_ones():
    """Exit code 1, and what was probably meant."""
    result = run("prices", "show", "gpt-5-mnii")

    assert result.exit_code == 1
    assert "did you mean gpt-5-mini" in result.stderr


def test_show_refuses_what_is_no_date():
    """Exit code 2, and how a date is written."""
    result = run("prices", "show", "gpt-5", "--at", "soon")

    assert result.exit_code == 2
    assert "allowed is a date or time such as 2026-11-20" in result.stderr


def test_check_says_what_overrides_what(tmp_path):
    """For each entry: whom it is about, each price before and after, and which layer it goes over."""
    prices = tmp_path / "prices.toml"
    prices.write_text(
        '[[price]]\nprovider = "openai"\nmodel = "gpt-5"\nfrom = 2026-01-01\nuntil = 2026-06-01\ninput = 1\n'
        '[[price]]\nmodel = "house-7b"\ntier = "gold"\nabove = 1000\ninput = 1\n'
        '[[price]]\nmodel = "house-7b"\ntier = "gold"\ninput = 0.5\n'
        '[[discount]]\nprovider = "anthropic"\npercent = 12.5\nfrom = 2030-01-01T06:00:00\n'
        '[[price]]\nmodel = "claude-sonnet-5"\ninput = 2\nprovider = "anthropic"\n'
    )

    result = run("prices", "check", str(prices))

    assert result.exit_code == 0
    for text in (
        "each with its source and date",
        "5 entries",
        "prices.toml:1: gpt-5 at openai from 2026-01-01 before 2026-06-01",
        "gpt-5 input: 1.25 (list) -> 1",
        "gpt-5: not for its dated names, such as gpt-5-2025-08-07",
        "house-7b at any provider on tier gold for prompts above 1,000",
        "house-7b input: unknown -> 0.5 (1 above 1,000)",
        "12.5 % off every model at anthropic from 2030-01-01T06:00:00+00:00",
        "claude-2 input: 8 (list) -> 7",
        "changes nothing",
    ):
        assert text in result.stdout, text


def test_check_as_json_is_for_programs(tmp_path):
    """The same as data."""
    prices = tmp_path / "prices.toml"
    prices.write_text('[[price]]\nmodel = "gpt-5"\nprovider = "openai"\ninput = 1\n')

    (entry,) = json.loads(run("prices", "check", "--json", prices=prices).stdout)["entries"]

    assert entry["overrides"][0] == {"model": "gpt-5", "unit": "input", "before": "1.25", "after": "1", "over": "list"}


def test_check_without_a_file_checks_the_overlay():
    """No price file is no error."""
    result = run("prices", "check")

    assert result.exit_code == 0
    assert "COSTSPAN_PRICES is not set" in result.stdout


def test_an_unusable_setting_is_named():
    """A setting that cannot be used stops the command with its name."""
    result = CliRunner().invoke(APP, ["prices", "list"], env={"COSTSPAN_DAILY_BUDGET_USD": "much"})

    assert result.exit_code == 2
    assert "COSTSPAN_DAILY_BUDGET_USD" in result.stderr
