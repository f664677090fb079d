"""YAML that nobody vouches for: plain values, each key once, bounded in size and depth, aliases written out counted."""

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 2**20
_MOST_NODES, _DEEPEST = 10_000, 50


class _PlainLoader(yaml.SafeLoader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._around = self._composed = 0
        self._extents: dict[int, tuple[int, int]] = {}  # of nodes that are complete: nodes and levels, by identity

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        """Refuses what is too deep or too large before it is gone through to its end."""
        event = self.peek_event()
        self._around += 1
        self._composed += 1
        self._limit(self._composed, self._around, event)
        node = super().compose_node(parent, index)
        self._around -= 1
        if id(node) not in self._extents:
            if isinstance(event, yaml.AliasEvent):
                raise _refused("an alias stands for what it is a part of", event)
            if isinstance(node, yaml.MappingNode):
                self._refuse_twice(node)
            self._extents[id(node)] = self._extent(node)
            self._limit(*self._extents[id(node)], event)
        return node

    def _extent(self, node: yaml.Node) -> tuple[int, int]:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        inner = node.value if isinstance(node, yaml.SequenceNode) else [each for pair in pairs for each in pair]
        extents = [self._extents[id(each)] for each in inner]
        return 1 + sum(nodes for nodes, _ in extents), 1 + max((levels for _, levels in extents), default=0)

    def _refuse_twice(self, node: yaml.MappingNode) -> None:
        """YAML takes the last of two equal keys without a word; that is a mistake."""
        names = Counter((key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for (_, name), times in names.items():
            if times > 1:
                raise _refused(f"the key {name!r} stands twice", node)

    def _limit(self, nodes: int, levels: int, event: yaml.Event) -> None:
        for count, most, what in ((nodes, _MOST_NODES, "values"), (levels, _DEEPEST, "levels deep")):
            if count > most:
                raise _refused(f"more than {most:,} {what}, with what aliases (*name) stand for", event)


def parse_yaml(text: str) -> Any:
    """Plain values only; raises `yaml.YAMLError`, also where a key stands twice or a limit is passed."""
    try:
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506  # the safe loader plus checks
    except ValueError as error:  # a date or a number that is none
        raise yaml.YAMLError(str(error)) from error


def read_plain_yaml(path: str | Path) -> Any:
    """The values of a file. Raises `OSError`, `UnicodeDecodeError`, and `yaml.YAMLError` as `parse_yaml` does."""
    with open(path, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise yaml.YAMLError(f"over {MAX_BYTES:,} bytes")
    return parse_yaml(data.decode("utf-8"))


def _refused(why: str, where: yaml.Node | yaml.Event) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, why, where.start_mark)
