"""Where in a YAML file something stands, for who is told of it. Pure."""

import re
from collections.abc import Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pushforward import yamlquick


def line(source: str, path: Sequence[str | int]) -> int:
    """The line, from 1, of what `path` leads to: of the key, or of the nearest thing around it that is there.

    Read anew, since it is only asked where something is wrong.
    """
    node = _composed(source)
    found = node.start_mark.line + 1 if node else 0
    for step in path:
        before = node
        if isinstance(node, MappingNode):
            for key, value in node.value:
                if key.value == str(step):
                    node, found = value, key.start_mark.line + 1
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            found = node.start_mark.line + 1
        if node is before:
            break
    return found


def merges(source: str) -> list[int]:
    """The lines of the merge keys, `<<`, of a file."""
    waiting = [_composed(source)] if "<<" in source else []
    seen: set[int] = set()
    found: list[int] = []
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, MappingNode):
            found += [key.start_mark.line + 1 for key, _ in node.value if key.tag == "tag:yaml.org,2002:merge"]
            waiting += [value for _, value in node.value]
        elif isinstance(node, SequenceNode):
            waiting += node.value
    return sorted(found)


_NUMBER = re.compile(
    r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
    re.IGNORECASE,
)


class _Core(SafeConstructor):
    """What YAML's core schema makes of a value (YAML 1.2.2, 10.3.2): ruamel takes more for numbers, and moments."""

    def construct_yaml_int(self, node: ScalarNode) -> Any:
        """A number, or the text where the core schema has none."""
        return super().construct_yaml_int(node) if _NUMBER.fullmatch(node.value) else node.value

    def construct_yaml_float(self, node: ScalarNode) -> Any:
        """A number, or the text where the core schema has none."""
        return super().construct_yaml_float(node) if _NUMBER.fullmatch(node.value) else node.value

    def construct_yaml_timestamp(self, node: ScalarNode, values: Any = None) -> Any:  # noqa: ARG002
        """The text: no moment is known to the core schema."""
        return node.value


for _tag, _make in (
    ("int", _Core.construct_yaml_int),
    ("float", _Core.construct_yaml_float),
    ("timestamp", _Core.construct_yaml_timestamp),
):
    _Core.add_constructor(f"tag:yaml.org,2002:{_tag}", _make)


def reader() -> YAML:
    """A reader of YAML 1.2's core schema, as GitHub's: what it has no number for, a moment say, is text.

    To it an anchor that is there twice is no news: the later one counts, as YAML has it.
    """
    found = YAML(typ="safe", pure=True)
    found.Constructor = _Core
    found.composer.warn_double_anchors = False
    return found


def read(source: str) -> Any:
    """What YAML of the core schema says. Raises `YAMLError`, and what else `reader` raises."""
    try:
        return yamlquick.load(source)
    except yamlquick.NOT_PLAIN:
        return reader().load(source)


def _composed(source: str) -> Node | None:
    try:
        found: Node | None = reader().compose(source)
    except YAMLError:
        return None
    return found


def spoken(path: Sequence[str | int]) -> str:
    """The path as people write it: `jobs.train.steps[0].run`."""
    words = ""
    for step in path:
        words += f"[{step}]" if isinstance(step, int) else f".{step}"
    return words.removeprefix(".")
