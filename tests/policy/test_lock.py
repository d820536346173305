"""The outs of a dvc.lock as the hook reads them, without YAML: where they lie, or may, where stages work elsewhere."""

import pytest

from pushforward.policy.lock import outs, wdirs
from pushforward.policy.refusal import PolicyError

LOCK = """\
schema: '2.0'
stages:
  each@x:
    cmd: c
    outs:
    - path: {}
      hash: md5
      md5: aaaabbbbccccddddaaaabbbbccccdddd
      size: 1
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("stages:\n  a:\n    wdir: ..\n    cmd: c\n", [".."]),
        ("stages: {a: {wdir: sub, cmd: c}, b: {cmd: c, wdir: '../x'}}", ["../x", "sub"]),
        ('stages: {a: {do: {cmd: c, wdir: "models/${item}"}}}', ["models/${item}"]),
        ("stages: {a: {cmd: c, outs: [mywdir: x]}}", []),
    ],
)
def test_where_stages_work_is_read_in_any_form(text, found):
    assert wdirs(text.encode()) == found


def test_an_out_may_lie_where_a_stage_works():
    (out,) = outs(LOCK.format("metrics/m.json").encode(), "training", ["..", "models/${item}"])
    assert (out.path, out.others) == (
        "training/metrics/m.json",
        ("metrics/m.json", "training/models/x/metrics/m.json"),
    )


def test_what_leaves_the_folder_of_its_lock_is_inside_where_its_stage_works_below():
    (out,) = outs(LOCK.format("../model").encode(), "", ["sub"])
    assert (out.path, out.others) == ("model", ())
    with pytest.raises(PolicyError, match="outside this repository"):
        outs(LOCK.format("../model").encode(), "", ["."])
