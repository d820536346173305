"""Outs of a dvc.lock, read line by line: there is no YAML in the standard library. `store` reads them.

The provenance of the same push lists these objects too, but by the word of its signer. The lock is what the
server's own verdict names by its digest, so the lock is asked; one that DVC did not write is refused.
"""

import contextlib
import json
import posixpath
import re
from collections.abc import Sequence
from typing import NamedTuple

from pushforward.git.kept import LOCK
from pushforward.policy.refusal import CONTROL, PolicyError, readable, shown

LOCK_KEY = re.compile(r"    (cmd|deps|params|outs):(.*)")
LOCK_OUT = re.compile(r"    - path: (.+)")
LOCK_FACT = re.compile(r"      (hash|md5|size|nfiles|isexec): (.+)")
PLAIN = re.compile(r"[^\s\"'#&*!|>%@`{}\[\],?:-](?:[^#:]|:(?=\S)|(?<=\S)#)*")
WDIR = re.compile(r"""(?:^|[\s{,])wdir\s*:\s*["']?((?:\$\{[^}]*\}|[^\s"',}#])+)""", re.MULTILINE)
SPLICED = re.compile(r"\$\{[^}]*\}")
STORED = re.compile(r"([0-9a-f]{2})([0-9a-f]{30}(?:\.dir)?)")


class Out(NamedTuple):
    """An out of a dvc.lock: `md5` ends with ".dir" for a folder; `store` is where in a DVC remote its kind lies.

    `path` is named from the root; it may lie at `others` too, where its stage does not work in the lock's folder.
    """

    path: str
    md5: str
    size: int | None
    files: int | None
    store: str
    others: tuple[str, ...] = ()


def wdirs(pipeline: bytes) -> list[str]:
    """What a dvc.yaml says of where its stages work, and not which of them, for that takes YAML."""
    return sorted(set(WDIR.findall(pipeline.decode("utf-8", "replace"))))


def outs(lock: bytes, folder: str = "", wdirs: Sequence[str] = ()) -> list[Out]:
    """The outs of the dvc.lock in a folder as DVC writes it: some YAML, read line by line; anything else is refused.

    Some of its stages may work in `wdirs`, as the dvc.yaml beside it says.
    """
    outs: list[dict[str, str]] = []
    section = key = item = ""
    for number, line in enumerate(_lines(lock), 1):
        if not line or line.startswith("     "):
            if key != "outs" or not line:
                continue
            fact = LOCK_FACT.fullmatch(line)
            if fact is None or not outs or fact[1] in outs[-1]:
                raise _unreadable(number)
            outs[-1][fact[1]] = _scalar(fact[2], number)
        elif not line.startswith(" "):
            if section == "datasets" and line.startswith("- "):
                continue
            if line not in {"schema: '2.0'", "stages:", "stages: {}", "datasets:"}:
                raise _unreadable(number)
            section, key = line.partition(":")[0], ""
        elif section == "datasets":
            continue
        elif re.fullmatch(r"  [^\s?&*!#{\[<-].*:", line) and section == "stages":
            key, item = "", line.strip(" :'\"").partition("@")[2]
        elif (found := LOCK_KEY.fullmatch(line)) and section == "stages":
            if found[1] != "cmd" and found[2]:
                raise _unreadable(number)
            key = found[1]
        elif key == "outs" and (found := LOCK_OUT.fullmatch(line)):
            outs.append({"path": _scalar(found[1], number), "item": item})
        elif not (key in {"cmd", "deps"} and line.startswith("    - ")):
            raise _unreadable(number)
    return [_out(entry, folder, wdirs) for entry in outs]


def _lines(lock: bytes) -> list[str]:
    if not readable(lock) or re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", lock):
        raise PolicyError(f"{LOCK} holds characters that DVC does not write", "dvc repro, and commit what it writes")
    return lock.decode().split("\n")


def _out(entry: dict[str, str], folder: str, wdirs: Sequence[str]) -> Out:
    path, md5 = entry["path"], entry.get("md5", "")
    numbers = [entry.get("size"), entry.get("nfiles")]
    if not STORED.fullmatch(md5) or any(number is not None and not number.isdecimal() for number in numbers):
        raise PolicyError(f"{LOCK} says of {shown(path)} nothing that can be checked", "dvc repro")
    elsewhere = (posixpath.join(folder, SPLICED.sub(entry["item"], wdir)) for wdir in wdirs)
    placed = [posixpath.normpath(posixpath.join(at, path)) if at else path for at in (folder, *elsewhere)]
    inside = [place for place in placed if ".." not in place.split("/")]
    if path.startswith("/") or "://" in path or not inside or CONTROL.search(path):
        raise PolicyError(f"{LOCK} names {shown(path)}, outside this repository", "git checkout dvc.yaml")
    size, files = (None if number is None else int(number) for number in numbers)
    store = "files/md5" if entry.get("hash") == "md5" else ""
    return Out(inside[0], md5, size, files, store, tuple(inside[1:]))


def _scalar(text: str, number: int) -> str:
    """A value on one line: plain, 'single' or "double" quoted."""
    if re.fullmatch(r"'(?:[^']|'')*'", text):
        return text[1:-1].replace("''", "'")
    if text.startswith('"'):
        with contextlib.suppress(ValueError):
            value = json.loads(text)
            if isinstance(value, str):
                return value
        raise _unreadable(number)
    if not PLAIN.fullmatch(text) or text != text.rstrip():
        raise _unreadable(number)
    return text


def _unreadable(number: int) -> PolicyError:
    return PolicyError(f"{LOCK}, line {number}: not as DVC writes it", "rm dvc.lock, then dvc repro, and commit it")
