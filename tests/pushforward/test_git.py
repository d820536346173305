import threading

import pytest

from pushforward import git, process
from pushforward.errors import PushforwardError
from pushforward.git import Repository, tree_entries


def commit(git, folder, name, text, message="Change"):
    (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def test_a_hooks_variables_do_not_reach_git(repository, monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_QUARANTINE_PATH", str(tmp_path))
    assert Repository(repository).resolve("HEAD")


def test_names_that_look_like_options_are_names(repository):
    assert Repository(repository).resolve("--help") is None
    with pytest.raises(PushforwardError, match="no commit is called"):
        Repository(repository).commit("--all")


def test_the_same_content_makes_the_same_commit(repository):
    checkout = Repository(repository)
    head = checkout.commit("HEAD")

    def write():
        tree = checkout.write_tree(head, {"dvc.lock": b"x", "metrics/a.json": b"{}"}, index=repository / "i")
        return checkout.write_commit(tree, [head], "Lock\n", date=checkout.date(head))

    first = write()
    assert write() == first
    assert sorted(checkout.tree(first)) == ["a.txt", "dvc.lock", "metrics/a.json"]
    assert checkout.changed(head, first) == ["dvc.lock", "metrics/a.json"]


def test_a_folder_can_be_dropped_from_a_tree(repository, git):
    (repository / "metrics").mkdir()
    commit(git, repository, "metrics/old.json", "{}")
    checkout = Repository(repository)
    tree = checkout.write_tree("HEAD", {"metrics/new.json": b"{}"}, index=repository / "i", drop="metrics")
    names = process.run(["git", "-C", str(repository), "ls-tree", "-r", "--name-only", tree]).text.split()
    assert names == ["a.txt", "metrics/new.json"]


def test_of_two_that_swap_only_one_wins(repository, git):
    checkout = Repository(repository)
    head = checkout.commit("HEAD")
    won = []
    threads = [
        threading.Thread(target=lambda: won.append(checkout.update_ref("refs/pushforward/x", head, git_zero())))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(won) == 1


def git_zero():
    return git.ZERO


def test_merging_without_a_work_tree_names_conflicts(repository, git):
    base = Repository(repository).commit("HEAD")
    ours = commit(git, repository, "a.txt", "ours\n")
    git(repository, "checkout", "-q", "-b", "topic", base)
    theirs = commit(git, repository, "a.txt", "theirs\n")
    git(repository, "checkout", "-q", "-b", "other", base)
    other = commit(git, repository, "b.txt", "b\n")
    checkout = Repository(repository)
    assert checkout.merge_tree(ours, theirs) == (None, ["a.txt"])
    tree, conflicts = checkout.merge_tree(ours, other)
    assert tree is not None
    assert conflicts == []


def test_the_reflog_remembers_every_move(repository, git):
    checkout = Repository(repository)
    first = checkout.commit("HEAD")
    second = commit(git, repository, "a.txt", "two\n")
    git(repository, "reset", "-q", "--hard", first)
    assert list(Repository(repository / ".git").reflog("refs/heads/main")) == [
        (git_zero(), first),
        (first, second),
        (second, first),
    ]


def test_a_missing_program_is_named():
    with pytest.raises(PushforwardError, match="no-such-program is not installed") as missing:
        process.run(["no-such-program"])
    assert missing.value.exit_code == 6


def test_a_child_inherits_no_secret(monkeypatch):
    monkeypatch.setenv("TOKEN", "secret")
    assert "secret" not in process.run(["env"]).text


def test_a_child_that_takes_too_long_is_ended():
    with pytest.raises(PushforwardError, match="took longer"):
        process.run(["sleep", "5"], timeout=0.2)


def test_many_objects_are_read_by_one_process(repository, git, monkeypatch):
    (repository / "b.txt").write_bytes(b"two\n\nmissing\n")
    head = commit(git, repository, "a b.txt", "")
    calls = []
    run = process.run
    monkeypatch.setattr(process, "run", lambda argv, **more: calls.append(argv) or run(argv, **more))
    names = ["HEAD:b.txt", "HEAD:a b.txt", "HEAD:no such file", "f" * 40, head, "HEAD:", "nonsense", "HEAD:a.txt"]
    found = Repository(repository).objects(names)
    assert len(calls) == 1
    assert found[:4] == [("blob", b"two\n\nmissing\n"), ("blob", b""), None, None]
    assert found[4][0] == "commit"
    assert found[5][0] == "tree"
    assert found[6:] == [None, ("blob", b"one\n")]
    listed = tree_entries(found[5][1])
    assert listed == {name: entry.split()[1] for name, entry in Repository(repository).tree("HEAD").items()}
    assert Repository(repository).objects([]) == []
    with pytest.raises(ValueError, match="line break"):
        Repository(repository).objects(["HEAD\nHEAD"])


def test_unmerged_are_those_that_are_here_and_not_in_the_history(repository, git):
    merged = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "-q", "-b", "topic")
    topic = commit(git, repository, "a.txt", "x")
    git(repository, "checkout", "-q", "main")
    main = commit(git, repository, "b.txt", "x")
    assert Repository(repository).unmerged([merged, topic, main, "f" * 40], main) == {topic}


ODD_NAMES = (
    "résumé.md",
    "数据.csv",
    "a b.txt",
    'qu"ote.txt',
    "back\\slash",
    "tab\there",
    "line\nbreak",
    "\x1b[31mred",
    "🛫.py",
)


def test_names_of_files_are_what_people_wrote(repository, git):
    folder = repository / "docs"
    folder.mkdir()
    (folder / "kept").write_text("")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Begin")
    before = Repository(repository).commit("HEAD")
    for text, branch in (("theirs\n", "other"), ("ours\n", "mine")):
        git(repository, "checkout", "-q", "-B", branch, before)
        for name in ODD_NAMES:
            (folder / name).write_text(text)
        shown = sorted(f"docs/{name}".replace("\n", "\ufffd").replace("\x1b", "\ufffd") for name in ODD_NAMES)
        git(repository, "add", "-A")
        assert set(Repository(repository).unclean()) == set(shown)
        git(repository, "commit", "-q", "-m", branch)
    found = Repository(repository)
    assert sorted(found.diffstat(before, "mine")) == [(name, 1, 0) for name in shown]
    tree, conflicts = found.merge_tree("mine", "other")
    assert (tree, sorted(conflicts)) == (None, shown)


def test_a_name_that_is_no_text_can_be_shown(repository, git):
    before = Repository(repository).commit("HEAD")
    (repository / "caf\udce9").write_text("a\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Latin")
    (path, _, _), *_ = Repository(repository).diffstat(before, "HEAD")
    assert path == "caf\ufffd"
