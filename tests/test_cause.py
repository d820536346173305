"""The first cause of what failed, in one line: from the last lines of a step, and from what act and DVC say."""

import pytest

from pushforward import cause
from pushforward.cause import Cause
from pushforward.pipeline import dvctext

TRACEBACK = """\
Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
  File "/srv/toy.git/pushforward/runs/x/train.yml/box/work/c8/hostexecutor/src/toy/train.py", line 7, in <module>
    fit()
  File "/srv/envs/lib/python3.12/site-packages/polars/frame.py", line 99, in fit
    raise
polars.exceptions.ColumnNotFoundError: unable to find column "x"
make: *** [Makefile:21: env] Error 1"""


@pytest.mark.parametrize(
    ("text", "status", "told", "then"),
    [
        ("one\ntwo\n\n", 1, "two", ""),
        ("", 3, "exit status 3", ""),
        ("", None, "", ""),
        ("make: *** [Makefile:21: env] Error 2", 2, "exit status 2", ""),
        (
            "before\npushforward: no stage makes model\n  next: edit dvc.yaml\nafter",
            2,
            "no stage makes model",
            "edit dvc.yaml",
        ),
        ("pushforward: first\npushforward: last", 6, "last", ""),
        ("pushforward: git -C /srv/toy.git gc failed: it is full", 6, "git gc failed: it is full", ""),
        ("/srv/a/3.sh: line 2: frobnicate: command not found", 127, "frobnicate: command not found", "mend the name"),
        ("/bin/sh: 1: frobnicate: not found", 127, "frobnicate: command not found", "mend the name"),
        (
            '  File "/x/hostexecutor/src/toy/predict.py", line 1\n    version https://git-lfs.github.com/spec/v1\nSyntax',
            1,
            "src/toy/predict.py is a Git LFS pointer, not what it points to",
            "git lfs pull, take it out of LFS in .gitattributes, then git add --renormalize . && git commit",
        ),
        (
            "env: 'bash\\r': No such file or directory\nmake: *** [env] Error 127",
            2,
            "its files are checked out with CRLF",
            "write `* text=auto",
        ),
        ("x.sh: line 3: $'\\r': command not found", 127, "its files are checked out with CRLF", "write `* text=auto"),
        (
            "bad interpreter: /bin/bash^M: no such file",
            126,
            "its files are checked out with CRLF",
            "write `* text=auto",
        ),
        (
            "round 4\n",
            137,
            "it was killed, as happens where memory runs out; its last words: round 4",
            "let it use less",
        ),
        ("", -9, "it was killed, as happens where memory runs out", "let it use less"),
        ("", -11, "it died of SIGSEGV", ""),
        (TRACEBACK, 1, 'src/toy/train.py:7: polars.exceptions.ColumnNotFoundError: unable to find column "x"', ""),
        (
            '  File "a.py", line 3\n    def (\n        ^\nSyntaxError: invalid syntax',
            1,
            "a.py:3: SyntaxError: invalid syntax",
            "",
        ),
        ('  File "/usr/local/thing.py", line 3, in f\nKeyError: 1', 1, "thing.py:3: KeyError: 1", ""),
        ("ValueError: said by a program of its own", 1, "ValueError: said by a program of its own", ""),
    ],
)
def test_the_cause_is_one_line_with_the_next_command(text, status, told, then):
    found = cause.of(text.splitlines(), status)
    assert found.text.startswith(told)
    assert bool(told) == bool(found.text)
    assert found.next.startswith(then)
    assert bool(then) == bool(found.next)
    assert "/srv/" not in found.text


def test_a_path_is_told_from_the_folder_that_is_given():
    lines = ['  File "/srv/x/src/a.py", line 3, in f', "KeyError: 1"]
    assert cause.of(lines, 1, root="/srv/x").text == "src/a.py:3: KeyError: 1"


def test_of_what_act_cannot_read_the_place_is_told():
    said = (
        "Error: workflow is not valid. 'train.yml': Line: 28 Column 5: Failed to match job-factory: Line: 44 Column 9: "
        "Failed to match run-step: Line: 45 Column 14: Failed to parse: unexpected end of input"
    )
    assert cause.of_act("train.yml", [said]) == Cause("train.yml:45: Failed to parse: unexpected end of input")
    assert cause.of_act("train.yml", ["panic: runtime error"]) is None, "act itself has failed"


@pytest.mark.parametrize(
    ("said", "told", "then"),
    [
        (
            "failed to reproduce 'a': missing data 'source': x.csv",
            "it needs x.csv, which is neither",
            "git add x.csv, or dvc add",
        ),
        (
            "failed to reproduce 'a': [Errno 2] No such file or directory: '/srv/c/x.csv'",
            "it needs x.csv, which",
            "git add x.csv",
        ),
        ("failed to reproduce 'a': output 'd' does not exist", "it ended well, but made no d", "edit dvc.yaml"),
        (
            "Same item(s) are defined as both a dependency and an output in stages: b, a.",
            "stages b, a depend on each other in a circle",
            "edit dvc.yaml",
        ),
        (
            "Same item(s) are defined as both a dependency and an output in stage: a.",
            "stage a depends on what it makes itself",
            "edit dvc.yaml",
        ),
        (
            "output 'a' is specified in:\n\t- b\n\t- c\nUse `dvc remove` with any",
            "a is an out of more than one stage: b, c",
            "edit dvc.yaml",
        ),
        (
            "The output paths:\n'd'('a')\n'd/x'('b')\noverlap and are thus",
            "the outs d (of a), d/x (of b) lie in one another",
            "edit dvc.yaml",
        ),
        (
            "'./z.dvc' validation failed: 2 errors: not a valid value @ data",
            "z.dvc: not a valid value @ data",
            "edit z.dvc",
        ),
        (
            "failed to reproduce 'a': Parameters 'n.x' are missing from 'params.yaml'.",
            "params.yaml has no n.x",
            "edit params.yaml",
        ),
        (
            "failed to parse 'stages.a.foreach' in 'dvc.yaml': Could not find 'n'",
            "stages.a.foreach in dvc.yaml: Could not find 'n'",
            "edit dvc.yaml",
        ),
        (
            (
                "unable to read: 'dvc.lock', YAML file structure is corrupted: while scanning a quoted scalar\n"
                '  in "<unicode string>", line 1, column 4:\n    a: "b\n       ^ (line: 1)\n'
                'found unexpected end of stream\n  in "<unicode string>", line 2, column 1:\n    \n    ^ (line: 2)'
            ),
            "dvc.lock:2:1: while scanning a quoted scalar, found unexpected end of stream",
            "edit dvc.lock",
        ),
        ("of something\n\telse", "of something else", ""),
    ],
)
def test_what_dvc_says_is_one_sentence(said, told, then):
    found = dvctext.sentence(said, root="/srv/c")
    assert found.text.startswith(told)
    assert "\n" not in found.text
    assert found.next.startswith(then)
    assert bool(then) == bool(found.next)


def test_the_stage_that_dvc_names_is_known():
    assert dvctext.stage_of("failed to reproduce 'train@a': failed to run") == "train@a"
    assert dvctext.stage_of("of something else") == ""
