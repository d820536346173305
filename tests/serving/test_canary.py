"""canary: what came of the rows that it was asked is told as for `monitor`, and takes it back where it is worse."""

import asyncio
import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from tests.serving.shelf import AT, running
from tests.team import MODEL_SETTINGS, Hub

from pushforward.errors import PushforwardError
from pushforward.serving import program
from pushforward.serving.canary import Outcomes, _looks, look, paired
from pushforward.serving.journal import Asking, Entry, Journal
from pushforward.serving.line import Predicted

pytestmark = pytest.mark.whole

SETTINGS = MODEL_SETTINGS.replace("    environment: [lock.txt]\n", "").replace("batches: params.yaml:data.months", "")
MONITOR = "monitor: {reference: data/rows, outcomes: 'python outcomes.py {out}', needs: [data/told]}\n"
# Joins what the stages have made of each half, and says whose child it is.
COMMAND = """\
import os, pathlib, sys
import polars as pl
pathlib.Path("@FOLDER@/parent").write_text(str(os.getppid()))
pl.concat(pl.read_parquet(path) for path in sorted(pathlib.Path("data/told").iterdir())).write_parquet(sys.argv[1])
"""
PIPELINE = """\
stages:
  train: {cmd: train, outs: [model]}
  tell:
    foreach: [a, b]
    do: {cmd: "tell ${item}", outs: ["data/told/${item}.parquet"]}
"""
COUNT, DAYS = 2_000, 20


class Told(Hub):
    """A hub whose stages tell what came of rows, in two halves."""

    known = None

    def model(self, content):
        lock, digests = super().model(content)
        if self.known is None:
            return lock, digests
        for name, part in zip("ab", (self.known[: COUNT // 2], self.known[COUNT // 2 :]), strict=True):
            path = self.folder / name
            part.write_parquet(path)
            out = f"  tell@{name}:\n    cmd: tell {name}\n    outs:\n    - path: data/told/{name}.parquet\n"
            lock += f"{out}      hash: md5\n      md5: {self._stored(path.read_bytes())}\n".encode()
        return lock, digests


def _asked(folder, harm, *, timed=True):
    """A log of what both have answered, each day's rows in a request, both, and what came of it.

    Where it is not `timed` they have no time but that of the answer, and the one is later than the other.
    """
    checkout, log = folder / "checkout", folder / "log"
    checkout.mkdir()
    (checkout / "pushforward.yaml").write_text(SETTINGS)
    random = np.random.default_rng(1)
    logit = random.normal(0, 1, COUNT)
    y = (random.random(COUNT) < 1 / (1 + np.exp(-logit))).astype(int)
    main, canary = (_running(version, checkout, timed=timed) for version in ("v1.0.0", "v2.0.0"))
    ids = [f"k{number}" for number in range(COUNT)]
    kept = Journal(log, print)
    for one, off, arm in ((main, 0.0, "main"), (canary, harm, "canary")):
        p = 1 / (1 + np.exp(-(logit + random.normal(0, 0.3, COUNT) + off)))
        for day in range(DAYS):
            places, at = range(day, COUNT, DAYS), AT + timedelta(days=day)
            rows = {"id": [ids[n] for n in places], "x": [float(logit[n]) for n in places]}
            rows |= {"at": [at] * len(places)} if timed else {}
            answered = at + timedelta(seconds=arm == "main")
            kept.add(
                Entry(
                    answered,
                    Asking("r", f"{day}"),
                    one.served,
                    arm,
                    rows,
                    Predicted({"p": [float(p[n]) for n in places]}),
                    1,
                )
            )
    asyncio.run(kept.flush())
    return log, main, canary, pl.DataFrame({"id": ids, "y": y, "known_at": [AT + timedelta(days=30)] * COUNT})


def _running(version, folder, *, timed=True):
    one = running(None, version, folder)
    return one if timed else replace(one, served=replace(one.served, time=None))


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("harm", [1.0, 0.0])
def test_outcomes_take_back_a_canary_that_is_worse_and_looks_are_kept(tmp_path, harm, timed):
    log, main, canary, known = _asked(tmp_path, harm, timed=timed)
    out = tmp_path / "outcomes.parquet"
    known.write_parquet(out)
    why = look(log, main, canary, out)
    assert why.startswith("its log loss is higher by 0.") if harm else why == ""
    assert json.loads((log / f"looks-{canary.served.digest[:12]}.json").read_text()) == {"looks": 1, "pairs": COUNT}
    assert look(log, main, canary, out) == ""  # nothing more is known
    assert _looks(log, canary) == (1, COUNT)


def test_outcomes_that_the_loss_cannot_be_taken_of_are_told_and_cost_no_look(tmp_path):
    log, main, canary, known = _asked(tmp_path, 1.0)
    out = tmp_path / "outcomes.parquet"
    known.with_columns(pl.col("y") + 1).write_parquet(out)
    with pytest.raises(PushforwardError, match="a label is neither 0 nor 1"):
        look(log, main, canary, out)
    assert _looks(log, canary) == (0, 0)


@pytest.mark.parametrize(
    ("timed", "pairs"),
    [
        # Of a question that came twice the last answer of each counts.
        (True, [("a", 0.5, 0.25), ("b", 0.2, 0.15)]),
        (False, [("a", 0.1, 0.05), ("b", 0.2, 0.15), ("a", 0.3, 0.25)]),
    ],
)
def test_the_same_question_is_one_key_at_one_time_or_where_there_is_none_in_one_asking(tmp_path, timed, pairs):
    main, canary = (_running(version, tmp_path, timed=timed) for version in ("v1.0.0", "v2.0.0"))
    kept = Journal(tmp_path / "log", print)
    asked = (("r1", {"a": 0.1, "b": 0.2}), ("r2", {"a": 0.3}), ("r3", {"c": 0.4}), ("r4", {"a": 0.5}))
    for second, (name, told) in enumerate(asked):
        asking = Asking("always-the-same", name)
        for one, arm, late in ((main, "main", 0.25), (canary, "canary", 0.0)):
            rows = {"id": [*told], "x": [0.0] * len(told)} | ({"at": [AT] * len(told)} if timed else {})
            p = [round(each - 0.05 * (arm == "canary"), 2) for each in told.values()]
            if arm == "main" or name in ("r1", "r2"):
                at = AT + timedelta(seconds=second + late)
                kept.add(Entry(at, asking, one.served, arm, rows, Predicted({"p": p}), 1))
    asyncio.run(kept.flush())
    found = paired(tmp_path / "log", main, canary)
    assert found.select("key", "p", "canary.p").rows() == pairs


def _look(hub, log, main, canary):
    """A look, as a server takes it."""
    uses = SimpleNamespace(root=hub.clone, model="toy")
    follower = SimpleNamespace(uses=uses, cache=hub.folder / "cache")
    return asyncio.run(Outcomes(follower, log, print)._look(main, canary))


def test_what_the_command_needs_is_brought_by_another_process(begun, tmp_path, git):
    hub = Told(tmp_path, git, begun)
    log, main, canary, hub.known = _asked(tmp_path, 1.0)
    hub.write("dvc.yaml", PIPELINE)
    hub.write("outcomes.py", COMMAND.replace("@FOLDER@", str(tmp_path)))
    hub.write(".gitignore", "/model\n/data\n")
    hub.write("pushforward.yaml", SETTINGS + MONITOR)
    hub.commit("one", "Tell")
    assert _look(hub, log, main, canary).startswith("its log loss is higher by 0.")
    assert _looks(log, canary) == (1, COUNT)
    assert int((tmp_path / "parent").read_text()) != os.getpid()

    hub.write("pushforward.yaml", SETTINGS + MONITOR.replace("data/told", "data/other"))
    hub.commit("one", "Name what there is not")
    with pytest.raises(PushforwardError, match=r"monitor\.needs: no lock of \w{9} has an out data/other"):
        _look(hub, log, main, canary)


def test_by_a_loss_of_the_projects_own_no_outcomes_are_asked_for(tmp_path, monkeypatch):
    log, main, canary, _ = _asked(tmp_path, 1.0)
    settings = tmp_path / "checkout" / "pushforward.yaml"
    settings.write_text(SETTINGS.rstrip() + "\n    loss: python loss.py {labels} {predictions} {out}\n")
    asked = []
    monkeypatch.setattr(program, "ask", lambda *words, **_: asked.append(words))
    assert _look(SimpleNamespace(clone=tmp_path, folder=tmp_path), log, main, canary) == ""
    assert asked == []
    settings.write_text(SETTINGS)
    with pytest.raises(TypeError):  # what was asked here gives nothing to wait for
        _look(SimpleNamespace(clone=tmp_path, folder=tmp_path), log, main, canary)
    assert len(asked) == 1


@pytest.mark.parametrize(("moved", "taken"), [({}, ["worse"]), ({"main": "canary"}, []), ({"canary": None}, [])])
def test_what_was_found_of_a_pair_takes_nothing_back_when_one_of_them_has_gone_meanwhile(monkeypatch, moved, taken):
    main, canary = SimpleNamespace(name="toy@v1.0.0"), SimpleNamespace(name="toy@v1.1.0")
    arms, back, looked = {"main": main, "canary": canary}, [], asyncio.Event()
    follower = SimpleNamespace(
        live=SimpleNamespace(arms=arms),
        told=SimpleNamespace(outcomes="x"),
        serve=SimpleNamespace(look_seconds=0),
        take_back=back.append,
    )

    async def found(self, *pair):
        assert pair == (main, canary)
        arms.update({arm: arms.get(other) for arm, other in moved.items()})
        looked.set()
        return "worse"

    async def play():
        task = asyncio.create_task(Outcomes(follower, Path(), print).run())
        await looked.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    monkeypatch.setattr(Outcomes, "_look", found)
    asyncio.run(play())
    assert back == taken
