"""Which metrics a dvc.yaml declares, and the numbers in them."""

import pytest

from pushforward.pipeline import declared
from pushforward.pipeline.lock import read_lock

TEXT = b"""\
stages:
  a: {cmd: c, wdir: eval, metrics: [m.json: {cache: false}, kept.json], plots: [roc.csv: {cache: false}]}
  b:
    foreach: [x, y]
    do: {cmd: c, metrics: ["by/${item}.yaml": {cache: false}]}
metrics: [deep/all.toml]
"""
LOCK = b"""\
schema: '2.0'
stages:
  b@x: {cmd: c, outs: [{path: by/x.yaml, md5: 'aa', hash: md5}, {path: by/x.py, md5: 'bb', hash: md5}]}
  c: {cmd: c, outs: [{path: old.json, md5: 'cc'}, {path: folder, md5: 'dd.dir', hash: md5}]}
"""


def test_metrics_and_what_git_keeps_are_told_apart():
    told = declared.of(TEXT)
    assert [path for path in ("eval/m.json", "eval/kept.json", "deep/all.toml", "m.json") if told.shows(path)] == [
        "eval/m.json",
        "eval/kept.json",
        "deep/all.toml",
    ]
    paths = ("eval/m.json", "eval/roc.csv", "by/x.yaml", "by/x.py", "by/.yaml", "eval/kept.json", "deep/all.toml")
    assert [path for path in paths if told.keeps(path)] == ["eval/m.json", "eval/roc.csv", "by/x.yaml"]
    files = ["by/x.yaml", "deep/all.toml", "eval/kept.json", "eval/m.json", "eval/roc.csv"]
    assert told.files(read_lock(LOCK)) == files
    assert declared.of(None) == declared.Declared()


def test_a_lock_names_files_by_their_plain_md5_alone():
    assert declared.hashes(LOCK) == {"by/x.yaml": "aa", "by/x.py": "bb"}


@pytest.mark.parametrize(
    ("path", "content", "numbers"),
    [
        ("m.json", b'{"roc": {"test": 0.75}, "n": 3, "on": true, "name": "x"}', {"roc.test": 0.75, "n": 3.0}),
        ("m.yaml", b"roc: {test: 0.75}\nlate: .nan\n", {"roc.test": 0.75}),
        ("m.toml", b"[roc]\ntest = 0.75\n", {"roc.test": 0.75}),
        ("m.json", b"[1]", {}),
        ("m.toml", b"[", {}),
        ("m.yaml", b"\xff", {}),
        ("m.csv", b"a,b\n1,2\n", {}),
    ],
)
def test_numbers_are_read_in_every_format(path, content, numbers):
    assert declared.numbers(path, content) == numbers
