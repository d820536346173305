"""Foreign tags: GTO's registry that a project had before its server. `init` takes it over, the doctor looks after it.

The tags stay what they are, and a mark beside each says that nobody here has judged it: numbers go on after theirs,
and a clone that has them already fetches and pushes without a clash.
"""

import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pushforward import gto
from pushforward.errors import TOOL, PushforwardError
from pushforward.git.refs import FOREIGN, TAGS
from pushforward.git.repository import Ref, Repository
from pushforward.registry import ssh
from pushforward.registry import tags as registry
from pushforward.registry.tags import NEITHER
from pushforward.server.finding import Finding, few

MOST_NAMED = 3


@dataclass(frozen=True)
class Tags:
    """The tags of a clone that GTO made: those that a server lacks, and those that it has another of, by name."""

    absent: tuple[str, ...]
    other: tuple[str, ...]


def compare(clone: Repository, there: dict[str, str]) -> Tags:
    """GTO's tags in a clone beside the refs of a server, by their objects: what it has marked is no news."""
    refs = [ref for ref in clone.refs(TAGS) if gto.parse(_short(ref))]
    news = [ref for ref in refs if there.get(ref.name) != ref.object]
    made = [ref for ref in news if ref in _made_by_gto(clone, refs)]
    absent = tuple(_short(ref) for ref in made if ref.name not in there)
    return Tags(absent, tuple(_short(ref) for ref in made if ref.name in there))


def _short(ref: Ref) -> str:
    return ref.name.removeprefix(TAGS)


def _made_by_gto(clone: Repository, refs: list[Ref]) -> list[Ref]:
    """Those that no server of ours made: it signs each with an ssh key, and says in a record what it means.

    People may sign without a record what they put to use: that is GTO's where the version that it names is.
    """
    texts = [found[1] if found else b"" for found in clone.objects([ref.object for ref in refs])]
    by_hand = {ref: text for ref, text in zip(refs, texts, strict=True) if not _recorded(ref, text)}
    signed = {ref for ref, text in by_hand.items() if ssh.BEGIN_SSH in text}
    versions = {_commit(ref) for ref in by_hand if _is_version(ref)}
    return [ref for ref in by_hand if ref not in signed or _is_version(ref) or _commit(ref) in versions]


def _recorded(ref: Ref, text: bytes) -> bool:
    said = ref.type == "tag" and ssh.BEGIN_SSH in text
    return said and bool(registry.record(text.decode("utf-8", "replace")))


def _is_version(ref: Ref) -> bool:
    parts = gto.parse(_short(ref))
    return parts is not None and parts.number is not None and not parts.cancels


def _commit(ref: Ref) -> str:
    return ref.target or ref.object


def take(bare: Repository, clone: Repository, model: str, say: Callable[[str], None]) -> None:
    """Bring GTO's tags of a clone that its server lacks there, each with its mark; what it has stays as it is.

    `say` is told what was taken over, and where the clone has another tag than the server.
    """
    there = {ref.name: ref.object for ref in bare.refs(TAGS, FOREIGN)}
    found = compare(clone, there)
    if found.absent:
        _bring(bare, clone, found.absent)
    refs = bare.refs(*registry.PLACES)
    if marks := [f"+{FOREIGN}*:{FOREIGN}*"] if any(ref.name.startswith(FOREIGN) for ref in refs) else []:
        clone.remote("fetch", "-q", "--no-tags", "--no-write-fetch-head", str(bare.path), *marks)
    if found.absent:
        say(f"foreign  {_told(registry.fold(model, refs), found.absent)}")
    if found.other:
        say(
            f"clash    {few(list(found.other))}: another here than on the server, whose own stay; its tags instead of "
            "these: git fetch local --tags --force"
        )


def _bring(bare: Repository, clone: Repository, names: Iterable[str]) -> None:
    """Fetch tags and make their marks, all or none."""
    specs = [f"{TAGS}{name}:{place}{name}" for name in names for place in registry.PLACES]
    top = clone.git("rev-parse", "--path-format=absolute", "--git-common-dir").text
    options = ("--atomic", "--no-tags", "--no-write-fetch-head", "--stdin")
    text = "".join(f"{spec}\n" for spec in specs).encode()
    done = bare.git("-c", "fetch.fsckObjects=true", "fetch", "-q", *options, top, stdin=text, check=False)
    if done.returncode == 0:
        return
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    why = next((line for line in said if line.startswith(("fatal:", "error:"))), said[-1] if said else "no reason")
    raise PushforwardError(
        f"GTO's tags of {clone.path} cannot be taken over, and without them numbers would begin anew: {why}",
        next=f"{clone.typed} fsck, or git fetch --unshallow; then pushforward init",
        exit_code=TOOL,
    )


def _told(known: registry.Registry, taken: tuple[str, ...]) -> str:
    count = f"{len(taken)} tag{'' if len(taken) == 1 else 's'} in GTO's form, kept: {NEITHER}"
    newest = known.foreign_versions[-1].name if known.foreign_versions else ""
    held = [f"{where}: {name}" for where, name in known.foreign_environments.items()]
    until = f"; in use until a version is: {', '.join(held)}" if held else ""
    return f"{count}{f'; numbers go on after {newest}' if newest else ''}{until}"


def refs(repository: Repository) -> Iterator[Finding]:
    """Whether each foreign tag of a server is what was taken over."""
    there = {ref.name: ref.object for ref in repository.refs(*registry.PLACES)}
    marks = {name.removeprefix(FOREIGN): oid for name, oid in there.items() if name.startswith(FOREIGN)}
    wrong = sorted(name for name, oid in marks.items() if there.get(TAGS + name) != oid)
    git = f"git --git-dir={shlex.quote(str(repository.path))}"
    for name in wrong[:MOST_NAMED]:
        told = f"{name} is not what was taken over" if TAGS + name in there else f"{name} was taken over, and is gone"
        back = f"{git} update-ref {shlex.quote(TAGS + name)} {marks[name]}"
        yield Finding("foreign", False, told, back)
    if marks and not wrong:
        count = f"{len(marks)} tag{'' if len(marks) == 1 else 's'}"
        yield Finding("foreign", True, f"{count} in GTO's form, from before this server: {NEITHER}")
