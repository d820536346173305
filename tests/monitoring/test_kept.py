"""Records of looks in git: which of them are read, and which is the last one at a version."""

import dataclasses

import pytest
from tests.views.test_looked import RECORD

from pushforward.git.repository import Repository
from pushforward.monitoring import kept
from pushforward.monitoring.record import Day


@pytest.fixture
def book(repository):
    return kept.Book(Repository(repository), model="red")


def _put(book, *days, **changed):
    found = dataclasses.replace(RECORD, days=tuple(Day(day, 10, 0.4) for day in days), **changed)
    book.put(found, lambda _: "x\n")
    return found


def test_the_last_look_at_a_version_is_found_whatever_was_in_use_since(book, monkeypatch):
    monkeypatch.setattr(kept, "SHOWN", 2)
    assert book.last_at("production", RECORD.version) is None
    _put(book, "2013-05-03")
    wanted = _put(book, "2013-05-04", proposed="retrain/x")
    others = [_put(book, f"2013-06-0{day}", version="flight-delay@v1.1.0") for day in (1, 2, 3)]
    assert book.last("production") == others[-1]
    assert book.last_at("production", RECORD.version) == wanted
    assert book.last_at("production", "flight-delay@v1.1.0") == others[-1]
    assert book.last_at("production", "flight-delay@v0.9.0") is None
    assert book.last_at("staging", RECORD.version) is None
    assert dataclasses.replace(book, model="").last_at("production", RECORD.version) is None


def test_no_more_looks_are_read_than_until_the_one_that_is_sought(book, monkeypatch):
    for day in range(1, 8):
        _put(book, f"2013-05-0{day}")
    read = []
    monkeypatch.setattr(kept, "SHOWN", 2)
    monkeypatch.setattr(kept.records, "read", lambda text: read.append(text) or RECORD)
    book.last_at("production", RECORD.version)
    assert len(read) == 1


def test_what_another_version_of_the_tool_has_written_is_left_out(book):
    first = _put(book, "2013-05-03")
    there = book.repository
    name = kept.ref("production", "red")
    blob = there.git("hash-object", "-w", "--stdin", stdin=b'{"schema": 2}').text
    tree = there.git("mktree", stdin=f"100644 blob {blob}\t{kept.RECORD}\n".encode()).text
    there.update_ref(name, there.write_commit(tree, [there.resolve(name)], "later\n", date="0 +0000"))
    last = _put(book, "2013-05-04")
    assert kept.looks(there, "production", "red") == [last, first]
    assert kept.looks(there, "production", "red", most=2) == [last]
    assert kept.environments(there) == [("red", "production")]
