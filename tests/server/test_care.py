"""A server that has lost or spoilt what it keeps: mended from its own copies, else named, never a word on a commit."""

import json
import shutil
from pathlib import Path

import pytest

from pushforward import process
from pushforward.errors import MachineError, PushforwardError
from pushforward.git import whereabouts
from pushforward.git.server import Server
from pushforward.pipeline.store import Store, members
from pushforward.server import care, soundness


class Kept:
    """A server whose newest version is whole, in the store and in the server's cache."""

    def __init__(self, hub):
        self.hub = hub
        self.server = Server.load(hub.bare)
        self.store, self.cache = Store(hub.store), Store(self.server.folder / "cache")
        shutil.copytree(hub.store / "files", self.cache.path / "files")
        (self.folder,) = (oid for oid in self.oids() if oid.endswith(".dir"))
        listed = members(self.folder, self.store.read(self.folder))
        self.file = listed["model.json"]

    def oids(self):
        lock = self.hub.git(self.hub.bare, "show", "toy@v1.2.0:dvc.lock")
        return [word for word in lock.split() if len(word) == 36 and word.endswith(".dir")]


@pytest.fixture
def kept(three, monkeypatch):
    monkeypatch.setattr(care, "_act", lambda: None)  # not what is tried here
    return Kept(three)


def flip(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"?" * path.stat().st_size)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def link(path: Path) -> None:
    elsewhere = path.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


@pytest.mark.parametrize("damage", [Path.unlink, flip, cut, link], ids=["lost", "flipped", "cut off", "a link"])
@pytest.mark.parametrize("which", ["file", "folder"])
def test_what_the_store_has_lost_is_put_back_from_the_cache_by_its_hash(kept, damage, which):
    oid = getattr(kept, which)
    whole = kept.store.read(oid)
    damage(kept.store.file(oid))
    name = "model/model.json" if which == "file" else "model"
    assert list(care.mend(kept.server)) == [f"the store had lost {name} of toy@v1.2.0: put back from a cache"]
    assert kept.store.read(oid) == whole
    assert not kept.store.file(oid).is_symlink()
    assert care.trouble(kept.server) is None
    assert list(care.mend(kept.server)) == []


def test_what_the_cache_has_spoilt_is_removed_from_it(kept):
    flip(kept.cache.file(kept.file))
    assert list(care.mend(kept.server)) == [
        "the cache had spoilt model/model.json of toy@v1.2.0: removed, the store has it"
    ]
    assert not kept.cache.file(kept.file).exists()
    assert kept.store.file(kept.file).is_file()


def test_the_cache_of_another_server_of_the_store_helps_too(kept, tmp_path):
    other = tmp_path / "other.git"
    shutil.copytree(kept.cache.path, other / "pushforward" / "cache")
    whereabouts.claim(kept.store.path, other)
    shutil.rmtree(kept.cache.path)
    kept.store.file(kept.file).unlink()
    assert len(list(care.mend(kept.server))) == 1
    assert kept.store.file(kept.file).is_file()


def test_what_nobody_has_any_more_is_named_with_the_command_that_makes_it_again(kept):
    for place in (kept.store, kept.cache):
        place.file(kept.file).unlink()
    assert list(care.mend(kept.server)) == []
    found = care.trouble(kept.server)
    assert isinstance(found, MachineError)
    assert found.message == (f"the store has lost, and no cache has, model/model.json (md5 {kept.file}) of toy@v1.2.0")
    assert found.next == soundness.again(Path(kept.server.bare), "toy@v1.2.0"), "as the doctor says"


@pytest.mark.parametrize("instead", ["nothing", "a file"])
def test_a_store_that_is_not_there_is_the_machine_s(kept, instead):
    shutil.rmtree(kept.store.path)
    if instead == "a file":
        kept.store.path.write_text("")
    assert list(care.mend(kept.server)) == []
    found = care.trouble(kept.server)
    assert found is not None
    assert (found.message, found.detail) == ("the server's store is not there", kept.server.store)


def test_a_ref_that_is_locked_is_the_machine_s(kept):
    (kept.hub.bare / "refs" / "notes").mkdir(exist_ok=True)
    (kept.hub.bare / "refs" / "notes" / "pushforward.lock").touch()
    found = care.trouble(kept.server)
    assert found is not None
    assert found.message == "refs/notes/pushforward of the server is locked"


@pytest.mark.parametrize("why", ["act is not installed", "act --version failed: exit status 139"])
def test_an_act_that_does_not_start_is_the_machine_s(three, monkeypatch, why):
    def fail(*_: object, **__: object) -> None:
        raise PushforwardError(why)

    monkeypatch.setattr(process, "run", fail)
    found = care._act()
    assert found is not None
    assert (found.message, found.detail) == ("act, which runs the workflows, does not start", why)


def test_whoever_runs_the_server_is_told_once(kept):
    lost = MachineError("the store is away", next="mount it", detail="/srv/store")
    assert care.tell(kept.server, lost)
    assert not care.tell(kept.server, lost)
    told = json.loads((kept.server.folder / care.FILE).read_text())
    assert told == {"message": "the store is away", "next": "mount it", "detail": "/srv/store"}
    assert care.tell(kept.server, MachineError("another"))
    care.over(kept.server)
    assert care.tell(kept.server, lost)
