"""Settings come from the environment, once, and say what is wrong."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from costspan.errors import ConfigurationError
from costspan.settings import Settings, variables
from costspan.zone import zone_named


def test_without_variables_the_defaults_hold():
    """Nothing needs to be set: embedded Postgres, ten dollars a day, days in UTC."""
    settings = Settings.from_environment({})

    assert settings.database_url == ""
    assert settings.daily_budget_usd == Decimal(10)
    assert settings.timezone == ZoneInfo("UTC")
    assert settings.journal_path == settings.state_dir / "journal"


def test_every_variable_is_read():
    """Each setting has its variable."""
    settings = Settings.from_environment(
        {
            "COSTSPAN_DATABASE_URL": "postgresql://localhost/costs",
            "COSTSPAN_JOURNAL_DIR": "/data/journal",
            "COSTSPAN_JOURNAL_MAX_BYTES": "1000000",
            "COSTSPAN_JOURNAL_SYNC": "Always",
            "COSTSPAN_TENANT": "acme",
            "COSTSPAN_PRICES": "prices.toml",
            "COSTSPAN_DAILY_BUDGET_USD": "12.50",
            "COSTSPAN_TIMEZONE": "Asia/Kolkata",
            "COSTSPAN_OTEL_METRICS": "on",
        }
    )

    assert settings.database_url == "postgresql://localhost/costs"
    assert settings.journal_path == Path("/data/journal")
    assert settings.journal_max_bytes == 1_000_000
    assert settings.journal_sync == "always"
    assert settings.prices == Path("prices.toml")
    assert settings.daily_budget_usd == Decimal("12.50")
    assert settings.timezone == ZoneInfo("Asia/Kolkata")
    assert settings.otel_metrics is True


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("COSTSPAN_DAILY_BUDGET_USD", "ten", "an amount in dollars"),
        ("COSTSPAN_DAILY_BUDGET_USD", "-1", "0 or more"),
        ("COSTSPAN_DAILY_BUDGET_USD", "NaN", "an amount in dollars"),
        ("COSTSPAN_TIMEZONE", "Mars/Olympus", "IANA time zones"),
        ("COSTSPAN_TIMEZONE", "../etc/passwd", "IANA time zones"),
        ("COSTSPAN_JOURNAL_SYNC", "sometimes", "group, always"),
        ("COSTSPAN_JOURNAL_MAX_BYTES", "0", "above 0"),
        ("COSTSPAN_OTEL_METRICS", "maybe", "on and off"),
    ],
)
def test_an_unusable_value_is_named_with_what_is_allowed(variable, value, allowed):
    """The error names the variable, the value and what is allowed."""
    with pytest.raises(ConfigurationError) as error:
        Settings.from_environment({variable: value})

    assert variable in str(error.value)
    assert value in str(error.value)
    assert allowed in str(error.value)


def test_one_unusable_value_leaves_the_others_as_they_are():
    """A typing error in a time zone does not send a tenant's calls to another ledger."""
    settings, problems = Settings.usable(
        {
            "COSTSPAN_DATABASE_URL": "postgresql://localhost/costs",
            "COSTSPAN_TENANT": "acme",
            "COSTSPAN_TIMEZONE": "Europe/Berln",
            "COSTSPAN_DAILY_BUDGET_USD": "ten",
        }
    )

    assert (settings.database_url, settings.tenant) == ("postgresql://localhost/costs", "acme")
    assert (settings.timezone, settings.daily_budget_usd) == (ZoneInfo("UTC"), Decimal(10))
    assert [problem.split(" ")[0] for problem in problems] == ["COSTSPAN_DAILY_BUDGET_USD", "COSTSPAN_TIMEZONE"]


@pytest.mark.parametrize(
    "name", ["right/Europe/Berlin", "posix/Europe/Berlin", "localtime", "posixrules", "Factory", "Europe"]
)
def test_what_is_no_time_zone_has_no_days(name):
    """Copies that count leap seconds begin their days late, and what is named for this machine is another zone elsewhere."""
    with pytest.raises(ValueError, match=name):
        zone_named(name)
    with pytest.raises(ConfigurationError, match=f"COSTSPAN_TIMEZONE is '{name}': allowed are IANA time zones"):
        Settings.from_environment({"COSTSPAN_TIMEZONE": name})


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "Asia/Calcutta", "Etc/GMT+5", "US/Eastern"])
def test_every_iana_name_is_a_time_zone(name):
    """Old names of one, too."""
    assert zone_named(name) == ZoneInfo(name)


def test_days_are_whole_and_may_be_none_only_where_that_makes_sense():
    """A day may be compacted as soon as it is over; calls that are kept for no day at all make no sense."""
    settings = Settings.from_environment({"COSTSPAN_COMPACT_AFTER_DAYS": "0", "COSTSPAN_RETENTION_DAYS": "90"})

    assert (settings.compact_after_days, settings.retention_days) == (0, 90)
    assert (Settings().compact_after_days, Settings().retention_days) == (1, None)
    with pytest.raises(ConfigurationError, match="COSTSPAN_RETENTION_DAYS is '0': allowed are whole numbers above 0"):
        Settings.from_environment({"COSTSPAN_RETENTION_DAYS": "0"})
    with pytest.raises(
        ConfigurationError, match="COSTSPAN_COMPACT_AFTER_DAYS is '-1': allowed are whole numbers from 0"
    ):
        Settings.from_environment({"COSTSPAN_COMPACT_AFTER_DAYS": "-1"})


@pytest.mark.parametrize("url", ["garbage", "sqlite:///costs.db", "postgresql://u:secret@[host/costs"])
def test_a_command_refuses_a_database_that_cannot_be_read(url):
    """Without repeating it, as it may have a password; an application goes on, and its journal keeps everything."""
    with pytest.raises(ConfigurationError, match="COSTSPAN_DATABASE_URL cannot be read") as refused:
        Settings.from_environment({"COSTSPAN_DATABASE_URL": url})

    assert "secret" not in str(refused.value)
    assert Settings.usable({"COSTSPAN_DATABASE_URL": url}) == (Settings(database_url=url), ())


def test_every_field_has_a_variable():
    """What is no setting can be told from what is one."""
    assert {"COSTSPAN_DATABASE_URL", "COSTSPAN_TIMEZONE"} < variables()
