"""Pictures are drawn once for the same numbers: the second judge of them finds them kept."""

import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pushforward.gate import loss
from pushforward.judge import drawer, pictures
from pushforward.judge.recall import Recall
from pushforward.report import plots

pytestmark = pytest.mark.whole

LEARNING = b"round,train,validation\n1,0.6,0.65\n2,0.5,0.62\n3,0.45,0.61\n"


class Drawers:
    """Stands for the processes that draw; draws at once, and counts them."""

    def __init__(self):
        self.started, self.closed = 0, 0

    def __call__(self):
        self.started += 1
        return self

    def draw(self, *given, **named):
        self.drawn = plots.draw(*given, **named)

    def close(self):
        self.closed += 1


@pytest.fixture
def drawers(monkeypatch):
    found = Drawers()
    monkeypatch.setattr(pictures, "Drawer", found)
    return found


def case(tmp_path, learning=LEARNING):
    (tmp_path / "server").mkdir(exist_ok=True)
    return SimpleNamespace(
        contract=SimpleNamespace(beside=lambda path: path),
        read=SimpleNamespace(metrics={"metrics/learning.csv": learning}),
        champion=None,
        recall=Recall(tmp_path / "server" / "answers", b"key"),
        work=tmp_path,
    )


def drawn(tmp_path, folder, p=0.4, learning=LEARNING, drawer=None):
    y = np.array([0.0, 1.0] * 50)
    given = SimpleNamespace(
        y=y,
        challenger=np.where(y > 0, p, 0.3),
        champion=None,
        clusters=np.array(["2013-01-01"] * 100, dtype=object),
        loss=loss.LOSSES["logloss"],
        classes=(),
    )
    with pictures.Painter(tmp_path / folder, lambda _: None, drawer) as painter:
        painter.draw(case(tmp_path, learning), given)
        painter.hang_up()
    return {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}


def test_the_same_numbers_are_drawn_once_and_others_anew(tmp_path, drawers):
    first = drawn(tmp_path, "first")
    assert {"learning.svg", "roc.svg", "reliability.svg"} <= set(first)
    assert drawn(tmp_path, "again") == first
    assert drawers.started == 1
    assert drawn(tmp_path, "other predictions", p=0.5) != first
    assert drawn(tmp_path, "other rounds", learning=LEARNING + b"4,0.44,0.6\n") != first
    assert drawers.started == 3


def test_another_code_that_draws_draws_anew(tmp_path, drawers, monkeypatch):
    drawn(tmp_path, "first")
    monkeypatch.setattr(pictures, "version", lambda _: "another")
    drawn(tmp_path, "again")
    assert drawers.started == 2


@pytest.fixture
def begun(monkeypatch):
    """The processes that are begun."""
    found, popen = [], subprocess.Popen

    def begin(*words, **named):
        found.append(popen(*words, **named))
        return found[-1]

    monkeypatch.setattr(drawer.subprocess, "Popen", begin)
    return found


def test_one_process_draws_what_is_drawn_here_and_is_gone_after(tmp_path, begun, drawers):
    mine = drawer.Drawer()
    beside = drawn(tmp_path, "beside", drawer=mine)
    (process,) = begun
    assert process.returncode is not None
    (tmp_path / "server" / "answers").rename(tmp_path / "aside")
    assert (drawn(tmp_path, "here"), drawers.started) == (beside, 1), "byte for byte"


@pytest.mark.parametrize("tells", ["nothing", "what cannot be drawn"])
def test_what_draws_ends_with_its_judge_and_no_verdict_with_it(tmp_path, begun, tells):
    mine, said = drawer.Drawer(), []
    if tells == "nothing":
        begun[0].stdin.close()  # as the end of the judge does
        assert begun[0].wait(timeout=60) == 0
        mine.close()
        return
    painter = pictures.Painter(tmp_path, said.append, mine)
    painter._kept = Recall(None, b""), "", tmp_path / "pictures.json"
    with painter:
        mine.draw("no numbers")
        painter.hang_up()
    assert said == ["the pictures could not be drawn"]
    assert begun[0].returncode not in (None, 0)


def test_what_draws_is_told_no_secret(begun, monkeypatch):
    monkeypatch.setenv("PUSHFORWARD_SEAL", "open")
    mine = drawer.Drawer()
    environ = Path(f"/proc/{begun[0].pid}/environ")
    told = environ.read_bytes() if environ.exists() else b""
    mine.close()
    assert b"PUSHFORWARD_SEAL" not in told
    assert begun[0].returncode is not None
