"""A person puts a version to use, goes back to an earlier one or to none, or deprecates one: tags that they sign."""

import contextlib
import difflib
import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pushforward.errors import POLICY, TOOL, PushforwardError
from pushforward.git import remote as remotes
from pushforward.git.repository import Repository
from pushforward.git.server import FOLDER, Server
from pushforward.pipeline import store as objects
from pushforward.pipeline.revision import Revision
from pushforward.registry import grammar, trust
from pushforward.registry import tags as registry
from pushforward.registry import transaction as tagging
from pushforward.registry.tags import PRODUCTION, Registered, Registry
from pushforward.registry.transaction import Batch, Hand, Push, Seen, Tag
from pushforward.release import chain, hop, signing
from pushforward.release.chain import Evidence
from pushforward.release.promote import lost
from pushforward.settings import Settings
from pushforward.text import plain


class MovedOnError(PushforwardError):
    """An environment holds another version than the one that was to be taken out of it."""


class NoneBeforeError(PushforwardError):
    """An environment that has nothing to go back to."""


@dataclass(frozen=True)
class Made:
    """What was tagged. `environment` is "" for a deprecation, `previous` the version that was in use there before.

    `version` is "" where the environment holds nothing now.
    """

    tag: str
    version: str
    commit: str
    environment: str
    previous: str | None
    reason: str
    by: str
    remote: str


def release(
    root: Path,
    version: str,
    reason: str = "",
    *,
    environment: str = PRODUCTION,
    older: bool = False,
    model: str = "",
    say: Callable[[str], None] | None = None,
) -> Made:
    """Put `version` (`v1.2.0`, `1.2.0` or its tag) to use in an environment.

    One that is lower than what is in use there only where `older` says so, with a reason. The version's own signature
    is verified and its model looked for in the DVC remote before anything is tagged. With `say` it waits for what the
    tag starts on a server, and tells of it.
    """
    if older and not reason:
        raise PushforwardError(
            "to go back to an older version needs a reason", next='--older -m "why", in one sentence'
        )
    with _signing(root, model or model_of(version)) as clone:
        why = tagging.one_line(reason) if reason else "released"
        return clone.use(environment, lambda known: known.named(version), why, older=older, say=say)


def rollback(
    root: Path, reason: str, *, environment: str = PRODUCTION, to: str = "", model: str = "", present: str = ""
) -> Made:
    """Put an earlier version to use in an environment: `to`, or the one in use before the present one.

    Where `present` is named, the environment has to hold that one still. Nothing is trained or loaded, and only the
    remote is asked. Where somebody else puts a version to use at the same moment nothing is done unless `to` says which
    one is wanted: "the one before" would be another.
    """
    with _signing(root, model or model_of(to)) as clone:
        why = tagging.one_line(reason)
        first: list[Registered] = []

        def choose(known: Registry) -> Registered:
            held = known.in_use(environment)
            if held is None:
                raise PushforwardError(f"{environment} holds no version to go back from", next="pushforward show")
            _check_present(environment, held, present)
            if to:
                return _held(known, environment, to)
            first.append(held)
            _check_present(environment, held, first[0].name)
            before = known.before(environment)
            if before is None:
                raise NoneBeforeError(
                    f"{environment} held no version before {held.name} that is not deprecated",
                    next=f"pushforward rollback {environment} --empty -m REASON, or pushforward release VERSION "
                    f"--to {environment}",
                )
            return before

        return clone.use(environment, choose, why, older=True, patient=False)


def empty(root: Path, reason: str, *, environment: str = PRODUCTION, model: str = "", present: str = "") -> Made:
    """Take out of an environment what it holds, and leave nothing there: also where the settings name it no more.

    Where `present` is named, the environment has to hold that version still.
    """
    with _signing(root, model) as clone:
        return clone.empty(environment, tagging.one_line(reason), present)


def deprecate(root: Path, version: str, reason: str) -> Made:
    """Say that `version` is not to be put to use again; refused while an environment holds it."""
    with _signing(root, model_of(version)) as clone:
        return clone.deprecate(version, tagging.one_line(reason))


def model_of(version: str) -> str:
    """The model of a version that is named whole, as `toy@v1.2.0`; "" of one that is not."""
    return version.rpartition("@")[0]


def _held(known: Registry, environment: str, name: str) -> Registered:
    version = known.named(name)
    if all(use.commit != version.commit for use in known.uses(environment)):
        raise PushforwardError(
            f"{environment} never held {version.name}, so there is no way back to it",
            next=_release(version, environment, known.in_use(environment)),
        )
    return version


def _check_present(environment: str, held: Registered, present: str) -> None:
    """Refuse to take out of an environment another version than was looked at."""
    if present and held.name != present:
        raise MovedOnError(
            f"{environment} has moved on to {held.name} meanwhile; nothing was done",
            next="pushforward show",
            exit_code=POLICY,
        )


def _release(version: Registered, environment: str, present: Registered | None) -> str:
    """What to type to put a version to use where `present` is."""
    back = ' --older -m "why"' if registry.is_older(version.name, present) else ""
    return f"pushforward release {version.version} --to {environment}{back}"


def _check_order(environment: str, version: Registered, known: Registry) -> None:
    """Refuse to put a version to use over a newer one."""
    present = known.in_use(environment)
    if present is None or not registry.is_older(version.name, present):
        return
    held = any(use.commit == version.commit for use in known.uses(environment))
    back = f'pushforward rollback {environment} --to {version.version} -m "why"'
    raise PushforwardError(
        f"{environment} holds {present.name}, and {version.name} is older",
        next=back if held else _release(version, environment, present),
        exit_code=POLICY,
    )


@dataclass(frozen=True)
class _Clone:
    """A clone in which a person signs: whose registry it is, who they are, and the file that says who may sign."""

    root: Path
    repository: Repository
    remote: str
    rules: Settings
    hand: Hand
    signers: Path

    @property
    def model(self) -> str:
        """The model's name."""
        return self.rules.model.name

    @property
    def by(self) -> str:
        """Who signs, as records say it."""
        return f"{self.hand.name} <{self.hand.email}>"

    def use(
        self,
        environment: str,
        choose: Callable[[Registry], Registered],
        reason: str,
        *,
        older: bool,
        patient: bool = True,
        say: Callable[[str], None] | None = None,
    ) -> Made:
        """Put what `choose` finds in the registry to use; only the `patient` ask a DVC remote that is no folder.

        What is lower than the version in use is refused unless an `older` one is wanted.
        """
        made: list[Made] = []
        allowed = self.rules.promote.environments.get(environment)

        def step(seen: Seen) -> Batch:
            known = seen.known
            self._check_environment(environment, known)
            version = choose(known)
            present = known.in_use(environment)
            self._check_use(environment, version, known)
            if not older:
                _check_order(environment, version, known)
            _check_version(self, version, patient=patient)
            name = f"{self.model}#{environment}#{known.next_counter(environment, seen.taken)}"
            self._check_newest(environment, seen, (name, version.commit))
            told = registry.use_record(version.name, present, reason=reason, by=self.by)
            previous = present.name if present else None
            made.append(Made(name, version.name, version.commit, environment, previous, reason, self.by, self.remote))
            message = registry.message(f"{environment}: {version.name} from now on: {reason}", told)
            tag = Tag(
                name,
                version.commit,
                message,
                lambda signer: signer.allows(environment, auto=allowed == "auto"),
            )
            return Batch((tag,))

        self._transact(step, tagging.watching(say) if say else tagging.without_waiting)
        self._look_again(made[-1])
        return made[-1]

    def empty(self, environment: str, reason: str, held: str) -> Made:
        """Take out of an environment what it holds; where one is named, that one."""
        made: list[Made] = []

        def step(seen: Seen) -> Batch:
            known = seen.known
            present = known.in_use(environment)
            if present is None:
                self._check_environment(environment, known)
                raise PushforwardError(f"{environment} holds no version", next="pushforward show")
            _check_present(environment, present, held)
            name = f"{self.model}#{environment}!#{known.next_counter(environment, seen.taken)}"
            self._check_newest(environment, seen, (name, present.commit))
            told = registry.use_record(present.name, present, reason=reason, by=self.by)
            made.append(Made(name, "", present.commit, environment, present.name, reason, self.by, self.remote))
            message = registry.message(f"{environment}: nothing from now on, {present.name} until now: {reason}", told)
            return Batch((Tag(name, present.commit, message, lambda signer: signer.allows(environment)),))

        self._transact(step, tagging.without_waiting)
        self._look_for_two(self._look(), made[-1])
        return made[-1]

    def deprecate(self, name: str, reason: str) -> Made:
        """Say that a version is not to be put to use again."""
        made: list[Made] = []

        def step(seen: Seen) -> Batch:
            known = seen.known
            version = known.named(name)
            if deprecation := known.deprecated(version):
                raise PushforwardError(f"{version.name} is deprecated already", next=f"git show '{deprecation.name}'")
            for environment in known.environments:
                if known.in_use(environment) == version:
                    raise PushforwardError(
                        f"{version.name} is in use in {environment}",
                        next=f"{self._way_out(environment, known)}, then this again",
                        exit_code=POLICY,
                    )
            tag = f"{version.name}!"
            if tag in seen.taken:
                why = next((one for one in known.problems if one.startswith(tag)), f"{tag} does not count")
                raise PushforwardError(
                    f"{why}, and the remote takes no other tag of this name",
                    next=f"git push {self.remote} --delete '{tag}', as its administrator, then this again",
                    exit_code=POLICY,
                )
            told = {"schema": 2, "version": version.name, "reason": reason, "by": self.by}
            made.append(Made(tag, version.name, version.commit, "", None, reason, self.by, self.remote))
            message = registry.message(f"{version.name} is deprecated: {reason}", told)
            return Batch((Tag(tag, version.commit, message, tagging.may_deprecate),))

        self._transact(step, tagging.without_waiting)
        self._look_again(made[-1])
        return made[-1]

    def _way_out(self, environment: str, known: Registry) -> str:
        """How an environment gets rid of what it holds: by what was there before, where there is such a thing."""
        back = environment in self.rules.promote.environments and known.before(environment)
        return f"pushforward rollback {environment} {'' if back else '--empty '}-m REASON"

    def _look_again(self, made: Made) -> None:
        """Say so where one has deprecated the version while another has put it to use.

        They are two tags, and neither push could see the other's. Whoever comes second sees both now.
        """
        known = self._look()
        self._look_for_two(known, made)
        version = known.named(made.version)
        holds = [name for name in known.environments if known.in_use(name) == version]
        if known.deprecated(version) and holds:
            raise PushforwardError(
                f"{version.name} was deprecated and put to use in {', '.join(holds)} at the same moment; "
                f"{made.tag} is there",
                next=self._way_out(holds[0], known),
                exit_code=POLICY,
            )

    def _look_for_two(self, known: Registry, made: Made) -> None:
        """Say so where one has filled an environment while another has emptied it: they are two tags of one number."""
        number = made.tag.rpartition("#")[2]
        if sum(str(use.counter) == number for use in known.uses(made.environment)) > 1:
            raise PushforwardError(
                f"{made.environment} was filled and emptied at the same moment, and holds nothing; {made.tag} is there",
                next=f"pushforward release VERSION --to {made.environment}",
                exit_code=POLICY,
            )

    def _look(self) -> Registry:
        environments = self.rules.promote.environments
        return tagging.look_believed(self.repository, self.remote, self.model, environments, self.signers).known

    def _transact(self, step: Callable[[Seen], Batch], push: Push) -> None:
        hand, signers, environments = self.hand, self.signers, self.rules.promote.environments
        tagging.transact(
            self.repository,
            self.remote,
            self.model,
            step,
            hand=hand,
            signers=signers,
            environments=environments,
            push=push,
        )

    def _check_environment(self, environment: str, known: Registry) -> None:
        names = sorted({*self.rules.promote.environments, *known.environments})
        if environment not in names:
            close = difflib.get_close_matches(environment, names, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
            raise PushforwardError(
                f"there is no environment {json.dumps(environment[:63])}; {hint}",
                next="edit promote.environments in pushforward.yaml, and push that first",
            )

    def _check_newest(self, environment: str, seen: Seen, wanted: tuple[str, str]) -> None:
        """Refuse a number that this clone knows another use by: the remote is an older backup, or another server.

        What a push that died has left here is the tag that is `wanted` now, and names the same commit.
        """
        number, mine = int(wanted[0].rpartition("#")[2]), []
        for ref in self.repository.refs("refs/tags/"):
            name = ref.name.removeprefix("refs/tags/")
            parts = grammar.ENVIRONMENT_TAG.fullmatch(name) or grammar.EMPTIED_TAG.fullmatch(name)
            same = parts and (parts["model"], parts["environment"]) == (self.model, environment)
            if parts and same and int(parts["counter"]) >= number and ref.name not in seen.objects:
                mine += [name] if (name, ref.target) != wanted else []
        if not mine:
            return
        there = remotes.of(self.repository, self.remote)
        back = f"{there.gives_back(self.root, mine)}; where they are another server's: " if there else ""
        raise PushforwardError(
            f"this clone knows {', '.join(mine[:3])}, and {self.remote} does not: "
            "it is an older backup, or another server",
            next=f"{back}git tag -d {shlex.join(mine[:20])}",
            exit_code=POLICY,
        )

    def _check_use(self, environment: str, version: Registered, known: Registry) -> None:
        if known.in_use(environment) == version:
            raise PushforwardError(
                f"{environment} holds {version.name} already ({known.uses(environment)[-1].name})",
                next="pushforward show",
            )
        if deprecation := known.deprecated(version):
            (found,) = self.repository.objects([deprecation.tag])
            reason = registry.record(found[1].decode("utf-8", "replace")).get("reason") if found else None
            said = f": {plain(str(reason), tagging.LIMIT_REASON)}" if reason else ""
            others = [one for one in known.versions if not known.deprecated(one)]
            raise PushforwardError(
                f"{version.name} is deprecated{said}",
                next=f"pushforward release {others[-1].version} --to {environment}" if others else "pushforward show",
                exit_code=POLICY,
            )


def _check_version(clone: _Clone, version: Registered, *, patient: bool) -> None:
    """Signed by whoever may make versions, and its model there to be fetched, byte for byte."""
    with hop.following(f"pushforward verify {version.version}"):
        chain.tag(Evidence(clone.repository, version.name, lambda: contextlib.nullcontext(clone.signers)))
    store = _store(clone)
    if store is None and not (patient and "://" in objects.places(clone.root).url):
        return  # it cannot be seen from here; when the version was made, it was seen
    path = Revision(clone.repository, version.commit, version.model).settings.model_path
    if lost(clone.root, clone.repository, version.commit, path, store=store):
        raise PushforwardError(
            f"the model of {version.name} is not whole in the DVC remote",
            next=f"pushforward verify {version.version}, or take another version",
            exit_code=TOOL,
        )


def _store(clone: _Clone) -> objects.Store | None:
    """The DVC remote where it is a folder of this machine: the server's own, whatever it is called from here."""
    there = remotes.of(clone.repository, clone.remote)
    if there is not None and there.folder is not None and (there.folder / FOLDER / "server.json").is_file():
        kept = Server.load(there.folder).store
        return objects.Store(Path(kept)) if kept else None
    store = objects.places(clone.root).remote
    return store if store is not None and store.path.is_dir() else None


@contextlib.contextmanager
def _signing(root: Path, model: str) -> Iterator[_Clone]:
    repository = Repository(root)
    remote = signing.remote(repository).name
    rules, hand = signing.rules(root, model), signing.person(repository)
    with trust.signers_file(root, remote) as signers:
        yield _Clone(root, repository, remote, rules, hand, signers)
