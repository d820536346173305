"""Records of looks in git: which of them are read, and the day that the first look at a version has counted."""

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


def test_the_first_day_that_was_ever_counted_is_that_of_all_looks_at_the_version(book):
    assert book.begun("production", RECORD.version) == ""
    _put(book, "2013-01-01", version="flight-delay@v0.9.0")
    _put(book)
    assert book.begun("production", RECORD.version) == ""
    _put(book, "2013-05-03", "2013-05-04")
    _put(book, "2013-05-02", "2013-05-05")
    _put(book, "2013-05-09")
    assert book.begun("production", RECORD.version) == "2013-05-02"
    assert book.begun("production", "flight-delay@v0.9.0") == "2013-01-01"
    assert book.begun("staging", RECORD.version) == ""
    assert dataclasses.replace(book, model="").begun("production", RECORD.version) == ""


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
