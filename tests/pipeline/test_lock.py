"""A dvc.lock: why a stage ran again, from what was locked before and after."""

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
