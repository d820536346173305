"""A batch from its source to its verdict: real pushes, a real run."""

import time

import pytest

SOURCE = """\
import json, pathlib, sys
months = [f"2020-{number:02d}" for number in range(1, 6)]
pathlib.Path(sys.argv[1]).write_text(json.dumps([{"batch": month, "digest": f"of-{month}"} for month in months]))
"""
SETTINGS = """\
arrive:
  source: python source.py {out}
  stages: [collect]
  merge: promote
"""
SECONDS = 600


@pytest.mark.slow
def test_a_batch_is_proposed_and_judged_and_merged_on_no_other_word(promoted):
    team = promoted
    (team.clone / "source.py").write_text(SOURCE)
    path = team.clone / "pushforward.yaml"
    path.write_text(path.read_text() + SETTINGS)
    team.git("add", "-A")
    team.git("commit", "-q", "-m", "Say where batches come from")
    team.push()
    said = team.pushforward("arrive", "--now", "2020-06-01")
    assert "arrive/2020-05 is pushed" in said
    team.git("fetch", "-q", "local")
    tip = team.git("rev-parse", "local/arrive/2020-05").strip()
    end = time.monotonic() + SECONDS
    while not team.note(tip) and time.monotonic() < end:
        time.sleep(0.5)
    said = team.pushforward("arrive", "--now", "2020-06-01")
    # with the source's code beside it, this is no refresh, and a month more shows no gain
    assert "arrive/2020-05 is there, with this change; its verdict is unknown: it is not merged by itself" in said
    team.git("fetch", "-q", "local")
    assert "2020-05" not in team.git("show", "local/main:params.yaml")
