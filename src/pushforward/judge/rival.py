"""The champion of a case: its settings, its model, and what it predicts of the holdout. `judge` asks.

Of one whose predictions of these rows are kept no code is needed, so its commit is not checked out: the model is
copied from the cache by the lock of the commit. Whether it is so is looked up beside the judge's own checks. Of a
champion that has to be asked, and of one of which anything is unusual, there is a whole checkout, and that says what is
wrong.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pushforward import files
from pushforward.errors import PushforwardError
from pushforward.gate import leakage as honesty
from pushforward.judge.case import Case
from pushforward.judge.score import Pair
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline.lock import within
from pushforward.pipeline.revision import Revision, manifest_of, model_digest
from pushforward.pipeline.storage import storage
from pushforward.registry import tags as registry
from pushforward.settings import Settings


@dataclass(frozen=True)
class Found:
    """What there is of a champion: a folder with its model and its table of the validation month, and its settings.

    The folder is a checkout, but of one whose predictions are kept, and `recalled`.
    """

    root: Path
    settings: Settings
    recalled: bool = False

    @property
    def manifest(self) -> dict[str, Any]:
        """What its model says of itself."""
        return manifest_of(self.root / self.settings.contract.path)


class Rival:
    """The champion `version` of a case, before the rows in `holdout`; to be closed."""

    def __init__(self, case: Case, version: registry.Registered, holdout: Path) -> None:
        self._case, self._version, self._holdout = case, version, holdout
        self._beside = ThreadPoolExecutor(1)
        self._looked_up = self._beside.submit(self._look_up)

    def __enter__(self) -> "Rival":
        return self

    def __exit__(self, *_: object) -> None:
        self._beside.shutdown(cancel_futures=True)

    def found(self) -> Found:
        """What there is of it, with its model; refused where that is not what was tagged."""
        champion, kept = self._version, self._looked_up.result()
        if kept is None:
            root = self._case.checkout("champion", champion.commit)
            kept = Found(root, self._case.settings_in(root))
            if not kept.settings.score:
                raise PushforwardError(
                    f"{champion.name} has no score command (it is of level {kept.settings.level}), "
                    "so it cannot be asked",
                    next="give the model another name: it begins again, and is compared with nothing",
                )
            pipeline.fetch(root, *_tables(kept.settings))
        (tag,) = self._case.repository.objects([champion.tag])
        recorded = registry.record(tag[1].decode("utf-8", "replace")) if tag else {}
        found = model_digest(kept.root / kept.settings.contract.path)
        if recorded.get("model") != found:
            said = str(recorded.get("model"))[:12]
            raise PushforwardError(
                f"the model of {champion.name} has SHA-256 {found[:12]}…, its tag says {said}…",
                next=f"git show {champion.name}",
            )
        return kept

    def scored(self, found: Found, keys: pl.Series) -> Future[honesty.Floats]:
        """What it predicts, asked by its own code beside what else there is to do."""
        return self._beside.submit(self._score, found, keys)

    def _score(self, found: Found, keys: pl.Series) -> honesty.Floats:
        case, champion, theirs = self._case, self._version, found.settings
        if theirs.contract.classes != case.contract.classes:
            raise PushforwardError(
                f"{champion.name} tells other classes than the settings: "
                f"{', '.join(theirs.contract.classes) or 'none'}",
                next="give the model another name: it begins again, and is compared with nothing",
            )
        if theirs.contract.events and not case.contract.events:
            raise PushforwardError(
                f"{champion.name} scores with events, and the holdout has none any more",
                next="keep {events} in score until another version is in use",
            )
        out, told = case.scratch("champion", self._holdout), case.told(theirs, self._holdout)
        name = "" if found.recalled else self._name(found)
        if found.recalled or case.recall.find(name, out):
            case.say(f"champion {champion.name}: its predictions of these rows are kept")
            return case.predictions(out, keys)
        case.say(f"champion {champion.name}, scored by its own code")
        case.score(theirs, found.root, champion.commit, self._holdout, [Pair(told, out)])
        predicted = case.predictions(out, keys)
        case.recall.keep(name, out)
        return predicted

    def _name(self, found: Found) -> str:
        told = self._case.told(found.settings, self._holdout)
        return self._case.named(self._version.commit, found.root / found.settings.contract.path, self._holdout, told)

    def _look_up(self) -> Found | None:
        """What is kept of it, with its predictions; None where there is a checkout of it, to be asked."""
        try:
            kept = self._kept()
            if kept and self._case.recall.find(self._name(kept), self._case.scratch("champion", self._holdout)):
                return kept
        except PushforwardError:  # the checkout says what is wrong
            pass
        self._case.checkout("champion", self._version.commit)
        return None

    def _kept(self) -> Found | None:
        """Its model and its validation table as the cache has them; None where it has not all, or git has some."""
        case, commit = self._case, self._version.commit
        revision = Revision(case.repository, commit, case.contract.name)
        theirs, folder = revision.settings, case.work / f"champion-{commit[:12]}-kept"
        if not theirs.score:
            return None
        wanted = _tables(theirs)
        files.check_tree(revision.tree, wanted)
        if any(within(path, one) for path in revision.tree for one in wanted):
            return None
        cache, stages = storage(case.repository.path).cache, revision.lock
        if all(pipeline.from_cache(folder, path, stages, cache) for path in wanted):
            return Found(folder, theirs, recalled=True)
        return None


def _tables(theirs: Settings) -> list[str]:
    """The outs that a champion is compared by: its model, and its table of the validation month if it has one."""
    contract = theirs.contract
    return [contract.path, *([contract.validation] if contract.validation else [])]
