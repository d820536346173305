"""A dvc.lock: why a stage ran again, from what was locked before and after."""

import subprocess
import sys

from pushforward.pipeline.lock import reason


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
