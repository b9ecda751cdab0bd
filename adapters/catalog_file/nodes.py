"""The file as a tree of nodes that know their lines: no aliases, no tags, no duplicate keys, no clever scalars.

Every scalar is taken as it is written, so that NO, 010, 1.10, 12:30 and 1e3 are never turned into something else.
JSON is read by the same parser: what JSON has is in YAML's flow style.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from domain.errors import BadFile, Fault

MAX_BYTES = 4_000_000
MAX_DEPTH = 24
MAX_NODES = 200_000


class Spot(str):
    """A scalar as written, with the line it stands on and whether it was quoted."""

    line: int
    quoted: bool


class Branch(dict[str, Any]):
    """A mapping with the lines of its keys."""

    line: int
    lines: Mapping[str, int]


class Twig(list[Any]):
    """A list with the lines of its items."""

    line: int
    lines: Sequence[int]


def parse(raw: bytes, name: str) -> Branch:
    """The tree of a file.

    Raises: BadFile for anything that is not plain YAML or JSON with a mapping at its top.
    """
    root = _compose(_text(raw, name), name)
    faults: list[Fault] = []
    tree = _Walk(name, faults).value(root, "", 0)
    if not faults and not isinstance(tree, Branch):
        faults.append(Fault(name, 1, "", "a catalog is a mapping: catalog, packages", "shape"))
    if faults:
        raise BadFile(faults)
    assert isinstance(tree, Branch)
    return tree


def _text(raw: bytes, name: str) -> str:
    if len(raw) > MAX_BYTES:
        raise BadFile([Fault(name, 0, "", f"more than {MAX_BYTES} bytes", "too_large")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise BadFile([Fault(name, line, "", "not UTF-8", "encoding")]) from None
    if not text.strip():
        raise BadFile([Fault(name, 1, "", "the file is empty", "empty")])
    return text


def _compose(text: str, name: str) -> yaml.Node:
    _refuse_depth(text, name)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise BadFile([Fault(name, line, "", error.problem or "not readable", "syntax")]) from None
    except yaml.YAMLError as error:
        raise BadFile([Fault(name, 0, "", str(error).splitlines()[0], "syntax")]) from None
    if root is None:
        raise BadFile([Fault(name, 1, "", "the file is empty", "empty")])
    return root


def _refuse_depth(text: str, name: str) -> None:
    """Counts nesting before anything recursive sees the text, and refuses references to other nodes."""
    depth = count = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            count += 1
            line = event.start_mark.line + 1 if event.start_mark else 0
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise BadFile([Fault(name, line, "", "anchors and aliases are not allowed", "alias")])
            if tag := getattr(event, "tag", None):
                raise BadFile([Fault(name, line, "", f"tags are not allowed: {tag}", "tag")])
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH or count > MAX_NODES:
                raise BadFile([Fault(name, line, "", "nested too deeply, or too large", "too_deep")])
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise BadFile([Fault(name, line, "", error.problem or "not readable", "syntax")]) from None
    except yaml.YAMLError as error:
        raise BadFile([Fault(name, 0, "", str(error).splitlines()[0], "syntax")]) from None


class _Walk:
    def __init__(self, name: str, faults: list[Fault]) -> None:
        self.name, self.faults = name, faults

    def value(self, node: yaml.Node, path: str, depth: int) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._branch(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            twig = Twig(self.value(item, f"{path}[{n}]", depth + 1) for n, item in enumerate(node.value))
            twig.line = node.start_mark.line + 1
            twig.lines = [item.start_mark.line + 1 for item in node.value]
            return twig
        return self._scalar(node, path)

    def _branch(self, node: yaml.MappingNode, path: str, depth: int) -> Branch:
        branch, lines = Branch(), dict[str, int]()
        branch.line = node.start_mark.line + 1
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._key(key_node, path, line)
            where = f"{path}.{key}" if path else key
            if key in branch:
                self.fault(line, where, f"written twice (first on line {lines[key]})", "duplicate_key")
                continue
            branch[key], lines[key] = self.value(value_node, where, depth + 1), line
        branch.lines = lines
        return branch

    def _key(self, node: yaml.Node, path: str, line: int) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self.fault(line, path, "a key has to be a word", "shape")
            return f"?{line}"
        if node.value == "<<":
            self.fault(line, path, "merge keys are not allowed", "alias")
        return str(node.value)

    def _scalar(self, node: yaml.Node, path: str) -> Spot:
        spot = Spot(node.value)
        spot.line, spot.quoted = node.start_mark.line + 1, getattr(node, "style", None) in ('"', "'")
        if bad := next(bad_characters(spot), ""):
            self.fault(spot.line, path, f"holds a character that cannot be seen or printed ({bad})", "character")
        elif unicodedata.normalize("NFC", spot) != spot:
            self.fault(spot.line, path, "is not in composed form (NFC)", "character")
        return spot

    def fault(self, line: int, path: str, message: str, code: str) -> None:
        self.faults.append(Fault(self.name, line, path, message, code))


def bad_characters(text: str) -> Iterator[str]:
    """Control, formatting (zero width, direction), private and unassigned characters, by code point."""
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn"):
            yield f"U+{ord(character):04X}"
