"""Whether an object of DVC's is whole: by its bytes, and of a folder by those of each file in it."""

import contextlib
import hashlib
import json

import pytest
from dvc_data.hashfile.tree import Tree

from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline import patches
from pushforward.pipeline.lock import is_object
from pushforward.pipeline.store import Store, members, named


def put(store, content, suffix=""):
    oid = hashlib.md5(content, usedforsecurity=False).hexdigest() + suffix
    path = store.path / "files" / "md5" / oid[:2] / oid[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return oid


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.mark.parametrize("content", [b"", b"one\n", b"\0" * 70_000], ids=["empty", "short", "long"])
def test_an_object_is_its_bytes(store, content):
    oid = put(store, content)
    assert is_object(content, oid)
    assert store.content(oid) == content
    assert store.is_intact(oid)
    assert store.is_whole(oid)


def test_bytes_of_the_same_size_are_another_object(store):
    oid = put(store, b"one\n")
    store.file(oid).write_bytes(b"two\n")
    assert store.read(oid) == b"two\n"
    assert store.content(oid) is None
    assert not store.is_intact(oid)
    assert not store.is_whole(oid)


def test_what_is_not_there_is_not_whole(store):
    oid = hashlib.md5(b"one\n", usedforsecurity=False).hexdigest()
    assert (store.content(oid), store.is_intact(oid), store.is_whole(oid)) == (None, False, False)


@pytest.mark.parametrize("damage", ["gone", "another of the same size", None])
def test_a_folder_is_whole_with_every_file_of_its_list(store, damage):
    inside = put(store, b"one\n")
    listed = json.dumps([{"md5": inside, "relpath": "a.txt"}]).encode()
    oid = put(store, listed, ".dir")
    if damage == "gone":
        store.file(inside).unlink()
    elif damage:
        store.file(inside).write_bytes(b"two\n")
    assert store.is_intact(oid), "the list itself is"
    assert store.is_whole(oid) is (damage is None)


ELSEWHERE = ["", "/x", "../x", "a/../../x", "a//x", "./x", ".git/x", "a/.GIT/x", "a/.git"]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_list_that_names_what_is_not_in_its_folder_is_refused(path):
    listed = [{"md5": "0" * 32, "relpath": path}]
    content = json.dumps(listed).encode()
    oid = hashlib.md5(content, usedforsecurity=False).hexdigest() + ".dir"
    with pytest.raises(PushforwardError, match="a folder that DVC keeps lists"):
        members(oid, content)
    with pytest.raises(PushforwardError, match="a folder that DVC keeps lists"), patches.ours():
        Tree.from_list(listed)
    # as DVC does with any error, which is why it is said at the end
    with pytest.raises(PushforwardError, match="is not written"), patches.ours(), contextlib.suppress(Exception):
        Tree.from_list(listed)


def test_a_list_may_name_what_only_looks_like_it():
    names = ["a", "a/b", "..a", ".gitignore", "a/.gitkeep", "b..", "c:d"]
    with patches.ours():
        tree = Tree.from_list([{"md5": "0" * 32, "relpath": name} for name in names], hash_name="md5")
    assert {"/".join(key) for key, _, _ in tree} == set(names)


def test_a_link_in_place_of_an_object_is_refused(store, tmp_path):
    oid = put(store, b"one\n")
    (tmp_path / "elsewhere").write_bytes(b"one\n")
    store.file(oid).unlink()
    (store.path / "files" / "md5" / oid[:2] / oid[2:]).symlink_to(tmp_path / "elsewhere")
    for ask in (store.content, store.is_intact, store.is_whole):
        with pytest.raises(PushforwardError, match="link"):
            ask(oid)


def test_what_commits_name_is_found_in_every_folder_by_as_many_processes_whatever_their_number(
    repository, git, monkeypatch
):
    (repository / "a" / "b").mkdir(parents=True)
    (repository / "a" / "b" / "raw.dvc").write_text(f"outs:\n- md5: {'b' * 32}.dir\n")
    commits = []
    for number in range(12):
        (repository / "dvc.lock").write_text(f"md5: {number:032x}\n<<<<<<<\nmd5: {'a' * 32}\n")
        git(repository, "add", "-A")
        git(repository, "commit", "-q", "-m", f"{number}")
        commits.append(git(repository, "rev-parse", "HEAD"))
    asked, ask = [], Repository.git
    monkeypatch.setattr(Repository, "git", lambda *args, **options: asked.append(args) or ask(*args, **options))
    found = named(Repository(repository), commits)
    assert found == {f"{n:032x}": commits[n] for n in range(12)} | {
        "a" * 32: commits[11],
        f"{'b' * 32}.dir": found[f"{'b' * 32}.dir"],
    }
    many = len(asked)
    named(Repository(repository), commits[:2])
    assert many == len(asked) - many == 4  # trees of three depths, and the files
