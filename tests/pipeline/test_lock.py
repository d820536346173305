"""A dvc.lock: why a stage ran again, from what was locked before and after."""

import io
import string
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pushforward import yamlquick
from pushforward.pipeline.lock import read_lock, reason, write_lock

ROOT = Path(__file__).parents[2]


def test_reasons_are_read_from_two_locks():
    before = {"cmd": "a", "deps": [{"path": "x", "md5": "1"}, {"path": "z", "md5": "1"}], "params": {"p": {"k": 1}}}
    after = {
        "cmd": "b",
        "deps": [{"path": "x", "md5": "2"}, {"path": "y", "md5": "1"}],
        "params": {"p": {"k": 2, "n": 3}},
    }
    assert reason(before, after) == "its command, x, y, z (gone) and 2 more"
    assert reason(None, after) == "new stage"
    months = {"params": {"p": {"data.months": ["2013-01"], "train": {"depth": 4, "seed": 1}}}}
    later = {"params": {"p": {"data.months": ["2013-01", "2013-02"], "train": {"depth": 6, "seed": 1}}}}
    assert reason(months, later) == "data.months +2013-02, train.depth 4 → 6"


def test_an_entry_as_dvc_holds_it_is_written_as_dvc_writes_it():
    """In a process of its own: wherever DVC has written YAML, ruamel.yaml takes such a mapping for a plain one."""
    code = (
        "import sys; from collections import OrderedDict; from pushforward.pipeline.lock import write_lock;"
        "sys.stdout.buffer.write(write_lock({'a': OrderedDict(cmd='x', outs=[OrderedDict(path='y', size=1)])}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"schema: '2.0'\nstages:\n  a:\n    cmd: x\n    outs:\n    - path: y\n      size: 1\n"


def by_ruamel(stages):
    out, writer = io.BytesIO(), YAML()
    writer.default_flow_style = False
    writer.dump({"schema": "2.0", "stages": {name: stages[name] for name in sorted(stages)}}, out)
    return out.getvalue()


def test_a_common_lock_is_written_by_libyaml_in_the_same_bytes(monkeypatch):
    text = (ROOT / "dvc.lock").read_bytes()
    stages = read_lock(text)
    quick, dump = [], yamlquick.dump
    monkeypatch.setattr(yamlquick, "dump", lambda value: quick.append(1) or dump(value))
    assert write_lock(stages) == text == by_ruamel(stages)
    assert quick == [1]


SHARED = {"shared": ["x"]}


@pytest.mark.parametrize(
    "value",
    [
        *(
            "null",
            "~",
            "true",
            "yes",
            "no",
            "1",
            "1.5",
            "1e3",
            "1_0",
            "0b11",
            "0b2f",
            "0o7",
            "0x1f",
            "12:30",
            "2013-01-02",
        ),
        *(
            "",
            " a",
            "a ",
            "a: b",
            "a #b",
            "- a",
            "-a",
            "=",
            "<<",
            "'a'",
            '"a"',
            "a\nb",
            "é",
            "a\tb",
            "*a",
            "&a",
            "{a",
            "[a",
        ),
        *(
            "python -m x --y=z",
            "x" * 70,
            "x" * 90,
            "x y " * 30,
            "a && b",
            "%a",
            "@a",
            "`a",
            ".5",
            "..",
            "./a",
            "a,b",
            "a|b",
        ),
        *(None, True, False, 0, -1, 0.1, 1e-9, 1e22, float("inf"), [], {}, ["a", ["b"]], {"x" * 120: 1}, {"a b": "c"}),
        *({"k" * 60: "v" * 30}, {"1": 1}, {"0b" + "2" * 30: 1}, string.hexdigits[:16] * 2, "9" * 32, "1e" + "5" * 30),
        {"a": SHARED, "b": SHARED},
    ],
    ids=repr,
)
def test_whatever_a_lock_holds_its_bytes_are_ruamel_s(value):
    stages = {"a": {"cmd": value, "params": {"params.yaml": {"x": value}}, "deps": [{"path": value}]}}
    assert write_lock(stages) == by_ruamel(stages)
