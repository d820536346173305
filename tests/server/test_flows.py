"""The workflows that a server runs: those of the commit, and where it has none those that come with the tool."""

import subprocess

import pytest
from tests.tiny_server import train

from pushforward.actions import lint
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.project import tool
from pushforward.project import workflows as forge
from pushforward.server import flows, pending, runs

pytestmark = pytest.mark.whole

NAMES = ["train", "judge", "release", "verify", "retrain", "monitor"]
FOLDER = ".github/workflows"


def files(flow):
    return [one.file for one in flow]


def test_a_commit_without_workflows_is_run_by_those_that_come_with_the_tool(repository):
    found = flows.listed(Repository(repository), "HEAD", NAMES, "trunk")
    assert files(found) == ["train.yml", "judge.yml", "release.yml", "verify.yml"]
    assert found[0].on["push"]["branches"] == ["trunk"]
    assert found[0].data["env"] == {"PYTHONPATH": "."}
    for flow in found:
        steps = [step for job in flow.jobs.values() for step in job["steps"]]
        assert not [step for step in steps if step.get("uses", "").startswith("./")], "no file of the repository's"
        runs = [step["run"] for step in steps if "run" in step]
        assert runs
        assert all(run == tool.SERVED or run.startswith(".venv/bin/pushforward ") for run in runs), runs
        assert tool.SERVED in runs
        assert lint.problems(flow) == []
    (repository / "src").mkdir()
    (repository / "src" / "a.py").touch()
    for words in (["add", "-A"], ["commit", "-q", "-m", "Code"]):
        subprocess.run(["git", "-C", str(repository), *words], check=True)
    assert flows.listed(Repository(repository), "HEAD", NAMES, "trunk")[0].data["env"] == {"PYTHONPATH": "src"}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["train"], ["train.yml"]),
        (["nightly"], []),
        (["pushforward-train", "pushforward-judge"], ["pushforward-train.yml", "pushforward-judge.yml"]),
    ],
)
def test_the_settings_say_which(repository, wanted, found):
    listed = flows.listed(Repository(repository), "HEAD", wanted, "main")
    assert files(listed) == found
    if len(found) == 2:
        train = listed[0].name
        assert listed[1].on["workflow_run"]["workflows"] == [train, train.replace("train", "review")]


def test_one_workflow_of_its_own_and_none_of_the_tool_s_is_run(repository, git):
    (repository / FOLDER).mkdir(parents=True)
    (repository / FOLDER / "train.yml").write_text(train())
    (repository / FOLDER / "other.yml").write_text("[")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Own")
    (own,) = flows.listed(Repository(repository), "HEAD", NAMES, "main")
    assert (own.file, own.built_in) == ("train.yml", "")


def test_a_link_in_place_of_the_folder_is_refused(repository, git):
    (repository / ".github").symlink_to("/etc")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Link")
    with pytest.raises(PushforwardError, match=r"\.github"):
        flows.listed(Repository(repository), "HEAD", NAMES, "main")


def test_a_server_s_schedules_are_those_that_come_with_the_tool_too(tiny):
    tiny.git("rm", "-rq", ".github")
    commit = tiny.commit({"a.txt": "a"})
    tiny.lose("main")
    assert files(pending.workflows(tiny.server, commit)) == ["train.yml", "judge.yml", "release.yml", "verify.yml"]


def test_what_publishes_pages_changes_no_verdict_of_a_server_that_is_told_to_run_it(tiny):
    """It follows the judge, as a second workflow that hangs on `workflow_run`."""
    (made,) = (one for one in forge.render(forge.Form("main", "src", "make env")) if one.path.endswith("/pages.yml"))
    settings = (tiny.clone / "pushforward.yaml").read_text() + "server: {workflows: [train, judge, pages]}\n"
    told = tiny.commit({made.path: made.body.decode(), "pushforward.yaml": settings}, "Publish pages")
    assert "JUDGED" in tiny.push("main")
    after = tiny.commit()
    assert "JUDGED" in tiny.push("main")
    for commit in (told, after):
        assert [report["verdict"] for report in tiny.reports(commit)] == ["hold"]
        assert not (runs.folder(tiny.server, tiny.run(commit).job.key) / "pages.yml").exists()
