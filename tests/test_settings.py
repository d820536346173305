from pathlib import Path

import pytest

from pushforward import __version__, settings, yamlfile
from pushforward.errors import PushforwardError

LFS = "git lfs pull, take it out of LFS in .gitattributes, then git add --renormalize . && git commit"

GOOD = b"""\
model:
  name: flight-delay
  path: model
  score: python -m flights.predict {rows} {events} {out}
  holdout: data/holdout
  key: flight_id
  label: late
  cluster: date
  time: decided_at
  requirements: [requirements/run.txt]
data:
  months:
    - "2013-01"
    - "2013-02"
    - "2013-03"
    - "2013-04"
gate:
  window: 2
train:
  max_depth: 4
"""


def test_the_sections_are_read_and_the_others_left_to_the_project():
    read = settings.parse(GOOD)
    assert read.data.months[-1] == "2013-04"
    assert read.gate.alpha == 0.05
    assert read.promote.environments == {"staging": "auto", "production": "manual"}


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        (b"window: 2", b"windw: 2", 19, "did you mean 'window'"),
        (b"window: 2", b"window: '2'", 19, "gate.window"),
        (b"window: 2", b"window: 0", 19, "greater than or equal to 1"),
        (b"window: 2", b"window: yes", 19, "gate.window"),
        (b"window: 2", b"alpha: .nan", 19, "gate.alpha"),
        (b'- "2013-02"', b'- "2013-03"', 13, "after '2013-01' comes '2013-02'"),
        (b'- "2013-02"', b'- "2013-13"', 13, "not a month"),
        (b'    - "2013-04"\n', b"", 1, "need 4"),
        (b"gate:", b"gates:", 18, "did you mean 'gate'"),
        (b"path: model", b"path: ../model", 3, "model.path"),
        (b" {out}", b"", 4, "{out}"),
        (b"  key: flight_id\n", b"", 1, "'model.key' is missing"),
        (b"window: 2", b"window: 2\n  window: 3", 20, "duplicate key"),
        (b"window: 2", b"\twindow: 2", 19, ""),
        (b"window: 2", b"window: &a 2\n  alpha: *a", 1, "anchor"),
        (b"window: 2", b"<<<<<<< HEAD", 19, ""),
        (b"gate:", b"promote: {environments: {any: auto}}\ngate:", 18, "what a key may sign"),
        (b"gate:", b"promote: {environments: {main: manual}}\ngate:", 18, "what a key may sign"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(old, new, line, words):
    assert old in GOOD
    with pytest.raises(PushforwardError) as refused:
        settings.parse(GOOD.replace(old, new))
    assert words in str(refused.value)
    assert refused.value.exit_code == 2
    if line > 1 and words:
        assert abs(int(str(refused.value).split(":")[1]) - line) <= 1


@pytest.mark.parametrize(
    ("value", "name", "told"),
    [
        ("since: 2013-01-01", "train.since", '"2013-01-01"'),
        ("since: 2013-1-1", "", ""),
        ("since: 2013-01-01T10:00:00Z", "train.since", '"2013-01-01T10:00:00'),
        ("since: 2013-01-01 10:00:00", "train.since", '"2013-01-01T10:00:00"'),
        ("days: [2013-01-01]", "train.days.0", '"2013-01-01"'),
        ("cut: {a: {b: [x, {c: 2013-02-03}]}}", "train.cut.a.b.1.c", '"2013-02-03"'),
        ('since: "2013-01-01"', "", ""),
        ("since: 2013-01", "", ""),
        ("since: 10:30:00", "", ""),
        ("2013-01-01: x", "train.2013-01-01", '"2013-01-01"'),
        ("cut: [{2013-01-01: x}]", "train.cut.0.2013-01-01", '"2013-01-01"'),
        ('"2013-01-01": x', "", ""),
        ("7: x", "", ""),
    ],
)
def test_a_date_without_quotes_is_told_by_its_key_whichever_section_holds_it(value, name, told):
    text = GOOD.replace(b"max_depth: 4", value.encode())
    if not name:
        settings.parse(text)
        return
    for read in (settings.parse, settings.flatten, settings.plain):
        with pytest.raises(PushforwardError) as refused:
            read(text, "params.yaml")
        line = GOOD.count(b"\n")
        assert refused.value.message.startswith(
            f"params.yaml:{line}: quote the date at {name}, or DVC cannot read the file: "
        )
        assert told in refused.value.message
        assert (refused.value.exit_code, refused.value.next) == (2, "edit params.yaml")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("!!set {x, y}", "'train.max_depth' is a value of the kind set, which DVC cannot read"),
        ("!!binary aGk=", "'train.max_depth' is a value of the kind bytes, which DVC cannot read"),
        ("{[x]: 1}", "'train.max_depth.('x',)' is a value of the kind keyseq, which DVC cannot read"),
        ("!mine 3", "'train.max_depth' has the tag !mine, which DVC cannot read; write it without"),
        ("!mine {x: 3}", "'train.max_depth' has the tag !mine, which DVC cannot read"),
        ("[a, !mine [3]]", "'train.max_depth.1' has the tag !mine, which DVC cannot read"),
        ("!!python/tuple [3]", "'train.max_depth' has the tag tag:yaml.org,2002:python/tuple, which DVC"),
    ],
)
def test_a_value_that_no_stage_can_be_given_is_told(value, words):
    with pytest.raises(PushforwardError) as refused:
        settings.parse(GOOD.replace(b"max_depth: 4", f"max_depth: {value}".encode()))
    assert words in refused.value.message
    assert refused.value.next == "edit params.yaml"


@pytest.mark.parametrize("value", ["gate:\n", "gate: [1]\n", "gate: 3\n"])
def test_a_section_without_keys_is_told_in_words(value):
    with pytest.raises(PushforwardError, match="'gate' must hold keys of its own; write them below it, or take the"):
        settings.parse(GOOD.replace(b"gate:\n  window: 2\n", value.encode()))


@pytest.mark.parametrize(
    ("text", "words", "next_"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n", "a Git LFS pointer", LFS),
        (b"outs:\n- md5: 0123\n  size: 3\n  path: params.yaml\n", "a DVC pointer", "commit the file itself"),
        (b"md5: 01\r\nouts:\r\n- md5: 0123\r\n  path: params.yaml\r\n", "a DVC pointer", "commit the file itself"),
    ],
)
def test_a_pointer_is_told_as_one(text, words, next_):
    with pytest.raises(PushforwardError) as refused:
        settings.parse(text)
    assert refused.value.message == f"params.yaml is {words}, not what it points to"
    assert (refused.value.exit_code, refused.value.next) == (2, next_)


def test_settings_of_another_version_are_told_as_such():
    with pytest.raises(PushforwardError) as refused:
        settings.parse(GOOD.replace(b"window: 2", b"window: 2\n  quorum: 3"))
    said = f"unknown key 'gate.quorum': pushforward {__version__} has no such setting, another version may; take it out"
    assert said in refused.value.message
    assert "known: metric, quantile, delta, window" in refused.value.message


@pytest.mark.parametrize(
    "text", [b"\xff\xfem\x00", b"", b"- a", b"x" * 70_000, b"a: [1", b"a: 1\n---\nb: 2", b"a: \x00"]
)
def test_no_bytes_bring_it_down(text):
    with pytest.raises(PushforwardError):
        settings.parse(text)


def test_flatten_gives_leaves_by_dotted_key():
    flat = settings.flatten(b"a:\n  b: 1\n  c: [1, 2]\nd: x\n")
    assert flat == {"a.b": 1, "a.c": [1, 2], "d": "x"}


def test_months_follow_each_other_over_the_year():
    assert settings.next_month("2013-12") == "2014-01"
    assert settings.next_month("2013-09") == "2013-10"


LONG = f"# {'x' * yamlfile.PLAIN_CHARACTERS}\n"  # what is as long is looked through before it is built


def test_what_is_nested_as_deeply_as_it_may_is_read():
    deep = yamlfile.LIMIT_DEPTH - 1
    text = f"{LONG}{GOOD.decode()}own: {'[' * deep}{']' * deep}\n"
    assert settings.parse(text.encode()).model.name == settings.parse(GOOD).model.name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('data:\n  "l0": &a0 [x, x]\n  "l1": *a0\n', "anchor or alias"),
        ("a: &-b [x]\n", "anchor or alias"),
        (LONG + "a: " + "[" * yamlfile.LIMIT_DEPTH + "]" * yamlfile.LIMIT_DEPTH, "nested too deeply"),
        ('a: !!int ""\n', "params.yaml"),
        ("a: !!bool maybe\n", "params.yaml"),
        ("a: !!omap 5\n", "params.yaml"),
    ],
    ids=["quoted", "dash", "deep", "int", "bool", "omap"],
)
def test_what_would_grow_or_does_not_fit_its_tag_is_refused_at_once(text, words):
    with pytest.raises(PushforwardError, match=words):
        settings.parse(text.encode())


def test_the_contract_is_written_down_whole():
    text = (Path(__file__).parent.parent / "docs" / "contract.md").read_text()
    missing = [name for name in settings.ModelContract.model_fields if f"model.{name}" not in text]
    assert not missing
    least = text.partition("```yaml\n")[2].partition("```")[0]
    months = "data:\n  months: ['2020-01', '2020-02', '2020-03', '2020-04']\ngate:\n  metric: squared\n"
    read = settings.parse(f"{least}{months}".encode()).model
    assert (read.cluster, read.time, read.events, read.predicted) == (None, None, False, ("p",))
