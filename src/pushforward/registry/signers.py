"""Change the allowed signers: trust a key, revoke one, make the server's own; whole or not at all, one at a time."""

import base64
import binascii
import contextlib
import fcntl
import json
import os
import secrets
import shlex
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pushforward import durable, process
from pushforward.errors import TOOL, PushforwardError
from pushforward.git import person, remote
from pushforward.git.environment import SERVICE_EMAIL
from pushforward.git.refs import TRUST, ZERO
from pushforward.git.repository import Repository
from pushforward.git.server import FOLDER
from pushforward.registry import ssh, trust
from pushforward.registry.grammar import BY_NAME, MAY_ANY, MAY_VERSION
from pushforward.registry.ssh import FILE, Signer

LIMIT = 16 * 1024
RSA_BITS = 2048
MAKE = "ssh-keygen -t ed25519"
KEYS = "keys"
CI = "ci"
PRIVATE = ("-----BEGIN", "PuTTY-User-Key-File")


@dataclass(frozen=True)
class Place:
    """An allowed signers file and the environments that its keys may be for; `bare` is its server, if it has one."""

    file: Path
    environments: tuple[str, ...]
    bare: Path | None = None


def place_of(root: Path, bare: Path | None = None, file: Path | None = None) -> Place:
    """The file to change: `file`, else that of the server `bare`, else that of the server that `local` is in `root`."""
    if file is not None:
        top = Repository(root).git("rev-parse", "--show-toplevel", check=False).text
        if not top:
            raise PushforwardError(f"{root} is not a git repository", next="cd into your clone, then this again")
        from pushforward import settings  # takes long to import, and only a file outside a server needs it

        return Place(root / file, tuple(settings.load(Path(top)).promote.environments))
    if bare is None:
        bare = _server_here(Repository(root))
    known = bare / FOLDER / "registry.json"
    if not (bare / FOLDER / FILE).is_file() or not known.is_file():
        raise PushforwardError(f"{bare} is not a server of pushforward, or an old one", next="pushforward init")
    try:
        environments = tuple(json.loads(known.read_text())["environments"])
    except (ValueError, TypeError, KeyError):
        raise PushforwardError(f"{known} is of another version, or cut off", next="pushforward init") from None
    return Place(bare / FOLDER / FILE, environments, bare)


def listed(root: Path, bare: Path | None = None, file: Path | None = None) -> list[Signer]:
    """The keys in `file`, else in the server `bare`, else those that hold for the clone at `root`."""
    if file is not None or bare is not None:
        path = root / file if file else trust.server_file(bare or root)
        return ssh.read(path.read_text()) if path.is_file() else []
    with trust.signers_file(root) as path:
        return ssh.read(path.read_text())


def _server_here(repository: Repository) -> Path:
    local = remote.authority(repository)
    if local is None or not local.is_server:
        raise PushforwardError(
            "this clone has no server",
            next=f"pushforward init; for a forge: pushforward trust KEY --file {trust.FORGE}",
        )
    if local.folder is None:
        raise PushforwardError(
            f"the server is on another machine ({local.url}); its keys are changed there",
            next=local.command("pushforward trust - --as EMAIL", reads="KEY.pub"),
        )
    return local.folder


# Keys as people give them.


def read_key(path: Path) -> str:
    """The public key "type base64" in a file as ssh-keygen writes it; a private key is not read past its first line."""
    if str(path) == "-":
        text = sys.stdin.read(LIMIT)
        if text.startswith(PRIVATE):
            raise PushforwardError("that is a private key; it stays with you", next="pushforward trust - < KEY.pub")
        return _only(text, "standard input")
    try:
        with path.open("rb") as handle:
            start = handle.read(24)
            if start.decode("utf-8", "replace").startswith(PRIVATE):
                raise PushforwardError(
                    f"{path} is a private key; it stays with you and was not read",
                    next=f"pushforward trust {path.with_name(path.name + '.pub')}",
                )
            text = (start + handle.read(LIMIT)).decode("utf-8", "replace")
    except OSError as missing:
        raise PushforwardError(f"{path} cannot be read: {missing.strerror}", next=MAKE) from None
    return _only(text, str(path))


def _only(text: str, name: str) -> str:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) != 1:
        raise PushforwardError(f"{name} holds {len(lines) or 'no'} keys, not one", next="pushforward trust KEY.pub")
    return checked(lines[0], name)


def checked(line: str, name: str) -> str:
    """The key "type base64" in one line of a public key file; an error says why `name` is not one to trust."""
    kind, _, rest = line.strip().partition(" ")
    body = rest.split(" ")[0]
    if kind == "ssh-dss" or "-cert-" in kind or kind not in ssh.TYPES:
        why = {"ssh-dss": "a DSA key, which nobody should trust"}.get(kind, "not a public ssh key that can sign tags")
        raise PushforwardError(f"{name} is {'a certificate, not a key' if '-cert-' in kind else why}", next=MAKE)
    try:
        blob = base64.b64decode(body, validate=True)
    except binascii.Error:
        blob = b""
    told = process.run(["ssh-keygen", "-l", "-f", "-"], stdin=f"{kind} {body}\n".encode(), check=False)
    size = told.text.partition(" ")[0]
    # ssh-keygen lists what follows a key without a word; what is kept must be the key and nothing else
    whole = base64.b64encode(blob).decode() == body and blob[4 : 4 + len(kind)] == kind.encode()
    if told.returncode != 0 or not size.isdigit() or not whole:
        raise PushforwardError(f"{name} is damaged: ssh-keygen cannot read it", next=f"ssh-keygen -l -f {name}")
    if kind == "ssh-rsa" and int(size) < RSA_BITS:
        raise PushforwardError(f"{name} is an RSA key of {size} bits; {RSA_BITS} are the least", next=MAKE)
    return f"{kind} {body}"


def mine(repository: Repository) -> str:
    """The public key "type base64" with which git signs for the person at work."""
    value = person.signing_key(repository)
    if value.startswith(person.LITERAL):
        return checked(value, "the key that git signs with")
    path = Path(value)
    public = path.with_name(path.name + ".pub")
    if path.suffix == ".pub" or public.is_file():
        return read_key(path if path.suffix == ".pub" else public)
    # git signs with a private key whose public half nobody has written down
    made = process.run(["ssh-keygen", "-y", "-P", "", "-f", str(path)], check=False)
    return checked(made.text, str(path)) if made.returncode == 0 else read_key(path)


def owner(root: Path, path: Path, key: str) -> str:
    """Whose key it is where nobody said: the person's at work, if the private half is there or git signs with it."""
    repository = Repository(root)
    own = path.suffix == ".pub" and path.with_suffix("").is_file()
    if not own:
        with contextlib.suppress(PushforwardError):
            own = mine(repository) == key
    if not own:
        raise PushforwardError(f"{path} is not your own key: whose is it?", next=f"pushforward trust {path} --as EMAIL")
    return person.address(repository)


# Changes.


def add(place: Place, key: str, principal: str, may: Collection[str] = ()) -> Signer:
    """Trust `key` ("type base64") of `principal` for the environments `may` (none: all); what it may sign only grows.

    `version`, the right to name versions, is the service's own, and all that the service has. `main`, the right to let
    into a protected default branch what has not passed, and `accept`, the right to take what the judge could not tell,
    are given by name only.
    """
    wanted = frozenset(may) or frozenset((MAY_VERSION if principal == SERVICE_EMAIL else MAY_ANY,))
    if not ssh.is_literal(principal):
        raise PushforwardError(
            f"{principal[:120]!r} is not an address that a key can be trusted for: no blanks, wildcards or quotes",
            next="pushforward trust KEY.pub --as you@example.org",
        )
    for name in sorted(wanted - {MAY_ANY, MAY_VERSION, *BY_NAME}):
        if name not in place.environments:
            raise PushforwardError(
                f"there is no environment {name[:64]!r} (promote.environments in pushforward.yaml)",
                next=f"pushforward trust KEY.pub --for {' --for '.join(place.environments) or 'ENVIRONMENT'}",
            )
    if (MAY_VERSION in wanted) != (principal == SERVICE_EMAIL) or (MAY_VERSION in wanted and len(wanted) > 1):
        raise PushforwardError(
            f"versions are signed by the service alone, and the service signs nothing else: {SERVICE_EMAIL}",
            next=f"pushforward trust KEY.pub --as {SERVICE_EMAIL} --for {MAY_VERSION}",
        )
    made: list[Signer] = []

    def put(text: str) -> str:
        known = ssh.read(text)
        there = next((one for one in known if one.key == key), None)
        if there is None:
            made.append(Signer(principal, key, _simple(wanted)))
            return f"{text.rstrip()}\n{made[0].line()}\n".lstrip("\n")
        if there.valid_before:
            raise PushforwardError(
                f"this key was revoked at {there.valid_before}, and a revoked key stays revoked",
                next=f"{MAKE} -f ~/.ssh/another",
            )
        if there.principal != principal:
            raise PushforwardError(f"this key is trusted already, as {there.principal}'s", next="pushforward trust")
        made.append(there._replace(may=_simple(there.may | wanted)))
        if made[0] == there:
            words = ",".join(sorted(there.may))
            raise PushforwardError(f"this key is trusted already, for {words}", next="pushforward trust")
        return _exchanged(text, {there: made[0]})

    change(place, put, f"Trust {principal} for {','.join(sorted(wanted))}: {ssh.fingerprint(key)}")
    return made[0]


def _simple(may: frozenset[str]) -> frozenset[str]:
    return frozenset((MAY_ANY,)) | (may & BY_NAME) if MAY_ANY in may else may


def revoke(place: Place, key: str) -> list[Signer]:
    """From now on what `key` ("type base64", or its fingerprint) signs is worth nothing; what it signed before stays.

    The lines that were changed.
    """
    now = time.strftime("%Y%m%d%H%M%SZ", time.gmtime())
    found: list[Signer] = []

    def end(text: str) -> str:
        same = [one for one in ssh.read(text) if key in {one.key, one.fingerprint}]
        ended = {one: one._replace(valid_before=now) for one in same if not one.valid_before}
        if not ended:
            known = f"it was revoked at {same[0].valid_before}" if same else "nobody trusts it"
            raise PushforwardError(f"this key needs no revoking: {known}", next="pushforward trust")
        found.extend(ended.values())
        return _exchanged(text, ended)

    change(place, end, f"Revoke {key if key.startswith('SHA256:') else ssh.fingerprint(key)}")
    return found


def _exchanged(text: str, lines: Mapping[Signer, Signer]) -> str:
    """The text with the lines of some keys put in the place of others; comments and order stay."""
    kept = []
    for line in text.splitlines():
        there = ssh.read(line)
        kept.append(lines[there[0]].line() if there and there[0] in lines else line)
    return "\n".join(kept) + "\n"


def change(place: Place, edit: Callable[[str], str], why: str) -> None:
    """Give the file the text that `edit` makes of it, and publish it where it is a server's; one writer at a time."""
    try:
        place.file.parent.mkdir(parents=True, exist_ok=True)
        with _alone(place.file.parent):
            text = place.file.read_text(encoding="utf-8") if place.file.exists() else ""
            durable.write(place.file, edit(text), mode=0o644)
            if place.bare is not None:
                publish(place.bare, why)
    except (OSError, UnicodeDecodeError) as failed:
        what = failed.strerror if isinstance(failed, OSError) else "it is not text"
        raise PushforwardError(
            f"{place.file} cannot be changed: {what}", next="pushforward check, as the server's user", exit_code=TOOL
        ) from None


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    # The folder itself is locked: a lock file beside a file that is committed would be committed too.
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def publish(bare: Path, why: str) -> None:
    """Add the server's file to the ref that clones fetch, where it differs from what is there."""
    repository = Repository(bare)
    blob = repository.write_blob((bare / FOLDER / FILE).read_bytes())
    tree = repository.git("mktree", stdin=f"100644 blob {blob}\t{FILE}\n".encode()).text
    before = repository.resolve(TRUST)
    if before and repository.git("rev-parse", f"{before}^{{tree}}").text == tree:
        return
    commit = repository.write_commit(tree, [before] if before else [], f"{why}\n", date=f"{int(time.time())} +0000")
    if not repository.update_ref(TRUST, commit, before or ZERO):
        again = "pushforward init" if before else f"pushforward check --mend --bare {shlex.quote(str(bare))}"
        what = "moved meanwhile" if before else "cannot be read, or moved meanwhile"
        raise PushforwardError(f"{TRUST} {what}", next=again, exit_code=TOOL)


# The server's own key.


def private_key(bare: Path) -> Path:
    """Where the server in `bare` keeps the key that signs its versions."""
    return bare / FOLDER / KEYS / CI


def own_key(bare: Path) -> Signer:
    """Make the server's key and its line where there is none, or where it was revoked; keep both where they hold."""
    key = private_key(bare)
    place = Place(bare / FOLDER / FILE, (), bare)
    key.parent.mkdir(mode=0o700, exist_ok=True)
    key.parent.chmod(0o700)
    with _alone(key.parent):
        known = ssh.read(place.file.read_text()) if place.file.is_file() else []
        if key.is_file():
            key.chmod(0o600)  # ssh-keygen takes no key that others may read
        now = public_half(key) if key.is_file() else ""
        there = next((one for one in known if one.key == now), None)
        if there is None or there.valid_before:
            if there or not now:
                _generate(key)
            for one in known:  # a key that is gone signs nothing more, whoever has it now
                if one.principal == SERVICE_EMAIL and not one.valid_before:
                    revoke(place, one.key)
            there = add(place, public_half(key), SERVICE_EMAIL)
        public = f"{there.key}\n"
        if not key.with_suffix(".pub").is_file() or key.with_suffix(".pub").read_text() != public:
            durable.write(key.with_suffix(".pub"), public)
    if place.file.stat().st_mode & 0o777 != 0o644:
        place.file.chmod(0o644)
    with _alone(place.file.parent):
        publish(bare, "Publish the allowed signers")
    return there


def drop_own_key(bare: Path) -> None:
    """End the server's key as of now, so that `own_key` makes another."""
    key = private_key(bare)
    place = Place(bare / FOLDER / FILE, (), bare)
    mine_now = public_half(key)
    if any(one.key == mine_now and not one.valid_before for one in ssh.read(place.file.read_text())):
        revoke(place, mine_now)


def public_half(key: Path) -> str:
    """The public key "type base64" of a private key without passphrase."""
    done = process.run(["ssh-keygen", "-y", "-P", "", "-f", str(key)], check=False)
    if done.returncode != 0:
        raise PushforwardError(f"{key} is damaged, or has a passphrase", next=f"rm {key}, then pushforward init")
    return " ".join(done.text.split()[:2])


def _generate(key: Path) -> None:
    fresh = key.with_name(f".{key.name}.{secrets.token_hex(8)}")
    try:
        process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(fresh)])
        fresh.replace(key)
    finally:
        for path in (fresh, fresh.with_name(f"{fresh.name}.pub")):
            path.unlink(missing_ok=True)
    durable.sync(key.parent)
