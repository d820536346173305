"""The pre-receive hook: who may move which ref to what. Standard library only; it never runs a repository's code.

Run by git in the bare repository, with `<old> <new> <ref>` lines on standard input. All of a push or none of it: one
refused ref refuses the push, and so does a rule that cannot be checked. It reads git objects and what lies in
pushforward/ beside them: server.json, registry.json, allowed_signers, token.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Generator, Iterable
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # every push would wait for it, and few need it
    from pathlib import Path

FOLDER = "pushforward"
DELETED = f"{FOLDER}/deleted"  # what deleted branches have been at: git deletes their history with them
MOST_MOVES = 1000
ZERO = "0" * 40
OBJECT = re.compile(r"[0-9a-f]{40}")
DIGEST = re.compile(r"[0-9a-f]{64}")

HEADS, TAGS = "refs/heads/", "refs/tags/"
OWNED = ("refs/notes/", "refs/pushforward/", "refs/pull/")
CHAIN = "refs/pushforward/registry"
VERDICT = "refs/pushforward/verdict/"
PASSED = "refs/pushforward/passed/"

BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+@#!-]{0,99}")
# What git itself takes for no ref; it would say so after the other refs of the push have moved.
FUNNY = re.compile(r"\.\.|//|@\{|(?:^|/)\.|\.lock(?:/|$)|[./]$|^@$")
RESERVED = re.compile(r"(?i)^(?:HEAD$|refs/|heads/|tags/|[0-9a-f]{40}$)")
REGISTRY = re.compile(r"[^@#]*[@#].*")
NAME = r"[a-z][a-z0-9-]{1,62}"
NUMBERS = r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})"
VERSION = re.compile(rf"({NAME})@v{NUMBERS}")
DEPRECATION = re.compile(rf"({NAME})@v{NUMBERS}!")
ENVIRONMENT = re.compile(rf"({NAME})#({NAME})#([1-9]\d{{0,8}})")
EMPTIED = re.compile(rf"({NAME})#({NAME})!#([1-9]\d{{0,8}})")
# A version or a use of some model, well or badly written: no other tag may look like one.
LIKE_REGISTRY = re.compile(r"(?i)[^@#]*@v\d.*|[^@#]*#.*#.*|[@#].*")
LOOK_ALIKE = str.maketrans("01i", "oll")
# Words that stand in `may=` for something else than an environment.
MAY_VERSION, MAY_ANY, MAY_MAIN = "version", "any", "main"
OVERRIDE = "Pushforward-Override: "

# What a person types on top of what is to be let in, whom the owner has given `main`.
SIGN_IN = f"git commit -S --allow-empty -m '{OVERRIDE}WHY'"

MOST_REFS = 1000
MOST_PARTS = 20
MOST_FILES = 100_000
MOST_BYTES = 16 * 1024**2
MOST_SHOWN = 4
MOST_LETTERS = 100
CLOCK_SECONDS = 300
PATIENCE_SECONDS = 60

# What ends a line, moves the cursor or turns the direction of text around.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# What a file system of Apple's does not see in a name.
IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
WORKFLOWS = ".github/workflows"

TAGGER = re.compile(r"tagger [^<>]*<([^<>\s]+)> (\d{1,11}) [+-]\d{4}")
COMMITTER = re.compile(rb"^committer [^<>\n]*<([^<>\s]+)> (\d{1,11}) [+-]\d{4}$", re.MULTILINE)
GPGSIG = re.compile(rb"^gpgsig[^\n]*\n(?: [^\n]*\n)*", re.MULTILINE)
ARMOR = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\n((?:[A-Za-z0-9+/=]{1,76}\n)+)-----END SSH SIGNATURE-----\n?", re.DOTALL
)
SIGNER = re.compile(
    r'(?P<who>[!-~]+) namespaces="git,pushforward"(?:,valid-before="(?P<before>\d{14}Z)")?'
    r" (?P<key>[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2})(?: may=(?P<may>[a-z0-9,-]+))?"
)
PATTERN = frozenset("*?!,")

LOCK, METRICS = "dvc.lock", "metrics"
RECORDED_FILES = ("verdict.json", "provenance.json", "golden.json", "card.md")
ENTRY_FILES = (*RECORDED_FILES, "provenance.json.sig")
LOCK_KEY = re.compile(r"    (cmd|deps|params|outs):(.*)")
LOCK_OUT = re.compile(r"    - path: (.+)")
LOCK_FACT = re.compile(r"      (hash|md5|size|nfiles|isexec): (.+)")
PLAIN = re.compile(r"[^\s\"'#&*!|>%@`{}\[\],?:-](?:[^#:]|:(?=\S)|(?<=\S)#)*")
STORED = re.compile(r"([0-9a-f]{2})([0-9a-f]{30}(?:\.dir)?)")


class PolicyError(Exception):
    """Why one ref may not move, and the next command to type."""

    def __init__(self, why: str, next: str) -> None:  # noqa: A002
        super().__init__(why)
        self.why = why
        self.next = next


class Update(NamedTuple):
    """One line of a push."""

    old: str
    new: str
    ref: str


class Commit(NamedTuple):
    """What a commit names."""

    tree: str
    parents: tuple[str, ...]


class Tag(NamedTuple):
    """An annotated tag: the commit it names, who made it when (seconds since the epoch), its record of JSON.

    `content` is what `signature` (armored) signs.
    """

    target: str
    email: str
    when: int
    record: dict[str, Any]
    content: bytes
    signature: bytes


class Out(NamedTuple):
    """An out of a dvc.lock: `md5` ends with ".dir" for a folder; `store` is where in a DVC remote its kind lies."""

    path: str
    md5: str
    size: int | None
    files: int | None
    store: str


class Objects:
    """Git's objects, those of the push included, through one process."""

    @cached_property
    def _process(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["git", "cat-file", "--batch-command"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
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


class Push:
    """A push and the server that it comes to. `trusted` is a push by a run of this server."""

    def __init__(self, updates: list[Update], *, trusted: bool, now: float) -> None:
        self.updates = updates
        self.trusted = trusted
        self.now = now
        self.objects = Objects()

    @cached_property
    def default(self) -> str:
        """The default branch, in full."""
        return _git("symbolic-ref", "HEAD").strip()

    @cached_property
    def refs(self) -> dict[str, str]:
        """Branches, tags and the registry's chain -> object, before the push."""
        listed = _git("for-each-ref", "--format=%(refname) %(objectname)", HEADS[:-1], TAGS[:-1], CHAIN)
        return {ref: identity for ref, _, identity in (line.partition(" ") for line in listed.splitlines())}

    @cached_property
    def after(self) -> dict[str, str]:
        """The same, after the push."""
        moved = self.refs | {update.ref: update.new for update in self.updates}
        return {ref: identity for ref, identity in moved.items() if identity != ZERO}

    @cached_property
    def folded(self) -> "defaultdict[str, set[str]]":
        """A ref's name without regard to case -> those before and after the push that are called so."""
        found = defaultdict[str, set[str]](set)
        for ref in self.refs | self.after:
            found[ref.casefold()].add(ref)
        return found

    @cached_property
    def folders(self) -> dict[str, str]:
        """Every folder that a ref is in, before or after the push -> such a ref."""
        return {parent: ref for ref in self.refs | self.after for parent in _parents(ref)}

    @cached_property
    def versions(self) -> dict[tuple[int, ...], str]:
        """Number -> name of the model's versions before the push."""
        found = (VERSION.fullmatch(ref.removeprefix(TAGS)) for ref in self.refs if ref.startswith(TAGS))
        mine = (match for match in found if match and match[1] == self.model)
        return {tuple(int(part) for part in match.groups()[1:]): match[0] for match in mine}

    @cached_property
    def server(self) -> dict[str, Any]:
        """What `pushforward init` wrote down."""
        return _file("server.json")

    @cached_property
    def known(self) -> dict[str, Any]:
        """What the project calls its model and environments."""
        return _file("registry.json")

    @property
    def model(self) -> str:
        """The model's name."""
        name: str = _typed(self.known, "model", str)
        return name

    @property
    def environments(self) -> dict[str, str]:
        """Environment -> "auto" or "manual"."""
        named = _typed(self.known, "environments", dict)
        return {name: how for name, how in named.items() if name not in {MAY_VERSION, MAY_ANY, MAY_MAIN}}

    @cached_property
    def models(self) -> set[str]:
        """The model's name and those that it had before: of them there are versions here."""
        found = (VERSION.fullmatch(ref.removeprefix(TAGS)) for ref in self.refs if ref.startswith(TAGS))
        return {self.model, *(match[1] for match in found if match)}

    def to(self, ref: str) -> Update | None:
        """The update of `ref` in this push."""
        return next((update for update in self.updates if update.ref == ref), None)


# One push.


def refusals(push: Push) -> list[tuple[str, PolicyError]]:
    """(ref, why) for each ref that may not move."""
    if len(push.updates) > MOST_REFS:
        many = PolicyError(f"{len(push.updates)} refs at once; {MOST_REFS} is the limit", "git push a few at a time")
        return [("this push", many)]
    if push.updates and (original := _original(push.server)):
        copy = PolicyError(
            f"this server is a copy of {_shown(original)}, which is still there; it takes nothing in its name",
            f"in a clone: git remote set-url local '{_shown(os.getcwd())}' && pushforward init",
        )
        return [("this push", copy)]
    found = []
    for update in push.updates:
        try:
            _judge(push, update)
        except PolicyError as refused:
            found.append((update.ref, refused))
    return found


def _original(server: dict[str, Any]) -> str:
    """The server that this one is a copy of; empty where it is at its place, or was moved from there.

    The store's list of servers says where one that was moved has written itself down since.
    """
    place, identity = _typed(server, "place", str), _typed(server, "id", str)
    if place == os.getcwd():
        return ""
    from pathlib import Path

    here = Path.cwd()
    try:
        if here.samefile(place):
            return ""
        there = json.loads((Path(place) / FOLDER / "server.json").read_text(encoding="utf-8"))
        if isinstance(there, dict) and there.get("id") == identity:
            return str(place)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError):  # something is there, and nobody can say that it is another server
        return str(place)
    store = _typed(server, "store", str)
    for note in sorted(Path(store, "servers").glob("*")) if store else ():
        with contextlib.suppress(OSError, ValueError):
            other = Path(note.read_text(encoding="utf-8").removesuffix("\n"))
            there = json.loads((other / FOLDER / "server.json").read_text(encoding="utf-8"))
            if isinstance(there, dict) and there.get("id") == identity and not other.samefile(here):
                return str(other)
    return ""


def _judge(push: Push, update: Update) -> None:
    """Every rule for one ref, in the order in which a person would ask."""
    if update.ref.startswith(OWNED):
        _owned(push, update)
        return
    _name(push, update)
    if update.ref.startswith(TAGS):
        if _is_registry(push, update.ref):
            _registry_tag(push, update)
        return
    if update.ref == push.default:
        _default_branch(push, update)
    if update.new != ZERO:
        _tip(push, update)


def _owned(push: Push, update: Update) -> None:
    """What this server writes, nobody else; and what of it only ever grows."""
    if not push.trusted:
        raise PolicyError("this server writes it, nobody else", "git push a branch; reports come back as notes")
    if not update.ref.startswith("refs/pushforward/"):
        return
    if update.new == ZERO:
        raise PolicyError("it only grows, and is never deleted", "git fetch, then push what comes after it")
    if update.ref == CHAIN and not any(VERSION.fullmatch(one.ref.removeprefix(TAGS)) for one in push.updates):
        raise PolicyError("an entry comes with its version's tag, in one push", "pushforward promote")
    if update.old != ZERO and not _within(push, update.old, update.new):
        raise PolicyError("it only grows: what it was is not in what it would be", "git fetch, then push what follows")


def _name(push: Push, update: Update) -> None:
    """What a branch or tag may be called, and that nothing else has that name."""
    ref = update.ref
    if not ref.startswith((HEADS, TAGS)):
        raise PolicyError("only branches and tags are taken here", "git push local HEAD:refs/heads/<name>")
    kind = HEADS if ref.startswith(HEADS) else TAGS
    here, ours = push.refs.get(ref, ZERO), kind == TAGS and _is_registry(push, ref)
    if here != update.old and not ours:
        raise PolicyError(f"it has moved meanwhile, {_to(here)}", "git fetch, then git rebase, then git push")
    if [one.ref for one in push.updates].count(ref) > 1:
        raise PolicyError("it is named twice in one push", "git push it once")
    if here != ZERO:
        return  # it can be moved on and deleted, whatever it is called
    name = ref.removeprefix(kind)
    if ours:
        return  # its grammar is narrower
    another = f"git push local HEAD:{kind}<name>"
    if not (BRANCH if kind == HEADS else TAG).fullmatch(name):
        letters = "a-z A-Z 0-9 . _ / -" if kind == HEADS else "a-z A-Z 0-9 . _ / + @ # ! -"
        raise PolicyError(f"a name is up to 100 of {letters} and begins with a letter or digit", another)
    if FUNNY.search(name):
        raise PolicyError("no part of a name is empty, begins or ends with a dot, or ends with .lock", another)
    if RESERVED.search(name):
        raise PolicyError("git reads that name as something else", another)
    if ref.count("/") >= MOST_PARTS:
        raise PolicyError(f"a name has at most {MOST_PARTS} parts", another)
    if update.new != ZERO:
        _unique(push, kind, name)


def _is_registry(push: Push, ref: str) -> bool:
    """Whether a tag has the registry's rules: the form of a version or use of any model, or a model's name of ours.

    What remains is of others: the releases of packages in one repository (`pkg@1.2.3`), a build (`v2.0#rc`). Nobody
    reads those as the registry's, whatever the model is called next. They are names like any other then.
    """
    name = ref.removeprefix(TAGS)
    if not REGISTRY.fullmatch(name):
        return False
    if LIKE_REGISTRY.fullmatch(name):
        return True
    return _of_ours(push, name)


def _of_ours(push: Push, name: str) -> bool:
    """Whether people would take the beginning of a tag's name for a model of ours, in a folder or not."""
    begins = re.split("[@#]", name, maxsplit=1)[0]
    ours = {_spelled(model) for model in push.models}
    return not {_spelled(begins), *map(_spelled, re.split("[/=]", begins))}.isdisjoint(ours)


def _spelled(name: str) -> str:
    """A name without what people overlook in it: case, marks between letters, digits that look like letters."""
    return re.sub("[^a-z0-9]", "", name.casefold()).translate(LOOK_ALIKE)


def _unique(push: Push, kind: str, name: str) -> None:
    """No ref beside it that people, git or another file system would take for it."""
    another = f"git push local HEAD:{kind}<another name>"
    other = TAGS if kind == HEADS else HEADS
    if other + name in push.after:
        raise PolicyError(f"a {'tag' if other == TAGS else 'branch'} has that name already", another)
    ref = kind + name
    for like in push.folded[ref.casefold()]:
        if like != ref:
            raise PolicyError(f"{_shown(like)} differs from it only in case", another)
    # git would find this out only after the other refs of the push have moved
    above = next((parent for parent in _parents(ref) if parent in push.folded[parent.casefold()]), "")
    if beside := above or push.folders.get(ref, ""):
        raise PolicyError(f"{_shown(beside)} is there, and one cannot be the folder of the other", another)


# Branches.


def _default_branch(push: Push, update: Update) -> None:
    """It stays, moves forward, keeps its roots; where it is protected, it takes what has passed."""
    if update.new == ZERO:
        raise PolicyError("the default branch cannot be deleted", "git push without the colon")
    if update.old == ZERO or push.objects.commit(update.new) is None:
        return
    for line in _git("rev-list", "--left-right", "--parents", f"{update.old}...{update.new}").splitlines():
        commit, *parents = line[1:].split()
        if line.startswith("<"):
            raise PolicyError("it only moves forward", "git fetch, then git rebase, then git push")
        if not parents:
            raise PolicyError(
                f"it brings a history that begins on its own, at {commit[:9]}",
                f"git rebase --root --onto local/{_short(update.ref)}",
            )
    if _typed(push.server, "protect", bool, default=False):
        _protected(push, update)


def _protected(push: Push, update: Update) -> None:
    """Only a tree that a pull request has passed, or one that the pipeline cannot tell from the one before."""
    commit = push.objects.commit(update.new)
    if commit is None or push.objects.find(PASSED + commit.tree):
        return
    reads = [str(path) for path in _typed(push.known, "reads", list, default=[])]
    args = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", update.old, update.new, "--", *reads)
    changed = [path for path in _git("--literal-pathspecs", *args).split("\0") if path]
    if changed and not _overridden(push, update.new):
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise PolicyError(
            f"no pull request has passed with this content; {_shown(changed[0])}{more} decides about the model",
            "git push local HEAD:refs/heads/<name>, and merge that when it has passed (promote, or identical); else "
            f"with a key for it (pushforward trust KEY.pub --for {MAY_MAIN}): {SIGN_IN}, and push again",
        )


def _overridden(push: Push, commit: str) -> bool:
    """Whether its own message lets it in, signed by a key that may; refused where it says so and does not hold.

    The signature is over the commit, and so over its tree and all of its history: it lets in nothing else, and makes
    no version.
    """
    raw = push.objects.read(commit, "commit") or b""
    head, _, message = raw.partition(b"\n\n")
    if not any(line.startswith(OVERRIDE.encode()) and line[len(OVERRIDE) :].strip() for line in message.split(b"\n")):
        return False
    signature, committer = GPGSIG.findall(head + b"\n"), COMMITTER.search(head)
    if len(signature) != 1 or committer is None:
        raise PolicyError(f"{commit[:9]} says {OVERRIDE.strip(': ')}, and is not signed", SIGN_IN)
    content = GPGSIG.sub(b"", head + b"\n") + b"\n" + message
    armor = signature[0].partition(b" ")[2].replace(b"\n ", b"\n")
    who = Tag(commit, committer[1].decode("utf-8", "replace"), int(committer[2]), {}, content, armor)
    may = _signer(push, who, content, armor, "git")
    if MAY_MAIN not in may:
        raise PolicyError(
            f"the key of {who.email} may not let {commit[:9]} in",
            f"on the server: pushforward trust KEY.pub --as {who.email} --for {MAY_MAIN}",
        )
    return True


def _tip(push: Push, update: Update) -> None:
    """What a branch names is a commit, and its files can be checked out anywhere without a surprise."""
    if push.objects.commit(update.new) is None:
        raise PolicyError("a branch names a commit, nothing else", f"git push local HEAD:{update.ref}")
    with contextlib.closing(_entries(update.new)) as entries:
        for number, (mode, path) in enumerate(entries, 1):
            if number > MOST_FILES:
                raise PolicyError(
                    f"it has more than {MOST_FILES:,} files", "dvc add the folder, then git rm --cached it"
                )
            _file_of_tip(mode, path)


def _file_of_tip(mode: str, path: bytes) -> None:
    where = "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in path)[-100:]
    name = path.decode("utf-8", "surrogateescape")
    last = name.rpartition("/")[2]
    if mode == "160000" or last.casefold() == ".gitmodules":
        raise PolicyError(f"{where} is of a submodule, and none is fetched here", f"git rm '{where}', and commit")
    if CONTROL.search(last) or not _readable(path):
        raise PolicyError(
            f"the name {where} has characters that cannot be shown", "git mv it to a plain name, and commit"
        )
    if _like_git(last):
        raise PolicyError(f"{where} can be taken for git's own folder", f"git rm -r '{where}', and commit")
    if mode == "120000" and (name.startswith(f"{WORKFLOWS}/") or name in {".github", WORKFLOWS}):
        raise PolicyError(f"{where} is a symbolic link; a workflow is a file", f"git rm '{where}', and commit")


def _entries(commit: str) -> Generator[tuple[str, bytes], None, None]:
    """(mode, path) of all files and folders of a commit, as git comes to them: there may be too many to list."""
    command = ["git", "ls-tree", "-r", "-t", "-z", "--full-tree", commit]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=_environment()) as lister:
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


def _readable(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def _like_git(name: str) -> bool:
    """Whether some file system takes `name` for .git, or for a way out."""
    plain = IGNORED.sub("", name).casefold().partition(":")[0]
    return plain.rstrip(" .") in {".git", "git~1", ""}


# Registry tags.


def _registry_tag(push: Push, update: Update) -> None:
    """Append-only, of this model, annotated, of now, signed by someone who may; then the rules of its kind."""
    name = update.ref.removeprefix(TAGS)
    if update.old != ZERO or update.ref in push.refs:
        raise PolicyError(
            "it already exists: a registry tag never moves and is never deleted", "git fetch --tags --force"
        )
    if update.new == ZERO:
        raise PolicyError("there is no such tag, and none is ever deleted", "git fetch --tags --force")
    version, use, end = VERSION.fullmatch(name), ENVIRONMENT.fullmatch(name), DEPRECATION.fullmatch(name)
    emptied = EMPTIED.fullmatch(name)
    match = version or use or end or emptied
    if match is None:
        raise PolicyError(
            "a registry tag is <model>@v<major>.<minor>.<patch>, that and a '!', or <model>#<environment>[!]#<n>",
            _without(push, name),
        )
    if match[1] != push.model:
        raise _other_model(push, match[1], name)
    if use and use[2] not in push.environments:
        raise _no_environment(push, use[2])
    if version and not push.trusted:
        raise PolicyError(
            "a version is made by a passing push, not by hand", "git push local HEAD:refs/heads/<name>, then merge it"
        )
    tag = _read_tag(push, name, update.new)
    may = _signer(push, tag, tag.content, tag.signature, "git")
    if version:
        _allowed(MAY_VERSION in may, may)
        _version(push, name, tuple(int(part) for part in version.groups()[1:]), tag)
    elif use:
        auto = MAY_VERSION in may and push.environments[use[2]] == "auto"
        _allowed(use[2] in may or MAY_ANY in may or auto, may)
        _assignment(push, use[2], int(use[3]), tag)
    elif emptied:
        _allowed(emptied[2] in may or MAY_ANY in may, may)
        _emptied(push, emptied[2], int(emptied[3]), tag)
    else:
        _allowed(bool(may - {MAY_VERSION, MAY_MAIN}), may)
        _deprecation(push, name.removesuffix("!"), tag)


def _without(push: Push, name: str) -> str:
    """What pushes all other tags; one of the model's own name that is none of its tags is nobody else's either."""
    found = re.match("[^@#]+[@#]", name)
    if not TAG.fullmatch(name) or found is None:
        return "git push local <the others>, by name"  # a shell would not take it as it stands
    if found[0][:-1].casefold() in push.models:
        return f"git tag -d '{name}'"
    return f"git push local 'refs/tags/*' '^refs/tags/{found[0]}*', to push all others"


def _other_model(push: Push, model: str, name: str) -> PolicyError:
    if model in push.models:  # it was renamed
        return PolicyError(
            f"the model here is {push.model} now; what {model} had in use stays as it is",
            f"pushforward release VERSION of {push.model}, or give model.name in params.yaml back to {model}",
        )
    return PolicyError(f"it has the form of a version or use, and the model here is {push.model}", _without(push, name))


def _no_environment(push: Push, environment: str) -> PolicyError:
    why = "there is no such environment (promote.environments in params.yaml)"
    if _uses(push.refs, push.model).get(environment):
        return PolicyError(f"{why} any more", f"pushforward rollback {environment} --empty -m WHY, or put it back")
    names = ", ".join(f"{push.model}#{environment}#<n>" for environment in push.environments)
    return PolicyError(why, f"one of {names}")


def _read_tag(push: Push, name: str, identity: str) -> Tag:
    """The tag object; refused unless it is annotated, signed, called `name`, names a commit and is of now."""
    sign = f"git tag -s '{name}' <commit>"
    raw = push.objects.read(identity, "tag")
    if raw is None:
        raise PolicyError("a registry tag is annotated", sign)
    at = raw.rfind(b"\n-----BEGIN ") + 1
    armor = ARMOR.fullmatch(raw, at) if at else None
    content = raw[: at or len(raw)]
    if not _readable(content) or CONTROL.search(content.decode().replace("\n", "")):
        raise PolicyError("its text has characters that cannot be shown", sign)
    if b"-----BEGIN " in content:
        raise PolicyError("its text holds what reads as the beginning of a signature", sign)
    head, _, message = content.decode().partition("\n\n")
    lines = head.split("\n")
    tagger = TAGGER.fullmatch(lines[3]) if len(lines) == 4 else None
    if tagger is None or not lines[0].startswith("object ") or not lines[1].startswith("type "):
        raise PolicyError("the tag object has other lines than object, type, tag and tagger", sign)
    if lines[2] != f"tag {name}":
        raise PolicyError(f"the tag object inside has another name, {_shown(lines[2][4:])}", sign)
    target = lines[0].removeprefix("object ")
    found = push.objects.find(target)
    if lines[1] != "type commit" or found is None or found[1] != "commit":
        raise PolicyError(f"it names a {_shown(lines[1][5:])}, not a commit", sign)
    if armor is None:
        damaged = raw.startswith(b"-----BEGIN SSH", at)
        why = "its signature is damaged, or something follows it" if damaged else "it is not signed with an ssh key"
        raise PolicyError(why, f"git -c gpg.format=ssh tag -s '{name}' <commit>")
    late = int(tagger[2]) - push.now
    if abs(late) > CLOCK_SECONDS:
        ahead = "ahead of" if late > 0 else "behind"
        raise PolicyError(f"it is dated more than 5 minutes {ahead} the clock of this server", "date, then tag again")
    return Tag(target, tagger[1], int(tagger[2]), _record(message, sign), content, raw[at:])


def _record(message: str, sign: str) -> dict[str, Any]:
    """The line of JSON in a tag's message; empty where there is none."""
    lines = [line for line in message.split("\n") if line.startswith("{")]
    if not lines:
        return {}
    try:
        record = json.loads(lines[0], object_pairs_hook=_once) if len(lines) == 1 else None
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or record.get("schema") != 2:
        raise PolicyError("its record is not one line of JSON of schema 2", sign)
    return record


def _assignment(push: Push, environment: str, counter: int, tag: Tag) -> None:
    """The next number of its environment, and a version that holds."""
    _counted(push, environment, counter, f"{push.model}#{environment}#")
    named = tag.record.get("version")
    if named is not None:
        target = _target(push, TAGS + named) if isinstance(named, str) and VERSION.fullmatch(named) else None
        if target != tag.target:
            raise PolicyError(
                f"its record says {_shown(str(named))}, which is no version of its commit", "pushforward show"
            )
        there = [str(named)]
    else:
        names = [ref.removeprefix(TAGS) for ref in push.after if ref.startswith(f"{TAGS}{push.model}@")]
        there = [name for name in names if VERSION.fullmatch(name) and _target(push, TAGS + name) == tag.target]
    if not there:
        raise PolicyError("it names a commit that no version names", "git tag --list '*@v*'")
    if all(f"{TAGS}{name}!" in push.after for name in there):
        raise PolicyError(f"{there[0]} is deprecated", "pushforward show, and choose another version")
    _, last = _uses(push.refs, push.model).get(environment, (0, ""))
    if ENVIRONMENT.fullmatch(last.removeprefix(TAGS)):
        _forward(push, environment, last, max(there, key=_number), tag.record)


def _forward(push: Push, environment: str, ref: str, name: str, record: dict[str, Any]) -> None:
    """Not to an older version than the environment tag `ref` names, unless the record says so, and why."""
    present = _in_use(push, ref)
    if not present or _number(name) >= _number(present):
        return
    reason = record.get("reason")
    if record.get("older") is not True or not isinstance(reason, str) or not reason.strip():
        raise PolicyError(
            f"{environment} holds {present}, and {name} is older",
            f"pushforward rollback {environment} -m <why>, or "
            f"pushforward release {name} --to {environment} --older -m <why>",
        )


def _in_use(push: Push, ref: str) -> str:
    """The version that an environment tag of this server names, "" where none does."""
    target = _target(push, ref)
    raw = push.objects.read(push.refs[ref], "tag") or b""
    said = next((line for line in raw.decode("utf-8", "replace").split("\n") if line.startswith("{")), "{}")
    with contextlib.suppress(ValueError, RecursionError, AttributeError):
        named = json.loads(said).get("version")
        if named in push.versions.values() and _target(push, TAGS + named) == target:
            return str(named)
    mine = [name for name in push.versions.values() if _target(push, TAGS + name) == target]
    return max(mine, key=_number, default="")


def _number(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.rpartition("@v")[2].split("."))


def _emptied(push: Push, environment: str, counter: int, tag: Tag) -> None:
    """The next number of its environment, which holds what the tag names, and a reason."""
    _counted(push, environment, counter, f"{push.model}#{environment}!#")
    _, ref = _uses(push.refs, push.model).get(environment, (0, ""))
    if not ENVIRONMENT.fullmatch(ref.removeprefix(TAGS)):
        raise PolicyError(f"{environment} holds no version", "pushforward show")
    target, named = _target(push, ref), tag.record.get("version")
    version = f"{TAGS}{named}" if isinstance(named, str) and VERSION.fullmatch(named) else ""
    if target != tag.target or _target(push, version) != target:
        raise PolicyError(f"it or its record names another version than {environment} holds", "pushforward show")
    reason = tag.record.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise PolicyError("its record says no reason", f"pushforward rollback {environment} --empty -m WHY")


def _counted(push: Push, environment: str, counter: int, prefix: str) -> None:
    """The next number of its environment, and the only one of this push."""
    expected = _uses(push.refs, push.model).get(environment, (0, ""))[0] + 1
    if counter != expected:
        raise PolicyError(f"the next one is number {expected}", f"git tag -s '{prefix}{expected}' <commit>")
    moved = [EMPTIED.fullmatch(one.ref.removeprefix(TAGS)) for one in push.updates]
    if any(f"{TAGS}{push.model}#{one[2]}#{one[3]}" in push.after for one in moved if one and one[2] == environment):
        raise PolicyError("one push fills or empties an environment once", "git push one of them")


def _uses(refs: Iterable[str], model: str) -> dict[str, tuple[int, str]]:
    """Environment -> (number, ref) of the last tag that filled or emptied it."""
    found: dict[str, tuple[int, str]] = {}
    for ref in refs:
        if not ref.startswith(f"{TAGS}{model}#"):
            continue
        name = ref.removeprefix(TAGS)
        use = ENVIRONMENT.fullmatch(name) or EMPTIED.fullmatch(name)
        if use:
            # of one number that two pushes took at once, the one that empties counts, as everywhere
            found[use[2]] = max(found.get(use[2], (0, "")), (int(use[3]), ref), key=_last)
    return found


def _last(use: tuple[int, str]) -> tuple[int, bool]:
    return use[0], "!" in use[1]


def _deprecation(push: Push, version: str, tag: Tag) -> None:
    """Of a version that is there, that nobody uses, with a reason."""
    target = _target(push, TAGS + version)
    if target is None:
        raise PolicyError(f"there is no version {version}", "pushforward show")
    if target != tag.target:
        raise PolicyError(f"it names another commit than {version}", f"pushforward deprecate {version}")
    reason = tag.record.get("reason")
    if tag.record.get("version") != version or not isinstance(reason, str) or not reason.strip():
        raise PolicyError("its record says no version or no reason", f"pushforward deprecate {version} -m <why>")
    for environment, (_, ref) in sorted(_uses(push.after, push.model).items()):
        if ENVIRONMENT.fullmatch(ref.removeprefix(TAGS)) and _target(push, ref) == target:
            raise PolicyError(
                f"{environment} uses {version}",
                f"pushforward rollback {environment} -m WHY; where nothing was before it, with --empty",
            )


def _target(push: Push, ref: str) -> str | None:
    """The commit that a tag names once the push is taken."""
    identity = push.after.get(ref)
    found = push.objects.find(f"{identity}^{{commit}}") if identity else None
    return found[0] if found else None


# Versions.


def _version(push: Push, name: str, number: tuple[int, ...], tag: Tag) -> None:
    """The next number, made from a commit of the default branch that passed, written down, and all there."""
    record = tag.record
    if sum(bool(VERSION.fullmatch(update.ref.removeprefix(TAGS))) for update in push.updates) > 1:
        raise PolicyError("one push makes one version", "git push one of them")
    _successor(push, number, record)
    commit = record.get("commit")
    if not isinstance(commit, str) or not OBJECT.fullmatch(commit) or push.objects.commit(commit) is None:
        raise PolicyError("its record names no commit that is here", "pushforward promote")
    made = _lock_commit(push, tag.target, commit)
    tip = push.after.get(push.default)
    if tip is None or not _within(push, commit, tip):
        raise PolicyError(
            f"{commit[:9]} is not on {_short(push.default)}", f"merge it, then git push local {_short(push.default)}"
        )
    verdict = _passed(push, commit, record)
    lock = push.objects.read(f"{tag.target}:{LOCK}", "blob")
    if lock is None or _sha256(lock) != record.get("lock"):
        raise PolicyError(f"{LOCK} of {tag.target[:9]} is not the one in its record", "pushforward promote")
    if made and record["lock"] != verdict["lock"]:
        raise PolicyError(f"{LOCK} of the lock commit is not the one that was judged", "pushforward promote")
    _chained(push, name, tag)
    _stored(push, tag.target, lock)


def _successor(push: Push, number: tuple[int, ...], record: dict[str, Any]) -> None:
    newest = max(push.versions, default=None)
    if newest is None:
        following = [(1, 0, 0)]
    else:
        major, minor, patch = newest
        following = [(major + 1, 0, 0), (major, minor + 1, 0), (major, minor, patch + 1)]
    if number not in following:
        names = ", ".join("v" + ".".join(str(part) for part in one) for one in following)
        raise PolicyError(f"the next one is {' or '.join(names.rsplit(', ', 1))}", "pushforward promote")
    previous = push.versions[newest] if newest else None
    place = len(push.versions) + 1
    if record.get("number") != place or isinstance(record.get("number"), bool):
        raise PolicyError(f"the next one is number {place}, its record says another", "pushforward promote")
    if record.get("previous", ...) != previous:
        raise PolicyError(f"the one before is {previous or 'none'}, its record says another", "pushforward promote")


def _lock_commit(push: Push, target: str, commit: str) -> bool:
    """Whether `target` is a lock commit of `commit`; refused where it is neither that nor `commit` itself."""
    if target == commit:
        return False
    child, parent = push.objects.commit(target), push.objects.commit(commit)
    if child is None or parent is None or child.parents != (commit,):
        raise PolicyError(
            f"it names neither {commit[:9]} of its record nor a lock commit of that", "pushforward promote"
        )
    before, after = push.objects.tree(parent.tree), push.objects.tree(child.tree)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    if strange := sorted(changed - {LOCK, METRICS}):
        raise PolicyError(f"the lock commit changes {_shown(strange[0])} too", "pushforward promote")
    modes = after.get(LOCK, ("", ""))[0], after.get(METRICS, ("40000", ""))[0]
    if modes != ("100644", "40000"):
        raise PolicyError(f"{LOCK} is no plain file, or {METRICS}/ no folder", "pushforward promote")
    return True


def _passed(push: Push, commit: str, record: dict[str, Any]) -> dict[str, Any]:
    """The digests in the verdict that this server has of `commit`; refused unless it says promote and agrees."""
    text = push.objects.read(f"{VERDICT}{commit}:verdict.json", "blob")
    if text is None:
        raise PolicyError(
            f"this server has no passing verdict of {commit[:9]} (a version follows its verdict)",
            f"git push local {_short(push.default)}, alone, and wait for its verdict",
        )
    if not _sound(record, "verdict") or _sha256(text) != record["verdict"]:
        raise PolicyError(
            f"its record names another verdict than this server has of {commit[:9]}", "pushforward promote"
        )
    verdict = json.loads(text, object_pairs_hook=_once)
    said = verdict.get("verdict"), verdict.get("event"), verdict.get("commit")
    if said != ("promote", "push", commit):
        raise PolicyError(f"the verdict of {commit[:9]} does not promote it", f"pushforward report {commit[:9]}")
    digests: dict[str, Any] = _typed(verdict, "digests", dict)
    for part in ("model", "manifest", "data", "params", "environment"):
        if record.get(part) != digests.get(part) or (part == "model" and not _sound(record, part)):
            raise PolicyError(f"the {part} in its record is not what was judged", "pushforward promote")
    if (record.get("ledger") or "") != verdict.get("ledger", ""):
        raise PolicyError("its record names another look at the holdout than its verdict", "pushforward promote")
    return digests


def _chained(push: Push, name: str, tag: Tag) -> None:
    """The same push adds the version's folder to the registry's chain, and nothing else."""
    update = push.to(CHAIN)
    if update is None:
        raise PolicyError(f"it comes without its entry in {CHAIN}", "pushforward promote")
    old = push.refs.get(CHAIN, ZERO)
    parents = () if old == ZERO else (old,)
    commit = push.objects.commit(update.new)
    if commit is None or commit.parents != parents:
        raise PolicyError(f"{CHAIN} has moved meanwhile, or by more than one commit", "git fetch, pushforward promote")
    before = push.objects.tree(f"{old}^{{tree}}") if parents else {}
    after = push.objects.tree(commit.tree)
    was, now = (push.objects.tree(tree.pop("versions", ("", ZERO))[1]) for tree in (before, after))
    mode, folder = now.pop(name, ("", ZERO))
    if after != before or now != was or name in was:
        raise PolicyError(f"{CHAIN} changes more than versions/{name}/", "pushforward promote")
    entry = push.objects.tree(folder) if mode == "40000" else {}
    if set(entry) - set(ENTRY_FILES) or any(mode != "100644" for mode, _ in entry.values()):
        raise PolicyError(f"versions/{name}/ holds something else than {', '.join(ENTRY_FILES)}", "pushforward promote")
    content = {file: push.objects.read(identity, "blob") or b"" for file, (_, identity) in entry.items()}
    for file in RECORDED_FILES:
        part = file.partition(".")[0]
        if not _sound(tag.record, part) or _sha256(content.get(file, b"")) != tag.record[part]:
            raise PolicyError(f"versions/{name}/{file} is not the one in its record", "pushforward promote")
    try:
        _signer(push, tag, content["provenance.json"], content.get("provenance.json.sig", b""), "pushforward")
    except PolicyError as refused:
        raise PolicyError(f"versions/{name}/provenance.json: {refused.why}", refused.next) from None


def _stored(push: Push, target: str, lock: bytes) -> None:
    """All that DVC keeps of this version is in the store, where that is a folder of this machine."""
    folder = _typed(push.server, "store", str)
    if not folder:
        return
    from pathlib import Path

    store = Path(folder)
    for out in _outs(lock):
        if push.objects.find(f"{target}:{out.path}"):
            continue  # git keeps it
        why = _missing(store, out)
        if why:
            raise PolicyError(f"{_shown(out.path)} {why}", "dvc push, then git push again")


def _missing(store: "Path", out: Out) -> str:
    """What is wrong with the object of `out`, "" for nothing."""
    path = _place(store, out)
    if not path.is_file():
        return f"is not in the store ({out.md5})"
    size = path.stat().st_size
    if not out.md5.endswith(".dir"):
        return "" if out.size is None or out.size == size else f"is cut off in the store ({out.md5})"
    import hashlib

    content = path.read_bytes() if size <= MOST_BYTES else b""
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != out.md5.removesuffix(".dir"):
        return f"has a damaged list of files in the store ({out.md5})"
    total = 0
    members = json.loads(content)
    for member in members:
        if not isinstance(member["md5"], str) or not STORED.fullmatch(member["md5"]):
            return f"has a list of files that cannot be read ({out.md5})"
        one = _place(store, out._replace(md5=member["md5"]))
        if not one.is_file():
            return f"lacks {_shown(str(member['relpath']))} in the store ({member['md5']})"
        total += one.stat().st_size
    if (out.size is not None and out.size != total) or (out.files is not None and out.files != len(members)):
        return f"is not whole in the store ({out.md5})"
    return ""


def _place(store: "Path", out: Out) -> "Path":
    return store / out.store / out.md5[:2] / out.md5[2:]


def _outs(lock: bytes) -> list[Out]:
    """The outs of a dvc.lock as DVC writes it: some YAML, read line by line; refused where it is anything else."""
    outs: list[dict[str, str]] = []
    section = key = ""
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
            key = ""
        elif (found := LOCK_KEY.fullmatch(line)) and section == "stages":
            if found[1] != "cmd" and found[2]:
                raise _unreadable(number)
            key = found[1]
        elif key == "outs" and (found := LOCK_OUT.fullmatch(line)):
            outs.append({"path": _scalar(found[1], number)})
        elif not (key in {"cmd", "deps"} and line.startswith("    - ")):
            raise _unreadable(number)
    return [_out(entry) for entry in outs]


def _lines(lock: bytes) -> list[str]:
    if not _readable(lock) or re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", lock):
        raise PolicyError(f"{LOCK} holds characters that DVC does not write", "dvc repro, and commit what it writes")
    return lock.decode().split("\n")


def _out(entry: dict[str, str]) -> Out:
    path, md5 = entry["path"], entry.get("md5", "")
    numbers = [entry.get("size"), entry.get("nfiles")]
    if not STORED.fullmatch(md5) or any(number is not None and not number.isdecimal() for number in numbers):
        raise PolicyError(f"{LOCK} says of {_shown(path)} nothing that can be checked", "dvc repro")
    if path.startswith("/") or "://" in path or ".." in path.split("/") or CONTROL.search(path):
        raise PolicyError(f"{LOCK} names {_shown(path)}, outside this repository", "git checkout dvc.yaml")
    size, files = (None if number is None else int(number) for number in numbers)
    return Out(path, md5, size, files, "files/md5" if entry.get("hash") == "md5" else "")


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


# Signatures.


def _allowed(allowed: bool, may: set[str]) -> None:
    if not allowed:
        words = ", ".join(sorted(may)) or "nothing"
        raise PolicyError(f"the key that signed it may sign {words}, not this", "pushforward trust, to see who may")


def _signer(push: Push, tag: Tag, content: bytes, signature: bytes, namespace: str) -> set[str]:
    """What the key of a good signature may sign; refused unless it is the tagger's, holds now and held then."""
    if not ARMOR.fullmatch(signature):
        raise PolicyError("it is not signed with an ssh key", "git config gpg.format ssh, then sign it again")
    import base64
    import tempfile

    key = _key(signature)
    owners = [line for line in _signers() if _same_key(line["key"], key)]
    mine = [line for line in owners if line["who"] == tag.email]
    if not owners:
        raise PolicyError(
            f"nobody here trusts the key that signed it ({_fingerprint(base64.b64decode(key[1]))})",
            f"pushforward trust KEY.pub --as {_shown(tag.email)}",
        )
    if not mine:
        raise PolicyError(
            f"it says that {_shown(tag.email)} made it, and the key is of {owners[0]['who']}",
            f"git config user.email {owners[0]['who']}, then sign it again",
        )
    before = mine[0]["before"]
    if before and max(_moment(push.now), _moment(tag.when)) >= before:
        raise PolicyError(f"the key of {tag.email} was revoked at {before}", "sign it with a key that holds")
    with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
        names = f"{folder}/allowed", f"{folder}/signature"
        for name, content_of in zip(names, (f"{mine[0][0]}\n".encode(), signature), strict=True):
            with open(name, "wb") as handle:
                handle.write(content_of)
        options = ("-f", names[0], "-I", tag.email, "-n", namespace, "-s", names[1])
        done = subprocess.run(
            ["ssh-keygen", "-Y", "verify", *options, f"-Overify-time={_moment(tag.when)}"],
            input=content,
            capture_output=True,
            check=False,
            timeout=PATIENCE_SECONDS,
            env=_environment() | {"TZ": "UTC"},
        )
    if done.returncode < 0:
        raise OSError("ssh-keygen was killed")
    if done.returncode != 0:
        raise PolicyError("its signature does not fit what it says", "sign it again, and change nothing after")
    return set((mine[0]["may"] or "").split(",")) - {""}


def _signers() -> list[re.Match[str]]:
    """The lines of the allowed signers; an error where others could have written them, or one cannot be read."""
    path = f"{FOLDER}/allowed_signers"
    if (os.stat(path).st_mode | os.stat(FOLDER).st_mode) & 0o002:
        raise PolicyError(
            "anybody on the server can write its allowed signers",
            "on the server: chmod o-w pushforward pushforward/allowed_signers",
        )
    found = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = SIGNER.fullmatch(line.rstrip())
        if match is None or PATTERN.intersection(match["who"]):
            raise PolicyError(f"allowed_signers, line {number}, is not as pushforward writes it", "pushforward trust")
        found.append(match)
    return found


def _key(signature: bytes) -> tuple[str, str]:
    """(type, base64) of the public key inside a signature."""
    import base64

    armor = ARMOR.fullmatch(signature)
    try:
        blob = base64.b64decode((armor[1] if armor else b"").replace(b"\n", b""), validate=True)
    except ValueError:
        blob = b""
    size = int.from_bytes(blob[10:14], "big")  # "SSHSIG", four bytes of version, then the key
    key = blob[14 : 14 + size]
    kind = key[4 : 4 + int.from_bytes(key[:4], "big")]
    if blob[:10] != b"SSHSIG\0\0\0\1" or len(key) != size or not re.fullmatch(rb"[a-z0-9@.-]+", kind):
        raise PolicyError("its signature cannot be read", "sign it again")
    return kind.decode(), base64.b64encode(key).decode()


def _same_key(line: str, key: tuple[str, str]) -> bool:
    kind, _, body = line.partition(" ")
    return (kind, body) == key


def _fingerprint(key: bytes) -> str:
    import base64
    import hashlib

    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


# Small words.


def _within(push: Push, commit: str, tip: str) -> bool:
    """Whether `commit` is `tip` or in its history."""
    if commit == tip:
        return True
    if push.objects.commit(commit) is None or push.objects.commit(tip) is None:
        return False
    return not _git("rev-list", "-n", "1", commit, "--not", tip).strip()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def _sound(record: dict[str, Any], part: str) -> bool:
    return isinstance(record.get(part), str) and bool(DIGEST.fullmatch(record[part]))


def _sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


def _moment(seconds: float) -> str:
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(seconds))


def _parents(ref: str) -> list[str]:
    """The folders that a ref is in, as far as other refs could be called so."""
    parts = ref.split("/")
    return ["/".join(parts[:count]) for count in range(3, len(parts))]


def _short(ref: str) -> str:
    return _shown(ref.removeprefix(HEADS))


def _to(identity: str) -> str:
    return "and is gone" if identity == ZERO else f"to {identity[:9]}"


def _shown(text: str) -> str:
    plain = re.sub(r"[^\x20-\x7e]", "?", text)
    return plain if len(plain) <= MOST_LETTERS else f"{plain[: MOST_LETTERS - 3]}..."


def _file(name: str) -> dict[str, Any]:
    try:
        found = json.loads(_text(f"{FOLDER}/{name}"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise TypeError(f"{FOLDER}/{name} cannot be read: damaged, or cut off")
    return found


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as handle:
        return handle.read()


def _typed(tree: dict[str, Any], key: str, kind: type, **fallback: Any) -> Any:
    value = tree.get(key, fallback.get("default"))
    if not isinstance(value, kind):
        raise TypeError(f"{key} is not as pushforward init writes it")
    return value


def _environment() -> dict[str, str]:
    # The quarantine's own variables must stay: without them the new objects cannot be read.
    return os.environ | {"GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}


def _git(*args: str) -> str:
    done = subprocess.run(
        ["git", *args], capture_output=True, check=False, timeout=PATIENCE_SECONDS, env=_environment()
    )
    if done.returncode != 0:
        raise OSError(f"git {args[0]} failed: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout.decode("utf-8", "surrogateescape")


def _trusted() -> bool:
    given, token = os.environ.get("PUSHFORWARD_TOKEN", ""), f"{FOLDER}/token"
    return bool(given) and os.path.isfile(token) and _text(token).strip() == given


def _remember(push: Push) -> None:
    """Keep where the branches that go have been, for the dispatcher: every commit of them is owed a verdict."""
    for number, update in enumerate(push.updates):
        if update.new != ZERO or not update.ref.startswith("refs/heads/"):
            continue
        from pathlib import Path

        log = Path("logs") / update.ref
        if not log.is_file():
            continue
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        moves = [[line[:40], line[41:81]] for line in lines[-MOST_MOVES:]]
        Path(DELETED).mkdir(exist_ok=True)
        path = Path(DELETED) / f"{time.time_ns()}-{os.getpid()}-{number}.json"
        fresh = path.with_suffix(".unfinished")
        fresh.write_text(json.dumps({"ref": update.ref, "first": lines[0] if lines else "", "moves": moves}))
        fresh.rename(path)


def _read(lines: Iterable[bytes]) -> list[Update]:
    texts = (line.decode("utf-8", "surrogateescape").removesuffix("\n") for line in lines)
    updates = [Update(*text.split(" ", 2)) for text in texts]
    if not all(OBJECT.fullmatch(identity) for update in updates for identity in (update.old, update.new)):
        raise ValueError("this is not a push of SHA-1 objects")
    return updates


def main() -> int:
    """Read the updates of one push; 0 accepts it, 1 refuses it whole."""
    try:
        push = Push(_read(sys.stdin.buffer), trusted=_trusted(), now=time.time())
        with contextlib.closing(push.objects):
            found = refusals(push)
        if not found:
            _remember(push)
    except Exception as broken:  # noqa: BLE001  whatever goes wrong here, nothing may pass
        words = str(broken) or type(broken).__name__
        if isinstance(broken, OSError) and broken.filename:
            words = f"{broken.filename}: {broken.strerror}"
        what = _shown(" ".join(words.split()))
        print(f"pushforward: the policy could not be checked: {what}\n  next: pushforward check", file=sys.stderr)
        return 1
    for ref, refused in found[:MOST_SHOWN]:
        why, following = (re.sub(r"[^\x20-\x7e]", "?", text)[:300] for text in (refused.why, refused.next))
        print(f"pushforward: {_shown(ref)} refused: {why}\n  next: {following}", file=sys.stderr)
    if len(found) > MOST_SHOWN:
        print(f"pushforward: and {len(found) - MOST_SHOWN} more; nothing of this push was taken", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
