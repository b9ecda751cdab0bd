"""What a command loads: most of what a short one costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import domain.events
from adapters.cli.commands import COMMANDS
from adapters.cli.main import app

RUN = "from adapters.cli.main import main; assert main({!r}) == 0"
HEAVY = """stripe paypalrestsdk requests procrastinate apscheduler fastapi jinja2 cryptography
adapters.sandbox.server adapters.cli.demo adapters.cli.billing jobs.collect jobs.deliver jobs.preview"""
FREE_OF = {
    RUN.format(["--help"]): f"{HEAVY} psycopg domain.application",
    RUN.format(["payments", "--help"]): HEAVY.replace("jobs.collect", "").replace("jobs.preview", ""),
    RUN.format(["invoices", "list"]): HEAVY,
    RUN.format(["bill", "--help"]): HEAVY.replace("adapters.cli.billing", "").replace("jobs.preview", ""),
    "import adapters.billing_workers": f"{HEAVY} typer rich pydantic",
}


@pytest.mark.parametrize("code", FREE_OF)
def test_a_command_loads_no_provider_and_nothing_of_other_commands(dsn, code):
    keys = {"TALLY_STRIPE_KEY": "sk_test_1", "TALLY_PAYPAL_CLIENT": "ours", "TALLY_PAYPAL_SECRET": "secret"}
    assert _loaded(code, DATABASE_URL=dsn, **keys) & set(FREE_OF[code].split()) == set()


def test_whoever_opens_a_database_knows_all_events():
    names = {f"domain.events.{file.stem}" for file in Path(str(domain.events.__file__)).parent.glob("[a-z]*.py")}
    assert names <= _loaded("import adapters.bootstrap")


def test_the_line_of_a_command_is_the_first_paragraph_of_its_help():
    commands = typer.main.get_command(app).commands
    said = {name: commands[name].loaded().help.split("\n\n")[0].replace("\n", " ") for name in COMMANDS}
    assert said == {name: line for name, (_, line) in COMMANDS.items()}


def _loaded(code: str, **environment: str) -> set[str]:
    told = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; sys.stderr.write(' '.join(sys.modules))"],
        env={**os.environ, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(told.stderr.split())
