"""SSH signatures: the lines of allowed signers, what of a tag or a commit is signed, and whose key may have signed it.

`trust` asks for clones and commands, `policy` for every push, and both get one answer. Standard library only, and no
process: whoever asks brings along what runs ssh-keygen.
"""

import base64
import binascii
import re
import time
from collections.abc import Callable
from typing import NamedTuple

from pushforward.errors import POLICY, PushforwardError
from pushforward.registry.grammar import BY_NAME, MAY_ANY, MAY_VERSION, NAME

FILE = "allowed_signers"
# What a signature is for, by the name that ssh-keygen gives it.
FOR_GIT, FOR_FILES = "git", "pushforward"
OVERRIDE = "Pushforward-Override: "
PROMOTE = "Pushforward-Promote: "

TYPES = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)
# What OpenSSH and git both take literally as the address of a tagger: no blank, wildcard, list, quote or comment.
PRINCIPAL = re.compile(r"(?!-)[!-~]+@[!-~]+")
SPECIAL = frozenset(" ,*?!\"'\\#<>()[]")
LONGEST = 254
LINE = re.compile(
    r'(?P<who>\S+) namespaces="git,pushforward"(?:,valid-before="(?P<before>\d{14}Z)")?'
    r" (?P<type>\S+) (?P<body>[A-Za-z0-9+/]+={0,2})(?: may=(?P<may>\S+))?"
)
BEGIN = b"-----BEGIN "
BEGIN_SSH = b"-----BEGIN SSH SIGNATURE-----\n"
ARMOR = re.compile(BEGIN_SSH + rb"((?:[A-Za-z0-9+/=]{1,76}\n)+)-----END SSH SIGNATURE-----\n")
PERSON = r"[^<>\n]*<(?P<email>[^<>\s]+)> (?P<when>\d{1,10}) [+-]\d{4}"
TAGGER = re.compile(f"tagger {PERSON}")
COMMITTER = re.compile(f"^committer {PERSON}$".encode(), re.MULTILINE)
GPGSIG = re.compile(rb"^gpgsig[^\n]*\n(?: [^\n]*\n)*", re.MULTILINE)

# Runs a command with this on its standard input, and gives its exit code.
Run = Callable[[list[str], bytes], int]


class DoubtError(PushforwardError):
    """Why a signature does not count."""


class Signer(NamedTuple):
    """One key: whose it is, what it may sign, and until when ("" for a key that holds; else UTC, 20261123230000Z).

    `main`, to let into a protected default branch what has not passed, and `accept`, to take a model that the judge has
    not, are never part of `any`.
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
        """Whether it may sign `what`: `version`, `main`, `accept`, or an environment, which may fill itself: `auto`."""
        any_environment = MAY_ANY in self.may and what not in {MAY_VERSION, *BY_NAME}
        return what in self.may or (MAY_VERSION in self.may and auto) or any_environment

    @property
    def deprecates(self) -> bool:
        """Whether the key may deprecate a version: whoever may put one to use anywhere."""
        return bool(self.may - {MAY_VERSION, *BY_NAME})

    def line(self) -> str:
        """Its line of the file."""
        before = f',valid-before="{self.valid_before}"' if self.valid_before else ""
        return f'{self.principal} namespaces="git,pushforward"{before} {self.key} may={",".join(sorted(self.may))}'


class Signed(NamedTuple):
    """What somebody says to have signed, and when (seconds since the epoch): `signature` (armored) is of `content`.

    `target` is the commit that a tag names, `message` its text.
    """

    email: str
    when: int
    content: bytes
    signature: bytes
    target: str = ""
    message: str = ""


def fingerprint(key: str) -> str:
    """The SHA-256 of a key "type base64", as ssh-keygen shows it."""
    import hashlib  # takes longer to import than a push has to wait for its other rules

    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def moment(seconds: float) -> str:
    """Seconds since the epoch, as the lines of allowed signers say them."""
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(seconds))


# The file.


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
    if parts is None or parts["type"] not in TYPES or not is_literal(parts["who"]):
        return None
    may = frozenset((parts["may"] or "").split(",")) - {""}
    if not all(re.fullmatch(NAME, word) for word in may):
        return None
    return Signer(parts["who"], f"{parts['type']} {parts['body']}", may, parts["before"] or "")


def is_literal(principal: str) -> bool:
    """Whether `principal` is an address that OpenSSH and git both take as it stands."""
    return bool(PRINCIPAL.fullmatch(principal)) and not SPECIAL.intersection(principal) and len(principal) <= LONGEST


# What is signed.


def tag(raw: bytes, name: str) -> Signed:
    """What the tag object `raw`, to be called `name`, says, and its signature; refused where that is not beyond doubt.

    It names a commit, carries its own name inside, and ends with the one signature that it holds.
    """
    again, in_ssh = f"git tag -s '{name}' <commit>", f"git -c gpg.format=ssh tag -s '{name}' <commit>"
    at = raw.rfind(b"\n" + BEGIN) + 1
    content = raw[: at or len(raw)]
    head, _, message = content.decode("utf-8", "replace").partition("\n\n")
    lines = head.split("\n")
    if BEGIN in content:
        raise _doubt("its text holds what reads as the beginning of a signature", next=again)
    if [line.partition(" ")[0] for line in lines] != ["object", "type", "tag", "tagger"]:
        raise _doubt("its head has other lines than object, type, tag and tagger", next=again)
    if lines[1] != "type commit":
        raise _doubt(f"it names a {lines[1].removeprefix('type ')[:20]}, not a commit", next=again)
    if lines[2] != f"tag {name}":
        raise _doubt(f"the tag object inside is called {lines[2].removeprefix('tag ')[:120]!r}", next=again)
    tagger = TAGGER.fullmatch(lines[3])
    if tagger is None:
        raise _doubt("its tagger cannot be read", next=again)
    if not raw.startswith(BEGIN_SSH, at) or not at:
        raise _doubt("it is not signed with an ssh key", next=in_ssh)
    if ARMOR.fullmatch(raw, at) is None:
        raise _doubt("its signature is damaged, or something follows it", next=in_ssh)
    target = lines[0].removeprefix("object ")
    return Signed(tagger["email"], int(tagger["when"]), content, raw[at:], target, message)


def word_in(raw: bytes, what: str = OVERRIDE) -> str:
    """Why the message of the commit `raw` lets it into a protected branch, or `what` else; "" where it does not."""
    lines = raw.partition(b"\n\n")[2].decode("utf-8", "replace").split("\n")
    words = (line.removeprefix(what).strip() for line in lines if line.startswith(what))
    return next((word for word in words if word), "")


def commit(raw: bytes) -> Signed | None:
    """What the commit `raw` says and its signature; None where it is not signed, or more than once."""
    head, _, message = raw.partition(b"\n\n")
    signatures, committer = GPGSIG.findall(head + b"\n"), COMMITTER.search(head)
    if len(signatures) != 1 or committer is None:
        return None
    content = GPGSIG.sub(b"", head + b"\n") + b"\n" + message
    signature = signatures[0].partition(b" ")[2].replace(b"\n ", b"\n")
    return Signed(committer["email"].decode("utf-8", "replace"), int(committer["when"]), content, signature)


def key_of(signature: bytes) -> str | None:
    """The key "type base64" that an armored signature names; None where that is not one signature and nothing else."""
    armor = ARMOR.fullmatch(signature)
    try:
        blob = base64.b64decode(armor[1].replace(b"\n", b""), validate=True) if armor else b""
    except binascii.Error:
        return None
    size = int.from_bytes(blob[10:14], "big")  # "SSHSIG", a version of four bytes, then the key
    key = blob[14 : 14 + size]
    kind = key[4 : 4 + int.from_bytes(key[:4], "big")].decode("ascii", "replace")
    if blob[:10] != b"SSHSIG\0\0\0\1" or len(key) != size or kind not in TYPES:
        return None
    return f"{kind} {base64.b64encode(key).decode()}"


# Who signed it.


def verify(signed: Signed, namespace: str, known: list[Signer], run: Run, *, now: float | None = None) -> Signer:
    """Who signed it, of `known`; an error says what is wrong.

    The key is of the very address that it says, held when it says that it was signed, and holds `now`, where that is
    asked. What the key may sign is for the caller to ask, and so is whether the time can be true.
    """
    if not signed.signature.startswith(BEGIN_SSH):
        raise _doubt("it is not signed with an ssh key", next="git config gpg.format ssh, then sign it again")
    key = key_of(signed.signature)
    if key is None:
        raise _doubt("its signature is damaged, or something follows it", next="sign it again")
    if not is_literal(signed.email):
        raise _doubt(
            f"no key can be trusted for the address {signed.email[:120]!r}", next="git config user.email EMAIL"
        )
    signer = _holder(key, signed.email, known)
    before, dated = signer.valid_before, moment(signed.when)
    # a key that was revoked in a second was revoked in all of it
    if before and dated >= before:
        raise _doubt(
            f"the key of {signed.email} was revoked at {before}, and it is dated {dated}",
            next="sign it with a key that holds",
        )
    if before and now is not None and moment(now) >= before:
        raise _doubt(f"the key of {signed.email} was revoked at {before}", next="sign it with a key that holds")
    if not _fits(signed, namespace, signer, run):
        raise _doubt(
            f"its signature does not fit: it was changed, or signed for something else than {namespace}",
            next="sign it again, and change nothing after",
        )
    return signer


def _holder(key: str, principal: str, known: list[Signer]) -> Signer:
    owners = [one for one in known if one.key == key]
    if not owners:
        raise _doubt(f"nobody trusts its key {fingerprint(key)}", next=f"pushforward trust KEY.pub --as {principal}")
    mine = next((one for one in owners if one.principal == principal), None)
    if mine is None:
        owner = owners[0].principal
        raise _doubt(
            f"{owner} signed it, but it says {principal}", next=f"git config user.email {owner}, then sign it again"
        )
    return mine


def _fits(signed: Signed, namespace: str, signer: Signer, run: Run) -> bool:
    import tempfile  # a push that brings no signature would wait for it

    with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
        allowed, signature = f"{folder}/{FILE}", f"{folder}/signature"
        for path, content in ((allowed, f"{signer.line()}\n".encode()), (signature, signed.signature)):
            with open(path, "wb") as handle:  # noqa: PTH123  nor for pathlib
                handle.write(content)
        options = ["-n", namespace, "-I", signed.email, "-f", allowed, "-s", signature]
        when = f"-Overify-time={moment(signed.when)}"
        return run(["ssh-keygen", "-Y", "verify", *options, when], signed.content) == 0


def _doubt(why: str, *, next: str) -> DoubtError:  # noqa: A002
    return DoubtError(why, next=next, exit_code=POLICY)
