"""canary: what came of the rows that it was asked is told as for `monitor`, and takes it back where it is worse."""

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from tests.serving.shelf import AT, running
from tests.team import MODEL_SETTINGS, Hub

from pushforward.errors import PushforwardError
from pushforward.serving.canary import Outcomes, _looks, look
from pushforward.serving.journal import Entry, Journal
from pushforward.serving.line import Predicted

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


def _asked(folder, harm):
    """A log of what both have answered, both, and what came of it."""
    checkout, log = folder / "checkout", folder / "log"
    checkout.mkdir()
    (checkout / "pushforward.yaml").write_text(SETTINGS)
    random = np.random.default_rng(1)
    logit = random.normal(0, 1, COUNT)
    y = (random.random(COUNT) < 1 / (1 + np.exp(-logit))).astype(int)
    main, canary = (running(None, version, checkout) for version in ("v1.0.0", "v2.0.0"))
    at = [AT + timedelta(days=number % DAYS) for number in range(COUNT)]
    rows = {"id": [f"k{number}" for number in range(COUNT)], "x": logit.tolist(), "at": at}
    kept = Journal(log, print)
    for one, off in ((main, 0.0), (canary, harm)):
        p = 1 / (1 + np.exp(-(logit + random.normal(0, 0.3, COUNT) + off)))
        arm = "main" if one is main else "canary"
        kept.add(Entry(datetime.now(UTC), "r", one.served, arm, rows, Predicted({"p": p.tolist()}), 1))
    asyncio.run(kept.flush())
    return log, main, canary, pl.DataFrame({"id": rows["id"], "y": y, "known_at": [AT + timedelta(days=30)] * COUNT})


@pytest.mark.parametrize("harm", [1.0, 0.0])
def test_outcomes_take_back_a_canary_that_is_worse_and_looks_are_kept(tmp_path, harm):
    log, main, canary, known = _asked(tmp_path, harm)
    out = tmp_path / "outcomes.parquet"
    known.write_parquet(out)
    why = look(log, main, canary, out)
    assert why.startswith("its log loss is higher by 0.") if harm else why == ""
    assert json.loads((log / f"looks-{canary.served.digest[:12]}.json").read_text()) == {"looks": 1, "pairs": COUNT}
    assert look(log, main, canary, out) == ""  # nothing more is known
    assert _looks(log, canary) == (1, COUNT)


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
