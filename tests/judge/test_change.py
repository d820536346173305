"""What a change claims, held against what its run has found."""

import pytest

from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.judge import change


def test_metrics_that_a_commit_claims_are_those_of_its_run(repository, git):
    (repository / "metrics").mkdir()
    (repository / "metrics" / "metrics.json").write_text('{"auc": 0.75}')
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Claim")
    base, head = git(repository, "rev-parse", "HEAD^"), git(repository, "rev-parse", "HEAD")
    check = change.check_claims
    check(Repository(repository), base, head, {"metrics/metrics.json": b'{ "auc": 0.75 }\n'})
    check(Repository(repository), head, head, {"metrics/metrics.json": b'{"auc": 0.5}'})
    for found in ({"metrics/metrics.json": b'{"auc": 0.5}'}, {}, {"metrics/metrics.json": b"not json"}):
        with pytest.raises(PushforwardError, match=r"metrics/metrics.json was committed with other numbers"):
            check(Repository(repository), base, head, found)
