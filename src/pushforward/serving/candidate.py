"""Candidate: a version that may be served: verified from tag to bytes, checked out, loaded, asked; then handed on.

`follow` starts this module as a program of its own for each version that an environment names, so that nothing that a
version, DVC or an installer does can take the server's time or memory. What it prints is one line of JSON: the version
as it can be started, or why it cannot be served.
"""

import asyncio
import contextlib
import dataclasses
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from pushforward import settings
from pushforward.errors import DATA, TOOL, PushforwardError
from pushforward.judge import holdout, table
from pushforward.pipeline import environment
from pushforward.pipeline.revision import MANIFEST, Revision
from pushforward.registry import authority, trust
from pushforward.release import bundle, hop
from pushforward.release.bundle import Golden
from pushforward.release.chain import Evidence
from pushforward.release.rebuild import Source
from pushforward.release.stored import check_model
from pushforward.serving import program, tables
from pushforward.serving.channel import Asked, Opens
from pushforward.serving.events import Events
from pushforward.serving.inputs import inputs_of
from pushforward.serving.line import FaultError, Line, Predicted, Spec, unsound
from pushforward.serving.port import Columns, RefusedError, Served
from pushforward.serving.scored import Scored, Told

if TYPE_CHECKING:
    from pushforward.lifecycle import Serve
    from pushforward.settings import ModelContract, Settings

MIB = 1024 * 1024
PAGE = os.sysconf("SC_PAGE_SIZE")
ONE_BY_ONE = 50  # golden rows that are asked for one by one, to see how long one takes


@dataclass(frozen=True)
class Prepared:
    """A version as it can be started, and what came of asking it."""

    version: str
    commit: str
    digest: str
    environment: str
    checkout: str
    python: str
    model: str
    suffix: str
    manifest: Mapping[str, object]
    parity: str
    latency_ms: float | None = None
    memory_mb: float | None = None

    @property
    def said(self) -> str:
        """How it was asked, and what that took where it was measured."""
        row = "" if self.latency_ms is None else f"a row takes {self.latency_ms:,.2f} ms"
        memory = "" if self.memory_mb is None else f"{self.memory_mb:,.0f} MiB of memory"
        return "; ".join(filter(None, (self.parity, ", ".join(filter(None, (row, memory))))))

    @property
    def rules(self) -> "Settings":
        """The version's own settings."""
        return settings.load(Path(self.checkout)).of(self.version.partition("@")[0])

    @property
    def served(self) -> Served:
        """The version as replies name it."""
        contract = self.rules.contract
        model, _, number = self.version.partition("@")
        return Served(
            model,
            number,
            self.digest,
            self.environment,
            contract.key,
            contract.time,
            contract.predicted,
            contract.events,
            self.manifest,
        )

    def spec(self, may: "Serve", *, features: bool = False) -> Spec:
        """What its worker is started with, and may take."""
        rules = self.rules
        return Spec(
            Path(self.python),
            Path(self.checkout),
            rules.contract.folder,
            rules.entry,
            Path(self.model),
            rules.contract.predicted,
            rules.gate.probability,
            may.memory_mb * MIB,
            may.load_seconds,
            may.answer_seconds,
            features,
        )

    @property
    def opens(self) -> Opens:
        """How it is opened: by a worker, or by its score command where it names nothing else."""
        if self.rules.entry:
            return Line.open
        rows, events = (tables.inputs(self.manifest, which) for which in ("rows", "events"))
        return partial(Scored.open, told=Told(self.rules.contract, rows, events, self.suffix))


def main() -> None:
    """`python -m pushforward.serving.candidate ROOT TAG FOLDER CACHE`: the version, as JSON on standard output."""
    root, name, folder, cache = sys.argv[1:]
    program.tell(lambda: dataclasses.asdict(prepare(Path(root), name, Path(folder), Path(cache))))


def prepare(root: Path, name: str, folder: Path, cache: Path) -> Prepared:
    """The version that the environment's tag `name` puts to use, verified, checked out in `folder`, and asked.

    Nothing of it is run before its tag, verdict and provenance hold, and its model has the SHA-256 that they name.
    `cache` keeps what DVC has fetched; what is in it is checked as if it had come just now.
    """
    with authority.of(root) as here:
        version, used = bundle.find(here.repository, name)
        of = Evidence(here.repository, version.name, lambda: trust.signers_file(root), clone=root)
        with hop.following(f"pushforward verify '{version.name}'"):
            for step, take in bundle.steps(of, root, used).items():
                bundle.demand(step, take)
            url = here.server.store if here.server else ""
            source = Source(here.repository, of.target, url, root.absolute(), here.server)
            checkout = bundle.fetched(of, source, folder / "checkout", cache, _aside)
            path, contract = of.rules.model_path, of.rules.contract
            bundle.demand("model", lambda: check_model(of, *bundle.digests(checkout, path), "the DVC remote"))
            known = environment.cache()
            python = environment.interpreter(of.repository, of.target, contract.environment, folder=known)
            same = here.server is not None and environment.at_hand() == of.record.environment
            judged, place = of.statement.judged, checkout / contract.holdout
            golden = None if judged else bundle.expected(of, place)
            unasked = f"nobody asked it before it was promoted ({judged})" if judged else bundle.NOT_COMPARED
            kind = table.PARQUET if judged else suffix(place, contract.holdout)
            may = Revision(here.repository, here.repository.commit("HEAD"), of.model).settings.serve
            prepared = startable(of, checkout, python, kind, used.environment if used else "")
            return ask(prepared, may, place, golden, unasked, same=same)


def startable(of: Evidence, checkout: Path, python: Path, kind: str, used: str = "") -> Prepared:
    """The version whose model lies in its checkout, not asked yet; refused where nobody could ask it.

    Its score command is given rows in files of a `kind`, and the environment `used` names it.
    """
    model = checkout / of.rules.model_path
    told = (of.name, of.target, of.record.model, used, str(checkout), str(python), str(model), kind)
    return _checked(Prepared(*told, _manifest(model), ""))


def _aside(text: str) -> None:
    print(text, file=sys.stderr)


def suffix(place: Path, where: str) -> str:
    """What kind of file a score command is given rows in: that of the holdout in `place`, known as `where`."""
    return table.place(place, holdout.ROWS, where).suffix


def _manifest(model: Path) -> dict[str, Any]:
    """What the manifest says; it has the SHA-256 of the tag, and is the project's own. Nothing where there is none."""
    path = model / MANIFEST
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise PushforwardError(f"{MANIFEST} of the model is no JSON", next="mend what writes it") from None
    return found if isinstance(found, dict) else {}


def _checked(made: Prepared) -> Prepared:
    """Refuse a version whose manifest does not say what it takes: nobody could ask it."""
    try:
        inputs_of(made.served)
    except PushforwardError as wrong:
        raise PushforwardError(f"hop manifest: {wrong.message}", next=wrong.next, exit_code=wrong.exit_code) from None
    return made


def ask(prepared: Prepared, may: "Serve", place: Path, golden: Golden | None, unasked: str, *, same: bool) -> Prepared:
    """Load it and ask for its golden rows, which lie in `place`; refused where it does not give them as when judged.

    Without `golden` it is loaded alone, and `unasked` says why.
    """
    events, rows, contract = Events(math.inf), dict[str, list[Any]](), prepared.rules.contract
    if golden is not None:
        rows = _asked(place, contract, golden)
        if contract.events:
            events.add(tables.columns(table.read(place / holdout.EVENTS, holdout.EVENTS)))
    probed = asyncio.run(_probe(prepared, may, events, rows))
    if golden is None:
        return dataclasses.replace(prepared, parity=unasked, memory_mb=probed.memory_mb)
    keys = _keys(rows, contract.key)
    named = probed.predicted.columns
    told = [values[0] if len(values) == 1 else list(values) for values in zip(*named.values(), strict=True)]
    parity = bundle.parity(golden, dict(zip(keys, told, strict=True)), same=same)
    return dataclasses.replace(prepared, parity=parity, latency_ms=probed.latency_ms, memory_mb=probed.memory_mb)


def _asked(place: Path, contract: "ModelContract", golden: Golden) -> dict[str, list[Any]]:
    """The golden rows, all of them, of the table in `place`."""
    given = table.read(table.place(place, holdout.ROWS, contract.holdout), "rows")
    if contract.key not in given.columns:
        raise PushforwardError(f"hop golden: the rows have no column {contract.key}", next=table.EDIT, exit_code=DATA)
    kept = {str(key) for key, _ in golden}
    rows = dict(tables.columns(given.filter(given[contract.key].cast(pl.String).is_in(kept))))
    bundle.complete(golden, set(_keys(rows, contract.key)))
    return rows


def _keys(rows: Columns, key: str) -> list[int | str]:
    """The keys of rows as golden rows have them."""
    return [one if isinstance(one, int) else str(one) for one in rows[key]]


@dataclass(frozen=True)
class _Probed:
    predicted: Predicted
    latency_ms: float | None
    memory_mb: float | None


async def _probe(made: Prepared, may: "Serve", events: Events, rows: Columns) -> _Probed:
    """Ask a process that is thrown away after: what it has been told for this is no part of what is served."""
    spec = made.spec(may)
    spec = dataclasses.replace(spec, answer_seconds=max(spec.answer_seconds, spec.load_seconds))
    with _of_the_version():
        asked = await made.opens(spec, lambda: None)
        try:
            for _, frame in events.since(0):
                await asked.tell(frame)
            count = len(next(iter(rows.values()), ()))
            if not count:
                return _Probed(Predicted({}), None, _memory(asked))
            predicted = await asked.predict(rows, count)
            if why := unsound(predicted, probability=spec.probability):
                raise FaultError(why)
            return _Probed(predicted, await _latency(asked, rows, min(count, ONE_BY_ONE)), _memory(asked))
        finally:
            await asked.close()


@contextlib.contextmanager
def _of_the_version() -> Iterator[None]:
    try:
        yield
    except (FaultError, RefusedError) as failed:
        raise PushforwardError(f"hop load: {failed}", exit_code=TOOL) from None


async def _latency(asked: Asked, rows: Columns, count: int) -> float | None:
    """The median of the milliseconds that one row takes; None of a score command, which takes seconds."""
    if not isinstance(asked, Line):
        return None
    taken = []
    for place in range(count):
        began = time.perf_counter()
        await asked.predict({name: [values[place]] for name, values in rows.items()}, 1)
        taken.append(time.perf_counter() - began)
    return round(1000 * statistics.median(taken), 3)


def _memory(asked: Asked) -> float | None:
    """The MiB that a worker has in memory."""
    if not isinstance(asked, Line):
        return None
    with contextlib.suppress(OSError, ValueError, IndexError):
        words = Path(f"/proc/{asked.process.pid}/statm").read_text().split()
        return round(int(words[1]) * PAGE / MIB, 1)
    return None


if __name__ == "__main__":
    main()
