"""What lies between two commits, as git tells it: few lines, few files, and nothing that is large."""

import itertools

import pytest

from pushforward.git.repository import Repository
from pushforward.views import changes
from pushforward.views.history import History


@pytest.fixture
def two(tmp_path, git):
    """A function: the commits before and after some files are written."""
    git(tmp_path, "init", "-q", "-b", "main")

    def made(before, after, message="Change"):
        commits = []
        for files, said in ((before, "Begin"), (after, message)):
            for name, content in files.items():
                path = tmp_path / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.encode() if isinstance(content, str) else content)
            git(tmp_path, "add", "-A")
            git(tmp_path, "commit", "-q", "--allow-empty", "-m", said)
            commits.append(git(tmp_path, "rev-parse", "HEAD"))
        pair = tuple(commits)
        return History(Repository(tmp_path)).changes([pair])[pair]

    return made


def test_lines_that_differ_are_told_with_their_place_and_the_message_below_the_subject(two):
    found = two({"a.py": "one\ntwo\nthree\n"}, {"a.py": "one\n2\nthree\n"}, "Change\n\nBecause <b>so</b>.\n\nAnd more.")
    assert found.body == "Because <b>so</b>.\n\nAnd more."
    (file,) = found.files
    assert (file.path, file.added, file.removed) == ("a.py", 1, 1)
    assert [kind for kind, _ in file.lines] == ["place", "same", "removed", "added", "same"]
    assert [line for kind, line in file.lines if kind in ("removed", "added")] == ["two", "2"]


def test_what_runs_write_is_no_change_of_anybody(two):
    after = {"dvc.lock": "b\n", "metrics/m.json": "2\n", "models/wine/dvc.lock": "b\n", "x": "2\n"}
    assert [file.path for file in two(dict.fromkeys(after, "a\n"), after).files] == ["x"]


def test_of_a_binary_and_of_a_large_file_no_line_is_compared(two):
    found = two({}, {"large.csv": "1,2\n" * 30_000, "picture": b"\x00\x01" * 50, "small": "x\n"})
    assert {file.path: (file.added, len(file.lines)) for file in found.files} == {
        "large.csv": (None, 0),
        "picture": (None, 0),
        "small": (1, 2),
    }


def test_few_files_and_few_lines_are_shown_and_the_rest_is_counted(two):
    found = two({}, {f"f{number:03}": "x\n" * 20 for number in range(changes.MOST_FILES + 3)})
    assert (len(found.files), found.more) == (changes.MOST_FILES, 3)
    assert sum(len(file.lines) for file in found.files) == changes.MOST_LINES
    assert found.files[-1].cut
    wide = two({}, {"wide": "y" * 5000 + "\n"}).files[0]
    assert max(len(line) for _, line in wide.lines) <= changes.LONGEST_LINE


def test_where_too_much_came_files_are_counted_and_no_line_is_compared(two):
    found = two({}, {f"f{number}": "x\n" * 3000 for number in range(8)})
    assert [(file.added, file.lines) for file in found.files] == [(3000, ())] * 8


def test_a_line_that_looks_like_the_next_pair_or_the_next_file_is_a_line(two):
    text = f"{'a' * 40} {'b' * 40}\ndiff --git a/x b/x\n@@ -1 +1 @@\n"
    (file,) = two({}, {"x": text}).files
    assert [line for kind, line in file.lines if kind == "added"] == text.splitlines()


def test_many_pairs_are_read_by_as_few_processes_as_one_and_never_again(tmp_path, git, monkeypatch):
    git(tmp_path, "init", "-q")
    commits = []
    for number in range(6):
        (tmp_path / "a").write_text(f"{number}\n")
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-q", "-m", str(number))
        commits.append(git(tmp_path, "rev-parse", "HEAD"))
    history, calls = History(Repository(tmp_path)), []
    run = Repository.git
    monkeypatch.setattr(Repository, "git", lambda self, *args, **more: calls.append(args) or run(self, *args, **more))
    pairs = [*itertools.pairwise(commits), ("", commits[0]), ("f" * 40, commits[1]), (commits[0], "0" * 40)]
    found = history.changes(pairs)
    assert len(calls) == 3
    for number, pair in enumerate(pairs[:5]):
        lines = [line for _, line in found[pair].files[0].lines[1:]]
        assert lines == [str(number), str(number + 1)]
    assert [found[pair].files for pair in pairs[5:]] == [()] * 3
    assert history.changes(pairs) == found
    assert len(calls) == 3
