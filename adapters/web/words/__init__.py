"""The words of customer pages: a file of them for each language, and which language a browser asks for."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from adapters.language import FALLBACK, LANGUAGES

FOLDER = Path(__file__).parent
WANTED = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]{1,40})?\s*(?:;\s*[qQ]=([01](?:\.[0-9]{0,3})?)\s*)?")


@dataclass(frozen=True)
class Words:
    """What pages say in one language, by names that all languages have in common."""

    language: str
    sentences: Mapping[str, str]

    def __call__(self, name: str, **fields: object) -> str:
        """A sentence with its blanks filled in. Raises: KeyError for one that there is not."""
        return self.sentences[name].format_map(fields)

    def by(self, provider: str) -> str:
        """How one pays by a provider; its own name where there are no words for it."""
        return self.sentences.get(f"by_{provider}", provider)


def _read(language: str) -> Words:
    return Words(language, MappingProxyType(tomllib.loads((FOLDER / f"{language}.toml").read_text("utf-8"))))


WORDS: Mapping[str, Words] = MappingProxyType({language: _read(language) for language in LANGUAGES})


def wanted_of(accepted: str) -> str:
    """The language of ours that a browser wants most, by its Accept-Language; the fallback for none of them."""
    found = [WANTED.fullmatch(part) for part in accepted.split(",")]
    by_rank = [(float(one[2] or 1), one[1].lower()) for one in found if one and one[1].lower() in WORDS]
    rank, language = max(by_rank, key=lambda pair: pair[0], default=(0.0, FALLBACK))
    return language if rank > 0 else FALLBACK
