"""The code is still our code: sizes, names, banned calls, and events whose every stored version still loads."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import adapters.bootstrap  # noqa: F401 - makes all events known
from domain.errors import TallyError
from domain.events import Event, decode, known_events

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("domain", "projections", "jobs", "adapters")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PROOFS = sorted(path for place in ("tests", "bench") for path in (ROOT / place).rglob("*.py"))
BANNED_IN_DOMAIN = {"now", "utcnow", "today", "uuid4", "float", "print", "random", "open"}
SAMPLES = ROOT / "tests" / "unit" / "stored_events.json"


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node  # type: ignore[misc]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_can_be_read_in_one_sitting(path):
    assert len(path.read_text().splitlines()) <= 400
    for function in functions(path):
        body = function.body[1:] if ast.get_docstring(function) else function.body
        lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
        assert lines <= 40, f"{function.name} has {lines} lines"


def test_tests_and_benchmarks_can_be_read_in_one_sitting_too():
    assert [str(path) for path in PROOFS if len(path.read_text().splitlines()) > 400] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_say_what_a_module_is_about(path):
    assert path.stem not in {"utils", "helpers", "common", "manager", "service", "misc", "base"}
    assert ast.get_docstring(ast.parse(path.read_text())), "a module says what it is about"


@pytest.mark.parametrize("path", sorted((ROOT / "domain").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_domain_has_no_clock_no_chance_and_no_float(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            assert name not in BANNED_IN_DOMAIN or (name == "open" and isinstance(node.func, ast.Attribute)), name
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), "a float"


def test_the_four_packages_are_ours():
    for name in PACKAGES:
        module = __import__(name)
        assert Path(module.__file__).is_relative_to(ROOT)


def subclasses(cls: type) -> Iterator[type]:
    for sub in cls.__subclasses__():
        yield sub
        yield from subclasses(sub)


def test_every_refusal_explains_itself_and_has_a_code():
    for error in subclasses(TallyError):
        assert error.__doc__
        assert error.code


def test_every_stored_event_of_every_version_still_loads():
    samples = json.loads(SAMPLES.read_text())
    current = {name for name, cls in known_events().items() if "." in cls.TOPIC and not name.startswith("test.")}
    assert current == {one["topic"] for one in samples} & current, "a new event or version needs a sample"
    for one in samples:
        event = decode(one["topic"], json.dumps(one["state"]).encode())
        assert isinstance(event, Event)
        assert event.stored_as in known_events()


def test_decisions_have_a_status_and_say_what_was_weighed():
    for path in (ROOT / "docs" / "adr").glob("*.md"):
        text = path.read_text()
        assert "Status: " in text, path.name
        for heading in ("Context", "Decision", "Consequences", "Alternatives"):
            assert f"**{heading}.**" in text, f"{path.name}: {heading}"
