"""Whose code is run, and how; and who cannot be asked."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from pushforward.errors import PushforwardError
from pushforward.explaining import sides
from pushforward.explaining.sides import Place, Side
from pushforward.sandbox import jail


def place(settings, *, vouched=True, folder=Path()):
    side = Side("v1.0.0", SimpleNamespace(settings=settings, commit="0" * 40), "toy@v1.0.0", vouched=vouched)
    return Place(side, Path(), folder, None, lambda _: None)


def test_a_model_that_its_own_run_has_scored_cannot_be_asked_for_a_row():
    settings = SimpleNamespace(measures=False, score="", level=2, model=SimpleNamespace(name="houses"))
    with pytest.raises(PushforwardError, match="houses is at level 2") as refused:
        _ = place(settings).rules
    assert refused.value.next == "pushforward adopt --level 3"


@pytest.fixture
def no_jail(monkeypatch):
    """A machine that can isolate nothing."""

    def find(*, trust=False):
        if not trust:
            raise PushforwardError("nothing on this machine can isolate a run")
        return jail.Jail("none")

    sides.machine.cache_clear()
    monkeypatch.setattr(sides.jail, "find", find)
    yield
    sides.machine.cache_clear()


def test_without_a_jail_a_version_is_asked_and_a_branch_is_not(no_jail, tmp_path):
    assert place(None)._jailed(Path("/usr/bin/python3"), tmp_path) is None
    with pytest.raises(PushforwardError, match="can isolate"):
        place(None, vouched=False)._jailed(Path("/usr/bin/python3"), tmp_path)


def test_in_a_jail_a_command_writes_its_own_folder_and_has_no_network(monkeypatch, tmp_path):
    asked = []

    class Known(jail.Jail):
        def wrap(self, argv, policy, *, cwd, scratch):
            asked.append((scratch, policy, cwd))
            return ["jailed", *argv]

    monkeypatch.setattr(sides, "machine", lambda *, trust: Known("unshare"))
    asked_of = place(None, vouched=False, folder=tmp_path)
    wrapped = asked_of._jailed(Path("/env/bin/python"), tmp_path / "work")
    assert wrapped(["/env/bin/python", "x"], tmp_path) == ["jailed", "/env/bin/python", "x"]
    ((scratch, policy, cwd),) = asked
    assert policy.writable == (tmp_path / "work/out",)
    assert policy.readable == (tmp_path / "code", tmp_path / "given", Path("/env"))
    assert scratch == tmp_path / "work/jail", "its /tmp is its own, and no folder that it writes is below another"
    assert (policy.network, policy.untrusted, cwd) == (False, True, tmp_path)


@pytest.mark.parametrize(
    ("manifest", "batch", "trained"),
    [
        ({"training": {"months": ["2020-01"]}}, "2020-01", True),
        ({"training": {"months": ["2020-01"]}}, "2020-02", False),
        ({"training": {"months": ["2020-01"]}}, "", None),
        ({"training": {}}, "2020-01", None),
        ({}, "2020-01", None),
        ({"training": {"months": "2020-01"}}, "2020-01", None),
    ],
)
def test_whether_a_model_has_trained_on_a_month_is_what_its_manifest_says(manifest, batch, trained):
    assert sides._trained(manifest, batch) is trained
