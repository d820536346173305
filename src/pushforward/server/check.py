"""The doctor: every precondition of local mode, what is wrong, the command that mends it."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pushforward import process
from pushforward.errors import PushforwardError
from pushforward.git import form as forms
from pushforward.git import person as persons
from pushforward.git import remote, whereabouts
from pushforward.git.refs import FOREIGN, TAGS, TRUST
from pushforward.git.repository import Repository
from pushforward.git.server import FOLDER
from pushforward.registry import authority, signers, ssh, trust
from pushforward.server import installation
from pushforward.server.finding import Finding, few, guarded
from pushforward.server.installation import follows, refuses
from pushforward.server.recover import FREE_BYTES

if TYPE_CHECKING:
    pass


def everything(
    root: Path, bare: Path | None = None, *, quick: bool = True, say: Callable[[str], None] = print
) -> Iterator[Finding]:
    """What is to be said of this machine, of the server `bare`, or that of the clone at `root`, and of the person.

    Unless `quick`, every object is read, and a small project is pushed through a whole run; `say` gets how it goes.
    """
    repository, inside, local, at_hand = _place(root, bare)
    yield from machine(root, trust=trusted(at_hand))
    if (why := forms.refusal(repository)) is not None and not inside:
        yield Finding("repository", False, why.message, why.next)
        return
    if at_hand is not None:
        yield from installation.server(at_hand)
        yield from guarded("notify", at_hand, lambda: told(at_hand))
        yield from holdings(at_hand, root if inside else None, quick=quick, say=say)
    elif local is not None:
        yield from elsewhere(repository, local)
    elif authority.is_mirror(repository):
        yield from mirror(repository)
    else:
        yield Finding("server", False, "this clone has none yet", "pushforward init", optional=True)
    if inside:
        yield from project(repository)
        yield from guarded("sections", root, lambda: looped(repository, quick=quick, say=say))
        yield from clone(repository, remote.authority(repository))
        yield from person(root)


def mend(root: Path, bare: Path | None = None) -> Iterator[str]:
    """Mend what needs no choice in the server `bare`, or that of the clone at `root`; one line for each thing."""
    from pushforward.server import mend as mending

    _, inside, _, at_hand = _place(root, bare)
    if at_hand is None:
        raise PushforwardError("no server is here to be mended", next="pushforward check --mend --bare SERVER.git")
    return mending.server(at_hand, root if inside else None)


def _place(root: Path, bare: Path | None) -> tuple[Repository, bool, remote.Remote | None, Path | None]:
    """The repository at `root`, whether it is a clone, its remote, and the server to look at."""
    repository = Repository(root)
    inside = repository.git("rev-parse", "--is-inside-work-tree", check=False).text == "true"
    found = remote.authority(repository) if inside else None
    local = found if found and found.is_server else None
    server = bare or (local.folder if local else None if inside else _server_around(repository))
    return repository, inside, local, Path(os.path.normpath(server.absolute())) if server else None


def _server_around(repository: Repository) -> Path | None:
    """The server that the folder at hand is in."""
    found = repository.git("rev-parse", "--absolute-git-dir", check=False)
    there = found.returncode == 0 and (Path(found.text) / FOLDER).is_dir()
    return Path(found.text) if there else None


def told(bare: Path) -> Iterator[Finding]:
    """Who is told of what happens, and what could not be told."""
    from pushforward.git.server import Server
    from pushforward.server import telling

    if not ((bare / FOLDER / "server.json").is_file() and follows(Repository(bare))):
        return
    try:
        made = Server.load(bare)
    except PushforwardError:
        return  # why it is none that takes pushes, `installation` has told
    yield from telling.findings(made)


def mirror(repository: Repository) -> Iterator[Finding]:
    """What is to be said of a bare repository that is no server, as a mirror or a backup is."""
    from pushforward.server import soundness

    try:
        authority.refuse_mirror(repository)
    except PushforwardError as told:
        yield Finding("server", False, told.message, told.next, optional=True)
    yield from guarded("alternates", repository.path, lambda: soundness.borrowed(repository))


def project(repository: Repository) -> Iterator[Finding]:
    """Whether settings, params.yaml and dvc.yaml of the clone can be read, what ends a run, and what is missing."""
    from pushforward import schema, settings
    from pushforward.pipeline import folders
    from pushforward.pipeline import lint as stages
    from pushforward.project.faults import faults
    from pushforward.project.survey import survey

    root = Path(repository.git("rev-parse", "--show-toplevel").text)
    try:
        settings.load(root)
        tracked = set(repository.tree("HEAD")) if repository.resolve("HEAD") else set[str]()
        folders.check(root, tracked)
    except PushforwardError as wrong:
        yield Finding("settings", False, wrong.message, wrong.next or f"edit {wrong.message.partition(':')[0]}")
        return
    yield Finding("settings", True, f"{schema.FILE} and {stages.FILE} can be read")
    if folders.here(root):
        for fault in faults(survey(root)):
            yield Finding("project", False, f"{fault.where}: {fault.what}", fault.next, optional=True)


def looped(repository: Repository, *, quick: bool, say: Callable[[str], None]) -> Iterator[Finding]:
    """What is to be said of the sections for arrival, serving and monitoring; nothing where settings cannot be read."""
    from pushforward import settings
    from pushforward.pipeline import folders
    from pushforward.server import sections

    root = Path(repository.git("rev-parse", "--show-toplevel").text)
    try:
        settings.load(root)
    except PushforwardError:
        return  # `project` has told
    if folders.here(root):
        yield from sections.findings(root, quick=quick, say=say)


def machine(folder: Path, *, trust: bool = False) -> Iterator[Finding]:
    """What local mode needs of the machine; `folder` is where the server lies or will lie."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("python", sys.version_info >= (3, 11), python, "install Python 3.11 or newer")
    yield _git()
    yield _ssh()
    act = Path(sys.executable).parent / "act"
    yield Finding("act", act.exists(), str(act) if act.exists() else "not in this environment", "make env")
    yield _jail(trust)
    free = shutil.disk_usage(folder).free
    yield Finding("disk", free >= FREE_BYTES, f"{free / 1024**3:.1f} GiB free", "free some space: 2 GiB are needed")


def _git() -> Finding:
    try:
        # not by its settings: that they cannot be read is told by itself
        alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        text = process.run(["git", "--version"], env=alone).text.removeprefix("git version ")
    except PushforwardError:
        return Finding("git", False, "not installed", "install git 2.38 or newer")
    numbers = tuple(int(part) for part in text.split()[0].split(".")[:2] if part.isdigit())
    return Finding("git", numbers >= (2, 38), text, "install git 2.38 or newer: merge-tree --write-tree is needed")


def _ssh() -> Finding:
    if shutil.which("ssh-keygen") is None:
        return Finding("ssh-keygen", False, "not installed: nothing can be signed", "apt-get install openssh-client")
    if shutil.which("ssh") is None:
        return Finding("ssh-keygen", True, "there")
    said = process.run(["ssh", "-V"], check=False).stderr.decode(errors="replace").strip()
    found = re.match(r"OpenSSH_(\d+)\.(\d+)", said)
    # older ones do not know a moment in UTC, and so no revoked key
    recent = found is None or (int(found[1]), int(found[2])) >= (9, 1)
    return Finding("ssh-keygen", recent, said.split(",")[0], "install OpenSSH 9.1 or newer")


def _jail(trust: bool) -> Finding:
    from pushforward.sandbox import jail

    try:
        return Finding("jail", True, jail.find(trust=trust).describe())
    except PushforwardError as missing:
        return Finding("jail", False, missing.message, missing.next)


def trusted(bare: Path | None) -> bool:
    """Whether the server in `bare` runs topic branches without a jail where there is none."""
    from pushforward.git.server import Server

    try:
        return bare is not None and Server.load(bare).trust
    except PushforwardError:
        return False


def holdings(bare: Path, root: Path | None, *, quick: bool, say: Callable[[str], None]) -> Iterator[Finding]:
    """Whether what the server in `bare` has to keep is there and whole; copies are looked for in the clone at `root`.

    Nothing where it is no server: that is told already.
    """
    from pushforward.git.server import Server, readable, refuse_misplaced
    from pushforward.server import foreign, soundness, trial, vouched

    try:
        refuse_misplaced(bare)
        made = Server.load(bare)
        if whereabouts.headless(bare) or whereabouts.gutted(bare):
            return
        readable(Repository(bare))
    except PushforwardError:
        return
    repository, signers_file = Repository(bare), bare / FOLDER / ssh.FILE
    looks: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
        ("format", lambda: soundness.form(repository)),
        ("alternates", lambda: soundness.borrowed(repository)),
        ("refs", lambda: soundness.refs(repository)),
        ("foreign", lambda: foreign.refs(repository)),
    ]
    followed = follows(repository)
    if followed:
        looks += [
            ("verdicts", lambda: vouched.refs(repository)),
            ("versions", lambda: soundness.store(made, root, whole=not quick, say=say)),
            ("clock", lambda: soundness.clock(repository)),
        ]
    if followed and signers_file.is_file():
        looks.append(("signatures", lambda: soundness.signatures(repository, signers_file)))
    head = repository.resolve("HEAD") if followed else None
    if head:
        looks.append(("workflows", lambda: soundness.workflows(repository, head, made.default_branch)))
    if not quick:
        looks.append(("objects", lambda: soundness.git_objects(repository)))
        if head:
            looks.append(("run", lambda: trial.run(made, head, say=say)))
    for name, look in looks:
        yield from guarded(name, bare, look)


def clone(repository: Repository, local: remote.Remote | None) -> Iterator[Finding]:
    """Whether the clone at hand is one that can be pushed from and read."""
    from pushforward.server import soundness

    root = repository.path
    yield from guarded("format", root, lambda: soundness.form(repository))
    yield from guarded("alternates", root, lambda: soundness.borrowed(repository))
    if not _ends_where_it_is_known(repository, local):
        names = repository.git("remote").text.split()
        source = next((name for name in ("origin", *names) if name in names), "origin")
        told = "this clone is shallow: git refuses its first push ('shallow update not allowed')"
        yield Finding("clone", False, told, f"git fetch --unshallow {source}")
    if local is not None:
        yield from guarded("tags", root, lambda: _tags(repository, local))


def _ends_where_it_is_known(repository: Repository, local: remote.Remote | None) -> bool:
    """Whether a push need not bring what this clone has not: it is whole, or its server has where its history ends."""
    if repository.git("rev-parse", "--is-shallow-repository", check=False).text != "true":
        return True
    if local is None or local.folder is None:
        return False
    listed = repository.path / repository.git("rev-parse", "--git-path", "shallow").text
    ends = listed.read_text().split()
    return None not in Repository(local.folder).objects(ends)


def _tags(repository: Repository, local: remote.Remote) -> Iterator[Finding]:
    """Whether the clone has the registry's tags, and the same ones as the server."""
    from pushforward.registry import tags as registry
    from pushforward.server import foreign

    places = (f"{TAGS}*", f"{FOREIGN}*")
    asked = repository.remote("ls-remote", "--refs", local.name, *places, check=False)
    if asked.returncode != 0:
        return  # the server is told of already
    there = {name: oid for oid, _, name in (line.partition("\t") for line in asked.text.splitlines())}
    here = {ref.name: ref.object for ref in repository.refs("refs/tags/")}
    short = [name.removeprefix(TAGS) for name in sorted(there) if name.startswith(TAGS)]
    other = [name for name in short if here.get(f"refs/tags/{name}", "") not in {"", there[f"refs/tags/{name}"]}]
    absent = [name for name in short if registry.parse(name) and f"refs/tags/{name}" not in here]
    mine = [ref.removeprefix("refs/tags/") for ref in here if ref not in there]
    theirs = foreign.compare(repository, there).absent
    lost = [name for name in mine if registry.parse(name) and name not in theirs]
    if other:
        told = f"{few(other)}: another here than on {local.name}, so git fetch fails ('would clobber existing tag')"
        yield Finding("tags", False, told, f"git fetch {local.name} --tags --force")
    elif absent:
        told = f"{few(absent)}: not in this clone, which tells of what it has fetched"
        yield Finding("tags", False, told, f"git fetch {local.name} 'refs/tags/*:refs/tags/*'", optional=True)
    if theirs:
        told = f"{few([*theirs])}: in GTO's form, and not on {local.name}, which may give their numbers again"
        yield Finding("foreign", False, told, "pushforward init, which keeps them there", optional=True)
    if lost:
        told = f"{few(lost)}: not on {local.name}; it is an older backup, or they are another server's"
        uses = [name for name in lost if "@v" not in name]
        drop = f"git tag -d {shlex.join(lost[:20])}"
        back = f"{local.gives_back(repository.path, uses)}; where they are another server's: " if uses else ""
        yield Finding("tags", False, told, f"{back}{drop}", optional=True)
    if not (other or absent or lost or theirs):
        yield Finding("tags", True, "those of the server")


def elsewhere(repository: Repository, local: remote.Remote) -> Iterator[Finding]:
    """What can be seen from here of a server on another machine: that it answers, and that its hook works."""
    asked = repository.remote("ls-remote", local.name, TRUST, check=False)
    if asked.returncode != 0:
        said = asked.stderr.decode("utf-8", "replace").strip().splitlines()
        yield Finding(
            "server", False, f"{local.url} does not answer: {said[0] if said else ''}", f"git ls-remote {local.name}"
        )
        return
    there = local.command("pushforward check")
    found = f"{local.url}, on another machine; to look at it there: {there}"
    yield Finding("server", bool(asked.text), found if asked.text else f"{local.url} has no allowed signers", there)
    yield refuses(repository, local.name)


def person(root: Path) -> Iterator[Finding]:
    """What the person at work needs: an identity for commits; to sign, a key that is trusted."""
    repository = Repository(root)
    who = persons.identity(repository)
    for key, value, example in (
        ("user.name", who.name, "'YOUR NAME'"),
        ("user.email", who.email, "YOU@EXAMPLE.ORG"),
    ):
        yield Finding(key, bool(value), value or "not set: git cannot commit", f"git config --global {key} {example}")
    try:
        key = signers.mine(repository)
        with trust.signers_file(root) as path:
            known = ssh.read(path.read_text(encoding="utf-8"))
    except PushforwardError as missing:
        yield Finding("signing", False, missing.message, missing.next, optional=True)
        return
    email = who.email
    there = next((one for one in known if one.key == key and one.principal == email), None)
    holds = there is not None and not there.valid_before
    told = f"your key {ssh.fingerprint(key)}"
    if there is None:
        told += f" is not trusted as {email or 'yours'}"
    elif there.valid_before:
        told += f" was revoked at {there.valid_before}"
    yield Finding("signing", holds, told, "pushforward trust KEY.pub", optional=True)
