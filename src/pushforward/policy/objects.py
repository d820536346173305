"""Git, as the policy asks it: its objects through one process, the rest by a command each. The rules call it."""

import os
import re
import subprocess
from collections.abc import Generator
from functools import cached_property
from typing import IO, NamedTuple

from pushforward.policy.refusal import PolicyError

OBJECT = re.compile(r"[0-9a-f]{40}")
MOST_BYTES = 16 * 1024**2
PATIENCE_SECONDS = 60


class Commit(NamedTuple):
    """What a commit names."""

    tree: str
    parents: tuple[str, ...]


class Objects:
    """Git's objects, those of the push included, through one process."""

    @cached_property
    def _process(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["git", "cat-file", "--batch-command"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )

    def find(self, name: str) -> tuple[str, str, int] | None:
        """(object, type, size) of what `name` names in full, or None."""
        return self._ask("info", name)

    def read(self, name: str, kind: str) -> bytes | None:
        """The content of `name`, or None where it is no object of that kind."""
        found = self.find(name)
        if found is None or found[1] != kind:
            return None
        if found[2] > MOST_BYTES:
            raise PolicyError(f"{name[:60]} is larger than {MOST_BYTES >> 20} MiB", "git push something smaller")
        self._ask("contents", found[0])
        return self._take(found[2] + 1)[:-1]

    def commit(self, name: str) -> Commit | None:
        """What the commit `name` names, or None where it is none."""
        text = self.read(name, "commit")
        if text is None:
            return None
        lines = text.partition(b"\n\n")[0].decode("utf-8", "replace").split("\n")
        parents = tuple(line[7:] for line in lines if line.startswith("parent "))
        return Commit(lines[0].removeprefix("tree "), parents)

    def tree(self, name: str) -> dict[str, tuple[str, str]]:
        """Name -> (mode, object) of the entries of the tree `name`; none where there is no such tree."""
        raw, entries, at = self.read(name, "tree") or b"", dict[str, tuple[str, str]](), 0
        while at < len(raw):
            end = raw.index(b"\0", at)
            mode, _, entry = raw[at:end].decode("utf-8", "surrogateescape").partition(" ")
            at = end + 21  # twenty bytes of SHA-1 follow
            entries[entry] = mode, raw[end + 1 : at].hex()
        return entries

    def close(self) -> None:
        """End the process, if there is one."""
        if "_process" in self.__dict__:
            self._process.kill()
            self._process.communicate()

    def _ask(self, command: str, name: str) -> tuple[str, str, int] | None:
        if "\n" in name:
            raise ValueError("the name of an object has no line break")
        stdin, stdout = self._pipes()
        stdin.write(f"{command} {name}\n".encode("utf-8", "surrogateescape"))
        stdin.flush()
        answer = stdout.readline()
        if not answer.endswith(b"\n"):
            raise OSError("git cat-file ended")
        words = answer.decode("utf-8", "surrogateescape").split()
        if len(words) == 3 and OBJECT.fullmatch(words[0]) and words[2].isdigit():
            return words[0], words[1], int(words[2])
        return None

    def _take(self, size: int) -> bytes:
        content = self._pipes()[1].read(size)
        if len(content) != size:
            raise OSError("git cat-file ended")
        return content

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise OSError("git cat-file has no pipes")
        return stdin, stdout


def entries(commit: str) -> Generator[tuple[str, bytes], None, None]:
    """(mode, path) of all files and folders of a commit, as git comes to them: there may be too many to list."""
    command = ["git", "ls-tree", "-r", "-t", "-z", "--full-tree", commit]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as lister:
        try:
            rest = b""
            while chunk := lister.stdout.read(1 << 16) if lister.stdout else b"":
                *whole, rest = (rest + chunk).split(b"\0")
                for entry in whole:
                    head, _, path = entry.partition(b"\t")
                    yield head[:6].decode(), path
        except GeneratorExit:
            lister.kill()
            raise
    if lister.returncode != 0:
        raise OSError("git ls-tree failed")


def environment() -> dict[str, str]:
    """The environment of every process of the policy."""
    # The quarantine's own variables must stay: without them the new objects cannot be read.
    return os.environ | {"GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}


def git(*args: str) -> str:
    """What git says; an error where it fails."""
    done = subprocess.run(["git", *args], capture_output=True, check=False, timeout=PATIENCE_SECONDS, env=environment())
    if done.returncode != 0:
        raise OSError(f"git {args[0]} failed: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout.decode("utf-8", "surrogateescape")
