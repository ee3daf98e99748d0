"""What `costspan doctor` looks at on this host: settings, SDKs and hooks, journal, prices."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path

from costspan import hooks
from costspan.cli.finding import Finding, Verdict
from costspan.errors import ConfigurationError
from costspan.journal import Audit, audit
from costspan.journal.file import SUFFIX
from costspan.pricing import PriceBook
from costspan.settings import PREFIX, UNREADABLE_URL, Settings, is_readable, variables

__all__ = ["journal", "prices", "sdks", "settings_of"]

_MEGABYTE = 1_000_000
#: Of what the journal may take, the part above which it is told.
_NEARLY_FULL = 0.8
#: Files that were given up are adopted within half a minute where anybody drains.
_PATIENCE_S = 120
#: Providers change prices a few times a year.
_OLD_DAYS = 90
_DATED = re.compile(r"\d{4}-\d\d-\d\d")


def settings_of(environ: Mapping[str, str] = os.environ) -> tuple[Settings, list[Finding]]:
    """Read the settings as an application does, and say what is wrong with them."""
    settings, problems = Settings.usable(environ)
    if settings.database_url and not is_readable(settings.database_url):
        problems = (*problems, UNREADABLE_URL)
    found = [Finding("settings", Verdict.WRONG, problem, "Correct the variable, or unset it.") for problem in problems]
    known = variables()
    for name in sorted(name for name in environ if name.startswith(PREFIX) and name not in known):
        near = get_close_matches(name, known, n=1)
        todo = f"Did you mean {near[0]}?" if near else "`docs/settings.md` has all there are."
        found.append(Finding("settings", Verdict.NOTICE, f"{name} is no setting of costspan and does nothing", todo))
    if not found:
        given = sorted(known & environ.keys())
        found.append(
            Finding("settings", Verdict.OK, f"set: {', '.join(given)}" if given else "all have their defaults")
        )
    return settings, found


def sdks() -> Iterator[Finding]:
    """Import each SDK, hook it, and make calls through it that never leave."""
    floors = {name: ".".join(map(str, floor)) for name, floor in hooks.FLOORS.items()}
    found = {name: hooks.examine(name) for name in floors}
    for name, sdk in found.items():
        match sdk.state:
            case hooks.State.ABSENT:
                todo = f"To meter {name}: pip install '{name}>={floors[name]}'."
                is_alone = all(other.state is hooks.State.ABSENT for other in found.values())
                yield Finding(
                    name, Verdict.WRONG if is_alone else Verdict.OK, "not installed", todo if is_alone else ""
                )
            case hooks.State.REFUSED:
                todo = f"Install a version that is tested ({floors[name]} or later), or upgrade costspan."
                yield Finding(name, Verdict.WRONG, f"{sdk.version or 'of no known version'}: {sdk.reason}", todo)
            case _:
                said = f"{sdk.version} (from {floors[name]} on): a call and a stream were metered, sync and async"
                yield Finding(name, Verdict.OK, said)


def journal(settings: Settings) -> Iterator[Finding]:
    """Look at the journal's folder and at what waits in it; everything stays as it is."""
    folder = settings.journal_path
    if not os.access(folder, os.F_OK):  # what may not be looked at is not there for this user, either
        yield _to_be_made(folder)
        return
    if not (os.access(folder, os.R_OK | os.W_OK | os.X_OK) and _takes_files(folder)):
        todo = f"Let this user have it, or set {PREFIX}JOURNAL_DIR to a folder of its own."
        yield Finding("journal", Verdict.WRONG, f"{folder} cannot be read and written by this user", todo)
        return
    try:
        held = audit(folder)
        files = [path.stat() for path in folder.iterdir() if path.suffix == SUFFIX]
    except OSError as error:
        yield Finding("journal", Verdict.WRONG, f"{folder}: {error.strerror}", "Is it a folder, on a disk that works?")
        return
    size = sum(file.st_size for file in files)
    said = f"{folder}: {_many(held.files, 'file')}, {held.live_files:,} of living processes, {_size(size)}"
    if size > settings.journal_max_bytes * _NEARLY_FULL:
        todo = f"Let it drain (`costspan drain`), or allow more than {settings.journal_max_bytes:,} bytes."
        yield Finding("journal", Verdict.WRONG, f"{said}: nearly all that {PREFIX}JOURNAL_MAX_BYTES allows", todo)
    else:
        yield Finding("journal", Verdict.OK, said)
    if folder.stat().st_mode & stat.S_IWOTH:
        said = f"every user of this machine may write to {folder}: whoever does can add calls, or take some away"
        yield Finding("journal", Verdict.NOTICE, said, f"chmod o-w '{folder}', unless that is meant.")
    yield from _backlog(settings, held, min((file.st_mtime for file in files), default=time.time()))
    free = shutil.disk_usage(folder).free
    if free < settings.journal_max_bytes - size:
        said = f"its disk has {free / _MEGABYTE:,.0f} MB left, less than the journal may take"
        yield Finding("journal", Verdict.NOTICE, said, f"Free some, or lower {PREFIX}JOURNAL_MAX_BYTES.")


def _to_be_made(folder: Path) -> Finding:
    parent = next((path for path in folder.absolute().parents if os.access(path, os.F_OK)), Path("/"))
    if _takes_files(parent):
        return Finding("journal", Verdict.OK, f"{folder} is not there yet: it is made by the first call")
    todo = f"Set {PREFIX}STATE_DIR or {PREFIX}JOURNAL_DIR to a folder that this user may write."
    return Finding("journal", Verdict.WRONG, f"{folder} is not there, and this user may not make it in {parent}", todo)


def _takes_files(folder: Path) -> bool:
    """Whether anything can be made in it. Tried: what root is allowed to do may be impossible all the same, as in /proc."""
    try:
        Path(tempfile.mkdtemp(prefix=".costspan-doctor-", dir=folder)).rmdir()
    except OSError:
        return False
    return True


def _backlog(settings: Settings, held: Audit, oldest: float) -> Iterator[Finding]:
    waiting, age = held.files - held.live_files, time.time() - oldest
    if held.foreign:
        todo = "They are left alone. Are they another user's, or of a newer costspan?"
        yield Finding("journal", Verdict.NOTICE, f"{_many(held.foreign, 'file')} could not be read", todo)
    if waiting > 0 and age > _PATIENCE_S:
        said = f"{_many(waiting, 'file')} of processes that are gone wait to be drained, the oldest for {_age(age)}"
        is_left = settings.drain == "off"
        todo = (
            "Start `costspan serve`, which drains them" if is_left else "`costspan drain` brings them into the ledger"
        )
        yield Finding("journal", Verdict.WRONG if is_left else Verdict.NOTICE, said, f"{todo}.")
    if held.damaged:
        said = f"{held.damaged:,} bytes are no record"
        yield Finding("journal", Verdict.WRONG, said, "Check the disk. They are kept in the ledger's quarantine.")


def prices(settings: Settings, today: date) -> Iterator[Finding]:
    """Load the price book, and say how old it is."""
    try:
        book = PriceBook.load(settings.prices)
        stamped = book.price_version
    except ConfigurationError as error:
        yield Finding("prices", Verdict.WRONG, str(error), "Correct the file; `costspan prices check` names each line.")
        return
    dates = [date.fromisoformat(text) for text in _DATED.findall(book.resolver.overlay.name)]
    age = (today - max(dates)).days if dates else None
    if age is not None and age > _OLD_DAYS:
        said = f"{stamped}: last checked {age} days ago"
        yield Finding("prices", Verdict.NOTICE, said, "pip install --upgrade costspan genai-prices, then restart.")
    else:
        yield Finding("prices", Verdict.OK, stamped)


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _size(count: int) -> str:
    return f"{count / _MEGABYTE:,.1f} MB" if count >= _MEGABYTE else f"{count:,} bytes"


def _age(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            return _many(int(seconds // length), unit)
    return _many(int(seconds), "second")
