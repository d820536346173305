"""Where in a YAML file something stands, for who is told of it. Pure."""

from collections.abc import Sequence

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode


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


def reader() -> YAML:
    """A reader of YAML 1.2 to whom an anchor that is there twice is no news: the later one counts, as YAML has it."""
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False
    return yaml


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
