"""What is asked of the judge: a pull request's merge, or the commit that was pushed."""

import pytest

from pushforward.errors import PushforwardError
from pushforward.judge.question import Question, ask


class Forge:
    """A bare origin with a pull request, as a forge keeps it, and a fresh clone of the default branch."""

    def __init__(self, folder, repository, git):
        self.git, self.bare, self.clone = git, folder / "forge.git", folder / "judge"
        git(repository, "checkout", "-q", "-b", "topic")
        (repository / "b.txt").write_text("b\n")
        git(repository, "add", "-A")
        git(repository, "commit", "-q", "-m", "Topic")
        self.head = git(repository, "rev-parse", "HEAD")
        git(repository, "checkout", "-q", "main")
        git(folder, "clone", "-q", "--bare", str(repository), str(self.bare))
        git(folder, "clone", "-q", "--single-branch", "-b", "main", f"file://{self.bare}", str(self.clone))
        self.pull(12, self.head)

    def pull(self, number, head):
        tree = self.git(self.bare, "rev-parse", f"{head}^{{tree}}")
        merge = self.git(self.bare, "commit-tree", "-p", "main", "-p", head, "-m", "Merge", tree)
        self.git(self.bare, "update-ref", f"refs/pull/{number}/head", head)
        self.git(self.bare, "update-ref", f"refs/pull/{number}/merge", merge)
        return merge

    def ask(self, pull=None, event="pull_request"):
        return ask(self.clone, self.head, event, "refs/heads/topic", pull)


@pytest.fixture
def forge(tmp_path, repository, git):
    return Forge(tmp_path, repository, git)


@pytest.mark.parametrize("pull", [None, 12])
def test_what_is_judged_of_a_pull_request_is_its_merge(forge, git, pull):
    asked = forge.ask(pull)
    assert (asked.head, asked.pull) == (forge.head, 12)
    assert git(forge.clone, "rev-parse", f"{asked.subject}^2") == forge.head


def test_what_is_judged_of_a_push_is_the_commit(repository, git):
    head = git(repository, "rev-parse", "HEAD")
    asked = ask(repository, head, "push", "refs/heads/main", None)
    assert asked == Question(head, head, "push", "refs/heads/main")


def test_a_merge_of_another_head_is_not_judged(forge, git):
    newer = git(forge.bare, "commit-tree", "-p", forge.head, "-m", "More", f"{forge.head}^{{tree}}")
    forge.pull(12, newer)
    with pytest.raises(PushforwardError, match=r"is not a merge of .* any more: the branch has moved on"):
        forge.ask(12)
    with pytest.raises(PushforwardError, match="no pull request has the head"):
        forge.ask()
