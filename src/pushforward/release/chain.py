"""The chain of evidence of a version, hop by hop from its tag to its signed provenance; the one teller of what holds.

`verify` tells every hop, `bundle` packs nothing that one of them does not bear out, `release` asks for the tag before a
version is put to use, and `promote` for the entry that it goes on from. The bytes that DVC holds are `stored`'s.
"""

import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

from pushforward import params, schema
from pushforward.gate.verdict import Verdict, by_limits
from pushforward.git import kept
from pushforward.git.refs import REGISTRY, VERDICTS
from pushforward.git.repository import Repository
from pushforward.judge import identity, ledger, names, records
from pushforward.pipeline import declared, environment
from pushforward.pipeline import store as objects
from pushforward.pipeline.lock import LOCK, METRICS
from pushforward.pipeline.revision import MANIFEST, Revision, sha256
from pushforward.registry import grammar, reviews, ssh, trust
from pushforward.registry import tags as registry
from pushforward.registry import transaction as tagging
from pushforward.registry.grammar import ACCEPTABLE, ACCEPTED
from pushforward.registry.reviews import Word
from pushforward.registry.ssh import Signer
from pushforward.registry.tags import Assignment
from pushforward.release import entry, provenance, word
from pushforward.release.entry import CARD, FILES, GOLDEN, PROVENANCE, RECORDED, SIGNATURE, VERDICT, Record, folder
from pushforward.release.hop import DifferentError, same, same_files
from pushforward.release.provenance import Statement
from pushforward.settings import Settings

QUESTION = ("verdict", "model", "environment", "champion", "holdout")
Signers = Callable[[], AbstractContextManager[Path]]


class Evidence:
    """One version and all that is said of it in `repository`, each read once.

    `signers` gives the file of who may sign, `clone` is where the same tag may be another, and `at` is the registry's
    chain. What is not as it should be raises `DifferentError`, or the `PushforwardError` of whoever read it.
    """

    def __init__(
        self, repository: Repository, name: str, signers: Signers, *, clone: Path | None = None, at: str = REGISTRY
    ) -> None:
        self.repository, self.name, self.signers, self.clone, self.at = repository, name, signers, clone, at
        self.model = name.partition("@")[0]

    @cached_property
    def tag(self) -> str:
        """The tag object."""
        identity = tag_object(self.repository, self.name)
        done = self.repository.git("cat-file", "tag", identity, check=False)
        if done.returncode != 0:
            kind = self.repository.git("cat-file", "-t", identity, check=False).text
            if kind not in {"", "tag"}:
                raise DifferentError(f"it is lightweight: it names a {kind}, and carries no signature", self.name)
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()[:1] or ["it is none"]
            raise DifferentError(f"refs/tags/{self.name} cannot be read as an annotated tag: {said[0]}", self.name)
        return identity

    @cached_property
    def content(self) -> bytes:
        """The bytes of the tag."""
        return self.repository.git("cat-file", "tag", self.tag).stdout

    @cached_property
    def record(self) -> Record:
        """What the tag binds."""
        return entry.record(registry.record(self.content.decode("utf-8", "replace")), self.name)

    @cached_property
    def target(self) -> str:
        """The commit that the tag names."""
        return self.repository.commit(f"{self.tag}^{{commit}}")

    @cached_property
    def signer(self) -> Signer:
        """Who signed the tag."""
        with self.signers() as signers:
            return trust.verify_tag(self.repository, self.tag, self.name, signers)

    @cached_property
    def rules(self) -> Settings:
        """The version's own settings."""
        return Revision(self.repository, self.target, self.model).settings

    def file(self, name: str, version: str = "") -> bytes:
        """What the registry's chain keeps of a version under `name`."""
        content = entry.read(self.repository, self.at, version or self.name, name)
        if content is None:
            raise DifferentError("it is missing in the registry's chain", self.place(name, version))
        return content

    def place(self, name: str, version: str = "") -> str:
        """Where that is."""
        return f"{REGISTRY}:{folder(version or self.name)}/{name}"

    def recorded(self, name: str) -> bytes:
        """A file of the entry that has the SHA-256 which the tag names."""
        content = self.file(name)
        (key,) = [key for key, file in RECORDED.items() if file == name]
        same(f"the SHA-256 of {name}", self.place(name), str(getattr(self.record, key)), sha256(content))
        return content

    @cached_property
    def verdict(self) -> Verdict:
        """The verdict in the entry."""
        return Verdict.from_json(self.file(VERDICT))

    @cached_property
    def statement(self) -> Statement:
        """The provenance in the entry."""
        return provenance.read(self.file(PROVENANCE))

    @cached_property
    def word(self) -> Word | None:
        """The person's word that it rests on; None where it rests on the verdict alone."""
        return next((one for one in self.words if one.tag == self.record.review), None) if self.record.review else None

    @cached_property
    def words(self) -> list[Word]:
        """All words on verdicts of the model."""
        return reviews.read(self.repository, registry.fold(self.model, self.repository.refs(*registry.PLACES)))

    @cached_property
    def outs(self) -> dict[str, str]:
        """What DVC keeps for the version, by path."""
        return objects.outs(self.repository, self.target)


def tag_object(repository: Repository, name: str) -> str:
    """The object that the tag `name` names; "" where there is no such tag."""
    done = repository.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"refs/tags/{name}", check=False)
    return done.text


def use(of: Evidence, root: Path, used: Assignment) -> str:
    """The tag that put the version to use, signed by who may; `root` says which tags of a forge count."""
    repository = of.repository
    environments = Revision(repository, repository.commit("HEAD")).settings.promote.environments
    with of.signers() as signers:
        signer = trust.verify_tag(repository, used.tag, used.name, signers)
    if not tagging.may_sign(signer, repository, used, environments):
        raise DifferentError(
            f"{used.name} is signed by {signer.principal}, who may not sign {used.environment}", used.name
        )
    told = registry.record(repository.git("cat-file", "tag", used.tag).text).get("version", of.name)
    same(f"{used.name}: its record and what it names", used.name, str(told)[:80], of.name)
    known = registry.fold(of.model, repository.refs(*registry.PLACES))
    counts = tagging.counting(root, known, environments, repository=repository)
    if f"{of.name}!" in {one.name for one in counts.deprecations}:
        raise DifferentError(f"{used.name} puts {of.name} to use, which is deprecated", f"{of.name}!")
    return f"{used.name}, signed by {signer.principal}"


def tag(of: Evidence) -> str:
    """Annotated, its own name inside, signed by who may make versions, and the same here and there."""
    if not grammar.VERSION_TAG.fullmatch(of.name):
        raise DifferentError(f"{of.name} is not of the form {grammar.GRAMMAR}", of.name)
    if not of.signer.allows(grammar.MAY_VERSION):
        why = f"{of.name} is signed by {of.signer.principal}, who may not make versions"
        raise DifferentError(why, of.name, next="pushforward trust")
    here = tag_object(Repository(of.clone), of.name) if of.clone else ""
    if here:
        same("the tag of this clone is another", f"refs/tags/{of.name}", of.tag, here)
    deprecated = "; deprecated" if of.record and tag_object(of.repository, f"{of.name}!") else ""
    return f"{of.name}, signed by {of.signer.principal} with {of.signer.fingerprint[:19]}…{deprecated}"


def target(of: Evidence) -> str:
    """What was judged, from the default branch; dvc.lock and metrics may be those of the run."""
    commit, named, repository = of.record.commit, of.target, of.repository
    if repository.resolve(commit) != commit:
        raise DifferentError(f"{of.name} records the commit {commit[:12]}, which is nowhere", of.name)
    main = repository.commit("HEAD")
    if repository.git("merge-base", "--is-ancestor", commit, main, check=False).returncode != 0:
        raise DifferentError(f"{commit[:9]} is not on the default branch", commit, "a commit on the default branch")
    what, made = "the commit itself", Revision(repository, named)
    if named != commit:
        parents = repository.git("rev-parse", f"{named}^@").text
        same(f"the parent of the lock commit {named[:9]}", named, commit, parents.replace("\n", " "))
        found = declared.hashes(made.whole_lock)
        strange = [
            path
            for path in repository.changed(commit, named)
            if path not in made.locks
            and not path.startswith(f"{METRICS}/")
            and not kept.is_found(path, repository.read_plain(named, path) or b"", found.get(path, ""))
        ]
        if strange:
            why = f"the lock commit {named[:9]} changes more than {LOCK}, {METRICS}/ and what git keeps of the run"
            raise DifferentError(why, strange[0], commit, named)
        what = f"a lock commit {named[:9]} of {commit[:9]}"
    for path, told, is_ in (
        (LOCK, of.record.lock, made.locks_digest),
        (params.FILE, of.record.params, made.params_digest),
    ):
        at = f"{named[:9]}:{path}"
        same(at, at, told, is_)
    locks = environment.digest(repository, named, of.rules.model.environment)
    same("the environment's locks", ", ".join(of.rules.model.environment), of.record.environment, locks)
    branch = repository.git("symbolic-ref", "--short", "HEAD", check=False).text or "the default branch"
    return f"{what}, on {branch}; {LOCK}, params and locks are as recorded"


def entered(of: Evidence) -> str:
    """The registry's chain: one folder a commit, one parent, this version at the place that it says."""
    names = list(_entries(of))
    if of.name not in names:
        raise DifferentError("the chain has no such version", f"{REGISTRY}:{folder(of.name)}", of.name)
    mine = [name for name in names if name.startswith(f"{of.model}@")]
    place = mine.index(of.name)
    same(f"the place of {of.name} in the chain", REGISTRY, str(of.record.number), str(place + 1))
    before = mine[place - 1] if place else None
    same(f"the version before {of.name}", REGISTRY, str(of.record.previous), str(before))
    for name in (GOLDEN, CARD):
        of.recorded(name)
    return f"version {place + 1} of {len(mine)}, after {before or 'none'}"


def _entries(of: Evidence) -> Iterator[str]:
    """The versions from the first; an error where a commit is not what a promotion appends."""
    form = ("-z", "--reverse", "--topo-order", "--root", "--no-renames", "--name-status", "--format=%x01%H %P")
    done = of.repository.git("log", *form, of.at, "--", check=False)
    if done.returncode != 0:
        raise DifferentError("the registry's chain cannot be read", REGISTRY)
    last, seen = "", set[str]()
    for one in done.stdout.decode("utf-8", "replace").split("\x01")[1:]:
        head, _, rest = one.partition("\0")
        commit, _, parents = head.strip().partition(" ")
        same(f"the parent of {commit[:9]}", REGISTRY, last, parents)
        words = [word.strip("\n") for word in rest.split("\0") if word.strip("\n")]
        changes = dict(zip(words[1::2], words[::2], strict=True))
        places = {path.rpartition("/")[0] for path in changes}
        name = next(iter(places)).removeprefix("versions/") if len(places) == 1 else ""
        whole = set(changes) == {f"{folder(name)}/{file}" for file in FILES} and set(changes.values()) == {"A"}
        if not whole or not grammar.VERSION_TAG.fullmatch(name) or name in seen:
            place = f"{REGISTRY}:{min(changes, default='')}"
            raise DifferentError(f"{commit[:9]} does more than add one version", place)
        yield name
        seen.add(name)
        last = commit


def judged(of: Evidence) -> str:
    """The verdict says promote, of this very commit, with the digests of the tag."""
    content, record, place = of.recorded(VERDICT), of.record, of.place(VERDICT)
    verdict = of.verdict
    if not record.review:
        same("what the verdict says", place, "promote", verdict.verdict)
    same("the event it is on", place, "push", verdict.event)
    same("the commit it is on", place, record.commit, verdict.commit)
    for key in ("model", "manifest", "data", "params", "environment"):
        same(f"the digest of {key}", place, getattr(record, key), str(getattr(verdict.digests, key)))
    ref = f"{VERDICTS}{record.commit}"
    kept = records.read(of.repository, record.commit, of.model)
    if kept is None:
        raise DifferentError("the gate has recorded no verdict on it", ref, sha256(content))
    same("the verdict that the gate has recorded", ref, sha256(content), sha256(kept))
    return f"{verdict.verdict}, {verdict.mode}: {textwrap.shorten(verdict.reason, 80, placeholder=' …')}"


def accepted(of: Evidence) -> str:
    """The person's word is signed by a key that may say it, is on this verdict and this model, and still stands."""
    said, place = of.word, of.name
    if not of.record.review:
        return "none was needed: the verdict promotes"
    if said is None:
        raise DifferentError("the word that it rests on is no tag of this registry", place, of.record.review)
    same("the outcome that may be accepted", said.name, "yes", "yes" if of.verdict.verdict in ACCEPTABLE else "no")
    with of.signers() as signers:
        signer = trust.verify_tag(of.repository, said.tag, said.name, signers)
    if not signer.allows(grammar.MAY_ACCEPT):
        why = f"{said.name} is signed by {signer.principal}, who may not accept"
        raise DifferentError(why, said.name, next="pushforward trust")
    same("what it says", said.name, ACCEPTED, said.word)
    if of.record.reviews < said.counter:
        raise DifferentError(f"its record knows of {of.record.reviews} words only, and rests on {said.name}", place)
    # which words were there, the judge has signed: one that came after the version came too late
    there = [one for one in of.words if one.counter <= of.record.reviews]
    with of.signers() as signers:
        back = word.rejections(of.repository, there, said, of.record.commit, signers)
    if back:
        raise DifferentError(f"{said.name} was taken back: {back[0].told} ({back[0].name})", back[0].name)
    wanted = word.subject(of.verdict)
    for what, mine, its in zip(QUESTION, said.subject.question, wanted.question, strict=True):
        same(f"the {what} that it is on", said.name, its, mine)
    on, sha = (said.subject.commit, said.subject.event, of.model), said.subject.sha256
    if not records.was_said(of.repository, on, sha):
        raise DifferentError("the gate has recorded no verdict that it is on", f"{VERDICTS}{on[0]}", sha)
    gone = f"; that key was revoked at {signer.valid_before}, after it" if signer.valid_before else ""
    return f"{said.told} ({said.name}), signed with {signer.fingerprint[:19]}…{gone}"


def looked(of: Evidence) -> str:
    """The look that the verdict rests on is in the holdout's ledger, with that verdict."""
    verdict, told, repository = of.verdict, of.record.ledger, of.repository
    same("the entry that the verdict names", of.name, told or "", verdict.ledger)
    if told is None or verdict.look is None or verdict.holdout is None:
        compared = verdict.champion is not None and verdict.mode != "first" and not by_limits(verdict)
        if compared and verdict.look is None:
            raise DifferentError("a verdict against a champion rests on no look", of.name, "a look", "none")
        return "no look was needed"
    name = names.of(verdict.holdout)
    several = Revision(repository, verdict.base).settings.several
    book = ledger.Ledger(repository, model=of.model if several else "")
    ref, state = book.ref(name), book.state(name)
    if repository.git("merge-base", "--is-ancestor", told, ref, check=False).returncode != 0:
        raise DifferentError("the entry is not in the holdout's ledger", ref, told)
    number, count = verdict.look.number, len(state.looks)
    if number > count:
        raise DifferentError(f"look {number} is not in the holdout's ledger", ref, str(number), str(count))
    look = state.looks[number - 1]
    same(f"the verdict of look {number}", ref, verdict.verdict, look.verdict)
    same(f"the level of look {number}", ref, repr(verdict.look.alpha), repr(look.alpha))
    same(f"what look {number} is one of", ref, str(verdict.look.of), str(look.of))
    if not verdict.look.replayed:
        same(f"the commit of look {number}", ref, of.record.commit, look.commit)
    closed = f", {state.retired}" if state.retired else ""
    return f"look {number} of {look.of} at {name}{closed}"


def made(of: Evidence) -> str:
    """The provenance is signed, and every field that repeats something says the same."""
    content, place = of.recorded(PROVENANCE), of.place(PROVENANCE)
    tagger = ssh.TAGGER.search(of.content.decode("utf-8", "replace"))
    if tagger is None:
        raise DifferentError("the tagger cannot be read", of.name)
    with of.signers() as signers:
        when = int(tagger["when"])
        trust.verify_file(content, of.file(SIGNATURE), tagger["email"], signers, name=PROVENANCE, at=when)
    found, path = of.statement, of.rules.model_path
    for key, value in _repeated(of).items():
        same(f"its {key}", place, str(value), str(getattr(found, key)))
    locks = {name: sha256(of.repository.read(of.target, name) or b"") for name in of.rules.model.environment}
    same_files("its lock", place, locks, found.locks)
    same("its subjects' model", place, of.record.model, provenance.model_digest(found.subjects, path))
    same("its manifest", place, of.record.manifest, found.subjects.get(f"{path}/{MANIFEST}", ""))
    below = {name: one.sha256 for name, one in found.data.items() if name in found.subjects}
    same_files("its subject", place, below, found.subjects)
    return f"signed; {len(found.subjects)} subjects, {len(found.data)} data files"


def _repeated(of: Evidence) -> dict[str, Any]:
    """What a provenance has to say, field by field, by tag, verdict and commit."""
    record = of.record
    expected: dict[str, Any] = {
        "model": of.model,
        "number": record.number,
        "judged": provenance.claim_of(of.verdict),
        "accepted": word.line(of.word),
        "commit": record.commit,
        "tree": of.repository.git("rev-parse", f"{record.commit}^{{tree}}").text,
        "params": record.params,
        "settings": sha256(of.repository.read(of.target, schema.FILE) or b""),
        "judge": of.verdict.base,
        "lock": record.lock,
        "lock_commit": of.target,
        "verdict": record.verdict,
        "ledger": record.ledger or "",
        "previous": sha256(of.file(PROVENANCE, record.previous)) if record.previous else "",
    }
    if of.statement.scoring:  # a version made before it was written down has the commit alone
        expected["scoring"] = identity.scoring(of.repository, of.target, of.model)
    return expected


# Every hop that reads what is said of a version, in the order of the chain.
HOPS: Mapping[str, Callable[[Evidence], str]] = {
    "tag": tag,
    "target": target,
    "registry": entered,
    "verdict": judged,
    "word": accepted,
    "ledger": looked,
    "provenance": made,
}
