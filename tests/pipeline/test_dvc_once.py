"""What DVC is spared in a run, counted: to gather the stages, to pull by itself, to compare a text with a schema."""

import json
import shutil
import sqlite3
from collections import Counter

import pytest
from dvc.repo import Repo
from dvc.repo.index import Index
from dvc.utils import strictyaml
from dvc_data.hashfile.db.local import LocalHashFileDB
from tests.bucket import CONFIG, bucket
from tests.pipeline.small import DVC_YAML, clone, edit, outcomes, run

from pushforward.errors import TOOL, PushforwardError
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import lock, remote

pytestmark = pytest.mark.whole

FOLDER = """\
  fourth:
    cmd: mkdir -p out/many && cp source.txt out/many/a.txt && cp out/first.txt out/many/b.txt
    deps: [source.txt, out/first.txt]
    outs: [out/many]
  fifth:
    cmd: cat out/many/*.txt > out/fifth.txt
    deps: [out/many]
    params: [scale]
    outs: [out/fifth.txt]
"""


@pytest.fixture
def asked(monkeypatch):
    """How often DVC was asked for what is dear."""
    found = Counter()

    def count(where, name):
        before = getattr(where, name)

        def counted(*args, **options):
            found[name] += 1
            return before(*args, **options)

        monkeypatch.setattr(
            where, name, classmethod(lambda _, *a, **o: counted(*a, **o)) if where is Index else counted
        )

    count(Index, "from_repo")
    for name in ("pull", "fetch", "push", "checkout"):
        count(Repo, name)
    return found


@pytest.fixture
def grown(project):
    """The same with a folder among its outs."""
    (project / "dvc.yaml").write_text(DVC_YAML + FOLDER)
    (project / ".gitignore").write_text("out/*.txt\nout/many\nout/.gitignore\n")
    return project


def elsewhere(git, project, cache=False):
    """Another clone that has the lock, and where there is a cache, that too; a parameter has changed."""
    fresh = clone(git, project, "fresh")
    for name in ("dvc.lock", "dvc.yaml", ".gitignore"):
        shutil.copyfile(project / name, fresh / name)
    if cache:
        shutil.copytree(project / ".dvc" / "cache", fresh / ".dvc" / "cache")
    (fresh / "params.yaml").write_text("scale: 2\n")
    return fresh


CHANGED = {"first": "unchanged", "second": "ran", "third": "unchanged", "fourth": "unchanged", "fifth": "ran"}


@pytest.mark.parametrize("cache", [False, True], ids=["from the store", "from the cache"])
def test_stages_are_gathered_once_a_run_and_data_is_brought_in_without_dvc_s_pull(grown, git, asked, cache):
    run(grown)
    assert asked == {"from_repo": 1}, "nor does DVC push to the folder"
    asked.clear()
    run(grown)
    assert asked == {"from_repo": 1}

    fresh = elsewhere(git, grown, cache)
    asked.clear()
    done = run(fresh, wanted=["out/many", "out/second.txt"])
    assert outcomes(done) == CHANGED
    assert asked == {"from_repo": 1}
    assert done.pulled == 0, "what a stage needs is not counted"
    assert sorted(path.name for path in (fresh / "out" / "many").iterdir()) == ["a.txt", "b.txt"]
    assert (fresh / "out" / "many" / "a.txt").stat().st_mode & 0o777 == 0o644


def test_what_is_wanted_is_brought_in_and_counted(grown, git, asked):
    run(grown)
    fresh = elsewhere(git, grown)
    (fresh / "params.yaml").write_text("scale: 1\n")
    asked.clear()
    done = run(fresh, wanted=["out/many", "out/second.txt"])
    assert set(outcomes(done).values()) == {"unchanged"}
    assert (done.pulled, asked) == (3, {"from_repo": 1}), "a list, its one object, and a file"
    assert (fresh / "out" / "second.txt").read_text() == "one\n1\n"


def test_a_clone_that_is_to_have_all_gets_it_without_dvc_s_pull(grown, git, asked):
    run(grown)
    fresh = elsewhere(git, grown)
    (fresh / "params.yaml").write_text("scale: 1\n")
    asked.clear()
    assert set(outcomes(run(fresh, whole=True)).values()) == {"restored", "unchanged"}
    assert asked == {"from_repo": 1}
    assert sorted(path.name for path in (fresh / "out").iterdir()) == sorted(
        path.name for path in (grown / "out").iterdir()
    )


def test_a_store_that_does_not_give_what_it_has_is_no_failure_of_a_stage(grown, git, monkeypatch):
    def fails(*_, **__):
        raise OSError("the line is dead")

    run(grown)
    fresh = elsewhere(git, grown)
    monkeypatch.setattr(LocalHashFileDB, "add", fails)
    with pytest.raises(
        PushforwardError, match="does not give what it was asked for: OSError: the line is dead"
    ) as told:
        run(fresh)
    assert told.value.exit_code == TOOL


def spoil(project):
    """Change what the store has of out/first.txt; where that lies."""
    (found,) = [
        path for path in (project.parent / "store").rglob("*") if path.is_file() and path.read_text() == "one\n"
    ]
    found.chmod(0o644)
    found.write_text("two\n")
    return found


def test_what_a_folder_has_spoilt_and_a_stage_can_make_is_made_and_put_back(grown, git):
    run(grown)
    spoilt, fresh = spoil(grown), elsewhere(git, grown)
    assert outcomes(run(fresh, whole=True))["first"] == "ran"
    assert spoilt.read_text() == "one\n"


def test_what_a_folder_has_spoilt_is_named_and_stays_where_it_is(grown, git):
    """DVC would remove it, and with it what could tell how it came about."""
    run(grown)
    spoilt = spoil(grown)
    with pytest.raises(remote.SpoiltError, match=r"has out/first.txt with other bytes than its name says") as told:
        pipeline.fetch(elsewhere(git, grown), "out/first.txt", say=print)
    assert (told.value.exit_code, spoilt.read_text()) == (TOOL, "two\n")


def test_what_lies_here_changed_is_left_to_dvc_which_refuses_to_remove_it(grown, git, asked):
    run(grown)
    (grown / "out" / "many" / "a.txt").write_text("mine\n")
    asked.clear()
    with pytest.raises(PushforwardError, match="unsaved files"):
        pipeline.fetch(forgetful(grown), "out/many", say=print)
    assert asked["pull"] == 1
    assert (grown / "out" / "many" / "a.txt").read_text() == "mine\n"


def forgetful(project):
    """The project with nothing in the cache of a file in the folder: what the cache has is copied without DVC."""
    listed = outs_of(project)["out/many"]
    cache = project / ".dvc" / "cache" / "files" / "md5"
    for entry in json.loads((cache / listed[:2] / listed[2:]).read_text()):
        (cache / entry["md5"][:2] / entry["md5"][2:]).unlink(missing_ok=True)
    return project


def test_a_part_of_a_folder_that_the_cache_lacks_is_fetched_alone(grown, git, asked):
    run(grown)
    shutil.rmtree(grown / "out" / "many")
    asked.clear()
    pipeline.fetch(forgetful(grown), "out/many", say=print)
    assert asked == {"from_repo": 1}
    assert (grown / "out" / "many" / "b.txt").read_text() == "one\n"


def test_a_store_at_s3_is_asked_no_more_than_for_the_objects(grown, git, asked):
    with bucket(0) as place:
        (grown / ".dvc" / "config").write_text(CONFIG.format(url=place.url))
        login = "['remote \"store\"']\n    access_key_id = ann\n    secret_access_key = secret\n"
        (grown / ".dvc" / "config.local").write_text(login)
        git(grown, "commit", "-qam", "Move the store")
        run(grown)
        fresh = elsewhere(git, grown)
        shutil.copyfile(grown / ".dvc" / "config.local", fresh / ".dvc" / "config.local")
        asked.clear()
        place.forget()
        assert outcomes(run(fresh)) == CHANGED
        assert asked == {"from_repo": 1}
        data = [path.partition("/files/md5/")[2].replace("/", "") for path in place.of("GET")]
        first, many = (outs_of(fresh)[path] for path in ("out/first.txt", "out/many"))
        assert [oid for oid in data if oid] == [first, many, many], "DVC reads a list that it takes"


def outs_of(project):
    """The objects of the outs in a lock, by path."""
    stages = lock.read_lock((project / "dvc.lock").read_bytes())
    return {out["path"]: out["md5"] for one in stages.values() for out in one["outs"]}


def test_the_database_of_links_is_opened_once(grown, monkeypatch):
    opened, before = [], sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda path, *args, **how: opened.append(path) or before(path, *args, **how)
    )
    run(grown)
    links = [path for path in map(str, opened) if path.endswith("/links/cache.db")]
    assert len(links) <= 2, "once made, once used; by itself once an out"


def test_a_text_is_compared_with_its_schema_once(project, monkeypatch):
    seen = Counter()
    before = strictyaml.validate

    def counted(data, schema, text=None, path=None, rev=None):
        seen[text, id(schema)] += 1
        return before(data, schema, text, path, rev)

    monkeypatch.setattr(strictyaml, "validate", counted)
    run(project)
    run(project)
    assert set(seen.values()) <= {1, 2}, "once in each run"


def test_a_dvc_yaml_that_the_schema_refuses_is_refused_each_time(project):
    edit(project, "    deps: [source.txt]\n", "    deps: [source.txt]\n    dips: [x]\n")
    for _ in range(2):
        with pytest.raises(PushforwardError, match="dips"):
            run(project)
