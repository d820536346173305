"""What a source lists, read as hostile data."""

import json
import time

import pytest

from pushforward.arrival import source
from pushforward.arrival.source import Listed
from pushforward.errors import DATA, TOOL, PushforwardError

GOOD = {"batch": "2013-05", "digest": "sha256:ab12"}


def test_a_list_is_taken_in_its_order():
    listed = [GOOD, {"batch": "delivery A, ünï", "digest": "v1.2.3"}]
    assert source.read(json.dumps(listed).encode()) == [
        Listed("2013-05", "sha256:ab12"),
        Listed("delivery A, ünï", "v1.2.3"),
    ]
    assert source.read(b"[]") == []


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        (b"garbage", "it is no JSON"),
        (b"\xff\xfe[]", "it is no JSON"),
        (b"[" * 200_000, "it is no JSON"),
        (b'[{"batch": "a", "batch": "b", "digest": "123456"}]', "a name is there twice"),
        (b"{}", "it is no list of at most 10,000 batches"),
        (json.dumps([GOOD, GOOD]).encode(), "'2013-05' is there twice"),
        (b'[{"batch": "a"}]', "entry 0 is not of the form {batch, digest}"),
        (json.dumps([{**GOOD, "more": 1}]).encode(), "entry 0 is not of the form"),
        (json.dumps([{**GOOD, "batch": "a\nb"}]).encode(), "entry 0: 'a b' is no name of a batch"),
        (json.dumps([{**GOOD, "batch": ""}]).encode(), "is no name of a batch"),
        (json.dumps([{**GOOD, "batch": 201305}]).encode(), "is no name of a batch"),
        (json.dumps([{**GOOD, "batch": "x" * 61}]).encode(), "is no name of a batch"),
        (json.dumps([{**GOOD, "digest": "a # b: c"}]).encode(), "is no digest"),
        (json.dumps([{**GOOD, "digest": None}]).encode(), "is no digest"),
        (b"[" + b"0," * 20_000 + b"0]", "it is no list of at most 10,000 batches"),
        (b" " * (source.LONGEST + 1), "it has more than 4 MiB"),
    ],
)
def test_anything_else_is_refused_whole(listed, words):
    with pytest.raises(PushforwardError) as refused:
        source.read(listed)
    assert words in refused.value.message
    assert refused.value.exit_code == DATA


def test_a_source_that_hangs_is_ended_with_all_that_it_started(lake):
    lake.write("hang.py", "import subprocess, time; subprocess.Popen(['sleep', '617']); time.sleep(600)")
    lake.land()
    began = time.monotonic()
    with pytest.raises(PushforwardError, match="took longer than 1 s and was stopped") as late:
        source.ask(lake.clone, "python hang.py {out}", seconds=1)
    assert time.monotonic() - began < 30
    assert late.value.exit_code == TOOL


def test_a_source_of_a_million_entries_is_refused_in_time(lake):
    script = "import sys\nwith open(sys.argv[1], 'w') as out:\n    out.write('[' + '0,' * 999_999 + '0]')\n"
    lake.write("many.py", script)
    lake.land()
    with pytest.raises(PushforwardError, match="it is no list of at most 10,000 batches"):
        source.ask(lake.clone, "python many.py {out}")


def test_no_token_of_a_job_reaches_it(lake, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    lake.write("tell.py", "import os, sys; open(sys.argv[1], 'w').write(str(['GITHUB_TOKEN' in os.environ]).lower())")
    lake.land()
    with pytest.raises(PushforwardError, match="entry 0"):
        source.ask(lake.clone, "python tell.py {out}")
