"""Who may sign what: the allowed signers in OpenSSH's format; tags and files are verified against them, offline."""

import base64
import binascii
import contextlib
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pushforward import process
from pushforward.errors import POLICY, TOOL, PushforwardError
from pushforward.git import remote as remotes
from pushforward.git.refs import FORGE_SIGNERS, TRUST
from pushforward.git.remote import LOCAL
from pushforward.git.repository import Repository
from pushforward.git.server import FOLDER
from pushforward.process import Completed

FILE = "allowed_signers"
FORGE = f".github/{FILE}"
VARIABLE = "PUSHFORWARD_SIGNING_KEY"
TAGS = "git"
FILES = "pushforward"
VERSION = "version"
ANY = "any"
MAIN = "main"
OVERRIDE = "Pushforward-Override: "

# What OpenSSH and git both take literally as the address of a tagger: no blank, wildcard, list, quote or comment.
PRINCIPAL = re.compile(r"(?!-)[!-~]+@[!-~]+")
SPECIAL = frozenset(" ,*?!\"'\\#<>()[]")
TYPES = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)
WORD = re.compile(r"[a-z][a-z0-9-]{1,62}")
LINE = re.compile(r"(?P<who>\S+) (?P<options>\S+) (?P<type>\S+) (?P<body>[A-Za-z0-9+/]+=*)(?: may=(?P<may>\S+))?")
OPTIONS = re.compile(r'namespaces="git,pushforward"(?:,valid-before="(?P<before>\d{14}Z)")?')
COMMITTER = re.compile(rb"^committer [^<>\n]*<(?P<email>[^<>\s]+)> (?P<when>\d{1,11}) [+-]\d{4}$", re.MULTILINE)
GPGSIG = re.compile(rb"^gpgsig[^\n]*\n(?: [^\n]*\n)*", re.MULTILINE)
BEGIN = b"-----BEGIN SSH SIGNATURE-----\n"
END = b"-----END SSH SIGNATURE-----\n"
TAGGER = re.compile(r"tagger .*<(?P<email>[^<>]*)> (?P<when>\d{1,10}) [+-]\d{4}")


@dataclass(frozen=True)
class Signer:
    """One key: whose it is, what it may sign, and until when ("" for a key that holds; else UTC, 20261123230000Z).

    `main`, to let into a protected default branch what has not passed, is never part of `any`.
    """

    principal: str
    key: str
    may: frozenset[str]
    valid_before: str = ""

    @property
    def fingerprint(self) -> str:
        """The key's SHA-256, as ssh-keygen shows it."""
        return fingerprint(self.key)

    def allows(self, what: str, *, auto: bool = False) -> bool:
        """Whether the key may sign `what`: `version`, `main`, or an environment, which may fill itself (`auto`)."""
        return what in self.may or (VERSION in self.may and auto) or (ANY in self.may and what not in {VERSION, MAIN})

    def line(self) -> str:
        """Its line of the file."""
        before = f',valid-before="{self.valid_before}"' if self.valid_before else ""
        return f'{self.principal} namespaces="git,pushforward"{before} {self.key} may={",".join(sorted(self.may))}'


def fingerprint(key: str) -> str:
    """The SHA-256 of a key "type base64", as ssh-keygen shows it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


# Reading.


def read(text: str) -> list[Signer]:
    """The keys of an allowed signers file; an error names the first line that is not as this tool writes them."""
    found: list[Signer] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        signer = _signer(line.rstrip())
        if signer is None or any((one.principal, one.key) == (signer.principal, signer.key) for one in found):
            raise PushforwardError(
                f"{FILE}, line {number}: {'a key twice' if signer else 'not a line that pushforward writes'}",
                next="take the line out, then: pushforward trust KEY.pub --as EMAIL",
            )
        found.append(signer)
    return found


def _signer(line: str) -> Signer | None:
    parts = LINE.fullmatch(line)
    options = OPTIONS.fullmatch(parts["options"]) if parts else None
    if parts is None or options is None or parts["type"] not in TYPES or not is_literal(parts["who"]):
        return None
    may = frozenset((parts["may"] or "").split(",")) - {""}
    if not all(WORD.fullmatch(word) for word in may):
        return None
    return Signer(parts["who"], f"{parts['type']} {parts['body']}", may, options["before"] or "")


def is_literal(principal: str) -> bool:
    """Whether `principal` is an address that OpenSSH and git both take as it stands."""
    return bool(PRINCIPAL.fullmatch(principal)) and not SPECIAL.intersection(principal) and len(principal) <= 254


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


def verify_tag(repository: Repository, tag_object: str, name: str, signers: Path) -> Signer:
    """Who signed the tag `name`, whose object is `tag_object`; an error says what is wrong with it.

    It must be an annotated tag of a commit, carry its own name inside, end with its signature, and be signed by a key
    of the tagger's own address that held at the tagger's time. What that key may sign is for the caller to ask, and
    so is whether the tagger's time can be true.
    """
    found = repository.objects([tag_object])[0]
    if found is None or found[0] != "tag":
        raise _refused(name, "it is lightweight, and carries no signature" if found else "there is no such tag object")
    content = found[1]
    head, _, _ = content.partition(b"\n\n")
    lines = head.decode("utf-8", "replace").split("\n")
    if [line.partition(" ")[0] for line in lines] != ["object", "type", "tag", "tagger"]:
        raise _refused(name, "its head has other lines than object, type, tag and tagger")
    if lines[1] != "type commit":
        raise _refused(name, f"it names a {lines[1].removeprefix('type ')[:20]}, not a commit")
    if lines[2] != f"tag {name}":
        raise _refused(name, f"the tag object inside is called {lines[2].removeprefix('tag ')[:120]!r}")
    tagger = TAGGER.fullmatch(lines[3])
    if tagger is None:
        raise _refused(name, "its tagger cannot be read")
    at = content.find(b"\n" + BEGIN) + 1
    if not at:
        raise _refused(name, "it is not signed with an ssh key", next=f"git tag -s {name}")
    return _verify(name, content[:at], content[at:], TAGS, tagger["email"], signers, int(tagger["when"]))


def override(root: Path, repository: Repository, commit: str) -> str:
    """Who has let `commit` into a protected branch by their signed word, and why; "" where nobody has who may.

    `root` says whose signatures count.
    """
    found = repository.objects([commit])[0]
    head, _, message = (found[1] if found and found[0] == "commit" else b"").partition(b"\n\n")
    lines = message.decode("utf-8", "replace").split("\n")
    why = next((line.removeprefix(OVERRIDE).strip() for line in lines if line.startswith(OVERRIDE)), "")
    signatures, committer = GPGSIG.findall(head + b"\n"), COMMITTER.search(head)
    if not why or len(signatures) != 1 or committer is None:
        return ""
    content = GPGSIG.sub(b"", head + b"\n") + b"\n" + message
    signature = signatures[0].partition(b" ")[2].replace(b"\n ", b"\n")
    email = committer["email"].decode("utf-8", "replace")
    with contextlib.suppress(PushforwardError), signers_file(root) as signers:
        if _verify(commit, content, signature, TAGS, email, signers, int(committer["when"])).allows(MAIN):
            return f"{email}: {why}"
    return ""


def verify_file(
    content: bytes, signature: bytes, principal: str, signers: Path, *, name: str = "the file", at: int | None = None
) -> Signer:
    """Who of `principal` signed `content`; an error says what is wrong.

    `at` is the moment of signing where something vouches for it, in seconds since the epoch; else now.
    """
    when = int(time.time()) if at is None else at
    return _verify(name, content, signature, FILES, principal, signers, when)


def _verify(
    name: str, content: bytes, signature: bytes, namespace: str, principal: str, signers: Path, when: int
) -> Signer:
    key = _key_of(signature)
    if key is None:
        raise _refused(name, "its signature is damaged, or something follows it")
    if not is_literal(principal):
        raise _refused(name, f"no key can be trusted for the address {principal[:120]!r}")
    known = read(signers.read_text(encoding="utf-8", errors="replace"))
    owners = [one for one in known if one.key == key]
    mine = next((one for one in owners if one.principal == principal), None)
    if not owners:
        add = f"pushforward trust KEY.pub --as {principal}"
        raise _refused(name, f"nobody trusts its key {fingerprint(key)}", next=add)
    if mine is None:
        raise _refused(name, f"{owners[0].principal} signed it, but it says {principal}")
    moment = _moment(when)
    if mine.valid_before and moment > mine.valid_before:
        raise _refused(name, f"the key of {principal} was revoked at {mine.valid_before}, and it is dated {moment}")
    with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
        path = Path(folder) / "signature"
        path.write_bytes(signature)
        options = ("-n", namespace, "-I", principal, "-f", str(signers), "-s", str(path), f"-Overify-time={moment}")
        done = process.run(["ssh-keygen", "-Y", "verify", *options], stdin=content, check=False, env={"TZ": "UTC"})
    if done.returncode != 0:
        raise _refused(
            name, f"its signature does not fit: it was changed, or signed for something else than {namespace}"
        )
    return mine


def _moment(when: int) -> str:
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(when))


def _refused(name: str, why: str, *, next: str = "pushforward trust") -> PushforwardError:  # noqa: A002
    return PushforwardError(f"{name}: {why}", next=next, exit_code=POLICY)


def _key_of(signature: bytes) -> str | None:
    """The key "type base64" that an armored signature names; None where that is not one signature and nothing else."""
    if not signature.startswith(BEGIN) or not signature.endswith(END) or signature.count(b"-----BEGIN") != 1:
        return None
    try:
        blob = base64.b64decode(signature[len(BEGIN) : -len(END)].replace(b"\n", b""), validate=True)
    except binascii.Error:
        return None
    size = int.from_bytes(blob[10:14], "big")  # "SSHSIG", a version of four bytes, then the key
    key = blob[14 : 14 + size]
    kind = key[4 : 4 + int.from_bytes(key[:4], "big")].decode("ascii", "replace")
    if blob[:6] != b"SSHSIG" or len(key) != size or kind not in TYPES:
        return None
    return f"{kind} {base64.b64encode(key).decode()}"


# Signing.


def sign_file(content: bytes, key: Path) -> bytes:
    """The signature of `content` by the private key in the file `key`, for `verify_file`."""
    return process.run(["ssh-keygen", "-Y", "sign", "-n", FILES, "-f", str(key)], stdin=content).stdout


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


def my_key(repository: Repository) -> str:
    """The signing key that git knows of the person at work (a path, or `key::` and the key itself)."""
    form = repository.git("config", "--get", "gpg.format", check=False).text
    key = repository.git("config", "--type=path", "--get", "user.signingkey", check=False).text
    if form != "ssh" or not key:
        known = "~/.ssh/id_ed25519.pub"
        make = "" if Path(known).expanduser().is_file() else "ssh-keygen -t ed25519 && "
        config = "git config --global"
        raise PushforwardError(
            "git does not know which ssh key you sign with",
            next=f"{make}{config} gpg.format ssh && {config} user.signingkey {known} && pushforward trust {known}",
        )
    if not key.startswith(("key::", "ssh-")) and not Path(key).is_file():
        raise PushforwardError(f"your signing key {key} is missing", next="git config --global user.signingkey KEY.pub")
    return key
