"""Versions that behave as a test wants: a model's file says what its predictor does."""

import asyncio
import sys
from pathlib import Path

from pushforward.serving.channel import Channel
from pushforward.serving.events import Events
from pushforward.serving.line import Spec

# What the model's file says is what the version does.
PREDICTOR = """\
import json, os, pathlib, signal, sys, time

def load(folder):
    return Predictor(json.loads((pathlib.Path(folder) / "model.json").read_text()))

class Predictor:
    def __init__(self, told):
        self.told, self.seen, self.asked = told, 0, 0
        self._do(told.get("load"))

    def _do(self, what):
        if what == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if what == "hang":
            time.sleep(600)
        if what == "memory":
            self.much = bytearray(2 * 1024**3)
        if what == "raise":
            raise RuntimeError("as it was told")
        if what == "print":
            print("x" * 10_000_000)
        if what == "garbage":
            os.write(int(sys.argv[1]), b"garbage" * 1000)

    def observe(self, events):
        if "bad" in events["kind"]:
            raise ValueError("kind: bad is none")
        if "fatal" in events["kind"]:
            os._exit(1)
        self.seen += len(events["kind"])

    def predict(self, rows):
        self.asked += 1
        assert type(rows["x"]) is list
        for x in rows["x"]:
            if x == -1:
                raise ValueError("x: it is below 0")
            if x == -2:
                os.kill(os.getpid(), signal.SIGKILL)
            if x == -3:
                time.sleep(600)
            if x == -4:
                raise KeyError("x")
            if x > self.told.get("above", float("inf")):
                raise RuntimeError("it was never asked this")
        self._do(self.told.get("predict"))
        if self.told.get("predict") == "few":
            return {"p": []}
        if self.told.get("predict") == "name":
            return {"q": rows["x"]}
        if self.told.get("slow"):
            time.sleep(self.told["slow"])
        if self.told.get("say") == "seen":
            return {"p": [self.seen / 1000 for _ in rows["x"]]}
        if self.told.get("say") == "together":
            return {"p": [float(len(rows["x"])) for _ in rows["x"]]}
        p = self.told.get("p")
        return {"p": [x if p is None else p for x in rows["x"]]}

    def features(self, rows):
        return {"double": [2 * x for x in rows["x"]]}
"""
GB = 1024**3


def spec(folder: Path, told: str = "{}", **more: object) -> Spec:
    """What a worker of a version is started with whose model's file says `told`."""
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / "src" / "served.py").write_text(PREDICTOR)
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "model.json").write_text(told)
    known = {"python": Path(sys.executable), "checkout": folder, "folder": ".", "entry": "served:load"}
    known |= {"model": folder / "model", "predicted": ("p",), "probability": False, "memory": GB}
    return Spec(**(known | {"load_seconds": 20.0, "answer_seconds": 10.0} | more))  # type: ignore[arg-type]


class Opened:
    """A channel that is open inside of the block, and the faults that it told of."""

    def __init__(self, of: Spec, events: Events | None = None) -> None:
        self.said: list[str] = []
        self.channel = Channel(of, Events(35) if events is None else events, self.said.append)

    async def __aenter__(self) -> "Opened":
        await self.channel.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.stop()

    async def p(self, *x: float) -> list[float]:
        """The predictions of rows."""
        return list((await self.channel.predict({"x": list(x)}, len(x))).columns["p"])

    async def again(self, *x: float) -> list[float]:
        """The same, as soon as there is an answer."""
        from pushforward.serving.port import UnavailableError

        for _ in range(100):
            try:
                return await self.p(*x)
            except UnavailableError:
                await asyncio.sleep(0.05)
        raise AssertionError(self.said)


def workers(folder: Path) -> list[int]:
    """The workers that run somewhere below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            ours = b"worker.py" in (process / "cmdline").read_bytes()
            if ours and (process / "cwd").readlink().is_relative_to(folder):
                found.append(int(process.name))
        except OSError:  # it has ended meanwhile
            continue
    return found
