"""Everything costspan raises on purpose, in one tree.

CostspanError
 ├── ConfigurationError (ValueError)   a setting, a price file or a path that cannot be used
 │    └── PriceFileError               a user's price file: file, line and what is allowed
 ├── InvalidUsage (ValueError)         token counts that no call can have consumed
 ├── UnknownModel (LookupError)        a model that no layer of the price book knows
 ├── InvalidQuestion (ValueError)      a period, date, zone or dimension that cannot be asked for
 └── LedgerError
      ├── LedgerUnavailable (ConnectionError)   Postgres cannot be reached; the journal keeps everything
      └── MigrationError                        the schema is newer than this version, or a migration failed

Nothing of this reaches an application from an instrumented call: the metering path counts and logs instead.
"""

from __future__ import annotations

__all__ = [
    "ConfigurationError",
    "CostspanError",
    "InvalidQuestion",
    "InvalidUsage",
    "LedgerError",
    "LedgerUnavailable",
    "MigrationError",
    "PriceFileError",
    "UnknownModel",
]


class CostspanError(Exception):
    """Base of every error that costspan raises on purpose."""


class ConfigurationError(CostspanError, ValueError):
    """A setting, a price file or a path that cannot be used; the message names it and what is allowed."""


class PriceFileError(ConfigurationError):
    """A user's price file that cannot be read; the message has file, line and what is allowed."""


class InvalidUsage(CostspanError, ValueError):
    """Counts that no call can have consumed: negative, fractional, not a number or absurdly large."""


class UnknownModel(CostspanError, LookupError):
    """No layer of the price book knows the model at the asked date."""


class InvalidQuestion(CostspanError, ValueError):
    """A period, date, time zone or dimension that cannot be asked for; the message says which are allowed."""


class LedgerError(CostspanError):
    """The ledger refused or failed."""


class LedgerUnavailable(LedgerError, ConnectionError):
    """Postgres cannot be reached. Nothing is lost: the journal keeps everything until it can."""


class MigrationError(LedgerError):
    """The ledger's schema is newer than this version of costspan, or a migration failed and was rolled back."""
