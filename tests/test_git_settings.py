"""A push, its verdict, what is shown and a release, under what people have their git configured to: legal, and hostile.

One server for all of them: what one push leaves there, the next one finds.
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.once import isolate
from tests.tiny_server import Tiny, copy

from pushforward.gate.verdict import Digests, invalid
from pushforward.git import form
from pushforward.git.repository import Repository
from pushforward.judge import passed
from pushforward.registry import signers
from pushforward.release.promote import Passed, promote
from pushforward.server.init import init

pytestmark = pytest.mark.slow
GOLDEN = b'{"schema":1,"key":"id","rows":[]}'
HERS = "[user]\n\tname = Ann\n\temail = ann@example.org\n"
SIGNS = "[gpg]\n\tformat = ssh\n[user]\n\tsigningKey = {keys}/ann.pub\n"

# Name -> what ~/.gitconfig says. Each line is one that git takes without a word.
SETTINGS = {
    "bare repositories only by name": "[safe]\n\tbareRepository = explicit\n[core]\n\tbare = true\n",
    "colours, formats and order of what is said": """
        [color]
            ui = always
            status = always
            branch = always
            diff = always
            remote = always
        [core]
            quotePath = true
            abbrev = 40
            pager = false
            commentChar = ";"
            notesRef = refs/notes/mine
        [log]
            showSignature = true
            decorate = full
            date = relative
            follow = true
            diffMerges = combined
        [format]
            pretty = oneline
        [diff]
            external = false
            noprefix = true
            renames = copies
            relative = true
            ignoreSubmodules = all
            colorMoved = zebra
        [status]
            branch = true
            short = true
            showStash = true
            showUntrackedFiles = no
        [column]
            ui = always
        [tag]
            sort = -creatordate
        [branch]
            sort = -committerdate
        [notes]
            displayRef = *
        [help]
            autocorrect = immediate
        [i18n]
            logOutputEncoding = ISO-8859-1
            commitEncoding = ISO-8859-1
    """,
    "how is pushed and fetched": """
        [push]
            gpgSign = if-asked
            followTags = true
            default = nothing
            recurseSubmodules = on-demand
            useForceIfIncludes = true
        [fetch]
            prune = true
            pruneTags = true
            parallel = 0
            fsckObjects = true
            writeCommitGraph = true
            negotiationAlgorithm = skipping
            recurseSubmodules = true
        [transfer]
            fsckObjects = true
            unpackLimit = 1
            hideRefs = refs/notes
        [uploadpack]
            hideRefs = refs/pushforward
        [receive]
            denyCurrentBranch = refuse
            denyDeletes = true
            denyNonFastForwards = true
            autogc = false
        [protocol]
            version = 0
            allow = never
        [protocol "file"]
            allow = always
        [remote]
            pushDefault = nowhere
        [submodule]
            recurse = true
        [core]
            sshCommand = false
        [http]
            proxy = http://127.0.0.1:9
        [credential]
            helper = !false
    """,
    "all is signed": """
        [commit]
            gpgSign = true
        [tag]
            gpgSign = true
            forceSignAnnotated = true
        [merge]
            verifySignatures = true
        [log]
            showSignature = true
    """,
    "how files are kept": """
        [core]
            autocrlf = true
            eol = crlf
            fsmonitor = true
            untrackedCache = true
            splitIndex = true
            symlinks = false
            ignoreCase = true
            attributesFile = {home}/attributes
            logAllRefUpdates = false
            bigFileThreshold = 1
            sharedRepository = group
            fsync = none
        [feature]
            manyFiles = true
            experimental = true
        [index]
            version = 4
            sparse = true
        [gc]
            auto = 1
            autoDetach = false
            pruneExpire = now
            reflogExpire = now
            reflogExpireUnreachable = now
        [commit]
            verbose = true
            cleanup = scissors
        [merge]
            ff = only
            renames = false
            conflictStyle = zdiff3
        [pull]
            rebase = true
        [clone]
            defaultRemoteName = up
            rejectShallow = true
        [extensions]
            worktreeConfig = true
    """,
    "what a new repository is": """
        [init]
            defaultBranch = trunk
            templateDir = {home}/template
            defaultObjectFormat = sha256
            defaultRefFormat = reftable
        [core]
            preferSymlinkRefs = true
    """,
    "hooks for every repository": "[core]\n\thooksPath = {home}/hooks\n",
}
AGENT = """
    [url "{folder}/"]
        insteadOf = srv:
    [gpg]
        format = ssh
    [gpg "ssh"]
        defaultKeyCommand = ssh-add -L
"""


@dataclass
class Ready:
    """A clone and its server with two versions, and the keys of a person who may put them to use."""

    tiny: Tiny
    keys: Path
    number: int = 0


def model(store: Path, content: str) -> tuple[bytes, dict[str, str]]:
    """A model in the store: its dvc.lock, and the digests that a verdict names."""

    def stored(text: bytes, suffix: str = "") -> str:
        oid = hashlib.md5(text, usedforsecurity=False).hexdigest() + suffix
        path = store / "files" / "md5" / oid[:2] / oid[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        return oid

    files = {"manifest.json": b"{}", "model.json": content.encode()}
    listing = json.dumps([{"md5": stored(text), "relpath": name} for name, text in sorted(files.items())]).encode()
    lock = (
        "schema: '2.0'\nstages:\n  train:\n    cmd: train\n    outs:\n    - path: model\n      hash: md5\n"
        f"      md5: {stored(listing, '.dir')}\n      size: {sum(map(len, files.values()))}\n      nfiles: 2\n"
    ).encode()
    return lock, {name.partition(".")[0]: hashlib.sha256(text).hexdigest() for name, text in files.items()}


def version(made: Tiny, content: str) -> None:
    """A version of the model, promoted as a run of the server does, and never trained."""
    lock, found = model(Path(made.server.store), content)
    made.commit({"dvc.lock": lock.decode()}, "Train")
    params = hashlib.sha256((made.clone / "params.yaml").read_bytes()).hexdigest()
    digests = Digests(found["model"], found["manifest"], "d" * 64, hashlib.sha256(lock).hexdigest(), params, "e" * 64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUSHFORWARD_RUN", "x")
        made.git("push", "-q", "local", "main")
        head = made.git("rev-parse", "HEAD")
        verdict = replace(
            invalid("log loss falls"),
            verdict="promote",
            commit=head,
            base=head,
            event="push",
            ref="refs/heads/main",
            digests=digests,
        )
        patch.setenv("PUSHFORWARD_TOKEN", (made.server.folder / "token").read_text().strip())
        patch.setenv("PUSHFORWARD_SIGNING_KEY", signers.private_key(Path(made.server.bare)).read_text())
        passed.record(made.clone, verdict)
        promote(made.clone, Passed(verdict, "minor", GOLDEN), {"dvc.lock": lock}, {}, say=lambda _: None)


@pytest.fixture(scope="module")
def ready(tiny_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Ready:
    folder = tmp_path_factory.mktemp("settings")
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, folder / "home")
        made = copy(tiny_template, folder)
        for content in ("one", "two"):
            version(made, content)
        made.git("fetch", "-q", "local")
        keys = folder / "keys"
        keys.mkdir()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / "ann")], check=True)
        made.pushforward("trust", str(keys / "ann.pub"))
        made.push("main")
        made.wait(made.idle)
    return Ready(made, keys)


@pytest.fixture
def home() -> Path:
    """A home with all that the settings lead to."""
    path = Path("~").expanduser()
    (path / "attributes").write_text("* text=auto eol=crlf\n*.md diff=nothing\n")
    for folder in ("hooks", "template/hooks"):
        (path / folder).mkdir(parents=True)
    for name in ("pre-receive", "post-receive", "update", "post-update", "post-checkout", "post-merge"):
        (path / "hooks" / name).write_text(f"#!/bin/sh\necho {name} >>'{path}/ran'\nexit 1\n")
        (path / "hooks" / name).chmod(0o755)
    (path / "template" / "hooks" / "reference-transaction").write_text("#!/bin/sh\nexit 1\n")
    (path / "template" / "hooks" / "reference-transaction").chmod(0o755)
    return path


@pytest.fixture
def agent(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An agent that has the person's key."""
    said = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    told = dict(one.strip().split("=", 1) for one in said.split(";") if "=" in one)
    monkeypatch.setenv("SSH_AUTH_SOCK", told["SSH_AUTH_SOCK"])
    subprocess.run(["ssh-add", "-q", str(ready.keys / "ann")], check=True)
    yield
    os.kill(int(told["SSH_AGENT_PID"]), 15)


def walk(ready: Ready, name: str) -> None:
    """Push, see the verdict, ask the doctor, put a version to use and take it back."""
    tiny, ready.number = ready.tiny, ready.number + 1
    commit = tiny.commit({"word.txt": f"{ready.number}\n", 'für "x".txt': f"{ready.number}\n"}, f"Versuch für {name}")
    pushed = tiny.push("main")
    assert "  JUDGED" in pushed.split("\n"), pushed
    tiny.git("fetch", "-q", "local")
    assert [one["verdict"] for one in tiny.reports(commit)] == ["hold"]
    shown = tiny.pushforward("show")
    (row,) = (line for line in shown.split("\n") if line.startswith(commit[:7]))
    assert "✗ hold" in row
    assert "Versuch für" in row
    assert "HOLD" in tiny.pushforward("report", "main")
    doctor = tiny.pushforward("check", "--quick", check=False)
    said = [line for line in doctor.split("\n") if line.startswith(("missing", "later", "Traceback"))]
    assert [line for line in said if "-receive: not as pushforward init writes it" not in line] == []
    assert "ok       signing: your key SHA256:" in doctor
    held = "toy@v1.1.0" in tiny.git("ls-remote", "local") and "production   toy@v1.1.0" in shown
    wanted = ("v1.0.0", "--older") if held else ("v1.1.0",)
    made = tiny.pushforward("release", *wanted, "-m", name, "--detach")
    assert f"production: toy@{wanted[0]} from now on" in made
    assert f"toy@{wanted[0]}  " in tiny.pushforward("show").split("\n")[1]


def test_a_push_is_judged_shown_and_released_whatever_git_is_told(ready, home):
    """All at once, for one server and one push cost the same: what fails says by which command of git it does."""
    places = {"home": home, "keys": ready.keys, "folder": ready.tiny.clone.parent}
    (home / ".gitconfig").write_text(_filled(HERS + SIGNS + "".join(SETTINGS.values()), places))
    walk(ready, "all")
    assert not (home / "ran").exists() or "receive" not in (home / "ran").read_text()
    _another(ready, home)


def test_the_key_of_an_agent_signs_and_the_server_may_have_another_name(ready, home, agent):
    (home / ".gitconfig").write_text(_filled(HERS + AGENT, {"folder": ready.tiny.clone.parent}))
    ready.tiny.git("remote", "set-url", "local", "srv:tiny.git")
    try:
        walk(ready, "agent")
    finally:
        ready.tiny.git("remote", "set-url", "local", ready.tiny.server.bare)


def _filled(text: str, places: dict[str, Path]) -> str:
    for word, path in places.items():
        text = text.replace(f"{{{word}}}", str(path))
    return text


def _another(ready: Ready, home: Path) -> None:
    """A new server under the same settings has the form, the hooks and the branch that a server has to have."""
    folder = home / "another"
    shutil.copytree(ready.tiny.clone, folder, symlinks=True)
    Repository(folder).git("remote", "remove", "local")
    bare = Path(init(folder).bare)
    assert form.refusal(Repository(bare)) is None
    assert (bare / "HEAD").read_text() == "ref: refs/heads/main\n"
    assert not (bare / "HEAD").is_symlink()
    assert Repository(bare).git("config", "--get", "core.hooksPath").text == "hooks"
    assert (bare / "refs" / "heads").is_dir()


def test_what_variables_say_is_what_git_is_told(ready, home, tmp_path, monkeypatch):
    (home / ".gitconfig").unlink()
    file = tmp_path / "config"
    file.write_text((HERS + SIGNS + SETTINGS["bare repositories only by name"]).format(keys=ready.keys))
    listed = Repository(tmp_path).git("config", "--file", str(file), "--list").text.split("\n")
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(listed)))
    for at, line in enumerate(listed):
        for part, value in zip(("KEY", "VALUE"), line.split("=", 1), strict=True):
            monkeypatch.setenv(f"GIT_CONFIG_{part}_{at}", value)
    walk(ready, "variables")


def test_from_a_linked_worktree_all_is_as_in_the_clone(ready, home, tmp_path):
    (home / ".gitconfig").write_text((HERS + SIGNS).format(keys=ready.keys))
    ready.tiny.git("switch", "-q", "--detach")
    try:
        ready.tiny.git("worktree", "add", "-q", str(tmp_path / "linked"), "main")
        walk(Ready(Tiny(tmp_path / "linked", ready.tiny.server), ready.keys, 1000), "worktree")
        ready.tiny.git("worktree", "remove", "--force", str(tmp_path / "linked"))
    finally:
        ready.tiny.git("switch", "-q", "main")
