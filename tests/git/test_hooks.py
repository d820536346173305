"""Hooks of a clone: chained before one that was there, refused where they would run elsewhere too, and gone again."""

import pytest

from pushforward.errors import PushforwardError
from pushforward.git import hooks


def test_a_hook_that_was_there_goes_first_and_stays(repository, git):
    own = repository / ".git" / "hooks" / "post-merge"
    own.parent.mkdir(exist_ok=True)
    own.write_text("#!/bin/sh\nexit 3\n")
    own.chmod(0o755)
    for _ in range(2):  # twice is once
        assert [path.name for path in hooks.install(repository)] == ["post-checkout", "post-merge"]
    assert "pull --hooked" in own.read_text()
    assert own.with_name("post-merge.before-pushforward").read_text() == "#!/bin/sh\nexit 3\n"
    assert [path.name for path in hooks.remove(repository)] == ["post-checkout", "post-merge"]
    assert own.read_text() == "#!/bin/sh\nexit 3\n"
    assert [path.name for path in own.parent.glob("*pushforward*")] == []
    assert hooks.remove(repository) == []
    own.with_name("post-merge.before-pushforward").write_text("")
    with pytest.raises(PushforwardError, match=r"has post-merge and post-merge.before-pushforward"):
        hooks.install(repository)


def test_a_folder_of_hooks_that_others_share_is_left_alone(repository, git, tmp_path):
    shared = tmp_path / "shared"
    git(repository, "config", "--global", "core.hooksPath", str(shared))
    with pytest.raises(PushforwardError, match=r"core.hooksPath is .* for every repository of this user") as refused:
        hooks.install(repository)
    assert refused.value.next.startswith(f"put this line into {shared}/post-checkout and {shared}/post-merge: ")
    assert not shared.exists()
    git(repository, "config", "core.hooksPath", "own")
    assert {path.parent for path in hooks.install(repository)} == {repository / "own"}
    git(repository, "add", "own")
    with pytest.raises(PushforwardError, match=r"git holds own/post-checkout: it is everybody's hook"):
        hooks.install(repository)
