import threading
from pathlib import Path

import pytest

from pushforward import process
from pushforward.errors import PushforwardError
from pushforward.git.refs import ZERO
from pushforward.git.repository import Repository, tree_entries


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
    return ZERO


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


def configure(git, folder, settings):
    for key, value in settings.items():
        git(folder, "config", "--global", key, value)


def test_a_bare_repository_is_named_to_git_which_may_not_look_for_one(repository, git, tmp_path):
    bare = tmp_path / "a server.git"
    git(tmp_path, "clone", "-q", "--bare", str(repository), str(bare))
    head = git(repository, "rev-parse", "HEAD")
    configure(git, tmp_path, {"safe.bareRepository": "explicit"})
    for place in (bare, bare / "hooks", bare / "refs" / "heads"):
        assert Repository(place).resolve("HEAD") == head
    assert Repository(repository).resolve("HEAD") == head, "a checkout is found as ever"


@pytest.mark.parametrize("kind", ["work tree", "submodule", "a folder of it"])
def test_a_checkout_whose_git_folder_lies_elsewhere_is_found(repository, git, tmp_path, kind, monkeypatch):
    configure(git, tmp_path, {"safe.bareRepository": "explicit", "protocol.file.allow": "always"})
    head = git(repository, "rev-parse", "HEAD")
    place = tmp_path / "other"
    if kind == "work tree":
        git(repository, "worktree", "add", "-q", "--detach", str(place))
    elif kind == "submodule":
        git(tmp_path, "init", "-q", "outer")
        git(tmp_path / "outer", "submodule", "--quiet", "add", str(repository), "inner")
        place = tmp_path / "outer" / "inner"
    else:
        place = repository / "folder"
        place.mkdir()
    monkeypatch.chdir(place)
    for path in (place, Path()):
        found = Repository(path)
        assert found.resolve("HEAD") == head
        assert found.git("rev-parse", "--is-inside-work-tree").text == "true"


def test_what_a_person_has_configured_does_not_change_what_is_read(repository, git, tmp_path):
    key = tmp_path / "key"
    process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
    configure(git, tmp_path, {"gpg.format": "ssh", "user.signingkey": f"{key}.pub", "commit.gpgSign": "true"})
    signed = commit(git, repository, "b.txt", "x\n", "Say so")
    found = Repository(repository)
    before = (
        found.subject(signed),
        found.date(signed),
        found.diffstat(f"{signed}^", signed),
        found.changed(None, signed),
    )
    assert before[0] == "Say so"
    assert before[2] == [("b.txt", 1, 0)]
    settings = {"log.showSignature": "true", "color.ui": "always", "core.fsmonitor": "true", "diff.noprefix": "true"}
    configure(git, tmp_path, settings | {"format.pretty": "oneline", "log.date": "relative", "core.quotePath": "true"})
    after = found.subject(signed), found.date(signed), found.diffstat(f"{signed}^", signed), found.changed(None, signed)
    assert after == before


def test_names_of_files_are_as_people_wrote_them(repository, git):
    head = git(repository, "rev-parse", "HEAD")
    for name in ("résumé 数据.md", 'a "b".txt', "tab\there", "🚀"):
        (repository / name).write_text("x\n")
    made = commit(git, repository, "plain", "x\n")
    found = [path for path, _, _ in Repository(repository).diffstat(head, made)]
    assert sorted(found) == sorted(["résumé 数据.md", 'a "b".txt', "tab\there", "🚀", "plain"])


def test_a_push_of_ours_is_not_signed_as_a_whole_for_a_server_that_takes_no_such(repository, git, tmp_path):
    bare = tmp_path / "server.git"
    git(tmp_path, "init", "-q", "--bare", str(bare))
    configure(git, tmp_path, {"push.gpgSign": "true"})
    assert Repository(repository).remote("push", "-q", str(bare), "HEAD:refs/heads/main", check=False).returncode == 0


@pytest.mark.parametrize("where", ["core.hooksPath", "init.templateDir"])
def test_a_copy_is_as_git_makes_it_where_nobody_has_configured_anything(repository, git, tmp_path, where):
    head = commit(git, repository, "lines.txt", "one\ntwo\n")
    hooks = tmp_path / "mine" / "hooks"
    hooks.mkdir(parents=True)
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\nexit 1\n")
    (hooks / "post-checkout").chmod(0o755)
    theirs = {where: str(hooks if where == "core.hooksPath" else hooks.parent)}
    configure(git, tmp_path, theirs | {"core.autocrlf": "true", "clone.defaultRemoteName": "elsewhere"})
    Repository(repository).copy(tmp_path / "copy", head)
    assert (tmp_path / "copy" / "lines.txt").read_bytes() == b"one\ntwo\n"
    assert not (tmp_path / "ran").exists()
    assert git(tmp_path / "copy", "rev-parse", "HEAD") == head
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "-q", "--bare", str(repository), str(bare))
    configure(git, tmp_path, {"safe.bareRepository": "explicit"})
    Repository(bare).copy(tmp_path / "again", head)
    assert (tmp_path / "again" / "lines.txt").is_file()


def test_a_repository_may_be_made_inside_of_a_bare_one(git, tmp_path):
    bare = tmp_path / "server.git"
    git(tmp_path, "init", "-q", "--bare", str(bare))
    (bare / "scratch").mkdir()
    made = Repository(bare / "scratch")
    made.git("init", "-q")
    assert made.git("rev-parse", "--show-toplevel").text == str(bare / "scratch")
    assert git(bare, "rev-parse", "--is-bare-repository") == "true"


def test_a_commit_of_the_service_may_be_of_any_date(repository):
    made = Repository(repository)
    tree = made.git("rev-parse", "HEAD^{tree}").text
    for date in ("86400 +0000", "0 +0000", "1700000000 +0200"):
        commit = made.write_commit(tree, [], "Lock\n", date=date)
        assert made.git("log", "-1", "--format=%at %ct", commit).text == f"{date.split()[0]} {date.split()[0]}"
