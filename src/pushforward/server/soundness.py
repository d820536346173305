"""What a server holds, looked through: refs, objects of versions, signatures, workflows, clock. Nothing is changed."""

import hashlib
import re
import shlex
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pushforward import files
from pushforward.actions import filters, lint, workflow
from pushforward.actions.event import Event
from pushforward.errors import PushforwardError
from pushforward.git import form as forms
from pushforward.git import server, whereabouts
from pushforward.git.refs import FOREIGN, NOTES, PULLS, REGISTRY, TAGS, TRUST, VERDICTS, ZERO
from pushforward.git.repository import Repository
from pushforward.git.server import Server
from pushforward.pipeline import store as objects
from pushforward.pipeline.lock import LISTING
from pushforward.pipeline.revision import Revision
from pushforward.pipeline.storage import is_project
from pushforward.pipeline.store import Store
from pushforward.registry import ssh, trust
from pushforward.registry import tags as registry
from pushforward.registry.grammar import MAY_ANY
from pushforward.registry.ssh import Signer
from pushforward.release import entry, provenance
from pushforward.server import flows
from pushforward.server.finding import Finding, few, from_backup, mends

OBJECT = re.compile(r"[0-9a-f]{40}")
PACKED = re.compile(r"([0-9a-f]{40}) (refs/\S+)")
PACKED_REFS = "packed-refs"
CLOCK_SECONDS = 300.0  # as the policy allows a tagger
VERIFIED_AT_ONCE = 8
LACKS = "is not there, or lacks something"
MADE_AGAIN = (NOTES, TRUST)  # without a history too: from the verdicts, and from the server's own file
MOST_MOVES = 20  # of a ref's history that are tried
CHUNK = 1 << 20


# Refs.


@dataclass(frozen=True)
class Damage:
    """A ref that git cannot follow, and why. `good` is the newest object of its history that holds together.

    `newest` says whether that is what the ref was at last, so that nothing is forgotten by going back to it.
    """

    ref: str
    why: str
    good: str = ""
    newest: bool = False


def refs(repository: Repository) -> Iterator[Finding]:
    """Whether every ref leads somewhere: git refuses all pushes and fetches for the sake of one that does not."""
    bare, found = repository.path, damaged(repository)
    for damage in found:
        yield Finding("refs", False, f"{damage.ref}: {damage.why}", way_out(bare, damage))
    if not found:
        yield Finding("refs", True, "all of them lead to what is there")


def way_out(bare: Path, damage: Damage) -> str:
    """The command that mends a damaged ref, or those between which a person has to choose."""
    git, file = f"git --git-dir={shlex.quote(str(bare))}", shlex.quote(str(bare / damage.ref))
    fetched = damage.ref.startswith(("refs/heads/", "refs/tags/"))
    if damage.newest or damage.ref in MADE_AGAIN or damage.ref.startswith(PACKED_REFS):
        return mends(bare)
    whole = f"{mends(bare)}, in a clone that has it" if fetched else from_backup(bare)
    if damage.good:
        back = f"{git} update-ref {damage.ref} {damage.good}"
        return f"rm -f {file}; {back}, and what came after it is lost; to lose nothing: {whole}"
    if damage.why.endswith(LACKS):
        return whole
    kept, name = "a clone" if fetched else "a backup", shlex.quote(damage.ref)
    # not by a push: the policy takes few of these from anybody
    return (
        f"git ls-remote --exit-code PLACE {name} && rm -f {file} && {git} fetch PLACE '+{damage.ref}:{damage.ref}', "
        f"where PLACE is {kept} that has it; "
        f"or {git} fsck --lost-found, then {git} update-ref {damage.ref} COMMIT"
    )


def damaged(repository: Repository) -> list[Damage]:
    """The refs of a bare repository that cannot be followed to all that they need, and those that are gone."""
    found = list(_unreadable(repository.path))
    if spoiled := [damage for damage in found if damage.ref.startswith(PACKED_REFS)]:
        return spoiled  # git reads no ref at all
    named = dict(_packed(repository.path)) | {name: text for name, text in _loose(repository.path) if _whole(text)}
    # of a symbolic ref, as each pull request has one, git keeps a history too
    lost = [*_gone(repository, {*named, *(name for name, _ in _loose(repository.path))})]
    missing = _broken(repository, sorted({*named.values()}))
    lost += [Damage(name, f"{oid[:9]} {LACKS}") for name, oid in named.items() if oid in missing]
    return sorted((_with_history(repository, damage) for damage in (*found, *lost)), key=lambda damage: damage.ref)


def _whole(text: str) -> bool:
    return bool(OBJECT.fullmatch(text))


def _loose(bare: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((bare / "refs").rglob("*")):
        if path.is_file() and not path.is_symlink() and not path.name.endswith(".lock"):
            yield str(path.relative_to(bare)), path.read_text(encoding="utf-8", errors="replace").strip()


def _packed(bare: Path) -> Iterator[tuple[str, str]]:
    for line in packed(bare).splitlines():
        if parts := PACKED.fullmatch(line):
            yield parts[2], parts[1]


def packed(bare: Path) -> str:
    """The file in which git keeps most refs; "" where there is none yet."""
    server.unlinked(bare / PACKED_REFS)
    return (files.read(bare, PACKED_REFS) or b"").decode("utf-8", "replace")


def _unreadable(bare: Path) -> Iterator[Damage]:
    """What is no ref at all."""
    for path in sorted((bare / "refs").rglob("*")):
        if path.is_symlink():
            yield Damage(str(path.relative_to(bare)), "a link stands for it")
    loose = dict(_loose(bare))
    known = loose.keys() | dict(_packed(bare)).keys()
    for name, text in loose.items():
        # a branch that is deleted leaves its pull request, which leads nowhere from then on
        leads = text.startswith("ref: refs/") and (text.removeprefix("ref: ") in known or name.startswith(PULLS))
        if not _whole(text) and not leads:
            yield Damage(name, f"{text[:40]!r} names no object")
    lines = packed(bare).split("\n")
    for number in not_packed(lines):
        why = "is cut off" if number == len(lines) else "names no ref"
        yield Damage(
            f"{PACKED_REFS}, line {number}", f"{lines[number - 1][:40]!r} {why}, and git reads none of the others"
        )


def not_packed(lines: list[str]) -> list[int]:
    """The numbers of the lines of packed-refs that git takes for nothing: one is a ref, what a tag names, or a head.

    The last of `lines` is what follows the last end: of a line that was cut off.
    """
    pairs = zip(["", *lines], lines[:-1], strict=False)
    found = [number for number, (before, line) in enumerate(pairs, 1) if not _is_packed(line, before)]
    return [*found, len(lines)] if lines[-1] else found


def _is_packed(line: str, before: str) -> bool:
    if line.startswith("^"):
        return _whole(line[1:]) and bool(PACKED.fullmatch(before))
    return bool(PACKED.fullmatch(line)) or line.startswith("#")


def _gone(repository: Repository, known: set[str]) -> Iterator[Damage]:
    """Refs whose history is there and which nobody deleted: git deletes the one with the other."""
    logs = repository.path / "logs"
    for path in sorted((logs / "refs").rglob("*")):
        name = str(path.relative_to(logs))
        if path.is_file() and name not in known and repository.lost(name):
            yield Damage(name, "its file is gone")
            known.add(name)
    if NOTES not in known and any(name.startswith(VERDICTS) for name in known):
        yield Damage(NOTES, "the reports are gone, and verdicts are there")
    own = (name for name in known if name.startswith(TAGS) and name.replace(TAGS, FOREIGN, 1) not in known)
    if REGISTRY not in known and any("@v" in name for name in own):
        yield Damage(REGISTRY, "the registry is gone, and versions are there")


def _together(repository: Repository, oids: Iterable[str]) -> bool:
    """Whether all that these objects lead to is there."""
    asked = "".join(f"{oid}\n" for oid in oids).encode()
    return repository.git("rev-list", "--objects", "--quiet", "--stdin", stdin=asked, check=False).returncode == 0


def _broken(repository: Repository, oids: list[str]) -> set[str]:
    """Those that lead to something that is not there: halves are asked, for mostly all is well."""
    if not oids or _together(repository, oids):
        return set()
    half = len(oids) // 2
    return _broken(repository, oids[:half]) | _broken(repository, oids[half:]) if half else set(oids)


def _with_history(repository: Repository, damage: Damage) -> Damage:
    moves = [after for _, after in repository.reflog(damage.ref) if after != ZERO]
    good = next((oid for oid in moves[: -MOST_MOVES - 1 : -1] if _together(repository, [oid])), "")
    return Damage(damage.ref, damage.why, good, bool(good) and good == moves[-1])


PACK = re.compile(r"cannot unpack|mismatch|\binflate\b|packfile .* (?:cannot|does not)|unable to unpack")
CORRUPT = re.compile(r"([0-9a-f]{40}): object corrupt|(?:missing \w+|invalid sha1 pointer) ([0-9a-f]{40})")


def git_objects(repository: Repository) -> Iterator[Finding]:
    """Whether every object of git is what its name says."""
    spoiled, packs = corrupt(repository)
    if packs and not spoiled:  # which objects are in what cannot be read, nobody can say
        yield Finding("objects", False, f"git fsck: {packs[0]}", from_backup(repository.path))
        return
    told = f"{few([oid[:9] for oid in spoiled])} cannot be read, or is missing"
    mend = f"{mends(repository.path)}, in a clone that has it"
    yield Finding("objects", not spoiled, told if spoiled else "git can read each of them", mend if spoiled else "")


def corrupt(repository: Repository) -> tuple[list[str], list[str]]:
    """The objects that git finds spoiled or missing, and what it says of packs that it cannot read."""
    done = repository.git("fsck", "--no-dangling", "--no-progress", "--no-reflogs", check=False)
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    packs = [line.removeprefix("error: ") for line in said.splitlines() if PACK.search(line)]
    spoiled = {one or other for one, other in CORRUPT.findall(said)} - {ZERO}  # which a ref without an object has
    return sorted(spoiled), packs if done.returncode else []


# What DVC keeps of the versions.


@dataclass(frozen=True)
class Part:
    """One object that a version is made of: `sha256` is "" where nothing says what it has to be."""

    oid: str
    version: str
    path: str
    sha256: str = ""


@dataclass(frozen=True)
class Lost(Part):
    """A part that the store has not, or not as it was: `copy` is where another store has it whole."""

    why: str = ""
    copy: Path | None = None


def parts(repository: Repository) -> list[Part]:
    """What DVC keeps for the versions that count: not for one that is deprecated and in use nowhere."""
    found: dict[str, Part] = {}
    for name, commit in sorted(_versions(repository).items()):
        for part in _parts_of(repository, name, commit):
            if part.oid not in found or part.sha256:
                found[part.oid] = part
    return list(found.values())


def _versions(repository: Repository) -> dict[str, str]:
    tags = repository.refs(*registry.PLACES)
    models = {parts["model"] for ref in tags if (parts := registry.parse(ref.name.removeprefix("refs/tags/")))}
    found: dict[str, str] = {}
    for model in sorted(models):
        known = registry.fold(model, tags)
        in_use = {used.name for name in known.environments if (used := known.in_use(name))}
        wanted = [one for one in known.versions if one.name in in_use or not known.deprecated(one)]
        found |= {one.name: one.commit for one in wanted}
    return found


def _parts_of(repository: Repository, name: str, commit: str) -> Iterator[Part]:
    kept = objects.outs(repository, commit)
    statement = entry.read(repository, REGISTRY, name, entry.PROVENANCE)
    try:
        data = provenance.read(statement or b"").data
    except PushforwardError:  # `pushforward verify` says so; what the lock names can be asked for all the same
        yield from (Part(oid, name, path) for path, oid in kept.items())
        return
    for path, content in data.items():
        if any(f"{path}/".startswith(f"{out}/") for out in kept):
            yield Part(content.md5 + (LISTING if path.endswith("/") else ""), name, path, content.sha256)


def lost(wanted: Iterable[Part], store: Store, others: Iterable[Store], *, whole: bool) -> list[Lost]:
    """Those of the parts that the store has not, or, with `whole`, not as their digests say; and where a copy is."""
    others = list(others)
    found = []
    for part in wanted:
        if why := _wrong(store, part, whole=whole):
            copy = next((other.file(part.oid) for other in others if not _wrong(other, part, whole=True)), None)
            found.append(Lost(part.oid, part.version, part.path, part.sha256, why, copy))
    return found


def _wrong(store: Store, part: Part, *, whole: bool) -> str:
    """What is wrong with the file of a store that is to be a part; "" for nothing."""
    try:
        path = store.plain(part.oid)
        if path is None:
            return "missing"
        if not whole:
            return ""
        weak, strong = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        with path.open("rb") as handle:
            while chunk := handle.read(CHUNK):
                weak.update(chunk)
                strong.update(chunk)
    except OSError as refused:
        return f"not to be read ({refused.strerror})"
    same = weak.hexdigest() == part.oid.removesuffix(LISTING) and part.sha256 in {"", strong.hexdigest()}
    return "" if same else "spoiled"


def store(made: Server, clone: Path | None, *, whole: bool, say: Callable[[str], None]) -> Iterator[Finding]:
    """Whether the store has all that the versions need, and knows whose it is."""
    if not made.store:
        yield Finding("versions", True, f"their objects are in {made.remote}, which is no folder; not asked", "")
        return
    bare, there = Path(made.bare), Store(Path(made.store))
    if there.path.is_dir() and whereabouts.named(bare) not in whereabouts.claims(there.path):
        told = f"{there.path} does not know that this server keeps its objects there: another one's gc may delete them"
        yield Finding("claim", False, told, mends(bare))
    wanted = parts(made.repository)
    if whole and wanted:
        say(f"reading {len(wanted)} objects of the versions in {there.path}")
    missing = lost(wanted, there, others(made, clone), whole=whole)
    versions = sorted({part.version for part in wanted})
    if not missing:
        how = "as recorded, by SHA-256" if whole else "there"
        told = f"{len(wanted)} objects of {len(versions)} {'version' if len(versions) == 1 else 'versions'}, {how}"
        yield Finding("versions", True, told if versions else "none yet")
    elif healed := [part for part in missing if part.copy]:
        yield Finding("versions", False, _told(healed, there, "; good copies are here"), mends(bare))
    if dead := [part for part in missing if not part.copy]:
        yield Finding("versions", False, _told(dead, there, ", and no copy is here"), again(bare, dead[0].version))


def _told(missing: list[Lost], store: Store, more: str) -> str:
    first = missing[0]
    rest = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return f"{first.path} of {first.version} is {first.why} in {store.path} ({first.oid[:12]}){rest}{more}"


def again(bare: Path, version: str) -> str:
    """The commands that make the objects of a version again, in a clone, and put them into the store."""
    return (
        f"git worktree add ../again {version} && cd ../again && PYTHONPATH=src dvc repro -f && {mends(bare)}; "
        "or the last in a clone whose DVC cache has them"
    )


def others(made: Server, clone: Path | None) -> Iterator[Store]:
    """Where copies of what the store has lost may be: the server's cache; cache and store of the clone at hand."""
    yield Store(made.folder / "cache")
    if clone is not None and is_project(clone):
        places = objects.places(clone)
        yield from (one for one in (places.cache, places.remote) if one and one.path != Path(made.store))


# Signatures.


def signatures(repository: Repository, signers: Path) -> Iterator[Finding]:
    """Whether a key that is trusted vouches for every tag of the registry."""
    mine = registry.own(repository.refs(*registry.PLACES))
    tags = [ref for ref in mine if registry.parse(ref.name.removeprefix("refs/tags/"))]
    with ThreadPoolExecutor(VERIFIED_AT_ONCE) as pool:
        why = list(pool.map(lambda ref: _doubt(repository, ref.object, ref.name, signers), tags))
    doubted = [
        (ref.name.removeprefix("refs/tags/"), ref.object, told) for ref, told in zip(tags, why, strict=True) if told
    ]
    if not doubted:
        yield Finding("signatures", True, f"a trusted key vouches for each of {len(tags)} registry tags")
        return
    name, tag, told = doubted[0]
    found = f"no trusted key vouches for {len(doubted)} of {len(tags)} registry tags: {told}"
    known = _once_trusted(repository, tag, name)
    version = next((one for one, _, _ in doubted if "@v" in one), "").removesuffix("!")
    mend = f"pushforward verify {version} --quick" if version else "pushforward trust KEY.pub --as EMAIL"
    if not _signed(repository, tag):  # it has never counted, and nobody can make it count
        mend = f"git --git-dir={shlex.quote(str(repository.path))} tag -d {shlex.quote(name)}"
    yield Finding("signatures", False, found, trust_again(repository.path, known) if known else mend)


def _doubt(repository: Repository, tag: str, name: str, signers: Path) -> str:
    try:
        trust.verify_tag(repository, tag, name.removeprefix("refs/tags/"), signers)
    except PushforwardError as wrong:
        return wrong.message
    return ""


def _signed(repository: Repository, tag: str) -> bool:
    found = repository.objects([tag])[0]
    return found is not None and found[0] == "tag" and ssh.BEGIN_SSH in found[1]


def _once_trusted(repository: Repository, tag: str, name: str) -> Signer | None:
    """Who signed a tag, by a key that the server's own history trusts, and its file does not."""
    commits = repository.git("rev-list", TRUST, check=False).text.split()
    texts = [(repository.read(commit, ssh.FILE) or b"").decode("utf-8", "replace") for commit in commits]
    with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
        path = Path(folder) / ssh.FILE
        for text in texts:
            path.write_text(text)
            try:
                found = trust.verify_tag(repository, tag, name, path)
            except PushforwardError:
                continue
            return None if found.valid_before else found
    return None


def trust_again(bare: Path, signer: Signer) -> str:
    """The command that trusts a key for what it was trusted for before."""
    may = "".join(f" --for {word}" for word in sorted(signer.may - {MAY_ANY}))
    here = f"--bare {shlex.quote(str(bare))}"
    return f"echo {shlex.quote(signer.key)} | pushforward trust - --as {signer.principal}{may} {here}"


# The project, its workflows, the clock.


def workflows(repository: Repository, commit: str, branch: str) -> Iterator[Finding]:
    """Whether a push to the default branch runs a workflow, and whether they can run on a server at all."""
    try:
        wanted = Revision(repository, commit).settings.server.workflows
        found = flows.listed(repository, commit, wanted, branch)
    except PushforwardError as wrong:
        yield Finding("workflows", False, wrong.message, wrong.next or f"git show {commit[:9]}")
        return
    for flow in found:
        for problem in lint.problems(flow, lambda path: _text(repository, commit, path)):
            yield Finding("workflows", False, problem, f"change it in {flow.path}, then git commit and git push")
    push = Event("push", commit, f"refs/heads/{branch}")
    if any(filters.matches(flow, push) for flow in found):
        whose = ", which come with the tool" if all(flow.built_in for flow in found) else ""
        yield Finding("workflows", True, f"{few([flow.file for flow in found])}{whose}; a push to {branch} is run")
        return
    names = {name for flow in found for name in _branches(flow)}
    told = f"none of {', '.join(flow.file for flow in found) or 'them'} runs for a push to {branch}"
    listed = few(sorted(names)) or "no branch"
    mend = "git add .github/workflows, with a workflow that runs on push"
    if len(names) == 1:
        mend = (
            f"sed -i 's/branches: \\[{listed}\\]/branches: [{branch}]/' .github/workflows/*.yml && "
            f"git commit -am 'Run for {branch}' && git push local {branch}"
        )
    yield Finding("workflows", False, f"{told}: they are for {listed}", mend)


def _text(repository: Repository, commit: str, path: str) -> str | None:
    content = repository.read(commit, path)
    return None if content is None else content.decode("utf-8", "replace")


def _branches(flow: workflow.Workflow) -> list[str]:
    asked = flow.on.get("push", {}).get("branches", [])
    return [str(name) for name in asked] if isinstance(asked, list) else [str(asked)]


def form(repository: Repository) -> Iterator[Finding]:
    """Whether git can read this repository, and DVC, which reads git by itself."""
    if (why := forms.refusal(repository)) is not None:
        yield Finding("format", False, why.message, why.next)


def borrowed(repository: Repository) -> Iterator[Finding]:
    """Whether it needs the objects of another repository, as a clone made with --shared or --reference does."""
    asked = repository.git("rev-parse", "--git-path", "objects/info/alternates", check=False)
    path = repository.path / asked.text
    if asked.returncode != 0 or not path.is_file():
        return
    lines = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    places = [path.parent.parent / line for line in lines if not line.startswith("#")]
    gone = [str(place) for place in places if not place.is_dir()]
    if gone:
        told = f"{repository.path} needs the objects of {few(gone)}, which is not there"
        yield Finding("alternates", False, told, f"put it back, or write where it is now into {shlex.quote(str(path))}")
    elif places:
        told = f"{repository.path} needs the objects of {few([str(place) for place in places])}: lost there, lost here"
        alone = f"{repository.typed} repack -q -a -d && rm {shlex.quote(str(path))}"
        yield Finding("alternates", False, told, alone, optional=True)


def clock(repository: Repository) -> Iterator[Finding]:
    """Whether the newest commit or tag is of the past: what is signed in the future counts for nothing."""
    form = ("--sort=-creatordate", "--count=1", "--format=%(creatordate:unix) %(refname)")
    when, _, name = repository.git("for-each-ref", *form, check=False).text.partition(" ")
    ahead = float(when) - time.time() if when.isdigit() else 0.0
    if ahead > CLOCK_SECONDS:
        told = f"{name} is dated {ahead / 60:.0f} minutes from now: the clock here, or where it was made, is wrong"
        yield Finding("clock", False, told, "timedatectl set-ntp true, on the machine whose `date -u` is wrong")
    else:
        yield Finding("clock", True, "nothing is dated in the future")
