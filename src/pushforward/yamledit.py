"""Edits of YAML files that people write: a value where the old one stands, one more line, and nothing else.

`arrival` adds batches, `tuning` moves parameters, `monitoring` the day until which data is taken in. Indentation,
quotes and comments stay; only what stands behind an item goes with it. What an edit has made is read again, and
refused where it says anything but the edit, as an edit is that has no place for a comment inside.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

from ruamel.yaml import YAML

from pushforward import params
from pushforward.errors import USAGE, PushforwardError

BARE = re.compile(r"(?!(?:true|false|null|yes|no|on|off|y|n)\Z)[a-z_][\w/-]*", re.IGNORECASE | re.ASCII)
COLON = re.compile(r"\s*:")
ALIAS = re.compile(r"\s*:[ \t]*(\*[^\s,\[\]{}]+)")
ANCHOR = re.compile(r"&[^\s,\[\]{}]+\s+")
ITEM = re.compile(r"-(?:[ \t]+\*[^\s,\[\]{}]+)?")
DASH = re.compile(r"-[ \t]+(?=[^\s#])")
COMMENT = re.compile(r"(?<!\S)#[^\r\n]*")
BEHIND = re.compile(r"[ \t]+(#[^\r\n]*?)(?=[ \t]*\r?(?:\n|\Z))")


def changed(text: bytes, values: Mapping[str, Any], where: str = params.FILE) -> bytes:
    """The file with other values at dotted keys that it has, each written where the old one stands."""
    sheet = _Sheet(text, where)
    edits = []
    for key, value in values.items():
        start, end = sheet.span(key)
        edits.append((start, end, sheet.rewritten(key, value, sheet.source[start:end])))
    made = sheet.source
    for start, end, words in sorted(edits, reverse=True):  # from the end, so that no place moves
        made = made[:start] + words + made[end:]
    return sheet.checked(made, values)


def appended(text: bytes, key: str, value: Any, where: str = params.FILE, *, note: str = "") -> bytes:
    """The file with one more item of a list, the last one; a list with a line for each has the note behind it."""
    sheet = _Sheet(text, where)
    node = sheet.find(key)
    if not _is_list(node) or not node.value:
        raise sheet.refusal(key)
    last, words = node.value[-1], _written(value)
    if node.flow_style:
        end = last.end_mark.index
        made = f"{sheet.source[:end]}, {words}{sheet.source[end:]}"
    else:
        dash, end = sheet.items(node)[-1]
        made = sheet.with_line(end, f"{' ' * sheet.column(dash)}{sheet.dash(dash)}{words}{f'  {note}' if note else ''}")
    return sheet.checked(made, {key: [*sheet.says(key), value]})


def put(text: bytes, key: str, name: str, value: Any, where: str = params.FILE) -> bytes:
    """The file with an entry of the mapping at a dotted key: in its place, after the others, or as the first."""
    sheet, own = _Sheet(text, where), f"{key}.{name}"
    node, entry = sheet.find(key), f"{_written(name)}: {_written(value)}"
    if node is not None and not (_is_mapping(node) or sheet.is_empty(key)):
        raise PushforwardError(f"{where}: {key} is no mapping", next=f"edit {where}", exit_code=USAGE)
    if _is_mapping(node) and node.value:
        if sheet.find(own) is not None:
            return changed(text, {own: value}, where)
        first, end = node.value[0][0], sheet.end_of(*node.value[-1])
        if node.flow_style:
            made = f"{sheet.source[:end]}, {entry}{sheet.source[end:]}"
        else:
            made = sheet.with_line(end, f"{' ' * first.start_mark.column}{entry}")
    else:
        made = sheet.with_first(key, entry, there=node is not None)
    return sheet.checked(made, {own: value}, instead=key)


def notes(text: bytes, key: str, where: str = params.FILE) -> dict[str, str]:
    """The comments behind the items of a list, each on the line of its item."""
    sheet = _Sheet(text, where)
    node, found = sheet.find(key), {}
    if _is_list(node) and not node.flow_style:
        for item, (_, end) in zip(node.value, sheet.items(node), strict=True):
            if behind := BEHIND.match(sheet.source, end):
                found[str(item.value)] = behind[1]
    return found


def noted(text: bytes, key: str, item: str, note: str, where: str = params.FILE) -> bytes:
    """The file with another comment behind an item of a list that has one."""
    sheet = _Sheet(text, where)
    node = sheet.find(key)
    block = _is_list(node) and not node.flow_style
    for one, (_, end) in zip(node.value, sheet.items(node), strict=True) if block else ():
        if one.value == item and (behind := BEHIND.match(sheet.source, end)):
            return sheet.checked(sheet.source[: behind.start(1)] + note + sheet.source[behind.end(1) :], {})
    raise sheet.refusal(key)


class _Sheet:
    """A file as text, beside the nodes that tell where in it things are."""

    def __init__(self, text: bytes, where: str) -> None:
        self._flat = params.flatten(text, where)
        self.where, self.source = where, text.decode("utf-8")
        self._root = YAML(typ="safe", pure=True).compose(self.source)

    def find(self, key: str) -> Any:
        """The node of a dotted key; None where it has none of its own, a merged one for instance."""
        pair = self._pair(key)
        return None if pair is None else pair[1]

    def _pair(self, key: str) -> tuple[Any, Any, Any] | None:
        """The node of a key's name, of its value, and of the mapping that has it; a name may have dots itself."""
        node, rest = self._root, key
        while _is_mapping(node):
            for name, value in node.value:
                if rest == str(name.value):
                    return name, value, node
            inner = [pair for pair in node.value if rest.startswith(f"{pair[0].value}.")]
            if not inner:
                return None
            name, node = inner[0]
            rest = rest[len(str(name.value)) + 1 :]
        return None

    def says(self, key: str) -> Any:
        """What the file says at a key."""
        if key not in self._flat:  # one that is no text, `true` for instance
            raise self.refusal(key)
        return self._flat[key]

    def is_empty(self, key: str) -> bool:
        """Whether a key has nothing, or an empty mapping."""
        return key in self._flat and self._flat[key] in (None, {})

    def end(self, node: Any) -> int:
        """Where the text of a node ends; what a block's own end is has gone on to whatever comes next."""
        if isinstance(node.value, list) and node.value and not node.flow_style:
            return self.items(node)[-1][1] if _is_list(node) else self.end_of(*node.value[-1])
        start = int(node.start_mark.index)
        return start + len(self.source[start : node.end_mark.index].rstrip())

    def end_of(self, name: Any, value: Any) -> int:
        """Where a key and its value end; the nodes say of an empty one that it is wherever the next thing is."""
        if alias := ALIAS.match(self.source, name.end_mark.index):
            return alias.end()
        return self.end(value) if value.end_mark.index > value.start_mark.index else self._behind(name)

    def _behind(self, name: Any) -> int:
        found = COLON.match(self.source, name.end_mark.index)
        return found.end() if found else int(name.end_mark.index)

    def items(self, node: Any) -> list[tuple[int, int]]:
        """Where each item of a list with a line for each begins, at its dash, and ends."""
        anchor = ANCHOR.match(self.source, node.start_mark.index)
        first = anchor.end() if anchor else int(node.start_mark.index)
        others = re.compile(rf"^ {{{self.column(first)}}}-(?=\s)", re.MULTILINE)
        dashes = [first, *(one.end() - 1 for one in others.finditer(self.source, first + 1, node.end_mark.index))]
        if len(dashes) != len(node.value) or self.source[first] != "-":
            raise self.refusal("a list")
        found = []
        for dash, item in zip(dashes, node.value, strict=True):
            alone = ITEM.match(self.source, dash)  # an alias, whose node is elsewhere, or nothing
            is_empty = alone and (len(alone[0]) > 1 or item.end_mark.index == item.start_mark.index)
            found.append((dash, alone.end() if alone and is_empty else self.end(item)))
        return found

    def dash(self, place: int) -> str:
        """A dash with what stands between it and its item."""
        found = DASH.match(self.source, place)
        return found[0] if found else "- "

    def column(self, place: int) -> int:
        """How far from the begin of its line a place is."""
        return place - (self.source.rfind("\n", 0, place) + 1)

    def comments(self, node: Any, start: int, end: int) -> list[str]:
        """The comments between two places of a node."""
        text = self.source[start:end]
        for one in _scalars(node):
            begin, after = one.start_mark.index - start, one.end_mark.index - start
            if one.style in ("|", ">"):  # behind the sign there may be one
                begin = text.find("\n", max(0, begin))
            if 0 <= begin < after:
                text = f"{text[:begin]}{'x' * (min(after, len(text)) - begin)}{text[after:]}"
        return COMMENT.findall(text)

    def span(self, key: str) -> tuple[int, int]:
        """From where to where the value of a key is written."""
        pair = self._pair(key)
        if pair is None:
            raise self.refusal(key)
        name, value, _ = pair
        if alias := ALIAS.match(self.source, name.end_mark.index):
            return alias.span(1)
        start = int(value.start_mark.index)
        if value.end_mark.index == start:
            return self._behind(name), self._behind(name)
        if anchor := ANCHOR.match(self.source, start):
            start = anchor.end()
        end = max(start, self.end(value))
        if _is_list(value) and not value.flow_style:  # with what stands behind its last item
            end = self._line_end(end)
        return start, end

    def rewritten(self, key: str, value: Any, old: str) -> str:
        """A value as it is written instead of `old`: a list with a line for each of its items stays one."""
        node = self.find(key)
        if not old:
            return f" {_written(value)}"
        if old.startswith("*"):
            return _written(value, old)
        if json.dumps(self.says(key)) == json.dumps(value):
            return old
        if _is_list(node) and not node.flow_style:
            return self._listed(key, node, value)
        if self.comments(node, *self.span(key)):
            raise self.refusal(key)
        return _written(value, old)

    def _listed(self, key: str, node: Any, value: Any) -> str:
        """A list with a line for each item as another one, or as what is none: its comments stay between the lines."""
        places, said = self.items(node), self.says(key)
        column = self.column(places[0][0])
        first = self.source[node.value[0].start_mark.index :]
        is_list = isinstance(value, list) and value
        lines = [f"- {_written(one, first)}" for one in value] if is_list else [_written(value)]
        kept = _same(said, value) if is_list else {}
        above = ["", *(self._above(end, dash) for (_, end), (dash, _) in pairwise(places))]
        gone = [place for place in range(len(said)) if place not in kept.values()]
        for place in gone:
            dash, end = places[place]
            if self.comments(node.value[place], dash, end):  # inside, not behind
                raise self.refusal(key)
        made = ""
        for number, line in enumerate(lines):
            old = kept.get(number)
            until = len(said) if not is_list else number + 1 if old is None else old
            while gone and gone[0] < until:
                if "#" in (left := above[gone.pop(0)]):
                    made += left
            if old is not None:
                dash, end = places[old]
                made, line = made + above[old], self.source[dash : self._line_end(end)]
            made += f"{' ' * column}{line}{self._newline()}"
        made += "".join(above[place] for place in gone if "#" in above[place])
        return made.lstrip().removesuffix(self._newline())

    def _above(self, end: int, dash: int) -> str:
        """The lines between one item and the next."""
        begin = self._line_end(end) + len(self._newline())
        return self.source[begin : dash - self.column(dash)]

    def with_line(self, after: int, line: str) -> str:
        """The text with one more line after the one that has a place."""
        at = self._line_end(after)
        return self.source[:at] + self._newline() + line + self.source[at:]

    def with_first(self, key: str, entry: str, *, there: bool) -> str:
        """The text with the first entry of a mapping that is `there` and empty, or is not there yet."""
        above, _, last = key.rpartition(".")
        parent = self.find(above) if above else self._root
        if not _is_mapping(parent) or not parent.value:
            raise PushforwardError(
                f"{self.where}: there is no {above or 'section'} to write below",
                next=f"edit {self.where}: write {key} by hand",
                exit_code=USAGE,
            )
        if there:
            start, end = self.span(key)
            if self.comments(self.find(key), start, end):
                raise self.refusal(key)
            if parent.flow_style:
                return f"{self.source[:start]}{' ' if start == end else ''}{{{entry}}}{self.source[end:]}"
            column = self._pair(key)[0].start_mark.column  # type: ignore[index]  # it is there
            kept = self.source[:start].rstrip(" \t")
            at = self._line_end(end)
            line = f"{self._newline()}{' ' * (column + 2)}{entry}"
            return kept + self.source[end:at].rstrip() + line + self.source[at:]
        end = self.end_of(*parent.value[-1])
        if parent.flow_style:
            return f"{self.source[:end]}, {_written(last, 'x')}: {{{entry}}}{self.source[end:]}"
        column = " " * parent.value[0][0].start_mark.column
        return self.with_line(end, f"{column}{_written(last, 'x')}:{self._newline()}{column}  {entry}")

    def _line_end(self, place: int) -> int:
        found = re.compile(r"\r?(?:\n|\Z)").search(self.source, place)
        return found.start() if found else len(self.source)

    def _newline(self) -> str:
        return "\r\n" if "\r\n" in self.source else "\n"

    def checked(self, made: str, values: Mapping[str, Any], *, instead: str = "") -> bytes:
        """What was made; refused where it says anything else than before but for `values`, and not `instead`."""
        wanted = {**{key: value for key, value in self._flat.items() if key != instead}, **values}
        try:
            found = params.flatten(made.encode(), self.where)
        except PushforwardError:
            found = {}
        # as JSON, where 1, 1.0, true and "1" are four
        if json.dumps(found, sort_keys=True) != json.dumps(wanted, sort_keys=True):
            raise self.refusal(next(iter(values), self.where))
        return made.encode()

    def refusal(self, key: str) -> PushforwardError:
        """Of a file whose form is not one that is edited."""
        return PushforwardError(
            f"{self.where}: {key} is written in a way that is not edited by itself",
            next=f"edit {self.where}: {key} in a place of its own, a list or mapping with a line for each of its parts",
            exit_code=USAGE,
        )


def _is_list(node: Any) -> bool:
    return node is not None and node.id == "sequence"


def _is_mapping(node: Any) -> bool:
    return node is not None and node.id == "mapping"


def _scalars(node: Any) -> Iterator[Any]:
    """The nodes below a node that hold no others, each once."""
    seen, waiting = set(), [node]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:  # others stand for it
            continue
        seen.add(id(one))
        if isinstance(one.value, list):
            waiting += chain.from_iterable(part if isinstance(part, tuple) else (part,) for part in one.value)
        else:
            yield one


def _same(old: Sequence[Any], new: Sequence[Any]) -> dict[int, int]:
    """Which item of the new list was which of the old one: by its place from begin or end, else by its value."""
    before, after = ([json.dumps(one) for one in each] for each in (old, new))
    shift, most = len(before) - len(after), min(len(before), len(after))
    begin = next((place for place in range(most) if before[place] != after[place]), most)
    tail = next((count for count in range(most - begin) if before[-1 - count] != after[-1 - count]), most - begin)
    found = {place: place for place in range(begin)}
    found |= {place: place + shift for place in range(len(after) - tail, len(after))}
    rest = list(range(begin, len(before) - tail))
    for place in range(begin, len(after) - tail):
        equal = [one for one in rest if before[one] == after[place]]
        if equal:
            found[place] = place if place in equal else equal[0]
            rest.remove(found[place])
    return found


def _written(value: Any, old: str = "") -> str:
    """A value as YAML, a text in the quotes that it has had; one that had none has none where it needs none."""
    if isinstance(value, str):
        if old.startswith("'"):
            return "'" + value.replace("'", "''") + "'"
        bare = old and not old.startswith('"') and BARE.fullmatch(value)
        return value if bare else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Sequence):
        return f"[{', '.join(_written(one, old[1:].lstrip()) for one in value)}]"  # as the first item was
    if isinstance(value, float):
        said = repr(value)  # 1e-05 is a text to YAML 1.1
        return said.replace("e", ".0e") if "e" in said and "." not in said else said
    return json.dumps(value)
