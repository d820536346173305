"""Retention: what goes and what stays, byte for byte, by the refs of the server alone."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pushforward.errors import POLICY, TOOL, PushforwardError
from pushforward.git import whereabouts
from pushforward.git.refs import RUNS
from pushforward.git.server import Server
from pushforward.pipeline.store import Store
from pushforward.server import gc

SETTINGS = (Path(__file__).parent.parent / "toy" / "pushforward.yaml").read_text()
DAYS = 24 * 3600


class Project:
    """A clone and a server whose objects are made by hand: one line of a lock an out."""

    def __init__(self, folder, git):
        self.clone, self.bare, self.path = folder / "clone", folder / "clone.git", folder / "store"
        self.git, self.store = git, Store(self.path)
        self.path.mkdir(parents=True)
        git(folder, "init", "-q", "--bare", "-b", "main", str(self.bare))
        git(folder, "init", "-q", "-b", "main", str(self.clone))
        git(self.clone, "remote", "add", "local", str(self.bare))
        (self.clone / ".dvc").mkdir()
        (self.clone / ".dvc" / "config").write_text(
            "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n"
        )
        (self.clone / "pushforward.yaml").write_text(SETTINGS)
        (self.clone / "requirements").mkdir()
        for name in ("run", "data"):
            (self.clone / "requirements" / f"{name}.txt").write_text("")
        self.server = Server(str(self.bare), sys.executable, str(self.path), "store", "team/toy")
        self.server.folder.mkdir()
        self.server.save()
        whereabouts.claim(self.store.path, self.bare)
        self.cache = Store(self.server.folder / "cache")

    def put(self, content, *, stores=None):
        """Store an object; its name."""
        oid = hashlib.md5(content).hexdigest()
        for store in stores or (self.store,):
            store.file(oid).parent.mkdir(parents=True, exist_ok=True)
            store.file(oid).write_bytes(content)
            os.utime(store.file(oid), (time.time() - 9 * DAYS,) * 2)
        return oid

    def put_folder(self, *contents):
        """Store a folder of files; the name of its list."""
        listed = [{"md5": self.put(content), "relpath": f"{n}.txt"} for n, content in enumerate(contents)]
        whole = json.dumps(listed).encode()
        oid = self.put(whole)
        path = self.store.file(oid)
        return f"{oid}.dir" if path.rename(path.with_name(f"{path.name}.dir")) else ""

    def commit(self, *oids, added=(), branch="main", push=True):
        """Commit a lock that names `oids` and .dvc files that name `added`, push it; the commit."""
        here = self.git(self.clone, "symbolic-ref", "--short", "HEAD")
        if here != branch:
            self.git(self.clone, "checkout", "-q", "-B", branch)
        outs = "".join(f"    - path: out-{n}\n      hash: md5\n      md5: {oid}\n" for n, oid in enumerate(oids))
        sources = f"    deps:\n    - path: src\n      hash: md5\n      md5: {'5' * 32}.dir\n"
        lock = f"schema: '2.0'\nstages:\n  make:\n    cmd: make\n{sources}    outs:\n{outs}"
        (self.clone / "dvc.lock").write_text(lock)
        for n, oid in enumerate(added):
            (self.clone / f"raw-{n}.csv.dvc").write_text(f"outs:\n- md5: {oid}\n  hash: md5\n  path: raw-{n}.csv\n")
        self.git(self.clone, "add", "-A")
        self.git(self.clone, "commit", "-q", "--allow-empty", "-m", "Change")
        if push:
            self.git(self.clone, "push", "-q", "-f", "local", branch)
        return self.git(self.clone, "rev-parse", "HEAD")

    def tag(self, name, commit="HEAD", *, repository=None):
        """Make an annotated tag on the server."""
        commit = self.git(self.clone, "rev-parse", commit)
        self.git(repository or self.bare, "tag", "-a", "-m", f'{name}\n\n{{"schema":2}}', name, commit)

    def runs(self, oid):
        """Remember in the store's run cache that some stage made `oid`."""
        key = hashlib.sha256(oid.encode()).hexdigest()
        path = self.path / "runs" / key[:2] / key / ("0" * 64)
        path.parent.mkdir(parents=True)
        path.write_text(
            f"cmd: make\ndeps:\n- path: a\n  md5: {'1' * 32}\nouts:\n- path: out\n  hash: md5\n  md5: {oid}\n"
        )
        os.utime(path, (time.time() - 9 * DAYS,) * 2)
        return path

    def collect(self, root=None, *, dry_run=False, deprecated=False, say=lambda _: None):
        """Collect garbage."""
        return gc.collect(root or self.clone, dry_run=dry_run, deprecated=deprecated, say=say)

    def has(self, oid):
        """Whether an object is in the store."""
        return self.store.file(oid).is_file()


@pytest.fixture
def project(tmp_path, git):
    """A server whose default branch needs one object, `kept`."""
    made = Project(tmp_path / "project", git)
    made.kept = made.put(b"kept")
    made.first = made.commit(made.kept)
    return made


def everything(*folders):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_what_nobody_names_goes_and_what_a_branch_names_stays(project):
    garbage = project.put(b"garbage")
    plan = project.collect()
    assert [item.path for item in plan.garbage] == [project.store.file(garbage)]
    assert plan.bytes == len(b"garbage")
    assert (project.has(garbage), project.has(project.kept)) == (False, True)
    assert not project.store.file(garbage).parent.exists()


def test_a_dry_run_deletes_nothing_and_lists_what_the_next_run_deletes(project):
    oids = [project.put(b"garbage"), project.put_folder(b"a", b"b")]
    project.runs(oids[0])
    before = everything(project.path)
    told = project.collect(dry_run=True)
    assert everything(project.path) == before
    done = project.collect()
    assert done.garbage == told.garbage
    assert len(told.garbage) == 5
    gone = set(before) - set(everything(project.path))
    assert gone == {item.path for item in told.garbage}
    assert sum(item.bytes for item in told.garbage) == told.bytes == told.record()["bytes"]


def test_sizes_add_up_to_what_the_disk_gets_back(project):
    project.put(b"x" * 5000)
    project.put_folder(b"y" * 700, b"z" * 11)
    before = sum(path.stat().st_size for path in everything(project.path))
    plan = project.collect()
    assert before - sum(path.stat().st_size for path in everything(project.path)) == plan.bytes
    assert plan.kept_bytes == len(b"kept")
    assert plan.kept == 1


@pytest.mark.parametrize("name", ["toy@v1.0.0", "toy#staging#1", "paper-2020"])
def test_every_tag_keeps_what_its_commit_names(project, name):
    tagged, added = project.put_folder(b"one", b"two"), project.put(b"raw")
    project.commit(tagged, added=[added])
    project.tag(name)
    project.git(project.clone, "rm", "-q", "--", "raw-0.csv.dvc")
    project.commit(project.kept)
    before = everything(project.path)
    assert project.collect().garbage == ()
    assert everything(project.path) == before


def test_a_light_tag_keeps_too_and_a_tag_of_a_file_is_no_obstacle(project):
    tagged = project.put(b"tagged")
    light = project.commit(tagged)
    project.commit(project.kept)
    project.git(project.bare, "tag", "light", light)
    project.git(project.bare, "tag", "file", f"{light}:pushforward.yaml")
    assert project.collect().garbage == ()
    assert project.has(tagged)


def test_an_open_branch_keeps_its_objects_until_it_is_deleted(project, git):
    mine = project.put_folder(b"topic")
    project.commit(mine, branch="topic")
    git(project.clone, "checkout", "-q", "main")
    assert project.collect().garbage == ()
    git(project.clone, "push", "-q", "local", ":topic")
    assert len(project.collect().garbage) == 2
    assert not project.has(mine)


def test_both_sides_of_a_lock_with_conflict_markers_stay(project):
    ours, theirs = project.put(b"ours"), project.put(b"theirs")
    project.commit(project.kept)
    text = f"<<<<<<< HEAD\n      md5: {ours}\n=======\n      md5: {theirs}\n>>>>>>> topic\n"
    (project.clone / "dvc.lock").write_text(text)
    project.git(project.clone, "commit", "-q", "-am", "Merge")
    project.git(project.clone, "push", "-q", "local", "main")
    assert [item.path for item in project.collect().garbage] == [project.store.file(project.kept)]


def test_what_the_newest_runs_found_stays_and_older_ones_go(project, monkeypatch):
    monkeypatch.setattr(gc, "KEPT_RUNS", 2)
    found = []
    for number in range(4):
        oid = project.put(b"run %d" % number)
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"{1_600_000_000 + number} +0000")
        lock_commit = project.commit(oid, branch="scratch")
        project.git(project.bare, "update-ref", f"{RUNS}{number:040d}", lock_commit)
        found.append(oid)
    project.git(project.clone, "checkout", "-q", "main")
    project.git(project.clone, "push", "-q", "local", ":scratch")
    # its log is still there to be read
    (project.server.folder / "runs" / f"push-{0:040d}").mkdir(parents=True)
    project.collect()
    assert [project.has(oid) for oid in found] == [True, False, True, True]


def test_the_run_of_a_branch_head_counts_as_the_branch_does(project, monkeypatch):
    monkeypatch.setattr(gc, "KEPT_RUNS", 0)
    oid = project.put(b"what the run of main found")
    child = project.commit(oid, branch="scratch")
    project.git(project.bare, "update-ref", f"{RUNS}{project.first}", child)
    project.git(project.clone, "checkout", "-q", "main")
    project.git(project.clone, "push", "-q", "local", ":scratch")
    assert project.collect().garbage == ()


def test_a_clone_without_tags_deletes_no_version(project, git):
    tagged = project.put(b"version")
    project.commit(tagged)
    project.tag("toy@v1.0.0")
    project.commit(project.kept)
    bald = project.clone.with_name("bald")
    git(
        project.clone.parent,
        "clone",
        "-q",
        "--no-tags",
        "--single-branch",
        "--depth=1",
        f"file://{project.bare}",
        str(bald),
    )
    assert git(bald, "tag") == ""
    assert project.collect(bald).garbage == ()
    assert project.has(tagged)


def test_a_clone_of_a_remote_that_is_no_server_here_asks_all_of_it(project, git):
    """A forge, or a server of another machine; what is a day old may belong to a run that nobody sees."""
    tagged, old, young = (project.put(content) for content in (b"version", b"old", b"young"))
    project.commit(tagged)
    project.tag("toy@v1.0.0")
    project.commit(project.kept)
    os.utime(project.store.file(young))
    (project.server.folder / "server.json").unlink()
    shutil.rmtree(project.path / "servers")
    bald = project.clone.with_name("bald")
    git(project.clone.parent, "clone", "-q", "--no-tags", "--depth=1", f"file://{project.bare}", str(bald))
    assert [item.path for item in project.collect(bald).garbage] == [project.store.file(old)]
    assert project.has(tagged)
    assert project.has(young)
    assert git(bald, "tag") == ""


def test_nothing_goes_where_the_remote_cannot_be_asked(project, git):
    project.put(b"garbage")
    before = everything(project.path)
    project.bare.rename(project.bare.with_name("away.git"))
    with pytest.raises(PushforwardError, match="cannot be read, and only it knows every version") as refused:
        project.collect()
    assert refused.value.exit_code == TOOL
    git(project.clone, "remote", "remove", "local")
    with pytest.raises(PushforwardError, match="has no git remote 'local' or 'origin'"):
        project.collect()
    assert everything(project.path) == before


def test_the_bare_repository_itself_may_be_asked(project):
    garbage = project.put(b"garbage")
    project.collect(project.bare)
    assert not project.has(garbage)
    assert project.has(project.kept)


def test_a_promotion_between_the_list_and_the_deletion_keeps_its_objects(project):
    late, garbage = project.put_folder(b"model", b"manifest"), project.put(b"garbage")
    commit = project.commit(late, branch="scratch")
    project.git(project.clone, "checkout", "-q", "main")
    project.git(project.clone, "push", "-q", "local", ":scratch")
    listed = []

    def promote(plan):
        listed.extend(plan.garbage)
        project.tag("toy@v1.0.0", commit)

    done = project.collect(say=promote)
    assert len(listed) == 4
    assert [item.path for item in done.garbage] == [project.store.file(garbage)]
    assert project.has(late)
    assert project.collect().garbage == ()


@pytest.mark.parametrize("lock", ["dispatch.lock", f"locks/push-{'0' * 40}"])
def test_nothing_goes_while_a_run_is_at_work(project, lock):
    garbage = project.put(b"garbage")
    path = project.server.folder / lock
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as run:
        fcntl.flock(run, fcntl.LOCK_EX)
        assert len(project.collect(dry_run=True).garbage) == 1
        with pytest.raises(PushforwardError, match="a run is at work") as refused:
            project.collect()
    assert refused.value.exit_code == POLICY
    assert project.has(garbage)


def test_a_deprecated_version_stays_unless_asked_for_and_one_in_use_always(project):
    oids = [project.put(content) for content in (b"one", b"two", b"three")]
    for number, oid in enumerate(oids, 1):
        project.commit(oid)
        project.tag(f"toy@v1.{number}.0")
        project.tag(f"toy#staging#{number}")
        if number != 2:
            project.tag(f"toy@v1.{number}.0!")
    project.commit(project.kept)
    assert project.collect().garbage == ()
    assert [item.path for item in project.collect(deprecated=True).garbage] == [project.store.file(oids[0])]
    assert [project.has(oid) for oid in oids] == [False, True, True]


def test_on_a_forge_a_deprecation_that_nobody_signed_frees_nothing(project, tmp_path, git):
    """Where no policy has looked at tags, one that lets data go is believed by its signature alone."""
    key, oids = tmp_path / "ann", [project.put(content) for content in (b"one", b"two")]
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    kind, body = key.with_suffix(".pub").read_text().split()[:2]
    signers = project.clone / ".github" / "allowed_signers"
    signers.parent.mkdir()
    signers.write_text(f'pushforward@localhost namespaces="git,pushforward" {kind} {body} may=version\n')
    for number, oid in enumerate(oids, 1):
        project.commit(oid)
        sign(project, key, "pushforward@localhost", f"toy@v1.{number}.0")
        project.tag(f"toy@v1.{number}.0!")
    project.commit(project.kept)
    shutil.rmtree(project.server.folder)
    shutil.rmtree(project.path / "servers")
    git(project.clone, "remote", "rename", "local", "origin")
    assert project.collect(deprecated=True).garbage == ()
    assert [project.has(oid) for oid in oids] == [True, True]
    other = tmp_path / "bob"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(other)], check=True)
    kind, body = other.with_suffix(".pub").read_text().split()[:2]
    with signers.open("a") as handle:
        handle.write(f'bob@example.org namespaces="git,pushforward" {kind} {body} may=any\n')
    git(project.clone, "add", "-A")
    git(project.clone, "commit", "-q", "-m", "Trust Bob")
    git(project.clone, "push", "-q", "origin", "main")
    sign(project, other, "bob@example.org", "toy@v1.1.0!", "toy@v1.1.0^{}")
    assert [item.path for item in project.collect(deprecated=True).garbage] == [project.store.file(oids[0])]


def sign(project, key, email, name, target="main"):
    """Make a signed tag on the remote, in the place of one that nobody has signed."""
    config = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={key}", "-c", "user.name=A", "-c", f"user.email={email}")
    project.git(project.bare, *config, "tag", "-f", "-s", "-m", name, name, target)


def test_the_run_cache_forgets_what_goes_and_nothing_else(project):
    gone, stays = project.runs(project.put(b"garbage")), project.runs(project.kept)
    plan = project.collect()
    assert [item.kind for item in plan.garbage] == ["run cache entry", "object"], "in the order in which they go"
    assert (gone.exists(), stays.exists()) == (False, True)


def test_a_list_of_files_goes_before_its_files(project):
    """DVC takes a folder whose list is there for whole, and would never push the rest again."""
    project.put_folder(b"a", b"b", b"c")
    names = [item.path.name for item in project.collect().garbage]
    assert [name.endswith(".dir") for name in names] == [True, False, False, False]


@pytest.mark.parametrize(
    "spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"[]")], ids=["lost", "spoiled"]
)
def test_nothing_goes_while_the_list_of_a_versions_folder_is_gone(project, spoil):
    tagged, garbage = project.put_folder(b"model", b"manifest"), project.put(b"garbage")
    project.commit(tagged)
    project.tag("toy@v1.0.0")
    spoil(project.store.file(tagged))
    before = everything(project.path)
    with pytest.raises(PushforwardError, match=f"{tagged}, which toy@v1.0.0 needs") as refused:
        project.collect()
    assert refused.value.next == "pushforward verify toy@v1.0.0 --quick"
    assert everything(project.path) == before
    assert project.has(garbage)


def test_the_servers_cache_answers_for_a_list_that_the_store_has_lost(project):
    tagged = project.put_folder(b"model")
    copy = project.cache.file(tagged)
    copy.parent.mkdir(parents=True)
    shutil.copy(project.store.file(tagged), copy)
    project.commit(tagged, project.kept)
    project.tag("toy@v1.0.0")
    project.store.file(tagged).unlink()
    assert project.collect().garbage == ()


def test_the_servers_cache_its_environments_and_its_old_runs_are_cleared_too(project, monkeypatch):
    monkeypatch.setattr(gc, "KEPT_RUNS", 1)
    project.put(b"kept", stores=[project.cache])
    cached = project.put(b"garbage", stores=[project.cache])
    used = hashlib.sha256(b"").hexdigest()[:16]
    for name in (used, "0123456789abcdef"):
        (project.server.folder / "environments" / name / "bin").mkdir(parents=True)
        (project.server.folder / "environments" / name / "bin" / "python").write_text("#!")
    (project.server.folder / "environments" / f"{used}-0.txt").write_text("")
    (project.server.folder / "releases" / "toy@v1.0.0").mkdir(parents=True)
    for number in (1, 2):
        run = project.server.folder / "runs" / f"push-{number}"
        run.mkdir(parents=True)
        (run / "report.log").write_text("done")
        os.utime(run, (number, number))
    plan = project.collect()
    assert {(item.kind, item.path.name, item.bytes) for item in plan.garbage} == {
        ("object", cached[2:], 7),
        ("environment", "0123456789abcdef", 2),
        ("run folder", "push-1", 4),
    }
    left = sorted(
        path.name for name in ("environments", "runs", "releases") for path in (project.server.folder / name).iterdir()
    )
    assert left == sorted([used, f"{used}-0.txt", "push-2", "toy@v1.0.0"])
    assert gc.terminal(plan).splitlines()[2:] == [
        "garbage  1 object                      7 B  the server's cache",
        "garbage  1 environment                 2 B",
        "garbage  1 run folder                  4 B",
        "garbage  13 B in all",
    ]


def test_a_store_that_two_servers_share_keeps_what_either_needs(project, tmp_path, git):
    other = Project(tmp_path / "other", git)
    theirs = project.put(b"theirs")
    other.commit(theirs)
    whereabouts.claim(project.store.path, other.bare)
    assert project.collect().garbage == ()
    with (other.server.folder / "dispatch.lock").open("a") as run:
        fcntl.flock(run, fcntl.LOCK_EX)
        project.put(b"garbage")
        with pytest.raises(PushforwardError, match=str(other.bare)):
            project.collect()
    shutil.rmtree(other.bare)
    with pytest.raises(PushforwardError, match="cannot be asked what it needs") as refused:
        project.collect()
    assert refused.value.next.startswith("rm ")
    assert project.has(theirs)


def test_a_remote_that_is_no_folder_is_left_alone_and_said_so(project, git):
    project.server.__class__(str(project.bare), sys.executable, "", "store", "team/toy").save()
    project.put(b"garbage", stores=[project.cache])
    plan = project.collect()
    assert "what is in it was not looked at" in gc.terminal(plan)
    assert len(plan.garbage) == 1
    (project.server.folder / "server.json").unlink()
    (project.clone / ".dvc" / "config").write_text(
        "[core]\n    remote = s\n['remote \"s\"']\n    url = s3://bucket/x\n"
    )
    with pytest.raises(PushforwardError, match="s3://bucket/x is not a folder of this machine"):
        project.collect()


def test_what_dvc_has_not_named_is_left_alone(project):
    strange = [project.path / "files" / "md5" / "ab" / name for name in ("README", ".x.tmp", "a" * 31, "A" * 30)]
    strange += [project.path / "notes.txt", project.path / "ab" / ("c" * 30)]
    for path in strange:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    assert project.collect().garbage == ()
    assert all(path.exists() for path in strange)


@pytest.mark.slow
def test_a_promoted_model_survives_every_collection_and_what_went_can_be_made_again(promoted):
    store = promoted.clone.parent / "store"
    before = everything(store / "files")
    promoted.pushforward("gc")
    assert everything(store / "files") == before
    promoted.commit("params.yaml", "buckets: 2", "buckets: 3", "Try")
    promoted.pushforward("repro", "--push")
    extra = set(everything(store / "files")) - set(before)
    assert extra
    fresh = json.loads(promoted.pushforward("gc", "--dry-run", "--json"))
    assert not [item for item in fresh["garbage"] if item["path"].startswith(str(store))], "a push may follow yet"
    for path in extra | {path for path in store.rglob("*") if path.is_file()}:
        os.utime(path, (time.time() - 2 * DAYS,) * 2)
    said = json.loads(promoted.pushforward("gc", "--dry-run", "--json"))
    assert {Path(item["path"]) for item in said["garbage"] if item["kind"] == "object"} >= extra
    assert promoted.pushforward("gc").splitlines()[-1].startswith("deleted")
    assert everything(store / "files") == before
    promoted.pushforward("repro", "--push")
    assert set(everything(store / "files")) >= extra, "DVC knows that they are gone, and sends them again"
