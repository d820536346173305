"""Pictures are drawn once for the same numbers: the second judge of them finds them kept."""

from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np
import pytest

from pushforward.gate import loss
from pushforward.judge import pictures
from pushforward.judge.recall import Recall

LEARNING = b"round,train,validation\n1,0.6,0.65\n2,0.5,0.62\n3,0.45,0.61\n"


class Drawers:
    """Stands for the processes that draw; draws at once, and counts them."""

    def __init__(self):
        self.started = 0

    def __call__(self, *_, **__):
        self.started += 1
        return self

    def submit(self, work, *args, **named):
        done = Future()
        done.set_result(work(*args, **named))
        return done

    def shutdown(self, **_):
        pass


@pytest.fixture
def drawers(monkeypatch):
    found = Drawers()
    monkeypatch.setattr(pictures, "ProcessPoolExecutor", found)
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


def drawn(tmp_path, folder, p=0.4, learning=LEARNING):
    y = np.array([0.0, 1.0] * 50)
    given = SimpleNamespace(
        y=y,
        challenger=np.where(y > 0, p, 0.3),
        champion=None,
        clusters=np.array(["2013-01-01"] * 100, dtype=object),
        loss=loss.LOSSES["logloss"],
        classes=(),
    )
    painter = pictures.Painter(tmp_path / folder, lambda _: None)
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
