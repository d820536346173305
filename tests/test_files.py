"""Links: what is behind one is neither read, written nor deleted, whoever made it: a commit, a stage, an operator."""

import contextlib
import os
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.pipeline.small import project, run  # noqa: F401, a fixture
from tests.team import make_toy

from pushforward import files, settings
from pushforward.actions import artifacts
from pushforward.commands import cli
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.git.server import Server
from pushforward.judge import challenge, handover, holdout
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import environment
from pushforward.pipeline.checkout import OWN
from pushforward.pipeline.lock import LOCK
from pushforward.pipeline.revision import Revision
from pushforward.pipeline.stages import Reproduction
from pushforward.pipeline.store import Store
from pushforward.server import care, init, recover, runs, soundness
from pushforward.server import record as records

SAID = "is a link; what is behind a link is neither read, written nor deleted"


@pytest.fixture
def precious(tmp_path):
    """A folder of somebody's, with all the names that somebody could look for in it."""
    folder = tmp_path / "precious"
    for name in ("thesis", "metrics.json", "deep/thesis", "rows.parquet", "config", "run.json", "model.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"precious {name}")
    before = everything(folder)
    yield folder
    assert everything(folder) == before


def everything(folder):
    return {
        path.relative_to(folder).as_posix(): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """The toy project as one commit."""
    folder = tmp_path_factory.mktemp("toy") / "toy"
    make_toy(folder)
    shutil.rmtree(folder / "src" / "pushforward")
    for args in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "Begin")):
        Repository(folder).git(*args)
    return folder


@pytest.fixture
def toy(committed, tmp_path, monkeypatch):
    """A checkout of the toy project, the working folder."""
    folder = tmp_path / "toy"
    shutil.copytree(committed, folder, symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    # its locks are those of this interpreter without the tests' own packages
    locked = environment.digest(Repository(folder), "HEAD", ["requirements/run.txt", "requirements/data.txt"])
    monkeypatch.setattr(environment, "at_hand", lambda: locked)
    return folder


def commit(folder, *paths):
    Repository(folder).git("add", "-A")
    Repository(folder).git("add", "-f", "--", *paths, ".dvc")
    Repository(folder).git("commit", "-q", "-m", "Link")
    return Repository(folder).commit("HEAD")


def link(folder, path, to):
    """A link at `path`, in place of whatever is there."""
    there = folder / path
    files.remove(folder, path)
    there.parent.mkdir(parents=True, exist_ok=True)
    there.symlink_to(to)


def invoke(*args):
    done = CliRunner().invoke(cli.main, list(args))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ("metrics", "../precious"),
        ("metrics/metrics.json", "../../precious/metrics.json"),
        ("metrics/deep", "../../precious"),
        ("metrics/gone.json", "nowhere"),
        ("params.yaml", "../precious/thesis"),
        ("dvc.yaml", "../precious/thesis"),
        ("dvc.lock", "../precious/thesis"),
        (".dvc", "../precious"),
        (".dvc/config", "../../precious/config"),
        (".dvc/tmp", "../../precious"),
        (".github", "../precious"),
        ("data", "../precious"),
        ("data/raw", "../../precious"),
        ("model", "../precious"),
        ("model/model.json", "../../precious/model.json"),
        ("handover", "../precious"),
        ("handover", "loop/handover"),
    ],
)
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "at hand"])
def test_a_link_of_a_commit_is_refused_by_name(toy, precious, path, to, clean):
    if path == "data/raw":
        text = (toy / "dvc.yaml").read_text().replace("outs: [model]", "outs: [data/raw/thesis]")
        (toy / "dvc.yaml").write_text(text)
    link(toy, path, to)
    commit(toy, path)
    done = invoke("repro", *(["--clean"] if clean else []))
    assert done.exit_code == 2, done.output
    if path not in {"model", "model/model.json"}:  # an out that git holds is refused for that already
        assert f"pushforward: {path} {SAID}\n  next: rm {path}, " in done.stderr
    if path != "handover":
        assert "link" in handover.read(toy / "handover").reproduction.message or path.startswith("model")


@pytest.mark.parametrize("path", ["metrics", "data", ".dvc/tmp", "dvc.lock"])
def test_a_link_that_git_ignores_is_not_followed_either(toy, precious, path):
    with (toy / ".gitignore").open("a") as handle:
        handle.write(f"/{path}\n")
    files.remove(toy, path)
    commit(toy)
    link(toy, path, precious if path != "dvc.lock" else precious / "thesis")
    done = invoke("repro", "--clean")
    assert (done.exit_code, f"{path} {SAID}" in done.stderr) == (2, True), done.output


def test_a_cache_of_links_is_told_how_to_be_none(toy, precious):
    (toy / ".dvc" / "cache").symlink_to(precious)
    done = invoke("repro", "--clean")
    assert f".dvc/cache {SAID}\n  next: rm .dvc/cache && dvc cache dir --local {precious}\n" in done.stderr
    (toy / ".dvc" / "cache").unlink()
    (toy / "model").mkdir()
    (toy / "model" / "model.json").symlink_to(toy / ".dvc/cache/files/md5/ab/cd")
    with pytest.raises(PushforwardError, match=r"model/model\.json is a link") as refused:
        handover.write(toy, toy / "handover", "a" * 40, Reproduction(), "model")
    assert refused.value.next == "dvc config --local cache.type copy && dvc checkout --relink"


def test_seeding_takes_folders_of_metrics_too_and_only_what_git_holds(toy):
    for name in ("metrics/deep/old.json", "metrics/kept.txt"):
        (toy / name).parent.mkdir(parents=True, exist_ok=True)
        (toy / name).write_text("{}")
    with (toy / ".gitignore").open("a") as handle:
        handle.write("/metrics/kept.txt\n")
    commit(toy)
    pipeline.seed(Repository(toy), None)
    assert [path.name for path in (toy / "metrics").rglob("*") if path.is_file()] == ["kept.txt"]


@pytest.mark.parametrize("path", ["", "thesis", "deep/thesis"])
def test_a_stage_that_leaves_a_link_in_an_out_hands_nothing_over(project, git, precious, path):  # noqa: F811
    text = (project / "dvc.yaml").read_text()
    made = f"rm -rf out/more && mkdir -p out/more/deep && ln -sT {precious}/{path} out/more/{path or 'link'}"
    stages = f"{text}  fourth:\n    cmd: {made}\n    deps: [source.txt]\n    outs: [out/more]\n"
    (project / "dvc.yaml").write_text(stages)
    done = run(project)
    assert done.outcome == "failed"
    assert f"out/more/{path or 'link'} {SAID}" in done.message
    kept = [path.read_text() for path in (project / ".dvc" / "cache").rglob("*") if path.is_file()]
    assert not any("precious" in text for text in kept)


@pytest.mark.parametrize(
    "path", ["dvc.lock", "metrics", "metrics/m.json", "model", "model/deep/part", "validation.csv"]
)
def test_a_hand_over_takes_nothing_from_behind_a_link(tmp_path, precious, path):
    root = tmp_path / "root"
    for name in ("metrics/n.json", "model/a", "model/deep/b"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    link(root, path, precious)
    with pytest.raises(PushforwardError, match=f"^{path} is a link"):
        handover.write(root, tmp_path / "handover", "a" * 40, Reproduction(), "model", {"validation": "validation.csv"})


def test_a_hand_over_takes_nothing_that_is_no_file(tmp_path):
    (tmp_path / "root" / "model").mkdir(parents=True)
    os.mkfifo(tmp_path / "root" / "model" / "pipe")
    with pytest.raises(PushforwardError, match=r"^model/pipe is no plain file$"):
        handover.write(tmp_path / "root", tmp_path / "handover", "a" * 40, Reproduction(), "model")


@pytest.mark.parametrize("out", ["src", ".", "precious-like", "../precious"])
def test_a_hand_over_is_written_over_nothing_else(toy, precious, out):
    (toy / "precious-like").mkdir()
    for name in ("model", "thesis"):
        (toy / "precious-like" / name).write_text("precious")
    before = everything(toy / "precious-like")
    commit(toy)
    done = invoke("repro", "--clean", "--out", out)
    assert done.exit_code == 2, done.output
    assert "which is of no hand-over: nothing in it is written over" in done.stderr
    assert everything(toy / "precious-like") == before
    assert (toy / "params.yaml").is_file()


@pytest.mark.parametrize("path", ["dvc.lock", "params.yaml", "metrics"])
def test_a_checkout_of_the_judge_is_not_left_through_its_links(toy, precious, tmp_path, path):
    link(toy, path, precious / "thesis" if path != "metrics" else precious)
    made = commit(toy)
    scratch = tmp_path / "scratch"
    Repository(toy).git("clone", "-q", str(toy), str(scratch))
    files.cut(scratch, Repository(toy).tree(made), OWN)
    assert not (scratch / path).is_symlink()
    files.write(scratch, "metrics/m.json" if path == "metrics" else path, b"x")


@pytest.mark.parametrize("path", ["params.yaml", "dvc.lock"])
def test_what_the_judge_changes_in_a_checkout_is_not_behind_a_link(toy, precious, path):
    link(toy, path, precious / "thesis")
    change = {
        "params.yaml": lambda: holdout._set_months(toy, settings.load(toy), ["2020-01"]),
        "dvc.lock": lambda: files.write(toy, LOCK, b"schema: '2.0'\n"),
    }
    with pytest.raises(PushforwardError, match=f"{path} is a link"):
        change[path]()


@pytest.mark.parametrize("path", ["", "rows.parquet"])
def test_the_holdout_is_not_read_through_a_link(toy, precious, path):
    rules = settings.load(toy)
    place = rules.contract.holdout
    (toy / place).mkdir(parents=True, exist_ok=True)
    (toy / rules.contract.path).mkdir()
    link(toy, f"{place}/{path}".rstrip("/"), precious / path)
    with pytest.raises(PushforwardError, match="is a link"):
        challenge.answer(toy, rules, toy / "handover", probe=False, forget=False, say=print)


@pytest.mark.parametrize("path", ["pushforward.yaml", "params.yaml", "requirements/run.txt", "requirements"])
def test_a_link_at_a_commit_is_named_without_a_checkout(toy, precious, path):
    link(toy, path, "../precious/thesis")
    repository, made = Repository(toy), commit(toy)
    revision = Revision(repository, made)
    with pytest.raises(PushforwardError) as refused:
        _ = revision.settings, revision.leaves, environment.digest(repository, made, ["requirements/run.txt"])
    assert refused.value.message == f"{path} {SAID}"


# The server's own folder, its store and its caches.


@pytest.fixture
def server(tmp_path, git):
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(tmp_path / "toy.git"))
    made = Server(str(tmp_path / "toy.git"), sys.executable, str(tmp_path / "store"), "store", "team/toy")
    made.folder.mkdir()
    made.save()
    return made


@pytest.mark.parametrize("name", ["runs", "cache", "environments", "releases", "locks", "token", "dispatch.log"])
def test_a_server_with_a_link_in_its_folder_says_so_and_how_to_go_on(server, precious, name):
    (server.folder / name).symlink_to(precious)
    with pytest.raises(PushforwardError) as refused:
        Server.load(Path(server.bare))
    there = server.folder / name
    assert refused.value.message == f"{there} {SAID}"
    assert refused.value.next == f'to="$(realpath {there})" && rm {there} && mv "$to" {there}'
    assert there.parent.name == init.FOLDER


@pytest.mark.parametrize(
    "path", ["files", "files/md5", "files/md5/ab", f"files/md5/ab/{'c' * 30}", "runs", "runs/ab", f"runs/ab/{'0' * 64}"]
)
def test_a_store_is_not_left_through_a_link(tmp_path, path):
    """Neither listed, so that nothing behind it is collected as garbage, nor read."""
    behind = tmp_path / "behind"
    for name in (f"md5/ab/{'c' * 30}", f"ab/{'c' * 30}", "c" * 30, f"ab/{'0' * 64}/one", f"{'0' * 64}/one", "one"):
        (behind / name).parent.mkdir(parents=True, exist_ok=True)
        (behind / name).touch()
    store = Store(tmp_path / "store")
    link(store.path, path, behind / ("c" * 30) if path.endswith("c") else behind)
    with contextlib.suppress(files.LinkError):
        assert [*store.objects(), *store.runs()] == []
    if path.startswith("files"):
        with pytest.raises(PushforwardError, match="is a link"):
            store.read(f"ab{'c' * 30}")


def test_the_name_of_an_object_leads_nowhere_else(tmp_path, precious):
    with pytest.raises(PushforwardError, match="leads out"):
        Store(tmp_path).read("../../precious/thesis")


@pytest.mark.parametrize("path", ["files", "files/md5/ab", f"files/md5/ab/{'c' * 30}", "runs"])
def test_a_store_is_neither_taken_over_nor_filled_through_a_link(tmp_path, precious, path):
    whole, linked = Store(tmp_path / "whole"), Store(tmp_path / "linked")
    for name in (f"files/md5/ab/{'c' * 30}", f"runs/ab/{'0' * 64}/one"):
        files.write(whole.path, name, b"new")
    link(linked.path, path, precious / "thesis" if path.endswith("c") else precious)
    with pytest.raises(files.LinkError):
        linked.take(whole)
    fresh = Store(tmp_path / "fresh")
    with contextlib.suppress(files.LinkError):
        fresh.take(linked)
    assert {path.read_bytes() for path in fresh.path.rglob("*") if path.is_file()} <= {b"new"}


@pytest.mark.parametrize("path", ["files/md5/ab", f"files/md5/ab/{'c' * 30}"])
def test_an_object_is_put_back_in_the_place_of_a_link_and_not_behind_one(tmp_path, precious, path):
    cache, store, oid = Store(tmp_path / "cache"), Store(tmp_path / "store"), f"ab{'c' * 30}"
    files.write(cache.path, f"files/md5/ab/{'c' * 30}", b"new")
    link(store.path, path, precious / "thesis" if path.endswith("c") else precious)
    assert store.plain(oid) is None
    assert cache.plain(oid) == cache.file(oid)
    if path.endswith("c"):
        care._copy(cache, store, oid)
        assert store.file(oid).read_bytes() == b"new"
    else:
        with pytest.raises(files.LinkError):
            care._copy(cache, store, oid)


def test_a_ref_that_a_link_stands_for_is_damaged_and_what_is_behind_it_is_not_told(server, precious):
    (Path(server.bare) / "refs" / "heads" / "idea").symlink_to(precious / "thesis")
    (damage,) = soundness.damaged(server.repository)
    assert damage == soundness.Damage("refs/heads/idea", "a link stands for it")
    (Path(server.bare) / "packed-refs").symlink_to(precious / "thesis")
    with pytest.raises(files.LinkError, match=SAID):
        soundness.damaged(server.repository)


def test_a_group_is_let_in_nowhere_but_in_the_server(server, precious, git):
    git(Path(server.bare), "config", "core.sharedRepository", "group")
    for name in ("registry.json", "lib"):
        (server.folder / name).mkdir()
    (Path(server.bare) / "hooks" / "update").symlink_to(precious / "thesis")
    (server.folder / "lib" / "more").symlink_to(precious)
    (precious / "thesis").chmod(0o600)
    init._share(server)
    assert (precious / "thesis").stat().st_mode & 0o777 == 0o600
    (precious / "thesis").chmod(0o644)


def test_clearing_a_run_changes_nothing_behind_a_link(server, precious):
    folder = server.folder / "runs" / "push-abc"
    folder.mkdir(parents=True)
    (folder / "box").symlink_to(precious)
    (folder / "cache").mkdir()
    (folder / "cache" / "link").symlink_to(precious)
    precious.chmod(0o555)
    before = precious.stat().st_mode
    recover.clear(folder, keep=())
    assert precious.stat().st_mode == before
    precious.chmod(0o755)
    assert not list(folder.iterdir())
    folder.rmdir()
    folder.symlink_to(precious)
    (precious / f"x{recover.durable.UNFINISHED}").touch()
    os.utime(precious / f"x{recover.durable.UNFINISHED}", (1, 1))
    recover.clear(folder, keep=())
    list(recover.server(server))
    (precious / f"x{recover.durable.UNFINISHED}").unlink()


def test_a_run_writes_itself_down_in_a_folder_of_its_own(server, precious):
    job = runs.Job("push", "a" * 40, "refs/heads/main", "0" * 40)
    place = runs.folder(server, job.key)
    place.parent.mkdir(parents=True)
    place.symlink_to(precious)
    runs.store(server, runs.Run(job, asked=1.0))
    assert not place.is_symlink()
    assert (place / runs.RECORD).is_file()


@pytest.mark.parametrize("name", ["v1.0.0", "v1.0.0.unfinished"])
def test_a_release_takes_the_place_of_a_link(server, tmp_path, precious, name):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "card.md").write_text("card")
    folder = server.folder / records.RELEASES
    folder.mkdir()
    (folder / name).symlink_to(precious)
    records.publish_release(folder, "v1.0.0", tmp_path / "made")
    assert [path.name for path in (folder / "v1.0.0").iterdir()] == ["card.md"]
    assert not any(path.is_symlink() for path in folder.iterdir())


@pytest.mark.parametrize("path", ["out", "out/a.txt", "out/x"])
def test_an_artifact_is_not_laid_out_through_a_link_of_the_workspace(tmp_path, precious, path):
    store, workspace = tmp_path / "artifacts", tmp_path / "workspace"
    for name in ("x/a.txt", "x/x/b.txt"):
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_text("new")
    link(workspace, path, precious if path != "out/a.txt" else precious / "thesis")
    with pytest.raises(PushforwardError, match="is a link"):
        artifacts.download({"name": "x", "path": "out"}, workspace, store)


def test_an_artifact_takes_nothing_from_behind_a_link_that_its_path_names(tmp_path, precious):
    workspace = tmp_path / "workspace"
    link(workspace, "out", precious)
    for path in ("out", "out/thesis", "out/**", "*/thesis"):
        assert artifacts.upload({"name": f"x{len(path)}", "path": path}, workspace, tmp_path / "store") == 0
