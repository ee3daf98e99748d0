"""What a report is printed as, and which options go together."""

from __future__ import annotations

from enum import StrEnum

from costspan.errors import InvalidQuestion

__all__ = ["Format", "agree", "format_of"]


class Format(StrEnum):
    """What a report is printed as."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    FOCUS = "focus"


def format_of(form: str | None, *, as_json: bool, as_csv: bool) -> Format:
    """Return what the options ask for.

    Raises:
        InvalidQuestion: for another word, and for two that differ.
    """
    if as_json and as_csv:
        raise InvalidQuestion("--json and --csv are both given: allowed is one of them")
    short = Format.JSON if as_json else Format.CSV if as_csv else None
    if form is None:
        return short or Format.TABLE
    if form not in tuple(Format):
        raise InvalidQuestion(f"--format is {form[:80]!r}: allowed are {', '.join(Format)}")
    if short not in (None, form):
        raise InvalidQuestion(f"--format is {form!r} besides --{short}: allowed is one of them")
    return Format(form)


def agree(form: Format, *, versus: str | None, target: str | None, account: str | None) -> None:
    """Refuse options that have no place beside each other.

    Raises:
        InvalidQuestion: naming them.
    """
    if versus is not None and target is not None:
        raise InvalidQuestion("--compare and --target are both given: allowed is one of them")
    if form is Format.FOCUS and (versus is not None or target is not None):
        raise InvalidQuestion("--format is 'focus', which has no place for --compare and --target: leave these out")
    if form is not Format.FOCUS and account is not None:
        raise InvalidQuestion("--billing-account is given: it is for --format focus")
