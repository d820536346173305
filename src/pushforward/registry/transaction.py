"""Signed registry tags, made and pushed in one transaction: all or none, and again where somebody else was first.

Which number is free is decided by the remote alone: it takes a name once, so of those who come at the same time one
wins and the others see its tag and go on from there. No clock has a part in it.

A server of ours has verified each tag before it took it. A forge takes tags from whoever may push, so each one there is
verified by whoever goes by it (`believed`); those that do not hold are left out, and told as problems of the registry.
"""

import contextlib
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from pushforward.errors import POLICY, TOOL, PushforwardError
from pushforward.git.refs import FOREIGN, REGISTRY, TRUST
from pushforward.git.repository import DETACH, Repository
from pushforward.pipeline.revision import Revision
from pushforward.process import Completed
from pushforward.registry import tags as registry
from pushforward.registry import trust
from pushforward.registry.grammar import MAY_ACCEPT, MAY_VERSION
from pushforward.registry.ssh import Signer
from pushforward.registry.tags import Deprecation, Registered, Registry, Review, Tagged

PATIENCE_SECONDS = 300.0
STUCK = 6
# What git says where two pushes met inside the remote; the one that lost may find nothing changed after.
COLLIDED = ("cannot lock ref", "failed to update ref", "failed to lock", "incorrect old value", "Unable to create")
LIMIT_REASON = 300
# Each tag costs a process that mostly waits for another one.
VERIFIED_AT_ONCE = 8


@dataclass(frozen=True)
class Seen:
    """The registry as the remote has it. `tip` is the newest commit of its version folders, "" before the first one.

    `objects` are the remote's refs by name.
    """

    known: Registry
    tip: str
    objects: Mapping[str, str]

    @property
    def taken(self) -> set[str]:
        """The names that the remote gives to no other tag, whatever became of theirs."""
        return {name.removeprefix("refs/tags/") for name in self.objects}


Push = Callable[[Repository, str, list[str], Seen], Completed]


@dataclass(frozen=True)
class Hand:
    """Who signs: the tagger's name and address, and the file of the ssh key; "" for whichever git signs with here."""

    name: str
    email: str
    key: str = ""


@dataclass(frozen=True)
class Tag:
    """A tag to be made: what it names, its message, and what its signer must be allowed to sign."""

    name: str
    target: str
    message: str
    allowed: Callable[[Signer], bool]


@dataclass(frozen=True)
class Batch:
    """What one push is to move: tags to be made, and other refs as `<object>:<ref>`."""

    tags: tuple[Tag, ...]
    refs: tuple[str, ...] = ()


def look(repository: Repository, remote: str, model: str, *, marked: bool = True) -> Seen:
    """Fetch the registry of `model`; tags that only this clone has, from a push that died, do not count.

    Of what is `marked` as foreign only a server is asked: on a forge anybody could mark a version so.
    """
    names = [f"refs/tags/{model}@*", f"refs/tags/{model}#*", *([f"{FOREIGN}*"] if marked else [])]
    done = repository.remote("ls-remote", remote, *names, REGISTRY, TRUST, check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().split("\n")[0]
        raise PushforwardError(f"{remote} cannot be reached: {said}", next=f"git ls-remote {remote}", exit_code=TOOL)
    listed = done.text.splitlines()
    objects = {name: identity for identity, _, name in (line.partition("\t") for line in listed) if "^" not in name}
    here = {ref.name: ref for ref in repository.refs(*registry.PLACES, REGISTRY)}
    known = {name: identity for name, identity in objects.items() if name != TRUST}
    if any(name not in here or here[name].object != identity for name, identity in known.items()):
        _fetch(repository, remote, names)
        here = {ref.name: ref for ref in repository.refs(*registry.PLACES, REGISTRY)}
    both = [ref for name, ref in here.items() if objects.get(name) == ref.object]
    return Seen(registry.fold(model, both), objects.get(REGISTRY, ""), objects)


def _fetch(repository: Repository, remote: str, names: list[str]) -> None:
    # Without a plus the chain only grows here too: a server that offers an older one than before is not believed.
    specs = [*(f"+{name}:{name}" for name in names), f"{REGISTRY}*:{REGISTRY}*"]
    # not -q, which keeps to itself what was rejected
    done = repository.remote("fetch", "--no-tags", "--no-write-fetch-head", remote, *specs, check=False)
    if done.returncode == 0:
        return
    said = done.stderr.decode("utf-8", "replace").strip()
    if "non-fast-forward" in said:
        raise PushforwardError(
            f"the registry of '{remote}' went back to something older, or was made anew",
            next=f"git fetch {remote} +{REGISTRY}:{REGISTRY}, if you know why",
            exit_code=POLICY,
        )
    raise PushforwardError(f"{remote} cannot be fetched: {said[:300]}", next=f"git fetch {remote}", exit_code=TOOL)


def look_believed(
    repository: Repository, remote: str, model: str, environments: Mapping[str, str], signers: Path
) -> Seen:
    """Fetch the registry of `model`, less what nobody signed who may; `environments` are those of the settings."""
    forge = trust.is_forge(repository.path, remote)
    seen = look(repository, remote, model, marked=not forge)
    if not forge:
        return seen
    return replace(seen, known=believed(repository, seen.known, environments, signers))


def counting(
    root: Path, known: Registry, environments: Mapping[str, str], *, repository: Repository | None = None
) -> Registry:
    """What counts of a registry that the clone in `root` has read, or a `repository` that mirrors its remote.

    On a server everything does that has a signature, and none is looked at: a push waits for this. On a forge every tag
    is verified, for the number of the next version and what was in use before depend on all of them.
    """
    tags = known.tags
    if not tags:
        return known
    repository = repository or Repository(root)
    if not trust.is_forge(root):
        found = zip(tags, repository.objects([tag.tag for tag in tags]), strict=True)
        return registry.without_bare(known, {tag.tag: content[1] for tag, content in found if content})
    with trust.signers_file(root) as signers:
        return believed(repository, known, environments, signers)


def believed(repository: Repository, known: Registry, environments: Mapping[str, str], signers: Path) -> Registry:
    """The registry without the tags that are not signed, or by somebody who may not; each is one of its problems.

    Versions are for the service to sign, and so are uses of an environment that promotes by itself, by `environments`
    or by the settings of the version that it names; other uses, deprecations and reviews are for people.
    """

    def doubt(tag: Tagged) -> str:
        try:
            signer = trust.verify_tag(repository, tag.tag, tag.name, signers)
        except PushforwardError as wrong:
            return f"{wrong.message}; it does not count"
        if may_sign(signer, repository, tag, environments):
            return ""
        return f"{tag.name}: the key of {signer.principal} may not sign it; it does not count"

    tags = known.tags
    with ThreadPoolExecutor(VERIFIED_AT_ONCE) as pool:
        doubts = {tag.name: why for tag, why in zip(tags, pool.map(doubt, tags), strict=True) if why}
    return registry.without(known, doubts) if doubts else known


def may_sign(signer: Signer, repository: Repository, tag: Tagged, environments: Mapping[str, str]) -> bool:
    """Whether somebody may sign that tag: `environments` fill themselves as they say now, or said for its commit."""
    if isinstance(tag, Registered):
        return signer.allows(MAY_VERSION)
    if isinstance(tag, Deprecation):
        return may_deprecate(signer)
    if isinstance(tag, Review):
        return signer.allows(MAY_ACCEPT)
    name = tag.environment
    if signer.allows(name, auto=environments.get(name) == "auto"):
        return True
    try:  # it may have promoted by itself until the settings were changed
        then = Revision(repository, tag.commit).settings.promote.environments
    except PushforwardError:
        return False
    return signer.allows(name, auto=then.get(name) == "auto")


def may_deprecate(signer: Signer) -> bool:
    """Whether somebody may deprecate versions: who may put one to use anywhere."""
    return signer.deprecates


def transact(
    repository: Repository,
    remote: str,
    model: str,
    step: Callable[[Seen], Batch | None],
    *,
    hand: Hand,
    signers: Path,
    environments: Mapping[str, str],
    push: Push | None = None,
) -> bool:
    """Push what `step` makes of the registry; again from the start where the registry has moved meanwhile.

    False where `step` found nothing to do. It sees what counts of the registry by `signers` and `environments`, and
    what is signed is checked against `signers` before it is pushed. A refusal by the remote's policy is an error in
    its own words, and leaves no tag behind. `push` is how it is pushed, if not silently until the remote's hooks have
    ended.
    """
    failure, made, stuck, lost, started = "", dict[str, str](), 0, 0, time.monotonic()
    before: Mapping[str, str] = {}
    while True:
        seen = look_believed(repository, remote, model, environments, signers)
        if made and all(seen.objects.get(name) == identity for name, identity in made.items()):
            return True  # the push was taken, and only its answer was lost
        if failure:
            stuck = stuck + 1 if seen.objects == before else 0
            collided = any(word in failure for word in COLLIDED)
            if (stuck and not collided) or stuck > STUCK:
                raise _refused(failure, remote)
            if time.monotonic() - started > PATIENCE_SECONDS:
                raise PushforwardError(
                    f"others were first {lost} times in {PATIENCE_SECONDS:.0f} s",
                    next="the same again, in a while",
                    exit_code=TOOL,
                )
        batch = step(seen)
        if batch is None:
            return False
        with _made(repository, batch, hand, signers) as made:
            pushed = (push or quietly)(repository, remote, [*made, *batch.refs], seen)
            if pushed.returncode == 0:
                return True
        _unmake(repository, list(made))
        _refuse_own_hook(repository, remote, pushed.stderr.decode("utf-8", "replace"))
        failure, before, lost = pushed.stderr.decode("utf-8", "replace").strip(), seen.objects, lost + 1
        # the more there are, the further apart they have to come; all at once again, they would all lose but one
        time.sleep(random.uniform(0.0, 0.3 * 2 ** min(lost, 5)))  # noqa: S311


@contextlib.contextmanager
def _made(repository: Repository, batch: Batch, hand: Hand, signers: Path) -> Iterator[dict[str, str]]:
    """The tags of a batch, made here: ref -> object; an error until they are pushed takes them back."""
    try:
        yield {f"refs/tags/{tag.name}": _make(repository, tag, hand, signers) for tag in batch.tags}
    except (PushforwardError, KeyboardInterrupt):
        _unmake(repository, [f"refs/tags/{tag.name}" for tag in batch.tags])
        raise


def quietly(repository: Repository, remote: str, specs: list[str], _: Seen) -> Completed:
    """Push all or none."""
    return repository.remote("push", "-q", "--atomic", remote, *specs, check=False)


def without_waiting(repository: Repository, remote: str, specs: list[str], seen: Seen) -> Completed:
    """Push all or none, and leave what that starts to the server; a forge knows no such option and lets nobody wait."""
    options = ("-o", DETACH) if TRUST in seen.objects else ()
    return repository.remote("push", "-q", "--atomic", *options, remote, *specs, check=False)


def watching(say: Callable[[str], None]) -> Push:
    """Push all or none; `say` gets what the remote tells of the runs that this starts, and no refusal."""

    def push(repository: Repository, remote: str, specs: list[str], _: Seen) -> Completed:
        refused = False

        def tell(line: str) -> None:
            nonlocal refused
            told = line.removeprefix("remote:").removeprefix(" ")
            refused = refused or told.startswith("pushforward:")
            if line.startswith("remote:") and not refused:
                say(told)

        return repository.follow("push", "-q", "--atomic", remote, *specs, say=tell)

    return push


def one_line(reason: str) -> str:
    """A reason as it stands in a tag: one line of printable text."""
    line = " ".join(reason.split())
    if not line:
        raise PushforwardError("the reason is empty", next='-m "why", in one sentence')
    if len(line) > LIMIT_REASON or not line.isprintable():
        raise PushforwardError(f"the reason must be one line of up to {LIMIT_REASON} printable characters")
    return line


def _make(repository: Repository, tag: Tag, hand: Hand, signers: Path) -> str:
    """Make one tag and check it as everybody else will; its object."""
    who = {"GIT_COMMITTER_NAME": hand.name, "GIT_COMMITTER_EMAIL": hand.email}
    options = _by_file(hand.key) if hand.key else ()
    # -f: a tag of this name that only this clone has is what a push that died has left
    words = (*options, "tag", "-s", "-f", "-F", "-", tag.name, tag.target)
    done = repository.git(*words, stdin=tag.message.encode(), env=who, check=False)
    identity = repository.git("rev-parse", f"refs/tags/{tag.name}").text if done.returncode == 0 else ""
    # a git of 2023 takes it for success where ssh-keygen has failed, and makes a tag without a signature
    made = repository.objects([identity])[0] if done.stderr.strip() and identity else None
    if not identity or (made is not None and b"\n-----BEGIN " not in made[1]):
        raise _unmade(tag.name, done.stderr.decode("utf-8", "replace"))
    signer = trust.verify_tag(repository, identity, tag.name, signers)
    if not tag.allowed(signer):
        may = ", ".join(sorted(signer.may)) or "nothing"
        raise PushforwardError(
            f"the key of {signer.principal} may sign {may}, and not {tag.name}",
            next="pushforward trust, to see who may",
            exit_code=POLICY,
        )
    return identity


def _refuse_own_hook(repository: Repository, remote: str, said: str) -> None:
    """Say of a push that never reached the remote that it was the person's own hook that ended it."""
    if any(word in said for word in ("remote:", "rejected]", "fatal:")):
        return
    hook = Path(repository.git("rev-parse", "--path-format=absolute", "--git-path", "hooks/pre-push").text)
    if hook.is_file() and os.access(hook, os.X_OK):
        first = said.strip().partition("\n")[0].removeprefix("error: ")
        why = "it said nothing" if first.startswith("failed to push") else first
        raise PushforwardError(
            f"your own pre-push hook let nothing go to {remote}: {why}",
            next=f"mend {hook}, then this again",
            exit_code=TOOL,
        )


def _by_file(key: str) -> tuple[str, ...]:
    """What has git sign with the key in a file, by whatever program the person at work has their own keys asked for."""
    return ("-c", "gpg.format=ssh", "-c", "gpg.ssh.program=ssh-keygen", "-c", f"user.signingkey={key}")


def _unmade(name: str, said: str) -> PushforwardError:
    """Why git, or what it has sign, could not make a tag: by its first line, for the others say what follows of it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    why = re.sub(r"^((error|fatal):|Enter passphrase:|\s)*", "", lines[0] if lines else "").rstrip("?:")
    agent = any(word in said for word in ("private key", "agent", "passphrase", "Load key"))
    return PushforwardError(
        f"git could not make the signed tag {name}: {why or 'what it has sign gave no reason'}",
        next="ssh-add KEY, then this again" if agent else "git tag -s try HEAD, until git makes it; then this again",
        exit_code=TOOL,
    )


def _unmake(repository: Repository, names: list[str]) -> None:
    short = [name.removeprefix("refs/tags/") for name in names]
    repository.git("tag", "-d", *short, check=False)


def _refused(said: str, remote: str) -> PushforwardError:
    """The remote's own words, with the next command that they name."""
    lines = said.splitlines()
    words = [line.removeprefix("remote:").strip() for line in lines if line.startswith("remote:")]
    words = [line.removeprefix("pushforward:").strip() for line in words if line]
    following = [line.removeprefix("next:").strip() for line in words if line.startswith("next:")]
    told = [line for line in words if not line.startswith("next:")]
    if told:
        return PushforwardError("\n  ".join(told), next=following[0] if following else "", exit_code=POLICY)
    first = next((line for line in lines if line.strip()), "no reason was given").strip()
    return PushforwardError(f"{remote} did not take the tags: {first}", exit_code=TOOL)
