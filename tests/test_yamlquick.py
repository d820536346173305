"""Plain YAML by libyaml: what it reads, ruamel.yaml reads as the same; where they differ, the slower one is asked."""

from collections import OrderedDict
from datetime import date
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pushforward import yamlquick
from pushforward.actions import lines

ROOT = Path(__file__).parent.parent
WORDS = (
    "010",
    "0o7",
    "0x1F",
    "1_000",
    "1e3",
    ".5",
    "5.",
    "2020-01-01",
    "2020-01-01T10:00:00Z",
    "~",
    "yes",
    "on",
    "True",
    "1:30",
    "+5",
    "-0",
    "12e03",
    "0777",
    "-.5",
    "+.5e3",
    ".5e3",
    ".5e+3",
    "1.e5",
    "1e+5",
    "1_0.5",
    "0b101",
    "0o8",
    "08",
    "1e",
    "1.2.3",
    "-",
    "--",
    "1-",
    "-_",
    "+_1",
    ".",
    "..",
    ".inf",
    "-.INF",
    ".nan",
    "=",
    "<<",
    "1x",
    "0x",
    "null",
    "NULL",
    "nuLL",
    "TRUE",
    "tRUE",
    "190:20:30.15",
    "1e5a",
    "123abc",
    "2001-12-14",
    "2001-12-14t21:59:43.10-05:00",
    "'on'",
    '"a"',
    "|",
)
TEXTS = (
    "",
    "a:\n",
    "--- \na: 1\n",
    "a: 1\n---\nb: 2\n",
    "a: !!int '3'\n",
    "a: !x 3\n",
    "%YAML 1.1\n---\na: yes\n",
    "a: &b 1\nc: *b\n",
    "a: &b 1\nc: &b 2\nd: *b\n",
    "a: &b {c: 1}\nd: {<<: *b, e: 2}\n",
    "a: 1\na: 2\n",
    "a: b: c\n",
    "a:\t1\n",
    "? [a]\n: b\n",
    "a: [1, {b: c}\n",
    "a: |\n  x\n  y\nb: >\n  c\n  d\n",
)


def read(reader, source):
    try:
        return repr(reader(source))
    except (YAMLError, ValueError, TypeError) as wrong:
        return type(wrong)


@pytest.mark.filterwarnings("ignore::ruamel.yaml.error.ReusedAnchorWarning")
def test_what_is_read_quickly_is_what_dvc_reads():
    kept = [path.read_text() for path in (*ROOT.glob(".github/**/*.yml"), *ROOT.glob("*.yaml"), ROOT / "dvc.lock")]
    for source in (*kept, *TEXTS, *(form % word for word in WORDS for form in ("a: %s\n", "- %s\n"))):
        assert read(yamlquick.safe, source) == read(YAML(typ="safe").load, source), source


@pytest.mark.filterwarnings("ignore::ruamel.yaml.error.ReusedAnchorWarning")
def test_workflow_files_are_read_as_the_slower_reader_does():
    kept = [path.read_text() for path in ROOT.glob(".github/**/*.yml")]
    texts = [text for text in TEXTS if "\t" not in text]  # which GitHub takes, and ruamel.yaml does not
    for source in (*kept, *texts, *(form % word for word in WORDS for form in ("a: %s\n", "- %s\n"))):
        assert read(lines.read, source) == read(lambda text: lines.reader().load(text), source), source
    assert lines.read("a:\t1\n") == {"a": 1}


def test_what_is_plain_is_read_quickly():
    for path in (*ROOT.glob(".github/**/*.yml"), ROOT / "dvc.lock", ROOT / "dvc.yaml", ROOT / "params.yaml"):
        assert yamlquick.load(path.read_text())
    for source in ("a: 2020-01-01\n", "a: 1_0\n", "<<: {}\n", "a: 1\na: 2\n", "%YAML 1.1\n--- 1\n", "a: !x 3\n"):
        with pytest.raises(yamlquick.NOT_PLAIN):
            yamlquick.load(source)


def test_what_is_written_quickly_is_read_as_the_same_by_both():
    numbers = [0, -7, 10**20, 0.1, 1e-05, 1e300, -2.5e-10, True, False, None, 1.0]
    texts = [
        *WORDS,
        "",
        " a",
        "a ",
        "a: b",
        "#a",
        "a #b",
        "x\ny\n",
        "\n",
        "ä 😀",
        "- a",
        "{a",
        "[",
        "a" * 500,
        "b c " * 99,
        "?",
    ]
    lock = yamlquick.load((ROOT / "dvc.lock").read_text())
    for value in (*numbers, *texts, numbers, texts, {word: word for word in texts}, lock):
        text = yamlquick.dump({"a": value})
        assert repr(yamlquick.safe(text)) == repr({"a": value}), text
        assert repr(YAML(typ="safe").load(text)) == repr({"a": value}), text
    shared = ["one"]
    assert yamlquick.dump(OrderedDict(b=shared, a=shared)) == "b:\n- one\na:\n- one\n"
    assert repr(YAML(typ="safe").load(yamlquick.dump([float("inf"), float("nan")]))) == "[inf, nan]"
    for other in (date, ("a",)):
        with pytest.raises(yamlquick.NOT_PLAIN):
            yamlquick.dump({"a": other})
