"""Adoption: the push of a tree that a pull request has run trains nothing and asks no model, and is judged anew."""

import dataclasses
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.once import made_once

from pushforward import schema
from pushforward.gate.verdict import Digests, invalid
from pushforward.git import kept as left
from pushforward.git.repository import Repository
from pushforward.git.server import ADOPTABLE, Server
from pushforward.judge import handover
from pushforward.pipeline.lock import read_lock
from pushforward.pipeline.revision import model_digest
from pushforward.pipeline.store import Store, members
from pushforward.registry import tags as registry
from pushforward.report import notes
from pushforward.server import adopted, runs
from pushforward.server.adopted import SAID
from pushforward.server.runs import Job
from pushforward.server.subject import Subject

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def offered(first_version, tmp_path_factory):
    """The folder of a team whose server adopts, with a branch that was judged and is merged in the clone."""

    def make(folder):
        team = first_version(folder)
        settings = team.clone / "pushforward.yaml"
        settings.write_text(settings.read_text() + "server: {adopt: true}\n")
        team.git("commit", "-q", "-am", "Adopt what pull requests have made")
        team.push()
        team.git("switch", "-q", "-c", "six")
        team.commit("params.yaml", "buckets: 2", "buckets: 6", "Use six buckets")
        assert "PROMOTE" in team.push("six").upper()
        team.git("switch", "-q", "main")
        team.git("merge", "-q", "--no-ff", "-m", "Merge six", "six")
        team.rest()

    return made_once(tmp_path_factory, "offered", make)


@pytest.fixture
def team(offered, first_version, tmp_path):
    return first_version(tmp_path, offered)


def verdict(team):
    return notes.read(Repository(team.bare), team.head())[0].verdict


def run_folder(team):
    return team.bare / "pushforward" / "runs" / f"push-{team.head()}"


def kept(team):
    (folder,) = (team.bare / "pushforward" / ADOPTABLE).iterdir()
    return folder


def log(team):
    return "".join(path.read_text(errors="replace") for path in run_folder(team).rglob("*.log"))


def test_a_merged_pull_request_is_judged_anew_and_neither_trained_nor_scored(team, tmp_path):
    said = team.push()
    assert "train.yml: as #1 ran the same files; nothing is run again" in said
    found = verdict(team)
    assert (found["verdict"], found["mode"], found["event"]) == ("promote", "superior", "push")
    assert {stage["outcome"] for stage in found["stages"]} <= {"restored", "unchanged"}
    assert {stage["reason"] for stage in found["stages"] if stage["outcome"] == "restored"} == {
        "as the run of #1 made it"
    }
    assert not [*run_folder(team).glob("train.yml")], "no workflow has run but the judge's"
    told = log(team)
    assert "champion toy@v1.0.0: its predictions of these rows are kept" in told
    assert "scored" not in told.replace("scored by itself", "")
    assert "toy@v1.1.0" in team.tags()
    team.git("fetch", "-q", "--tags", "local")
    record = registry.record(team.git("cat-file", "tag", "toy@v1.1.0"))
    model = kept(team) / "train" / "model" / "model.json"
    digest = subprocess.run(["sha256sum", str(model)], capture_output=True, text=True, check=True).stdout.split()[0]
    assert digest == record["model"] == found["digests"]["model"]
    other = tmp_path / "other"
    team.git("clone", "-q", str(team.bare), str(other))
    subprocess.run(["git", "-C", str(other), "checkout", "-q", "toy@v1.1.0"], check=True)
    dvc = Path(team.python).parent / "dvc"
    subprocess.run([str(dvc), "pull", "-q", "model"], cwd=other, check=True, capture_output=True)
    assert (other / "model" / "model.json").read_bytes() == model.read_bytes()
    assert "toy@v1.1.0 holds" in team.pushforward("verify", "v1.1.0", "--quick")


def spoil(path, content):
    path.chmod(0o644)
    path.unlink()
    path.write_bytes(content)


SPOILED = {
    "another lock": lambda kept: spoil(kept / "train" / "dvc.lock", b""),
    "another model": lambda kept: spoil(kept / "train" / "model" / "model.json", b"[0.5]"),
    "a file more": lambda kept: (kept / "train" / "metrics" / "more.json").write_text("{}"),
    "a link": lambda kept: (kept / "train" / "more").symlink_to("model"),
    "no word of what it is": lambda kept: (kept / SAID).unlink(),
    "of another workflow": lambda kept: (kept / SAID).write_text(
        (kept / SAID).read_text().replace("train.yml", "x.yml")
    ),
}


@pytest.fixture(scope="module")
def subject(offered, first_version, tmp_path_factory):
    """The push of the merge, which the server has by now."""
    team = first_version(tmp_path_factory.mktemp("subject"), offered)
    commit, server = team.head(), Server.load(team.bare)
    before = server.repository.commit("main")
    server.repository.git("fetch", "-q", str(team.clone), f"{commit}:refs/heads/aside")
    return Subject(server, Job("push", "refs/heads/main", commit, before=before))


@pytest.mark.parametrize("how", SPOILED)
def test_what_is_not_as_it_was_kept_is_not_taken_over(subject, how):
    folder = subject.server.folder / ADOPTABLE
    (tree,) = folder.iterdir()
    shutil.copytree(tree, folder / "aside", symlinks=True)
    try:
        assert adopted.find(subject, "train.yml").pull == 1
        SPOILED[how](tree)
        assert adopted.find(subject, "train.yml") is None
    finally:
        shutil.rmtree(tree)
        (folder / "aside").rename(tree)


def test_what_the_store_has_lost_is_made_again(subject, tmp_path):
    found = adopted.find(subject, "train.yml")
    store = Store(Path(subject.server.store))
    (holdout,) = read_lock((found.folder / "train" / "dvc.lock").read_bytes())["holdout"]["outs"]
    listed = members(holdout["md5"], store.read(holdout["md5"]))
    lost = store.file(listed["rows.parquet"])
    aside = lost.rename(tmp_path / lost.name)
    try:
        assert not found.take(tmp_path / "train")
        assert not (tmp_path / "train").exists()
    finally:
        aside.rename(lost)


@pytest.mark.parametrize(
    ("changed", "is_of"),
    [({}, True), ({"touched": ("dvc.yaml: the stage holdout",)}, False), ({"verdict": "invalid"}, False)],
)
def test_only_what_the_judge_itself_has_judged_unchanged_is_kept(tmp_path, changed, is_of):
    handed, judged = tmp_path / "train", tmp_path / "verdict"
    for path, text in ((handed / "dvc.lock", "stages: {}\n"), (handed / "model" / "model.json", "[1]")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    digests = Digests(model=model_digest(handed / "model"), lock=left.digest(handover.locks_in(handed), "dvc.lock"))
    verdict = dataclasses.replace(invalid(""), **({"verdict": "hold", "digests": digests} | changed))
    judged.mkdir()
    (judged / "verdict.json").write_text(verdict.to_json())
    assert adopted._is_of(judged, handed) is is_of


def test_whoever_holds_what_is_left_is_no_run_at_work(tmp_path):
    server = SimpleNamespace(folder=tmp_path)
    with adopted._alone(server):
        assert runs.running(server) == []


@pytest.mark.parametrize(
    ("trust", "setting", "on"), [(False, None, False), (True, None, True), (True, False, False), (False, True, True)]
)
def test_the_settings_say_it_and_else_whether_pushers_are_trusted(trust, setting, on):
    rules = SimpleNamespace(server=schema.Server(adopt=setting))
    assert adopted.is_on(SimpleNamespace(trust=trust), rules) is on
