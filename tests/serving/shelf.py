"""Versions on a shelf: a hub whose versions can be served, made without training; each does what its model says."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
from tests.serving.versions import PREDICTOR
from tests.team import Hub

from pushforward.gate.verdict import Holdout
from pushforward.git.repository import Repository
from pushforward.git.server import Server
from pushforward.judge import holdout, passed
from pushforward.pipeline import environment
from pushforward.pipeline.revision import sha256
from pushforward.release.promote import Passed, promote
from pushforward.release.release import release, rollback
from pushforward.serving.candidate import Prepared
from pushforward.serving.channel import Channel
from pushforward.serving.live import Running
from pushforward.serving.port import Served

DATETIME = "Datetime(time_unit='us', time_zone='UTC')"
MANIFEST = json.dumps(
    {
        "inputs": {
            "rows": {"id": "String", "x": "Float64", "at": DATETIME},
            "events": {"id": "String", "kind": "String", "known_at": DATETIME},
        },
        "data": None,
    }
)
NULL = sha256(b"null")
# The score command of the versions that name no `serve`.
PREDICT = """\
import sys
import polars as pl
table = pl.read_parquet(sys.argv[1])
if (table["x"] == -1).any():
    sys.exit("x: it is below 0")
told = pl.read_parquet(sys.argv[2]).height
table.select("id", p=pl.col("x") + told / 1000).write_parquet(sys.argv[3])
"""
AT = datetime(2020, 3, 1, tzinfo=UTC)


def running(channel: Channel | None, version: str, folder: Path = Path(), python: str = sys.executable) -> Running:
    """A version as it is asked, by a channel that need not be there."""
    served = Served("toy", version, version[1] * 64, "production", "id", "at", ("p",), True, json.loads(MANIFEST))
    place = str(folder)
    made = Prepared(f"toy@{version}", "c" * 40, served.digest, "production", place, python, place, ".parquet", {}, "")
    return Running(served, channel, made)


class Shelf:
    """A hub with versions that can be served. What is locked is the environment of the tests."""

    def __init__(self, hub: Hub, *, serve: bool = True, settings: str = "") -> None:
        self.hub, self.model = hub, "toy"
        Server(str(hub.bare), sys.executable, str(hub.store), "s", "toy").save()
        self._environment()
        text = (hub.clone / "pushforward.yaml").read_text().replace("python -m toy.predict", "python predict.py")
        text += "    serve: served:load\n" if serve else ""
        hub.write("pushforward.yaml", text + settings)
        hub.write("predict.py", PREDICT)
        hub.write("src/served.py", PREDICTOR)
        hub.write("dvc.yaml", "stages:\n  train: {cmd: train, outs: [model]}\n  hold: {cmd: h, outs: [data/holdout]}\n")
        hub.write(".gitignore", "/model\n/data\n")
        self.listing, self.digest = self._holdout()

    def add(self, told: str = "{}", p: Callable[[float], float] = lambda x: x, *, golden: float = 0.0) -> str:
        """One more version whose model says `told`, and gave `p(x)` when it was judged."""
        hub = self.hub
        lock, digests = self._lock(told)
        hub.write("dvc.lock", lock.decode())
        hub.git(hub.clone, "add", "-A")
        hub.git(hub.clone, "commit", "-q", "--allow-empty", "-m", "Train")
        hub.git(hub.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
        commit = hub.git(hub.clone, "rev-parse", "HEAD")
        verdict = replace(self._judged(commit, told), holdout=Holdout(("2020-03", "2020-04"), 9, 9, self.digest))
        locks = environment.digest(Repository(hub.clone), commit, ["lock.txt"])
        named = replace(verdict.digests, lock=sha256(lock), environment=locks, data=NULL, **digests)
        verdict = replace(verdict, digests=named)
        passed.record(hub.clone, verdict)
        rows = [{"id": f"r{n}", "p": p(n / 10) + golden} for n in range(1, 9)]
        content = json.dumps({"schema": 1, "key": "id", "rows": rows}).encode()
        with hub.run():
            made = promote(hub.clone, Passed(verdict, "minor", content), {"dvc.lock": lock}, {}, say=lambda _: None)
        return made.version

    def use(self, version: str, environment: str = "production", *, reason: str = "") -> str:
        """Put a version to use; the tag."""
        return release(self.hub.clone, version, reason, environment=environment, older=bool(reason)).tag

    def back(self, environment: str = "production") -> str:
        """Put the one before to use again; the tag."""
        return rollback(self.hub.clone, "it was better", environment=environment).tag

    def _judged(self, commit: str, told: str) -> "object":
        return self.hub.judge(commit, told)

    def _lock(self, told: str) -> tuple[bytes, dict[str, str]]:
        """The dvc.lock of a model, and the SHA-256 of its files."""
        hub = self.hub
        contents = {"manifest.json": MANIFEST.encode(), "model.json": told.encode()}
        listed = [{"md5": hub._stored(text), "relpath": name} for name, text in sorted(contents.items())]
        listing = hub._stored(json.dumps(listed).encode(), ".dir")
        size = sum(map(len, contents.values()))
        lock = (
            f"schema: '2.0'\nstages:\n  train:\n    cmd: train\n    outs:\n    - path: model\n      hash: md5\n"
            f"      md5: {listing}\n      size: {size}\n      nfiles: 2\n  hold:\n    cmd: h\n    outs:\n"
            f"    - path: data/holdout\n      hash: md5\n      md5: {self.listing}\n"
        ).encode()
        return lock, {name.partition(".")[0]: sha256(content) for name, content in contents.items()}

    def _holdout(self) -> tuple[str, str]:
        """A holdout of nine rows and three events: what DVC calls it, and its digest."""
        folder = self.hub.folder / "holdout"
        folder.mkdir()
        at = pl.lit(AT)
        table = pl.DataFrame({"id": [f"r{n}" for n in range(9)], "x": [n / 10 for n in range(9)]})
        table.with_columns(at=at).write_parquet(folder / "rows.parquet")
        events = table.head(3).select("id", kind=pl.lit("seen"), known_at=at)
        events.write_parquet(folder / "events.parquet")
        table.with_columns(y=pl.lit(1), date=pl.lit(date(2020, 3, 1))).write_parquet(folder / "labels.parquet")
        listed = [
            {"md5": self.hub._stored(path.read_bytes()), "relpath": path.name} for path in sorted(folder.iterdir())
        ]
        return self.hub._stored(json.dumps(listed).encode(), ".dir"), holdout.digest(folder)

    def _environment(self) -> None:
        locked = sha256((self.hub.clone / "lock.txt").read_bytes())
        python = self.hub.folder / "environments" / locked[:16] / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        (python.parent.parent / ".locked").write_text(f"{locked}\n")
        os.environ["PUSHFORWARD_ENVIRONMENTS"] = str(python.parent.parent.parent)
