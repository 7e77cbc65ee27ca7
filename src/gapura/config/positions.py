"""Where a key stands in a TOML file: tomllib gives values without places, tree-sitter gives the places."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from tree_sitter import Node

Path: TypeAlias = tuple[str | int, ...]
"""The way to a value: keys and, in arrays, indices."""


class Span(NamedTuple):
    """A place in a file: line and column count from 1, the width is in characters of the first line."""

    line: int
    column: int
    width: int


class Positions:
    """Places of the keys and values of one file. Knows none when the file cannot be parsed or tree-sitter is not there."""

    def __init__(self, text: str) -> None:
        self._lines = text.encode("utf-8", "surrogatepass").split(b"\n")
        self._keys: dict[Path, Span] = {}
        self._values: dict[Path, Span] = {}
        self._elements: dict[Path, int] = {}
        root = _parse(text)
        if root is not None:
            self._document(root)

    def key(self, path: Path) -> Span | None:
        """The place of the key itself, or of the nearest thing around it."""
        return self._nearest(path, self._keys, self._values)

    def value(self, path: Path) -> Span | None:
        """The place of what the key says, or of the nearest thing around it."""
        return self._nearest(path, self._values, self._keys)

    def _nearest(self, path: Path, first: dict[Path, Span], second: dict[Path, Span]) -> Span | None:
        for end in range(len(path), 0, -1):
            here = path[:end]
            if span := first.get(here) or second.get(here):
                return span
        return None

    def _span(self, node: Node) -> Span:
        (row, start), (last, end) = node.start_point, node.end_point
        line = self._lines[row].rstrip(b"\r") if row < len(self._lines) else b""
        before = line[:start].decode("utf-8", "replace")
        inside = line[start : end if last == row else None].decode("utf-8", "replace")
        return Span(row + 1, len(before) + 1, max(1, len(inside)))

    def _document(self, root: Node) -> None:
        for node in root.named_children:
            if node.type == "pair":
                self._pair(node, ())
            elif node.type in ("table", "table_array_element"):
                self._table(node)

    def _table(self, node: Node) -> None:
        path: Path = ()
        children = [child for child in node.named_children if child.type != "comment"]
        keys = list(_keys(children[0])) if children else []
        for index, (part, leaf) in enumerate(keys):
            path = (*path, part)
            self._keys.setdefault(path, self._span(leaf))
            if index < len(keys) - 1 and path in self._elements:
                path = (*path, self._elements[path])
        if node.type == "table_array_element":
            self._elements[path] = self._elements.get(path, -1) + 1
            path = (*path, self._elements[path])
            self._keys[path] = self._span(keys[-1][1])
        for child in children[1:]:
            if child.type == "pair":
                self._pair(child, path)

    def _pair(self, node: Node, path: Path) -> None:
        children = [child for child in node.named_children if child.type != "comment"]
        if len(children) != 2:
            return
        for part, leaf in _keys(children[0]):
            path = (*path, part)
            self._keys.setdefault(path, self._span(leaf))
        self._value(children[1], path)

    def _value(self, node: Node, path: Path) -> None:
        self._values[path] = self._span(node)
        children = [child for child in node.named_children if child.type != "comment"]
        if node.type == "array":
            for index, child in enumerate(children):
                self._value(child, (*path, index))
        elif node.type == "inline_table":
            for child in children:
                self._pair(child, path)


def _parse(text: str) -> Node | None:
    try:
        import tree_sitter_toml
        from tree_sitter import Language, Parser

        return Parser(Language(tree_sitter_toml.language())).parse(text.encode("utf-8", "surrogatepass")).root_node
    except Exception:  # a wheel that does not fit this machine costs the columns, nothing else
        return None


def _keys(node: Node) -> Iterator[tuple[str, Node]]:
    """The parts of a key, from left to right, each with its node."""
    if node.type == "dotted_key":
        for child in node.named_children:
            yield from _keys(child)
        return
    text = (node.text or b"").decode("utf-8", "replace")
    if node.type == "quoted_key":
        text = next(iter(tomllib.loads(f"{text} = 0")))
    yield text, node
