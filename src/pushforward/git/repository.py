"""The only module that runs git. Every call starts from a clean environment: hooks set GIT_DIR and more."""

import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pushforward import files, process
from pushforward.errors import TOOL, MachineError, PushforwardError
from pushforward.git import environment, reading
from pushforward.git.refs import FOREIGN, ZERO

# git knows the empty tree by this name in every repository.
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
# How to have a project in a repository of SHA-1 objects.
AS_SHA1 = "git init --object-format=sha1 ../again && git ls-files -z | xargs -0 cp --parents -t ../again"
# What a pusher may ask of a server with `git push -o`.
SKIP, DETACH = "ci.skip", "ci.detach"
KEPT_ASKS = 20  # of more at once one process of their own is the cheaper way
OBJECT = re.compile(r"[0-9a-f]{40}")
BROKEN = re.compile(rb"ignoring broken ref (\S+)")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")  # a tab parts columns
# What a person's configuration may change of what git says or writes, and is read here; a push of ours is not signed as
# a whole.
PLAIN = {
    "color.ui": "false",
    "core.fsmonitor": "false",
    "core.preferSymlinkRefs": "false",
    "log.showSignature": "false",
    "push.followTags": "false",
    "push.gpgSign": "false",
}


@dataclass(frozen=True)
class Ref:
    """A ref as listed: its name, the object it names, the object's type and, for a tag, what that names."""

    name: str
    object: str
    type: str
    target: str


@dataclass(frozen=True)
class Repository:
    """A git repository at `path`: a checkout or a bare repository."""

    path: Path

    @property
    def typed(self) -> str:
        """How a command of git in this repository begins for whoever types it, wherever they are."""
        bare = _told(self.path).get("GIT_DIR", "")
        return f"git --git-dir={shlex.quote(bare)}" if bare else f"git -C {shlex.quote(str(self.path))}"

    def git(
        self,
        *args: str,
        stdin: bytes | None = None,
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> process.Completed:
        """Run `git args` in this repository."""
        return self._git(args, PLAIN, stdin=stdin, check=check, env=env)

    def _git(
        self,
        args: Sequence[str],
        settings: Mapping[str, str],
        *,
        stdin: bytes | None = None,
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> process.Completed:
        # a new one may be made inside of another, and has no hooks of a template: a server would run them
        told = {"GIT_TEMPLATE_DIR": ""} if args[0] == "init" else _told(self.path)
        return process.run(
            ["git", "-C", str(self.path), *args],
            env=_environment(environment.SERVES, settings) | told | dict(env or {}),
            stdin=stdin,
            check=check,
        )

    def by_person(self, *args: str) -> process.Completed:
        """Run `git args` as the person at work, and not as the service."""
        env = _environment(environment.identity(), PLAIN) | _told(self.path)
        return process.run(["git", "-C", str(self.path), *args], env=env, check=False)

    def _ask(self, name: str) -> reading.Found | None:
        """What a reader that is kept of this repository has under `name`; None where it has to be asked by itself."""
        return reading.ask(self.path, name, lambda: _environment(environment.SERVES, PLAIN) | _told(self.path))

    def remote(self, *args: str, check: bool = True) -> process.Completed:
        """Run a git command that talks to a remote; on a forge with the token of the job."""
        return self._git(args, PLAIN | environment.credentials(), check=check)

    def follow(self, *args: str, say: Callable[[str], None]) -> process.Completed:
        """Run a git command that talks to a remote; `say` gets each line of what it tells people, as it comes."""
        env = _environment(environment.SERVES, PLAIN | environment.credentials()) | _told(self.path)
        return process.follow(["git", "-C", str(self.path), *args], say, env=env)

    def copy(self, folder: Path, commit: str) -> None:
        """Make a clone of this repository in `folder` that borrows its objects and has `commit` checked out.

        As git makes it where nobody has configured anything: hooks, templates and line ends are a person's own.
        """
        plain = PLAIN | {"core.hooksPath": os.devnull, "core.autocrlf": "false", "core.eol": "lf"}
        own = {"GIT_TEMPLATE_DIR": ""}
        source = str(self.path.absolute())
        marks = f"remote.origin.fetch=+{FOREIGN}*:{FOREIGN}*"  # with the tags comes which of them are foreign
        self._git(["clone", "-q", "--shared", "--no-checkout", "-c", marks, source, str(folder)], plain, env=own)
        Repository(folder)._git(["checkout", "-q", "--detach", commit], plain)

    def resolve(self, revision: str) -> str | None:
        """The commit that `revision` names, or None."""
        if (found := self._ask(f"{revision}^{{commit}}")) is not None:
            return found.object or None
        done = self.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", check=False)
        return done.text or None if done.returncode == 0 else None

    def commit(self, revision: str) -> str:
        """The commit that `revision` names; an error where there is none."""
        found = self.resolve(revision)
        if found is None and revision == "HEAD":
            raise PushforwardError(f"nothing is committed in {self.path} yet", next="git add -A && git commit")
        if found is None:
            raise PushforwardError(f"no commit is called '{revision}' in {self.path}", next="git log --oneline")
        return found

    def refs(self, *prefixes: str) -> list[Ref]:
        """All refs below the prefixes."""
        form = "%(refname)%00%(objectname)%00%(objecttype)%00%(*objectname)"
        lines = self.git("for-each-ref", f"--format={form}", *prefixes).text.splitlines()
        return [Ref(*line.split("\0")) for line in lines]

    def names(self, *prefixes: str, whole: bool = False) -> dict[str, str]:
        """Name -> object of all refs below the prefixes. Git looks at no object for that, as it does for `refs`.

        With `whole` MachineError where a ref is damaged, which git would leave out as if it were not there.
        """
        told = self.git("for-each-ref", "--format=%(objectname) %(refname)", *prefixes)
        if whole and (damaged := BROKEN.search(told.stderr)):
            ref = damaged[1].decode("utf-8", "replace")
            raise MachineError(f"{ref} is damaged", next="pushforward check, where it lies")
        lines = told.text.splitlines()
        return {name: identity for identity, _, name in (line.partition(" ") for line in lines)}

    def read(self, revision: str, path: str) -> bytes | None:
        """The bytes of `path` at `revision`, or None where it is absent."""
        if (found := self._ask(f"{revision}:{path}")) is not None:
            return found.content if found.type == "blob" else None
        done = self.git("cat-file", "blob", f"{revision}:{path}", check=False)
        return done.stdout if done.returncode == 0 else None

    def read_plain(self, revision: str, path: str) -> bytes | None:
        """The bytes of `path` at `revision`, None where it is absent; an error where a link stands for it."""
        content = self.read(revision, path)
        if content is None or b"\n" not in content:  # of a link git keeps where it leads to, as one line without an end
            files.check_tree(self.tree(revision), [path])
        return content

    def objects(self, names: Sequence[str]) -> list[tuple[str, bytes] | None]:
        """(type, content) of every object in `names`, by one process; None where there is none.

        A name is whatever git takes for one object (`HEAD:params.yaml`, an object's own), without a line break.
        """
        if any("\n" in name for name in names):
            raise ValueError("the name of an object has no line break")
        if not names:
            return []
        kept = [self._ask(name) for name in names] if len(names) <= KEPT_ASKS else [None]
        if None not in kept:
            return [(one.type, one.content) if one.type else None for one in kept if one]
        asked = "".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape")
        stream = self.git("cat-file", "--buffer", "--batch=%(objecttype) %(objectsize)", stdin=asked).stdout
        found: list[tuple[str, bytes] | None] = []
        at = 0
        for _ in names:
            end = stream.index(b"\n", at)
            kind, _, size = stream[at:end].rpartition(b" ")
            at = end + 1
            if not size.isdigit():  # "<name> missing", or "ambiguous"
                found.append(None)
                continue
            found.append((kind.decode(), stream[at : at + int(size)]))
            at += int(size) + 1
        return found

    def unmerged(self, commits: Iterable[str], into: str) -> set[str]:
        """Those of `commits` that are here and not in the history of `into`, by one process."""
        wanted = set(commits)
        asked = "".join(f"{line}\n" for line in (*wanted, f"^{into}")).encode()
        done = self.git("rev-list", "--ignore-missing", "--stdin", stdin=asked)
        return wanted.intersection(done.text.split("\n"))

    def tree(self, revision: str) -> dict[str, str]:
        """Path -> "mode object" of every file at `revision`."""
        whole = self._whole(revision)
        return dict(reading.still(self.path, "tree", [whole], lambda: self._tree(whole)))

    def _whole(self, revision: str) -> str:
        """The whole name of a commit where a reader is kept that knows it, else `revision`."""
        found = None if OBJECT.fullmatch(revision) else self._ask(f"{revision}^{{commit}}")
        return found.object if found and found.object else revision

    def _tree(self, revision: str) -> dict[str, str]:
        raw = self.git("ls-tree", "-r", "-z", "--full-tree", revision).stdout.decode("utf-8", "surrogateescape")
        entries: dict[str, str] = {}
        for entry in filter(None, raw.split("\0")):
            mode, _, rest = entry.partition(" ")
            identity, _, path = rest.partition("\t")
            entries[path] = f"{mode} {identity.split()[-1]}"
        return entries

    def changed(self, before: str | None, after: str) -> list[str]:
        """The paths that differ between two commits; all paths where there is no `before`."""
        if before is None or before == ZERO:
            return sorted(self.tree(after))
        return [*reading.still(self.path, "changed", [before, after], lambda: self._changed(before, after))]

    def _changed(self, before: str, after: str) -> list[str]:
        done = self.git("diff", "--name-only", "-z", "--no-renames", before, after)
        return [path for path in done.stdout.decode("utf-8", "surrogateescape").split("\0") if path]

    def diffstat(self, before: str, after: str) -> list[tuple[str, int, int]]:
        """(path, lines added, lines removed) between two commits, for people; binary files count 0."""
        rows = [
            line.split("\t", 2) for line in _names(self.git("diff", "--numstat", "-z", "--no-renames", before, after))
        ]
        return [(path, *(int(n) if n.isdigit() else 0 for n in (plus, minus))) for plus, minus, path in rows]  # type: ignore[misc]

    def unclean(self) -> list[str]:
        """The paths, for people, in which this checkout differs from its commit, but for what git ignores."""
        found = _names(self.git("status", "--porcelain", "-z", "--no-renames"))
        return [entry[3:] for entry in found]  # two letters and a blank say how

    def merge_base(self, one: str, other: str) -> str | None:
        """The best common ancestor, or None for unrelated histories."""
        done = self.git("merge-base", one, other, check=False)
        return done.text.split("\n")[0] or None

    def subject(self, commit: str) -> str:
        """The first line of a commit's message."""
        return self.git("log", "-1", "--format=%s", commit).text

    def date(self, commit: str) -> str:
        """A commit's committer date in git's raw form: seconds since the epoch and the zone."""
        return self.git("log", "-1", "--format=%cd", "--date=raw", commit).text

    def write_blob(self, content: bytes) -> str:
        """Store `content`; its object name."""
        return self.git("hash-object", "-w", "--stdin", stdin=content).text

    def write_tree(self, base: str, files: Mapping[str, bytes], *, index: Path, drop: str = "") -> str:
        """The tree of `base` with `files` put in and everything under `drop` taken out first; its object name."""
        env = {"GIT_INDEX_FILE": str(index)}
        index.unlink(missing_ok=True)
        try:
            if base != EMPTY_TREE:  # no index is one of nothing
                self.git("read-tree", base, env=env)
            if drop:
                self.git("rm", "-r", "-q", "-f", "--cached", "--ignore-unmatch", "--", drop, env=env)
            lines = [f"100644 {self.write_blob(content)}\t{path}\0".encode() for path, content in sorted(files.items())]
            self.git("update-index", "-z", "--add", "--index-info", stdin=b"".join(lines), env=env)
            return self.git("write-tree", env=env).text
        finally:
            index.unlink(missing_ok=True)

    def write_commit(self, tree: str, parents: list[str], message: str, *, date: str) -> str:
        """A commit by the service at a given date, so that the same content has the same name; its object name."""
        when = date if date.startswith("@") else f"@{date}"  # without it git takes no second before 1973
        env = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
        args = [arg for parent in parents for arg in ("-p", parent)]
        return self.git("commit-tree", tree, *args, stdin=message.encode(), env=env).text

    def update_ref(self, name: str, new: str, old: str | None = None) -> bool:
        """Compare and swap: move `name` to `new` if it is at `old` (None: wherever it is). Whether it moved."""
        args = [name, new] if old is None else [name, new, old]
        return self.git("update-ref", "--create-reflog", *args, check=False).returncode == 0

    def set_ref(self, name: str, new: str) -> None:
        """Move `name` to `new`, wherever it is; an error where that cannot be."""
        self.git("update-ref", "--create-reflog", name, new)

    def merge_tree(self, ours: str, theirs: str) -> tuple[str | None, list[str]]:
        """The tree of a merge without a work tree, or None and the paths in conflict."""
        done = self.git("merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", ours, theirs, check=False)
        tree, *conflicts = _names(done) or [""]
        if done.returncode == 0:
            return tree, []
        if done.returncode == 1:
            return None, conflicts
        raise PushforwardError(f"git merge-tree failed: {done.stderr.decode(errors='replace').strip()}", exit_code=TOOL)

    def merge_commit(self, target: str, head: str) -> tuple[str | None, list[str]]:
        """The commit that merging `head` into `target` would make, or None and the paths in conflict.

        The same one wherever it is made: a run that tries it and a judge that asks for it need not meet.
        """
        tree, conflicts = self.merge_tree(target, head)
        if tree is None:
            return None, conflicts
        message = f"Merge {head} into {target}\n"
        return self.write_commit(tree, [target, head], message, date=self.date(head)), []

    def reflog(self, ref: str) -> Iterator[tuple[str, str]]:
        """(before, after) of every move of `ref`, oldest first; a move survives whoever made it."""
        path = self.path / "logs" / ref
        if path.is_file():
            yield from moves(path.read_text(encoding="utf-8", errors="replace"))

    def lost(self, ref: str) -> bool:
        """Of a ref that is not there, whether it was and nobody deleted it: git deletes its history with it."""
        return any([after != ZERO for _, after in self.reflog(ref)][-1:])


def moves(log: str) -> Iterator[tuple[str, str]]:
    """(before, after) of every line of a reflog."""
    for line in log.splitlines():
        before, after = line[:40], line[41:81]
        if after.strip("0123456789abcdef") == "" and len(after) == 40:
            yield before, after


def _names(done: process.Completed) -> list[str]:
    """What git has listed with `-z`: without it a name with a quote or an `é` comes as C would write it.

    A control character in a name, or one that turns the direction of a line, reaches nobody's terminal.
    """
    return [CONTROL.sub("\ufffd", entry) for entry in done.stdout.decode("utf-8", "replace").split("\0") if entry]


def tree_entries(raw: bytes) -> dict[str, str]:
    """Name -> object of the entries of one tree object, as it is stored."""
    return {name: identity for _, name, identity in tree_lines(raw)}


def tree_lines(raw: bytes) -> Iterator[tuple[str, str, str]]:
    """(mode, name, object) of the entries of one tree object, as it is stored."""
    at = 0
    while at < len(raw):
        end = raw.index(b"\0", at)
        mode, _, name = raw[at:end].partition(b" ")
        at = end + 21  # twenty bytes of SHA-1 follow
        yield mode.decode(), name.decode("utf-8", "surrogateescape"), raw[end + 1 : at].hex()


def _environment(who: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """What a call of git gets beside what every child does."""
    own = environment.personal() | environment.PLAIN | environment.handed_on()
    return own | dict(who) | environment.configured(settings)


def _told(path: Path) -> dict[str, str]:
    """The variable that names the bare repository that `path` is in, if it is in one.

    With safe.bareRepository=explicit, which git advises, git looks for none by itself.
    """
    there = path.absolute()
    for folder in (there, *there.parents):
        if folder.name == ".git" or (folder / ".git").exists():
            return {}
        if (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir():
            return {"GIT_DIR": str(folder)}
    return {}
