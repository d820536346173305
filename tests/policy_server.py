"""A server whose policy is put to the test, and what honest and forging people push to it. No pipeline is run."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pushforward.server.init import init

TOY = Path(__file__).parent / "toy"
GOLDEN = Path(__file__).parent / "golden" / "policy.toml"
ZERO = "0" * 40
CHAIN = "refs/pushforward/registry"
CI = "pushforward@localhost"
READS = ["pushforward.yaml", "params.yaml", "dvc.yaml", "src/toy", "data"]
ROWS, CARD = b'{"schema":1,"key":"id","rows":[]}', b"# card\n"
ANN, BOB, OLD, EVE = "ann@example.org", "bob@example.org", "old@example.org", "eve@example.org"
DAN, GIL = "dan@example.org", "gil@example.org"
MAY = {CI: "version", ANN: "production", BOB: "staging,canary", OLD: "any,main", DAN: "main", GIL: "accept"}
REVOKED = "20200101000000Z"
ENVIRONMENTS = {"staging": "auto", "canary": "manual", "production": "manual"}
CONFIG = "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n"

Entries = Mapping[str, bytes | tuple[str, str]]


@dataclass
class Pushed:
    """What git said to the pusher, and its exit code."""

    code: int
    text: str

    @property
    def taken(self) -> bool:
        return self.code == 0

    @property
    def remote(self) -> list[str]:
        """The lines of the server, as the pusher sees them."""
        return [line.rstrip() for line in self.text.splitlines() if line.startswith("remote:")]

    def golden(self) -> str:
        """What of it is the same every time."""
        reasons = sorted(set(re.findall(r"^ ! \[.*?(\([^()]*\))?\]?$", self.text, re.MULTILINE)))
        text = "\n".join([*self.remote, *reasons]) + "\n"
        text = re.sub(r"directory found in \[.*", "directory found in FOLDERS", text)
        text = re.sub(r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:KEY", text)
        text = re.sub(r"dated \d{14}Z", "dated WHEN", text)
        return re.sub(r"\b[0-9a-f]{40}\b", "COMMIT", re.sub(r"\b[0-9a-f]{9}\b", "COMMIT", text))


def goldens() -> dict[str, str]:
    """What a pusher is told, by the name of the case."""
    return tomllib.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {}


def same_as_golden(name: str, text: str) -> None:
    """Compare with the case `name` of golden/policy.toml; UPDATE_GOLDEN=1 writes it."""
    if os.environ.get("UPDATE_GOLDEN"):
        folder = os.open(GOLDEN.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # tests run side by side
            cases = sorted((goldens() | {name: text}).items())
            GOLDEN.write_text("\n".join(f"{json.dumps(case)} = '''\n{told}'''\n" for case, told in cases))
        finally:
            os.close(folder)
        return
    known = goldens()
    assert name in known, f"no case {name} in {GOLDEN}; UPDATE_GOLDEN=1 writes it"
    assert text == known[name]


@dataclass
class Server:
    """A clone, its server as `pushforward init` makes it, and everybody's keys."""

    folder: Path

    @property
    def clone(self) -> Path:
        return self.folder / "toy"

    @property
    def bare(self) -> Path:
        return self.folder / "toy.git"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def signers(self) -> Path:
        return self.bare / "pushforward" / "allowed_signers"

    def key(self, who: str) -> Path:
        return self.folder / "keys" / who.partition("@")[0]

    def git(self, *args: str, stdin: bytes | None = None, where: Path | None = None, **env: str) -> str:
        """Run git in the clone (or `where`); its output. An error where it fails."""
        done = self.run("git", "-C", str(where or self.clone), *args, stdin=stdin, **env)
        assert done.returncode == 0, (args, done.stderr)
        return done.stdout.decode().strip()

    def run(self, *args: str, stdin: bytes | None = None, **env: str) -> "subprocess.CompletedProcess[bytes]":
        who = {"NAME": "Ann", "EMAIL": ANN, "DATE": "1800000000 +0000"}
        people = {f"GIT_{role}_{part}": text for role in ("AUTHOR", "COMMITTER") for part, text in who.items()}
        return subprocess.run(args, input=stdin, capture_output=True, check=False, env=os.environ | people | env)

    # Making objects, in the clone or in the server.

    def blob(self, content: bytes, where: Path | None = None) -> str:
        return self.git("hash-object", "-w", "--stdin", stdin=content, where=where)

    def tree(self, entries: Entries, base: str = "", where: Path | None = None) -> str:
        """A tree: path -> content, or (mode, object); "" as the object takes a path out of `base`."""
        flat: dict[str, tuple[str, str]] = {}
        if base:
            for line in self.git("ls-tree", "-r", base, where=where).splitlines():
                head, _, path = line.partition("\t")
                flat[path] = (head.split()[0], head.split()[2])
        for path, what in entries.items():
            flat[path] = what if isinstance(what, tuple) else ("100644", self.blob(what, where))
        return self._tree({path: what for path, what in flat.items() if what[1]}, where)

    def _tree(self, flat: Mapping[str, tuple[str, str]], where: Path | None) -> str:
        rows, folders = [], dict[str, dict[str, tuple[str, str]]]()
        for path, what in flat.items():
            head, slash, rest = path.partition("/")
            if slash:
                folders.setdefault(head, {})[rest] = what
            else:
                rows.append((*what, head))
        rows += [("040000", self._tree(inside, where), head) for head, inside in folders.items()]
        return self.raw_tree([(mode, name.encode("utf-8", "surrogateescape"), one) for mode, one, name in rows], where)

    def raw_tree(self, rows: Iterable[tuple[str, bytes, str]], where: Path | None = None) -> str:
        """A tree of (mode, name, object) as it is, whatever git would say of it."""
        order = sorted(rows, key=lambda row: row[1] + (b"/" if row[0] in {"040000", "40000"} else b""))
        raw = b"".join(
            mode.lstrip("0").encode() + b" " + name + b"\0" + bytes.fromhex(one) for mode, name, one in order
        )
        return self.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=raw, where=where)

    def commit(self, tree: str, *parents: str, date: str = "1800000000 +0000", where: Path | None = None) -> str:
        args = [arg for parent in parents for arg in ("-p", parent)]
        dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        return self.git("commit-tree", tree, *args, "-m", "Change", where=where, **dates)

    def follow(self, parent: str, entries: Entries) -> str:
        """A child of `parent` that changes `entries`."""
        return self.commit(self.tree(entries, parent), parent)

    def sign_in(
        self,
        parent: str,
        why: str = "Pushforward-Override: it has to be",
        *,
        who: str = DAN,
        key: str | None = "",
        tree: str = "",
        sign: Callable[[bytes], bytes] | None = None,
    ) -> str:
        """A child of `parent` with the message `why`, committed by `who`, signed with the key of `key` (None: not)."""
        head = f"tree {tree or self.git('rev-parse', f'{parent}^{{tree}}')}\nparent {parent}\n"
        people = f"author Someone <{ANN}> 1800000000 +0000\ncommitter Someone <{who}> {int(time.time())} +0000\n"
        content = f"{head}{people}\n{why}\n".encode()
        if key is not None:
            armor = (sign or (lambda text: self.sign(text, key or who)))(content)
            signed = b"gpgsig " + armor.rstrip(b"\n").replace(b"\n", b"\n ") + b"\n\n"
            content = content.replace(b"\n\n", b"\n" + signed, 1)
        return self.git("hash-object", "-w", "-t", "commit", "--literally", "--stdin", stdin=content)

    def sign(self, content: bytes, who: str, namespace: str = "git") -> bytes:
        done = self.run("ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(self.key(who)), stdin=content)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def tag(
        self,
        name: str,
        target: str,
        record: object = None,
        *,
        who: str = ANN,
        key: str | None = "",
        when: float | None = None,
        kind: str = "commit",
        line: str = "Because",
        sign: Callable[[bytes], bytes] | None = None,
    ) -> str:
        """A tag object by `who`, signed with the key of `key` (of `who`; None: by nobody)."""
        moment = int(time.time() if when is None else when)
        said = f"\n{json.dumps(record)}\n" if record is not None else ""
        head = f"object {target}\ntype {kind}\ntag {name}\ntagger Someone <{who}> {moment} +0000\n\n"
        content = f"{head}{line}\n{said}".encode()
        if key is not None:
            content += (sign or (lambda text: self.sign(text, key or who)))(content)
        return self.git("hash-object", "-w", "-t", "tag", "--literally", "--stdin", stdin=content)

    # Pushing.

    def push(
        self, *specs: str, token: bool = False, url: str = "", options: tuple[str, ...] = (), **env: str
    ) -> Pushed:
        if token:
            env["PUSHFORWARD_TOKEN"] = (self.bare / "pushforward" / "token").read_text().strip()
        done = self.run("git", "-C", str(self.clone), "push", *options, url or str(self.bare), *specs, **env)
        return Pushed(done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace"))

    def send(self, *updates: tuple[str, str, str]) -> Pushed:
        """Push as git's client would not: (old, new, ref) straight to git receive-pack, all objects being there."""
        lines = [f"{old} {new} {ref}".encode("utf-8", "surrogateescape") for old, new, ref in updates]
        lines[0] += b"\0report-status"
        packets = b"".join(b"%04x" % (len(line) + 4) + line for line in lines) + b"0000"
        empty = b"PACK\0\0\0\2\0\0\0\0"
        done = self.run("git", "receive-pack", str(self.bare), stdin=packets + empty + hashlib.sha1(empty).digest())
        said = done.stderr.decode("utf-8", "replace")
        answer = done.stdout.decode("utf-8", "replace").rpartition("unpack ")[2]
        bad = re.findall(r"ng (\S+) (.*?)\n", answer)
        text = "".join(f"remote: {line}\n" for line in said.splitlines())
        return Pushed(
            int(bool(bad) or "ok\n" not in answer), text + "".join(f" ! [{ref}] ({why})\n" for ref, why in bad)
        )

    def snapshot(self) -> tuple[str, list[str]]:
        """All refs, and every file that holds objects."""
        refs = self.git("for-each-ref", "--format=%(refname) %(objectname)", where=self.bare)
        return refs, sorted(str(path) for path in (self.bare / "objects").rglob("*"))

    def refused(self, golden: str, *specs: str, token: bool = False, **env: str) -> str:
        """A push that is to be refused whole, within ten lines, with the golden message; what was said."""
        before = self.snapshot()
        return self.check_refused(golden, self.push(*specs, token=token, **env), before)

    def check_refused(self, golden: str, pushed: Pushed, before: tuple[str, list[str]]) -> str:
        assert not pushed.taken, pushed.text
        assert self.snapshot() == before
        assert 0 < len(pushed.remote) <= 10
        assert all(re.fullmatch(r"[\x20-\x7e]*", line) for line in pushed.remote), pushed.remote
        same_as_golden(golden, pushed.golden())
        return pushed.text

    def taken(self, *specs: str, token: bool = False, **env: str) -> None:
        pushed = self.push(*specs, token=token, **env)
        assert pushed.taken, pushed.text

    # What the server's own runs write.

    def know(self, **changes: Any) -> None:
        known = {"model": "toy", "environments": ENVIRONMENTS, "reads": READS}
        (self.bare / "pushforward" / "registry.json").write_text(json.dumps(known | changes))

    def configure(self, **changes: Any) -> None:
        path = self.bare / "pushforward" / "server.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    def trust(self) -> None:
        """Everybody's key, as the server keeps them."""
        lines = []
        for who, may in MAY.items():
            kind, body = self.key(who).with_suffix(".pub").read_text().split()[:2]
            before = f',valid-before="{REVOKED}"' if who == OLD else ""
            lines.append(f'{who} namespaces="git,pushforward"{before} {kind} {body} may={may}\n')
        self.signers.write_text("# who may sign what\n" + "".join(lines))
        self.signers.chmod(0o644)

    def keep(self, content: bytes) -> str:
        """Put an object into the DVC remote; its MD5."""
        md5 = hashlib.md5(content).hexdigest()
        path = self.store / "files" / "md5" / md5[:2] / md5[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return md5

    def verdict(self, of: str, lock: bytes, **changes: Any) -> None:
        """The verdict of a commit, as a judge's run leaves it in the server."""
        digests = {part: sha256(part.encode()) for part in ("model", "manifest", "data", "params", "environment")}
        said = {
            "verdict": "promote",
            "event": "push",
            "commit": of,
            "ledger": "5" * 40,
            "digests": digests | {"lock": sha256(lock)},
        } | changes
        tree = self.tree({"verdict.json": json.dumps(said).encode()}, where=self.bare)
        made = self.commit(tree, where=self.bare)
        self.git("update-ref", f"refs/pushforward/verdict/{of}", made, where=self.bare)

    def verdict_of(self, commit: str) -> bytes:
        return self.git("cat-file", "blob", f"refs/pushforward/verdict/{commit}:verdict.json", where=self.bare).encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Promotion:
    """A version about to be pushed. Honest as it is made; a forger changes a field, or the record, before `push`."""

    server: Server
    name: str
    target: str
    commit: str
    number: int
    previous: str | None

    def __post_init__(self) -> None:
        self.verdict = self.server.verdict_of(self.commit)
        said = json.loads(self.verdict)
        lock = self.server.run(
            "git", "-C", str(self.server.clone), "cat-file", "blob", f"{self.target}:dvc.lock"
        ).stdout
        self.provenance = b'{"_type":"https://in-toto.io/Statement/v1"}\n'
        digests = {part: said["digests"][part] for part in ("model", "manifest", "data", "params", "environment")}
        self.record: Any = digests | {
            "schema": 2,
            "lock": sha256(lock),
            "verdict": sha256(self.verdict),
            "ledger": said["ledger"],
            "commit": self.commit,
            "previous": self.previous,
            "number": self.number,
            "provenance": sha256(self.provenance),
            "golden": sha256(ROWS),
            "card": sha256(CARD),
            "pushforward": "0.1.0",
        }
        self.who = CI
        self.options: dict[str, Any] = {}
        self.entry: dict[str, bytes | tuple[str, str]] = {}
        self.beside: dict[str, bytes | tuple[str, str]] = {}
        self.parents: tuple[str, ...] | None = None
        self.signature = self.server.sign(self.provenance, CI, "pushforward")

    def tag(self) -> str:
        return self.server.tag(self.name, self.target, self.record, **{"who": self.who, **self.options})

    def chain(self) -> str:
        """The commit that adds the version's folder to what the server has."""
        server = self.server
        tip = server.git("for-each-ref", "--format=%(objectname)", CHAIN, where=server.bare)
        if tip:
            server.git("fetch", "-q", str(server.bare), f"+{CHAIN}:{CHAIN}")
        files: Entries = {
            "verdict.json": self.verdict,
            "provenance.json": self.provenance,
            "provenance.json.sig": self.signature,
            "golden.json": ROWS,
            "card.md": CARD,
            **self.entry,
        }
        tree = server.tree({f"versions/{self.name}/{name}": what for name, what in files.items()} | self.beside, tip)
        return server.commit(tree, *((tip,) if tip else ()) if self.parents is None else self.parents)

    def specs(self) -> list[str]:
        return [f"{self.tag()}:refs/tags/{self.name}", f"{self.chain()}:{CHAIN}"]

    def use(self, environment: str, counter: int, **changes: Any) -> str:
        """The tag that puts the version to use, by the same key."""
        name = f"toy#{environment}#{counter}"
        record = {"schema": 2, "version": self.name, "previous": None, "by": "pushforward promote"} | changes
        return f"{self.server.tag(name, self.target, record, who=CI)}:refs/tags/{name}"

    def push(self, *others: str) -> Pushed:
        return self.server.push("--atomic", *self.specs(), *others, token=True)

    def refused(self, golden: str, *others: str) -> str:
        return self.server.refused(golden, "--atomic", *self.specs(), *others, token=True)


def lock_of(server: Server, content: str) -> bytes:
    """A dvc.lock of one stage: a model folder, a file, and metrics that git keeps; its objects are in the store."""
    booster, manifest = f"booster {content}".encode(), f"manifest {content}".encode()
    members = [
        {"md5": server.keep(booster), "relpath": "booster.ubj"},
        {"md5": server.keep(manifest), "relpath": "manifest.json"},
    ]
    listing = json.dumps(members).encode()
    folder = hashlib.md5(listing).hexdigest()
    path = server.store / "files" / "md5" / folder[:2] / f"{folder[2:]}.dir"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(listing)
    rows = f"rows {content}".encode()
    return (
        "schema: '2.0'\nstages:\n  train@2020-01:\n    cmd: python -m toy.pipeline train\n    deps:\n"
        "    - path: src/toy/pipeline.py\n      hash: md5\n      md5: 115404d3b9b4dd46269cbbee12ade7b6\n      size: 9\n"
        "    params:\n      params.yaml:\n        data.months:\n        - 2020-01\n"
        "      pushforward.yaml:\n        gate.window: 2\n    outs:\n"
        f"    - path: data/rows.parquet\n      hash: md5\n      md5: {server.keep(rows)}\n      size: {len(rows)}\n"
        "    - path: metrics/metrics.json\n      hash: md5\n"
        "      md5: 99914b932bd37a50b983c5e7c90ae93b\n      size: 2\n"
        f"    - path: model\n      hash: md5\n      md5: {folder}.dir\n      size: {len(booster) + len(manifest)}\n"
        "      nfiles: 2\n"
    ).encode()


def make(folder: Path) -> Server:
    """A server as init makes it, with everybody's keys and a main of one commit; nothing is judged or promoted."""
    server = Server(folder)
    (server.clone / ".dvc").mkdir(parents=True)
    (server.clone / ".dvc" / "config").write_text(CONFIG)
    for name in ("pushforward.yaml", "params.yaml"):
        (server.clone / name).write_text((TOY / name).read_text())
    server.git("init", "-q", "-b", "main")
    init(server.clone)
    (server.bare / "hooks" / "post-receive").unlink()  # a run is another test's
    hidden = server.git("config", "--get-all", "receive.hideRefs", where=server.bare).splitlines()
    if f"!{CHAIN}" not in hidden:
        server.git("config", "--add", "receive.hideRefs", f"!{CHAIN}", where=server.bare)
    (folder / "keys").mkdir()
    for who in (*MAY, EVE):
        made = server.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(server.key(who)))
        assert made.returncode == 0, made.stderr
    server.trust()
    server.know()
    server.configure(protect=False)
    first = server.tree(
        {
            ".github/workflows/train.yml": b"on: push\n",
            "README.md": b"toy\n",
            "params.yaml": (server.clone / "params.yaml").read_bytes(),
            "pushforward.yaml": (server.clone / "pushforward.yaml").read_bytes(),
            "src/toy/pipeline.py": b"one\n",
            "dvc.lock": lock_of(server, "A"),
            "metrics/metrics.json": b"{}",
        }
    )
    server.git("update-ref", "refs/heads/main", server.commit(first))
    server.taken("refs/heads/main")
    return server


@dataclass
class Released:
    """A server with a history, and the commits of its clone by name.

    main is A, B, C, E: A is v1.0.0 (deprecated), B is v1.1.0 (in use), C has passed and is no version yet, E has no
    verdict. D has a passing verdict and is on a branch. L is the lock commit of C.
    """

    server: Server
    commits: dict[str, str]

    def promotion(self, **changes: Any) -> Promotion:
        """The honest next version, v1.2.0 of C."""
        commit = self.commits["C"]
        fields = {"name": "toy@v1.2.0", "target": commit, "commit": commit, "number": 3, "previous": "toy@v1.1.0"}
        return Promotion(self.server, **(fields | changes))

    def use(self, environment: str, counter: int, commit: str, record: object = None, **options: Any) -> str:
        """The spec of an environment tag."""
        name = f"toy#{environment}#{counter}"
        made = self.server.tag(name, self.commits.get(commit, commit), record, **options)
        return f"{made}:refs/tags/{name}"


def release(folder: Path) -> Released:
    """A server with two versions in use, one of them deprecated, and a commit that has passed."""
    server = make(folder)
    commits = {"A": server.git("rev-parse", "refs/heads/main")}
    for name, parent in (("B", "A"), ("C", "B"), ("E", "C"), ("D", "B")):
        change = {"src/toy/pipeline.py": name.encode(), "dvc.lock": lock_of(server, name)}
        commits[name] = server.follow(commits[parent], change)
    server.git("update-ref", "refs/heads/main", commits["E"])
    server.git("update-ref", "refs/heads/topic", commits["D"])
    server.taken("refs/heads/main", "refs/heads/topic")
    for name in ("A", "B", "C", "D"):
        server.verdict(commits[name], lock_of(server, name))
    commits["L"] = server.follow(
        commits["C"], {"dvc.lock": lock_of(server, "C") + b"\n", "metrics/metrics.json": b'{"auc": 1}'}
    )
    made = Released(server, commits)
    one = Promotion(server, "toy@v1.0.0", commits["A"], commits["A"], 1, None)
    assert (said := one.push(one.use("staging", 1))).taken, said.text
    server.taken(made.use("production", 1, "A", {"schema": 2, "version": "toy@v1.0.0", "reason": "begin", "by": ANN}))
    two = Promotion(server, "toy@v1.1.0", commits["B"], commits["B"], 2, "toy@v1.0.0")
    assert (said := two.push(two.use("staging", 2))).taken, said.text
    server.taken(made.use("production", 2, "B", {"schema": 2, "version": "toy@v1.1.0", "reason": "better", "by": ANN}))
    end = server.tag("toy@v1.0.0!", commits["A"], {"schema": 2, "version": "toy@v1.0.0", "reason": "old", "by": ANN})
    server.taken(f"{end}:refs/tags/toy@v1.0.0!")
    return made


def copy(source: Server, folder: Path) -> Server:
    """The same server elsewhere, to be changed."""
    shutil.copytree(source.folder, folder, symlinks=True)
    made = Server(folder)
    pushforward = made.bare / "pushforward"
    for path in (made.bare / "config", made.bare / "hooks" / "pre-receive", pushforward / "server.json"):
        path.write_text(path.read_text().replace(str(source.folder), str(folder)))
    made.git("remote", "set-url", "local", str(made.bare))
    return made


def made_once(make_it: Callable[[Path], Any], folder: Path) -> Any:
    """Make a server for many tests, apart from what the machine has."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("GIT_", "PUSHFORWARD_"))]:
            patch.delenv(name)
        patch.setenv("HOME", str(folder))
        return make_it(folder / "server")
