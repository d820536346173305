"""Trust: where the allowed signers are that count here, and who by them signed a tag, a file or a commit; offline."""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pushforward import process
from pushforward.errors import POLICY, TOOL, PushforwardError
from pushforward.git import remote as remotes
from pushforward.git.refs import FORGE_SIGNERS, TRUST
from pushforward.git.remote import LOCAL
from pushforward.git.repository import Repository
from pushforward.git.server import FOLDER
from pushforward.process import Completed
from pushforward.registry import ssh
from pushforward.registry.grammar import MAY_MAIN
from pushforward.registry.ssh import FILE, FOR_FILES, FOR_GIT, DoubtError, Signed, Signer

FORGE = f".github/{FILE}"
VARIABLE = "PUSHFORWARD_SIGNING_KEY"


# Where the file is.


@contextlib.contextmanager
def signers_file(root: Path, remote: str = "") -> Iterator[Path]:
    """The allowed signers that hold for the clone or bare repository at `root`, as a file.

    A server on this machine has them in a file of its own, one elsewhere offers them as a ref that only grows (the
    last one seen serves while it cannot be reached), and on a forge they are a file on the default branch. `remote`
    is the git remote to ask; by default the one that the repository follows.
    """
    if remotes.is_server(root):
        yield server_file(root)
        return
    repository = Repository(root)
    asked = remotes.of(repository, remote) if remote else remotes.followed(repository)
    if asked is None:
        raise PushforwardError(
            f"{root} has no git remote, so nobody says whose signatures count", next="pushforward init"
        )
    name = asked.name
    if asked.folder and remotes.is_server(asked.folder):
        yield server_file(asked.folder)
        return
    commit, path = _published(repository, name) if name == LOCAL else _on_forge(repository, name)
    content = repository.read(commit, path) if commit else None
    if content is None:
        forge = f"pushforward trust KEY.pub --file {FORGE}, then merge that into its default branch"
        server = "pushforward init, where the server is"
        raise PushforwardError(
            f"the git remote '{name}' names no allowed signers", next=server if name == LOCAL else forge
        )
    with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
        copy = Path(folder) / FILE
        copy.write_bytes(content)
        yield copy


def is_forge(root: Path, remote: str = "") -> bool:
    """Whether tags come to `root`, or its `remote`, from where anybody who may push may push any tag.

    A server of ours does not take a registry tag that its policy has not verified, so what it has needs no second look;
    nor does a repository that nothing is pushed to or fetched from.
    """
    repository = Repository(root)
    if remotes.is_server(root):
        return False
    asked = remotes.of(repository, remote) if remote else remotes.followed(repository)
    return asked is not None and not asked.is_server


def server_file(bare: Path) -> Path:
    """The allowed signers of the server in `bare`; an error where it has none, or where anybody may change them."""
    path = bare / FOLDER / FILE
    if not path.is_file():
        raise PushforwardError(f"{path} is missing", next="pushforward init")
    if (path.stat().st_mode | path.parent.stat().st_mode) & 0o002:
        raise PushforwardError(
            f"anybody may change {path}: no signature counts", next="pushforward check", exit_code=POLICY
        )
    return path


def _published(repository: Repository, remote: str) -> tuple[str | None, str]:
    # No plus: a server that offers an older file than before is not believed.
    done = repository.remote("fetch", "--no-tags", "--no-write-fetch-head", remote, f"{TRUST}:{TRUST}", check=False)
    if b"non-fast-forward" in done.stderr:
        raise PushforwardError(
            f"the allowed signers of '{remote}' went back to something older",
            next=f"git fetch {remote} +{TRUST}:{TRUST}",
            exit_code=POLICY,
        )
    return _seen(repository, remote, TRUST, done), FILE


def _on_forge(repository: Repository, remote: str) -> tuple[str | None, str]:
    kept = f"{FORGE_SIGNERS}{remote}"
    done = repository.remote("fetch", "-q", "--no-tags", "--no-write-fetch-head", remote, f"+HEAD:{kept}", check=False)
    return _seen(repository, remote, kept, done), FORGE


def _seen(repository: Repository, remote: str, ref: str, done: Completed) -> str | None:
    """The commit that `ref` was seen at last; an error where it never was, for the remote did not answer."""
    found = repository.resolve(ref)
    if found is None and done.returncode != 0 and b"couldn't find remote ref" not in done.stderr:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = next((line for line in said if line.startswith("fatal:")), said[-1] if said else "no reason")
        raise PushforwardError(f"{remote} cannot be reached: {why}", next=f"git ls-remote {remote}", exit_code=TOOL)
    return found


# Verifying.


def verify_tag(
    repository: Repository, tag_object: str, name: str, signers: Path, *, now: float | None = None
) -> Signer:
    """Who signed the tag `name`, whose object is `tag_object`; an error says what is wrong with it.

    It must be an annotated tag of a commit, carry its own name inside, end with its signature, and be signed by a key
    of the tagger's own address that held at the tagger's time, and `now`, in seconds since the epoch, where that is
    asked. What that key may sign is for the caller to ask, and so is whether the tagger's time can be true.
    """
    found = repository.objects([tag_object])[0]
    if found is None or found[0] != "tag":
        why = "it is lightweight, and carries no signature" if found else "there is no such tag object"
        raise PushforwardError(f"{name}: {why}", next=f"git tag -s '{name}' <commit>", exit_code=POLICY)
    with _called(name):
        return _verify(ssh.tag(found[1], name), FOR_GIT, signers, now=now)


def override(root: Path, repository: Repository, commit: str) -> str:
    """Who has let `commit` into a protected branch by their signed word, and why; "" where nobody has who may.

    `root` says whose signatures count.
    """
    who, why = word(root, repository, commit, ssh.OVERRIDE)
    return f"{who}: {why}" if who else ""


def word(root: Path, repository: Repository, commit: str, what: str) -> tuple[str, str]:
    """Who has said `what` in the message of `commit`, signed with a key that may sign the default branch; and why."""
    found = repository.objects([commit])[0]
    raw = found[1] if found and found[0] == "commit" else b""
    why, signed = ssh.word_in(raw, what), ssh.commit(raw)
    if not why or signed is None:
        return "", ""
    with contextlib.suppress(PushforwardError), signers_file(root) as signers:
        if _verify(signed, FOR_GIT, signers).allows(MAY_MAIN):
            return signed.email, why
    return "", ""


def verify_file(
    content: bytes, signature: bytes, principal: str, signers: Path, *, name: str = "the file", at: int | None = None
) -> Signer:
    """Who of `principal` signed `content`; an error says what is wrong.

    `at` is the moment of signing where something vouches for it, in seconds since the epoch; else now.
    """
    when = int(time.time()) if at is None else at
    with _called(name):
        return _verify(Signed(principal, when, content, signature), FOR_FILES, signers)


def _verify(signed: Signed, namespace: str, signers: Path, *, now: float | None = None) -> Signer:
    known = ssh.read(signers.read_text(encoding="utf-8", errors="replace"))
    return ssh.verify(signed, namespace, known, _run, now=now)


def _run(command: list[str], stdin: bytes) -> int:
    return process.run(command, stdin=stdin, check=False, env={"TZ": "UTC"}).returncode


@contextlib.contextmanager
def _called(name: str) -> Iterator[None]:
    """Say of what a doubt is."""
    try:
        yield
    except DoubtError as doubt:
        raise PushforwardError(f"{name}: {doubt.message}", next=doubt.next, exit_code=POLICY) from None


# Signing.


def sign_file(content: bytes, key: Path) -> bytes:
    """The signature of `content` by the private key in the file `key`, for `verify_file`."""
    return process.run(["ssh-keygen", "-Y", "sign", "-n", FOR_FILES, "-f", str(key)], stdin=content).stdout


@contextlib.contextmanager
def ci_key() -> Iterator[Path]:
    """The job's own private key, as a file that only this process's user can read; gone afterwards."""
    text = os.environ.get(VARIABLE, "")
    if not text.strip():
        raise PushforwardError(
            f"{VARIABLE} is not set, so nothing can be signed here",
            next="pushforward init (a server hands it out), or gh secret set " + VARIABLE,
        )
    with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
        path = Path(folder) / "key"
        path.touch(mode=0o600)
        path.write_text("\n".join(text.strip().splitlines()) + "\n")
        if process.run(["ssh-keygen", "-y", "-P", "", "-f", str(path)], check=False).returncode != 0:
            raise PushforwardError(
                f"{VARIABLE} is not a private ssh key without a passphrase",
                next="ssh-keygen -t ed25519 -N '' -f ci, then gh secret set " + VARIABLE + " < ci",
            )
        yield path
