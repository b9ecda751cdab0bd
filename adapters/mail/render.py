"""Puts letters into words: a subject, a text and an HTML of the same content, in the reader's language.

A language is a folder of templates; a template is blocks (subject, title, text, facts, action), rendered once plain and
once escaped. What stands in fields is data: it can neither break a line of a header nor bring markup. Source: ADR-0027.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from adapters.language import FALLBACK, LANGUAGES, day, money
from domain.errors import Invalid, NotFound
from jobs.letters import Letter

FOLDER = Path(__file__).parent / "templates"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
WIDTH = 76


class Rendered(NamedTuple):
    """A letter in words."""

    language: str
    subject: str
    text: str
    html: str


def render(letter: Letter, sender: str = "") -> Rendered:
    """A letter in words. Raises: NotFound for a template that there is none of."""
    language = letter.language if letter.language in LANGUAGES else FALLBACK
    fields = {**_cleaned(letter.fields), "sender": sender, "language": language}
    plain, escaped = (_parts(environment, language, letter.template, fields) for environment in (PLAIN, ESCAPED))
    shared = {"link": _link(fields["link"]), "language": language}
    html = ESCAPED.get_template("layout.html.j2").render(**escaped, **shared)
    text = PLAIN.get_template("layout.txt.j2").render(**plain, **shared)
    return Rendered(language, CONTROL.sub(" ", plain["subject"]).strip(), text, html)


def check_language(language: str) -> None:
    """Raises: Invalid for a language without letters: they would be written in the fallback."""
    if language not in LANGUAGES:
        raise Invalid(f"{language!r} is none of {', '.join(LANGUAGES)}")


def letters(language: str) -> list[str]:
    """The letters that a language has."""
    return sorted(path.name.removesuffix(".j2") for path in (FOLDER / language).glob("*.j2") if path.stem != "words")


def _parts(environment: Environment, language: str, template: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    if template not in letters(language):
        raise NotFound(f"there is no letter {template}: {', '.join(letters(language))}")
    words, letter = (environment.get_template(f"{language}/{name}.j2") for name in ("words", template))
    mark = Markup if environment.autoescape else str
    one = {name: mark(_block(letter, name, fields).strip()) for name in ("subject", "title", "action")}
    several = {name: mark(_block(words, name, fields).strip()) for name in ("greeting", "closing", "footer")}
    text = [mark(" ".join(part.split(" "))) for part in re.split(r"\n\s*\n", _block(letter, "text", fields).strip())]
    facts = [line.strip().partition(": ") for line in _block(letter, "facts", fields).splitlines() if line.strip()]
    return {**one, **several, "text": text, "facts": [(mark(label), mark(value)) for label, _, value in facts]}


def _block(template: Template, name: str, fields: Mapping[str, Any]) -> str:
    block = template.blocks.get(name)
    return "".join(block(template.new_context(dict(fields)))) if block else ""


def _cleaned(value: Any) -> Any:
    """Data without control characters: a value is one line, in every place."""
    if isinstance(value, str):
        return CONTROL.sub(" ", value)
    if isinstance(value, Mapping):
        return {name: _cleaned(one) for name, one in value.items()}
    return [_cleaned(one) for one in value] if isinstance(value, Sequence) else value


def _link(url: str) -> str:
    """Only links of the web; "" otherwise."""
    return url if url.startswith(("https://", "http://127.0.0.1:")) else ""


def wrapped(text: str) -> str:
    """A paragraph of a plain text, in lines that every reader shows whole."""
    return textwrap.fill(re.sub(r"[ \t\n]+", " ", text), WIDTH, break_long_words=False, break_on_hyphens=False)


def _environment(autoescape: bool) -> Environment:
    made = Environment(loader=FileSystemLoader(FOLDER), autoescape=autoescape, undefined=StrictUndefined,
                       trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    made.filters |= {"money": money, "day": day, "wrapped": wrapped}
    return made


PLAIN, ESCAPED = _environment(False), _environment(True)
