"""How much a text of YAML stands for once its aliases are written out, found without building any of it."""

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent


def check(source: str, *, nodes: int, depth: int) -> None:
    """Raise `MarkedYAMLError` where `source` stands for more than `nodes` values, or nests deeper than `depth`.

    Merge keys are written out while a text is built, and the time to build it grows with the square of its depth:
    both have to be known before.
    """
    sizes: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = [(None, 0)]
    for event in YAML(typ="safe", pure=True).parse(source):
        if isinstance(event, CollectionStartEvent):
            open_.append((event.anchor, 1))
            if len(open_) > depth + 1:
                raise MarkedYAMLError(problem="nested too deep", problem_mark=event.start_mark)
            continue
        if isinstance(event, CollectionEndEvent):
            anchor, count = open_.pop()
        elif isinstance(event, AliasEvent):
            if event.anchor not in sizes:
                raise MarkedYAMLError(problem="an alias of nothing, or of itself", problem_mark=event.start_mark)
            anchor, count = None, sizes[event.anchor]
        elif isinstance(event, ScalarEvent):
            anchor, count = event.anchor, 1
        else:
            continue
        if anchor:
            sizes[anchor] = count
        owner, sum_ = open_.pop()
        open_.append((owner, sum_ + count))
        if sum_ + count > nodes:
            why = f"it stands for more than {nodes:,} values"
            raise MarkedYAMLError(problem=why, problem_mark=event.start_mark)
