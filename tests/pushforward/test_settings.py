import pytest

from pushforward import settings
from pushforward.errors import PushforwardError

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
        (b" {events}", b"", 4, "{events}"),
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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            'data:\n  "l0": &a0 [x, x]\n' + "".join(f'  "l{n}": &a{n} [*a{n - 1},*a{n - 1}]\n' for n in range(1, 40)),
            "anchor or alias",
        ),
        ("a: &-b [x]\n", "anchor or alias"),
        ("a: " + "[" * 30_000, "nested too deeply"),
        ('a: !!int ""\n', "params.yaml"),
        ("a: !!bool maybe\n", "params.yaml"),
        ("a: !!omap 5\n", "params.yaml"),
    ],
    ids=["quoted bomb", "dash", "deep", "int", "bool", "omap"],
)
def test_what_would_grow_or_does_not_fit_its_tag_is_refused_at_once(text, words):
    with pytest.raises(PushforwardError, match=words):
        settings.parse(text.encode())
