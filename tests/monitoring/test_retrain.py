"""What a retrain is: a key moved to the day and every other byte kept, or words on why nothing is proposed."""

import dataclasses

import pytest
from tests.views.test_looked import RECORD

from pushforward.errors import USAGE, PushforwardError
from pushforward.git.repository import Repository
from pushforward.lifecycle import Monitor
from pushforward.monitoring import retrain
from pushforward.pipeline.revision import Revision

PARAMS = """\
# what the pipeline is told
data:
  until: "2013-05-31"   # what is taken in
  long: "a line that is so long that whoever writes YAML would fold it, which is nobody's business here at all"
  sources:
  - a   # a list that is not indented
  -   b
seed: 7
"""


@pytest.fixture
def main(repository, git):
    (repository / "params.yaml").write_text(PARAMS)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Begin")
    return Revision(Repository(repository), "HEAD")


def _step(main, key=None, *, arrives=False, **changed):
    found = dataclasses.replace(RECORD, limits=Monitor(reference="data/rows", retrain=key), **changed)
    return retrain.step(found, main, arrives=arrives, report="## report\n")


def test_the_key_is_moved_to_the_day_of_the_look_and_nothing_else(main):
    step = _step(main, "params.yaml:data.until")
    assert step.proposal.files == {"params.yaml": PARAMS.replace("2013-05-31", "2013-06-30").encode()}
    assert step.proposal.branch == "retrain/production-2013-06-30"
    assert step.proposal.body == "## report\n"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"waiting": ("2013-05", "2013-06")},
            "the default branch has 2013-05, 2013-06, which flight-delay@v1.0.0",
        ),
        ({"arrives": True}, "pushforward arrive asks for more"),
        ({}, "there is nothing new to learn from: add a batch, or name in monitor.retrain until when data is taken in"),
    ],
)
def test_where_nothing_is_to_be_changed_it_says_what_else(main, asked, said):
    step = _step(main, **asked)
    assert step.proposal is None
    assert said in step.words


def test_what_is_taken_in_already_is_not_proposed(main):
    until = dataclasses.replace(RECORD, at=RECORD.at.replace(month=5, day=31))
    limits = Monitor(reference="data/rows", retrain="params.yaml:data.until")
    step = retrain.step(dataclasses.replace(until, limits=limits), main, arrives=False, report="")
    assert step.proposal is None
    assert step.words == "params.yaml:data.until is 2013-05-31 already: what has come until then is taken in"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("params.yaml:data.since", "and params.yaml has no data.since"),
        ("other.yaml:data.until", "other.yaml, which is not there"),
        ("params.yaml:seed", "params.yaml:seed (monitor.retrain) is 7, and a retrain sets it to a day"),
    ],
)
def test_a_key_that_is_none_is_refused_with_what_to_write(main, key, said):
    with pytest.raises(PushforwardError) as refused:
        _step(main, key)
    assert said in refused.value.message
    assert refused.value.exit_code == USAGE
