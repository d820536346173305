"""Batches that a commit has taken in, with the digests that stand beside them, and the edits that take in one more.

A batch is a line of the list; its digest is the comment behind it. No tool reads comments: a batch that arrives is one
line and nothing else, and what a person has typed by hand has none, of which nothing is claimed. Edits touch that line
alone, and are read again before they count.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from pushforward import params, yamlfile
from pushforward.arrival.source import DIGEST, Listed
from pushforward.errors import USAGE, PushforwardError
from pushforward.git.repository import Repository
from pushforward.lifecycle import Arrive
from pushforward.pipeline.revision import Revision
from pushforward.schema import FILE, NONE

BEHIND = re.compile(rf"(?P<gap>[ \t]+)# digest (?P<digest>{DIGEST.pattern})(?=[ \t]*$)")
NOTED = "  # digest "
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\']|\'\')*\'|[^\s,\[\]{}#][^,\[\]{}#\n]*?(?=\s*(?:[,\]}#]|$))')


@dataclass(frozen=True)
class Taken:
    """The batches of a commit, in order: `file` and `key` list them, `digests` has those that are written beside."""

    file: str
    key: str
    text: bytes
    names: tuple[str, ...]
    digests: Mapping[str, str]
    arrive: Arrive
    beside: bytes | None  # the file in which corrections are written, where that is another one

    @classmethod
    def of(cls, repository: Repository, commit: str) -> "Taken":
        """What a commit has taken in; refused where nothing says from where batches come, or which there are."""
        settings = Revision(repository, commit).settings
        arrive = settings.project.arrive
        if arrive is None:
            raise _usage(f"{FILE} has no `arrive`: nothing says where batches come from")
        listed = {one.batches for one in settings.each} - {("", "")}
        if len(listed) != 1:
            many = "several models list batches in different places" if listed else f"batches are {NONE}"
            raise _usage(f"{FILE}: there is nothing for `arrive` to add to: {many}")
        ((file, key),) = listed
        text = repository.read_plain(commit, file)
        if text is None:
            raise _usage(f"{file} is not in {commit[:9]}, and batches are listed there")
        names = params.batches(text, key, file)
        other = arrive.corrected.partition(":")[0] if arrive.corrected else file
        beside = repository.read_plain(commit, other) if other != file else None
        return cls(file, key, text, tuple(names), _digests(text, key, file), arrive, beside)

    def adding(self, one: Listed) -> dict[str, bytes]:
        """The files with one more batch, the last of the list, and its digest behind it."""
        at = _Lines(self.text, self.file)
        node, last = self._list(at), len(self.names) - 1
        line, column = node.lc.data[last][:2]
        quoted = json.dumps(one.batch, ensure_ascii=False)
        if node.fa.flow_style():
            end = at.token(line, column)
            at.lines[line] = f"{at.lines[line][:end]}, {quoted}{at.lines[line][end:]}"
        else:
            at.lines.insert(line + 1, f"{at.lines[line][:column]}{quoted}{NOTED}{one.digest}")
        changed = at.encoded()
        self._check(changed, self.file, self.key, [*self.names, one.batch])
        return {self.file: changed}

    def correcting(self, one: Listed) -> dict[str, bytes]:
        """The files with another digest of a batch, and where a stage reads it: there it has what is to be fetched."""
        assert self.arrive.corrected is not None  # noqa: S101, who asks has looked
        at = _Lines(self.text, self.file)
        line = self._list(at).lc.data[self.names.index(one.batch)][0]
        at.lines[line] = BEHIND.sub(lambda found: f"{found['gap']}# digest {one.digest}", at.lines[line])
        file, _, key = self.arrive.corrected.partition(":")
        found = {self.file: at.encoded()}
        told = found.get(file, self.beside)
        if told is None:
            raise _usage(f"arrive.corrected names {file}, which is not there")
        there = _Lines(told, file)
        wanted = {**_mapping(there.tree, key), one.batch: one.digest}
        _write(there, key.split("."), one)
        found[file] = there.encoded()
        self._check(found[file], file, key, wanted)
        self._check(found[self.file], self.file, self.key, [*self.names])
        return found

    def _list(self, at: "_Lines") -> CommentedSeq:
        node: Any = at.tree
        for part in self.key.split("."):
            node = node[part]
        assert isinstance(node, CommentedSeq)  # noqa: S101, its names were read
        return node

    def _check(self, changed: bytes, file: str, key: str, wanted: Any) -> None:
        """Refuse an edit that has changed anything else, or not what it should have."""
        own = [key, self.key, *([self.arrive.corrected.partition(":")[2]] if self.arrive.corrected else [])]
        before = self.text if file == self.file else self.beside or b""
        try:
            others = [_others(text, file, own) for text in (before, changed)]
            found: Any = params.plain(changed, file)
        except PushforwardError:
            others, found = [{}, {}], None
        for part in key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if found != wanted or others[0] != others[1]:
            raise PushforwardError(
                f"{file}: {key} is written in a way that is not edited by itself",
                next=f"edit {file}: a list with a line for each batch, a mapping with a line for each of its keys",
                exit_code=USAGE,
            )


def _others(text: bytes, file: str, own: Iterable[str]) -> dict[str, Any]:
    """Every leaf of a file that is not below one of the keys `own`."""
    below = tuple(f"{key}." for key in own)
    return {name: value for name, value in params.flatten(text, file).items() if not f"{name}.".startswith(below)}


class _Lines:
    """A file of YAML as its lines, beside the tree that tells where in them things are."""

    def __init__(self, text: bytes, file: str) -> None:
        self.tree = yamlfile.load(text, file, aliases=True)
        self.lines = text.decode("utf-8").split("\n")

    def encoded(self) -> bytes:
        return "\n".join(self.lines).encode()

    def token(self, line: int, column: int) -> int:
        """Where the value that begins at a place ends."""
        found = TOKEN.match(self.lines[line], column)
        return found.end() if found else column


def _digests(text: bytes, key: str, file: str) -> dict[str, str]:
    """The digests that stand behind batches, each on a line of its own."""
    at = _Lines(text, file)
    node: Any = at.tree
    for part in key.split("."):
        node = node[part]
    if node.fa.flow_style():
        return {}
    found = {}
    for number, name in enumerate(node):
        line, column = node.lc.data[number][:2]
        if behind := BEHIND.match(at.lines[line], at.token(line, column)):
            found[str(name)] = behind["digest"]
    return found


def _mapping(tree: CommentedMap, key: str) -> dict[str, str]:
    """What a mapping holds that may not be there yet; refused where something else is."""
    node: Any = tree
    for part in key.split("."):
        if node is None or (isinstance(node, CommentedMap) and part not in node):
            return {}
        node = node[part] if isinstance(node, CommentedMap) else node
    if node is None:
        return {}
    if not isinstance(node, CommentedMap):
        raise _usage(f"arrive.corrected: {key} is no mapping")
    return {str(name): str(value) for name, value in node.items()}


def _write(at: _Lines, path: list[str], one: Listed) -> None:
    """Write a digest into the mapping at `path`: in its line, after the others, or as the first of a new one."""
    parent: Any = at.tree
    for part in path[:-1]:
        parent = parent[part] if isinstance(parent, CommentedMap) and part in parent else None
    if not isinstance(parent, CommentedMap) or not parent:
        raise _usage(f"arrive.corrected: there is no {'.'.join(path[:-1])} to write below")
    entry = f"{json.dumps(one.batch, ensure_ascii=False)}: {json.dumps(one.digest)}"
    node, name = parent.get(path[-1]), path[-1]
    if isinstance(node, CommentedMap) and one.batch in node:
        line, column = node.lc.value(one.batch)
        end = at.token(line, column)
        at.lines[line] = f"{at.lines[line][:column]}{json.dumps(one.digest)}{at.lines[line][end:]}"
    elif isinstance(node, CommentedMap) and node:
        line, column = node.lc.key(list(node)[-1])
        at.lines.insert(line + 1, f"{' ' * column}{entry}")
    elif name in parent:  # empty
        line, column = parent.lc.key(name)
        at.lines[line : line + 1] = [f"{' ' * column}{name}:", f"{' ' * (column + 2)}{entry}"]
    else:
        line, column = parent.lc.key(next(iter(parent)))
        at.lines[line:line] = [f"{' ' * column}{name}:", f"{' ' * (column + 2)}{entry}"]


def _usage(words: str) -> PushforwardError:
    return PushforwardError(words, next=f"edit {FILE}: docs/arrival.md", exit_code=USAGE)
