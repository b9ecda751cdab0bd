"""The root of the command line, and where every error becomes a message and an exit status."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from adapters.cli.commands import Root
from adapters.cli.printing import errors
from adapters.cli.session import session
from domain.errors import BadFile, Invalid, TallyError

EPILOG = (
    "Every command takes --json (machine-readable output) and --home DIR (where the embedded database lives; or set "
    "TALLY_HOME, or DATABASE_URL for a server of yours). Exit status: 0 done, 1 error, 2 refused, 3 books not in "
    "order, 4 not available."
)
app = typer.Typer(
    name="tally", cls=Root, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich",
    epilog=EPILOG,
    help="Billing and licensing for software sold by counted users, where every cent opens to the events behind it.",
)  # fmt: skip


@app.callback(invoke_without_command=True)
def root(
    show_version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
    home: Annotated[str, typer.Option("--home", help="where the embedded database lives")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Billing and licensing for software sold by counted users."""
    if show_version:
        print(f"tally {version('tallystick')}")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status."""
    try:
        words = _shared_words(list(sys.argv[1:] if arguments is None else arguments))
        _check_text(words)
        result = app(words, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except TallyError as error:
        return _failed(error.code, str(error), error.exit_status, error)
    except typer.TyperException as error:
        return _failed("usage", f"{error.format_message()} (see --help)", 2)
    except (typer.Abort, KeyboardInterrupt):
        return _failed("aborted", "stopped; what was not finished is not done", 130)
    except BrokenPipeError:
        return 0
    except _of_the_database() as error:
        return _failed("unavailable", f"the database says: {str(error).strip()}", 4)


def _of_the_database() -> tuple[type[Exception], ...]:
    """Errors of a database that is away or refuses: asked for when something failed, for commands that open none."""
    from psycopg import OperationalError
    from psycopg.errors import InsufficientPrivilege

    return OperationalError, InsufficientPrivilege


def _check_text(words: Sequence[str]) -> None:
    """Bytes that are no text reach no command: no database would take them. Raises: Invalid."""
    for word in words:
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise Invalid(f"{word!r} is not text in UTF-8")


def _shared_words(words: list[str]) -> list[str]:
    """Takes --json and --home out of the words, wherever they stand. Raises: Invalid for a home that is not told."""
    session.home, session.as_json = None, "--json" in words
    rest: list[str] = []
    stream = iter(words)
    for word in stream:
        if word == "--json":
            continue
        if word == "--home":
            session.home = _home(next(stream, ""))
        elif word.startswith("--home="):
            session.home = _home(word.removeprefix("--home="))
        else:
            rest.append(word)
    return rest


def _home(text: str) -> Path:
    """A directory that was told: a database in whatever directory somebody stands in is never meant."""
    if not text or os.path.isfile(text):
        raise Invalid(f"--home wants a directory, not {text!r}")
    return Path(text)


def _failed(code: str, message: str, status: int, error: TallyError | None = None) -> int:
    if session.as_json:
        answer: dict[str, object] = {"error": {"code": code, "message": message}}
        if isinstance(error, BadFile):
            answer["error"] = {"code": code, "message": message, "faults": [f.asdict() for f in error.faults]}
        print(json.dumps(answer, ensure_ascii=False), file=sys.stderr)
    else:
        errors.print(code, style="bold red", end=": ")
        errors.print(message, soft_wrap=True)
    return status
