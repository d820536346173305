"""Growth: a file that only gained rows is told from one that lost or changed some, wherever its content lies."""

import hashlib
import json

import pytest

from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.judge import growth

OLD = "id,x\n1,a\n2,b\n2,b\n"


@pytest.fixture
def data(repository, git):
    """Commits contents, of a file of git or by `.dvc`, and tells how it grew between the last two."""
    return Data(repository, git)


class Data:
    def __init__(self, root, git):
        self.root, self.git, self.commits = root, git, []
        self.store = root / ".dvc" / "cache"
        self.write(".dvc/config", f"[core]\n    remote = s\n['remote \"s\"']\n    url = {root}/store\n")

    def write(self, name, content):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self):
        self.git(self.root, "add", "-A")
        self.git(self.root, "commit", "-q", "--allow-empty", "-m", "Data")
        self.commits.append(self.git(self.root, "rev-parse", "HEAD"))

    def keep(self, content, suffix="", *, here=True):
        content = content if isinstance(content, bytes) else content.encode()
        oid = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if here:
            self.write(f".dvc/cache/files/md5/{oid[:2]}/{oid[2:]}{suffix}", content)
        return oid + suffix

    def point(self, oid, name="d.csv"):
        self.write(f"{name}.dvc", f"outs:\n- md5: {oid}\n  hash: md5\n  path: {name}\n")
        self.commit()

    def folder(self, **files):
        listed = [{"md5": self.keep(text), "relpath": name} for name, text in sorted(files.items())]
        self.point(self.keep(json.dumps(listed), ".dir"), "d")

    def grown(self, name):
        (found,) = growth.grown(Repository(self.root), *self.commits[-2:], [name])
        return found


def both(data, old, new, how):
    for content in (old, new):
        if how == "git":
            data.write("d.csv", content)
            data.commit()
        else:
            data.point(data.keep(content))
    return data.grown("d.csv" if how == "git" else "d.csv.dvc")


@pytest.mark.parametrize("how", ["git", "dvc"])
@pytest.mark.parametrize(
    ("old", "new", "rows"),
    [
        (OLD, OLD + "3,c\n4,d\n", 2),
        (OLD, OLD + "3,c\n4,d", 2),
        (OLD.rstrip("\n"), OLD + "3,c\n", 1),
        (OLD.rstrip("\n"), OLD.replace("\n", "\r\n") + "3,c\r\n", 1),
        (OLD, "id,x\n0,z\n1,a\n2,b\n2,b\n", 1),
        ("<a>\n<b/>\n</a>\n", "<a>\n<b/>\n<c/>\n</a>\n", 1),
        ("", OLD, 4),
    ],
)
def test_rows_that_are_added_anywhere_are_counted(data, how, old, new, rows):
    found = both(data, old, new, how)
    assert (found.only, found.rows) == (True, rows), found


@pytest.mark.parametrize("how", ["git", "dvc"])
@pytest.mark.parametrize(
    ("new", "lost"),
    [
        (OLD.replace("1,a\n", ""), "d.csv: 1 lines are gone, or are others now"),
        (OLD.replace("1,a\n", "1,b\n") + "3,c\n", "d.csv: 1 lines are gone, or are others now"),
        (OLD.replace("2,b\n2,b\n", "2,b\n") + "3,c\n", "d.csv: 1 lines are gone, or are others now"),
        (OLD.rstrip("\n") + "c\n", "d.csv: 1 lines are gone, or are others now"),
        ("id,y\n1,a\n2,b\n2,b\nid,x\n", "d.csv has another first line"),
        ("", "d.csv has another first line"),
    ],
)
def test_what_is_lost_is_told(data, how, new, lost):
    found = both(data, OLD, new, how)
    assert (found.only, found.lost) == (False, lost)
    assert growth.taken([found], trusted=True) == ()


def test_what_is_no_text_is_believed_of_what_is_trusted_alone(data):
    found = both(data, b"PAR1\0", b"PAR1\0\0", "dvc")
    assert (found.only, found.lost, found.unread) == (False, "", "d.csv is no text, so nobody has compared it")
    assert growth.taken([found], trusted=True) == ("d.csv.dvc",)
    assert growth.taken([found], trusted=False) == ()


def test_a_text_of_many_bytes_is_told_by_its_beginning(data):
    wide = "id,x\n" + "1,ü\n" * (growth.CHUNK // 5)
    assert both(data, wide, wide + "2,b\n", "git").rows == 1


def test_a_large_file_that_grew_in_the_middle_is_not_taken(data, monkeypatch):
    monkeypatch.setattr(growth, "LIMIT_SORTED", 20)
    assert both(data, OLD, OLD + "3,c\n", "git").only
    found = both(data, OLD, "id,x\n0,z\n1,a\n2,b\n2,b\n", "git")
    assert found.lost == "d.csv has new lines elsewhere than at its end, and is too large to compare them"


def test_an_object_that_nobody_has_is_told(data):
    data.point(data.keep(OLD, here=False))
    data.point(data.keep(OLD + "3,c\n"))
    found = data.grown("d.csv.dvc")
    assert found.unread == "d.csv as it was is not in the store"


def test_a_damaged_object_is_none(data):
    oid = data.keep(OLD)
    data.write(f".dvc/cache/files/md5/{oid[:2]}/{oid[2:]}", "id,x\n")
    data.point(oid)
    data.point(data.keep(OLD + "3,c\n"))
    assert not data.grown("d.csv.dvc").only


def test_a_folder_keeps_its_files_and_their_lines(data):
    data.folder(a=OLD, b="x\n")
    data.folder(a=OLD + "3,c\n", b="x\n", c="new\n")
    assert data.grown("d.dvc") == growth.Growth("d.dvc", 1)
    data.folder(a=OLD, b="x\n", c="new\n")
    assert data.grown("d.dvc").lost == "d/a: 1 lines are gone, or are others now"
    data.folder(a=OLD, c="new\n")
    assert data.grown("d.dvc").lost == "d/b is gone"


def test_files_that_come_and_go(data):
    data.commit()
    data.write("d.csv", OLD)
    data.commit()
    assert data.grown("d.csv") == growth.Growth("d.csv", 4)
    (data.root / "d.csv").unlink()
    data.commit()
    assert data.grown("d.csv").lost == "d.csv is gone"
    assert growth.grown(Repository(data.root), *data.commits[:2], ["other.csv"]) == ()


def test_a_pointer_that_cannot_be_read_is_refused(data):
    data.point(data.keep(OLD))
    data.write("d.csv.dvc", "outs: [\n")
    data.commit()
    with pytest.raises(PushforwardError, match=r"d\.csv\.dvc cannot be read"):
        data.grown("d.csv.dvc")
