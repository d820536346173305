"""A reader that is kept: it answers as a git of its own for each question would, and costs one process."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pushforward.git import reading, remote
from pushforward.git.repository import KEPT_ASKS, Repository

ODD = {
    "plain.txt": b"one\n",
    "empty": b"",
    "no-end": b"no line ends",
    'folder/é "quoted" 7.txt': b"7\n",
    "binary": bytes(range(256)) * 300,
}


@pytest.fixture
def kept() -> Iterator[None]:
    """Readers are kept, and gone afterwards."""
    with reading.kept():
        yield


@pytest.fixture
def filled(repository: Path, git) -> Repository:
    for name, content in ODD.items():
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_bytes(content)
    (repository / "link").symlink_to("plain.txt")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Odd files")
    git(repository, "tag", "-a", "-m", "v1", "v1")
    return Repository(repository)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was started of git, and what with."""
    found: list[str] = []
    real = subprocess.Popen.__init__

    def start(self, argv, *args, **options):
        found.append(" ".join(map(str, argv[3:])))
        real(self, argv, *args, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", start)
    return found


def answers(repository: Repository) -> list[object]:
    """What a repository says to questions of every kind."""
    head = repository.commit("HEAD")
    revisions = ("HEAD", head, "v1", "main", head[:9], "HEAD^", "none", "", "HEAD:plain.txt", "a b", "refs/heads/main")
    paths = (*ODD, "link", "folder", "none", "folder/none 5", "a.txt", ".", "-c")
    return [
        *(repository.resolve(one) for one in revisions),
        *(repository.read(one, path) for one in ("HEAD", head, "v1", "none") for path in paths),
        repository.objects([head, f"{head}:plain.txt", "none", "v1", "HEAD:folder", ""]),
        repository.objects([f"HEAD:{path}" for path in ODD] * KEPT_ASKS),
        repository.tree(head),
        repository.tree("HEAD"),
        repository.read_plain("HEAD", "plain.txt"),
    ]


def test_it_answers_as_git_does(filled, monkeypatch, request):
    alone = answers(filled)
    request.getfixturevalue("kept")
    assert answers(filled) == alone


def test_of_dozens_of_questions_git_is_started_once_and_of_many_at_once_for_themselves(filled, kept, started):
    head = filled.commit("HEAD")
    for _ in range(30):
        assert [filled.read(head, name) for name in ODD] == list(ODD.values())
        assert filled.resolve("main") == head
        assert filled.tree(head)
    assert len(started) == 2, started  # the reader, and one listing
    filled.objects([f"{head}:{name}" for name in ODD] * KEPT_ASKS)
    assert len(started) == 3


def test_whose_refs_count_is_asked_once_of_each_repository(filled, kept, started, git, tmp_path):
    git(tmp_path, "clone", "-q", "--bare", str(filled.path), "there.git")
    git(tmp_path, "clone", "-q", "there.git", "clone")
    clone, first = Repository(tmp_path / "clone"), len(started)
    found = remote.authority(clone)
    assert found is not None
    assert found.folder == tmp_path / "there.git"
    asked = len(started)
    assert first < asked <= first + 4
    for _ in range(10):
        assert (remote.authority(clone), remote.itself(clone)) == (found, None)
    assert len(started) == asked
    assert remote.authority(Repository(tmp_path / "there.git")) is not None
    assert len(started) > asked


def test_what_commits_have_and_how_they_differ_is_asked_once_by_whatever_name(filled, kept, started, git):
    head = filled.commit("HEAD")
    (filled.path / "more.txt").write_text("more\n")
    git(filled.path, "add", "-A")
    git(filled.path, "commit", "-q", "-m", "More")
    newer = filled.commit("HEAD")
    started.clear()
    assert filled.tree("HEAD") == filled.tree(newer) == filled.tree("HEAD")
    assert filled.changed(head, newer) == filled.changed(head, newer) == ["more.txt"]
    assert sorted(words.split()[0] for words in started) == ["diff", "ls-tree"]


def test_what_moves_is_seen(filled, kept, git):
    before, root = filled.commit("HEAD"), filled.path
    (root / "plain.txt").write_text("two\n")
    git(root, "commit", "-q", "-am", "Two")
    git(root, "gc", "-q", "--prune=now")
    assert filled.commit("HEAD") != before
    assert (filled.read("HEAD", "plain.txt"), filled.read(before, "plain.txt")) == (b"two\n", b"one\n")


def test_a_checkout_that_made_way_for_another_is_read_anew(tmp_path, git, kept):
    place = tmp_path / "checkout"
    for text in ("one", "two"):
        place.mkdir()
        git(place, "init", "-q")
        (place / "a.txt").write_text(text)
        git(place, "add", "-A")
        git(place, "commit", "-q", "-m", text)
        assert Repository(place).read("HEAD", "a.txt") == text.encode()
        place.rename(tmp_path / f"was-{text}")


def test_where_the_reader_has_died_git_is_asked_by_itself_and_then_another_is_kept(filled, kept, started):
    assert filled.read("HEAD", "plain.txt") == b"one\n"
    (dead,) = reading._kept.values()
    dead._git.kill()
    dead._git.wait()
    assert filled.read("HEAD", "plain.txt") == b"one\n"
    assert filled.read("HEAD", "empty") == b""
    assert ["--batch" in line for line in started] == [True, False, True]


def test_a_name_that_no_line_can_hold_is_refused_as_ever(filled, kept):
    assert filled.read("HEAD", "a\nb") is None
    with pytest.raises(ValueError, match="null"):
        filled.read("HEAD", "a\0b")


def test_a_listing_that_is_changed_by_who_has_asked_is_nobody_elses(filled, kept):
    head = filled.commit("HEAD")
    filled.tree(head).clear()
    assert "plain.txt" in filled.tree(head)


@pytest.mark.parametrize("how", [[], ["dies"]])
def test_a_process_that_keeps_readers_leaves_none_behind(filled, how):
    code = (
        "import sys; from pathlib import Path; from pushforward.git import reading, repository\n"
        "with reading.kept():\n"
        " found = repository.Repository(Path(sys.argv[1])).read('HEAD', 'plain.txt')\n"
        " assert found == b'one\\n'; print(next(iter(reading._kept.values()))._git.pid, flush=True)\n"
        " import os; os._exit(0) if len(sys.argv) > 2 else None\n"
        "assert reading._kept is None"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(filled.path), *how], capture_output=True, text=True, check=True, timeout=60
    )
    left = Path(f"/proc/{int(done.stdout)}/cmdline")
    for _ in range(1000):
        if not left.exists() or b"cat-file" not in left.read_bytes():
            return
    raise AssertionError("git goes on")
