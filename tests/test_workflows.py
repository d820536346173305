"""The workflow files: pinned, least privilege, and a judge that runs nothing of the head."""

import fnmatch
import json
import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pushforward.actions import filters, lint, workflow
from pushforward.actions.event import Event

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))


def read(path):
    return YAML(typ="safe").load(path)


def steps(path):
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


def read_file(path):
    file = ROOT / path
    return file.read_text() if file.is_file() else None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_sha(path):
    used = [step["uses"] for step in steps(path) if "uses" in step]
    used += [step["uses"] for action in ACTIONS for step in read(action)["runs"]["steps"] if "uses" in step]
    assert used
    for name in used:
        assert name.startswith("./.github/actions/") or re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name), name


LONG = {("tune", "search"): 355, ("check", "test"): 120}  # a search goes on until it is told to end


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_permissions_are_given_job_by_job(path):
    tree = read(path)
    assert tree["permissions"] == {}
    for name, job in tree["jobs"].items():
        assert isinstance(job["permissions"], dict), name
        assert job["timeout-minutes"] <= LONG.get((path.stem, name), 60)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_step_is_one_command_without_expressions(path):
    for step in steps(path):
        if "run" in step:
            assert "\n" not in step["run"].strip()
            assert "${{" not in step["run"]


ADDRESSES = ("WEBHOOK", "SMTP")  # secrets of whoever is told of a verdict
# the judge records its look at the holdout; of a verified bundle a release is made
WRITING = {
    "judge": {
        "ahead": ["statuses"],
        "judge": ["contents"],
        "post": ["pull-requests", "statuses"],
        "promote": ["contents"],
        "review": ["contents"],
        "tell": [],
    },
    "release": {"bundle": [], "publish": ["contents"]},
    "pages": {"export": [], "deploy": ["id-token", "pages"]},
    # what looks, and what asks the source, run the project's code, and may write nothing
    "monitor": {"look": [], "record": ["contents", "pull-requests"], "tell": []},
    "arrive": {"look": [], "propose": ["contents", "pull-requests"], "tell": []},
    # what was found in a job without rights is asked for as a change
    "tune": {"search": [], "propose": ["contents", "pull-requests"]},
}


def test_only_the_judge_a_release_the_pages_and_a_proposal_may_write():
    for path in FILES:
        writing = {
            name: sorted(right for right, level in job["permissions"].items() if level == "write")
            for name, job in read(path)["jobs"].items()
        }
        assert writing == WRITING.get(path.stem, {name: [] for name in writing})


def test_secrets_are_those_of_an_environment_that_only_the_default_branch_reaches():
    for path in FILES:
        for name, job in read(path)["jobs"].items():
            if "secrets." in str(job):
                assert (path.stem, job["environment"]) in {
                    ("judge", "judge"),
                    ("verify", "judge"),
                    ("monitor", "judge"),
                    ("arrive", "judge"),
                    ("tune", "judge"),
                }, name


def test_a_release_is_made_of_what_was_verified_and_runs_none_of_it():
    path = ROOT / ".github" / "workflows" / "release.yml"
    jobs = read(path)["jobs"]
    assert [step["run"].split()[:2] for step in jobs["bundle"]["steps"] if "run" in step] == [
        [".venv/bin/pushforward", "verify"],
        [".venv/bin/pushforward", "bundle"],
    ]
    publish = jobs["publish"]
    assert (publish["needs"], publish["environment"]) == ("bundle", "production")
    assert [step["run"] for step in publish["steps"] if "run" in step] == [".github/publish.sh release"]
    # nothing is set up, so nothing of the version's own code can run where something may be written
    assert not [step for step in publish["steps"] if "setup" in step.get("uses", "")]
    assert "github.token != ''" in publish["steps"][-1]["if"]


@pytest.mark.parametrize(
    ("ref", "starts"),
    [
        ("refs/tags/flight-delay#production#1", True),
        ("refs/tags/flight-delay#production#12", True),
        ("refs/tags/flight-delay#staging#1", False),
        ("refs/tags/flight-delay@v1.0.0", False),
        ("refs/tags/flight-delay@v1.0.0!", False),
        ("refs/heads/main", False),
        ("refs/heads/x#production#1", False),
    ],
)
def test_a_release_starts_with_a_tag_of_production_alone(ref, starts):
    path = ROOT / ".github" / "workflows" / "release.yml"
    release = workflow.load(path.name, path.read_text())
    assert filters.matches(release, Event("push", "0" * 40, ref)) is starts


@pytest.mark.parametrize(
    ("changed", "starts"),
    # an out that .gitignore lacks is what a run may end with: a push of that alone mends it
    [
        ("README.md", False),
        ("docs/model.md", False),
        (".gitignore", True),
        ("data/.gitignore", True),
        ("dvc.yaml", True),
    ],
)
def test_training_starts_with_what_decides_of_a_run(changed, starts):
    path = ROOT / ".github" / "workflows" / "train.yml"
    train = workflow.load(path.name, path.read_text())
    assert filters.matches(train, Event("push", "0" * 40, "refs/heads/main", paths=(changed,))) is starts


def test_the_settings_for_github_are_for_these_files_and_tags():
    text = (ROOT / "docs" / "github.md").read_text()
    told = re.findall(r"gh api --method \w+ (\S+) --input - <<'JSON'\n(.*?)\nJSON", text, re.DOTALL)
    rules = [json.loads(tree) for path, tree in told if path.endswith("/rulesets")]
    made = {path.rpartition("/")[2] for path, _ in told if "/environments/" in path}
    used = {job.get("environment") for path in FILES if path.stem != "pages" for job in read(path)["jobs"].values()}
    assert made == used - {None}
    for path in FILES:
        assert f"name: {path.stem}\n" in path.read_text()

    def forbidden(tag):
        """What nobody but an actor named in the ruleset may do with a tag."""
        included = [
            rule
            for rule in rules
            if rule["target"] == "tag"
            and any(fnmatch.fnmatchcase(f"refs/tags/{tag}", one) for one in rule["conditions"]["ref_name"]["include"])
        ]
        return {one["type"] for rule in included for one in rule["rules"]}

    stay = {"update", "deletion", "non_fast_forward"}
    assert forbidden("flight-delay@v1.0.0") == forbidden("flight-delay#staging#1") == stay
    assert forbidden("flight-delay@v1.0.0!") == forbidden("flight-delay#production#1") == {*stay, "creation"}
    assert forbidden("nightly") == set()
    required = [one for rule in rules for one in rule["rules"] if one["type"] == "required_status_checks"]
    post = (ROOT / ".github" / "actions" / "report" / "post.py").read_text()
    for one in required:
        for check in one["parameters"]["required_status_checks"]:
            assert f'"{check["context"]}"' in post


def test_the_judge_checks_out_and_runs_nothing_of_the_head():
    judge = ROOT / ".github" / "workflows" / "judge.yml"
    assert set(read(judge)["on"]) == {"workflow_run"}
    text = "\n".join(line.partition("#")[0] for line in judge.read_text().splitlines())
    for step in steps(judge):
        if step.get("uses", "").startswith("actions/checkout@"):
            # the default branch: neither a ref nor a repository of the head's choosing
            assert set(step["with"]) <= {"fetch-depth", "persist-credentials"}
        if step.get("uses", "").startswith("actions/download-artifact@"):
            # into folders of their own, out of which nothing is ever run
            assert step["with"]["path"] in {"handover", "verdict"}
        if "run" in step:
            assert step["run"].split()[0] == ".venv/bin/pushforward"
    # what seals the numbers of a holdout in use, what signs versions, which one step alone gets, and where to tell it
    assert set(re.findall(r"secrets\.PUSHFORWARD_(\w+)", text)) == {"SEAL", "SIGNING_KEY", *ADDRESSES}
    assert len(re.findall(r"secrets\.", text)) == len(re.findall(r"secrets\.PUSHFORWARD_", text))
    assert [step["name"] for step in steps(judge) if "SIGNING_KEY" in str(step)] == ["promote", "promote"]
    assert not re.search(r"(bash|sh|python\S*|source|\./|make)\s+\S*(handover|verdict)", text)


def test_pages_are_made_of_what_is_recorded_by_the_default_branch_and_only_where_somebody_has_said_so():
    path = ROOT / ".github" / "workflows" / "pages.yml"
    jobs = read(path)["jobs"]
    assert jobs["export"]["if"] == "${{ vars.PUSHFORWARD_PAGES != '' }}"
    assert jobs["deploy"]["needs"] == "export"
    (checkout,) = (step["with"] for step in steps(path) if step.get("uses", "").startswith("actions/checkout@"))
    assert checkout["ref"] == "${{ github.event.repository.default_branch }}"
    assert not [step for step in steps(path) if "download-artifact" in step.get("uses", "")]
    assert [step["run"] for step in steps(path) if "run" in step] == [".venv/bin/pushforward web --export site"]
    assert "secrets" not in path.read_text()


@pytest.mark.parametrize(
    ("stem", "what", "when"),
    [
        ("judge", "verdict", "needs.judge.result == 'success'"),
        ("verify", "verify", "needs.verify.result == 'failure'"),
        ("monitor", "monitor", ""),
    ],
)
def test_telling_is_asked_for_comes_last_and_changes_nothing(stem, what, when):
    jobs = read(ROOT / ".github" / "workflows" / f"{stem}.yml")["jobs"]
    tell = jobs["tell"]
    assert [*jobs][-1] == "tell"
    asked = " && ".join(part for part in ("!cancelled()", when, "vars.PUSHFORWARD_NOTIFY != ''") if part)
    assert tell["if"] == f"${{{{ {asked} }}}}"
    (step,) = (step for step in tell["steps"] if "run" in step)
    assert (step["run"], step["continue-on-error"]) == (f".venv/bin/pushforward notify {what}", True)
    reads = {"GITHUB_TOKEN", "PUSHFORWARD_FAILED"} if stem == "monitor" else set()  # looks are in git
    assert set(step["env"]) == {f"PUSHFORWARD_{name}" for name in ADDRESSES} | reads
    for job in jobs.values():
        assert "PUSHFORWARD_WEBHOOK" not in str([one for one in job["steps"] if one is not step])


def test_recording_has_the_token_alone_and_neither_decides_nor_holds_anything_up():
    jobs = read(ROOT / ".github" / "workflows" / "judge.yml")["jobs"]
    for name, after in (("judge", "report"), ("promote", "promote")):
        steps_of = jobs[name]["steps"]
        (place,) = (place for place, step in enumerate(steps_of) if step.get("name") == "record")
        step = steps_of[place]
        assert steps_of[place - 1]["name"] == after
        assert (step["continue-on-error"], list(step["env"])) == (True, ["GITHUB_TOKEN"])
        assert "github.token != ''" in step["if"], "a local server has none, and records by itself"
    assert "!cancelled()" in step["if"], "also where nothing could be tagged"


def test_the_setup_uses_only_the_default_branchs_files():
    for step in read(ROOT / ".github" / "actions" / "setup" / "action.yml")["runs"]["steps"]:
        assert "uses" in step or step["run"] == "make env"


def test_what_is_known_ahead_is_told_when_a_run_is_asked_for_and_the_verdict_when_it_has_ended():
    path = ROOT / ".github" / "workflows" / "judge.yml"
    judge = workflow.load(path.name, path.read_text())
    assert read(path)["on"]["workflow_run"]["types"] == ["requested", "completed"]
    jobs = read(path)["jobs"]
    assert jobs["ahead"]["if"] == (
        "${{ github.event.action == 'requested' && github.event.workflow_run.name != 'review' }}"
    )
    assert jobs["judge"]["if"].startswith("${{ github.event.action != 'requested' && ")
    assert "secrets." not in str(jobs["ahead"])
    for name in {*jobs} - {"ahead", "judge", "review"}:
        assert "judge" in jobs[name]["needs"], "and none of them runs where the judge has not"
    done = Event("workflow_run", "0" * 40, "refs/heads/main", action="completed", workflow="train", head="main")
    assert filters.matches(judge, done)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_job_depends_on_what_only_its_steps_know(path):
    """GitHub decides about a job before a runner has it: there is no token then, and `github.token` is null."""
    known_to_steps = re.compile(r"github\.(token|job|path|env|action\w*|workspace)\b")
    for name, job in read(path)["jobs"].items():
        for key in {*job} - {"steps"}:
            assert not known_to_steps.search(str(job[key])), f"{name}: {key}"


def test_training_is_told_first_what_is_known_ahead():
    first = next(step for step in steps(ROOT / ".github" / "workflows" / "train.yml") if "run" in step)
    assert first["run"].startswith(".venv/bin/pushforward gate --ahead | tee -a ")
    assert (first["continue-on-error"], first["if"]) == (True, "${{ github.token != '' }}")


@pytest.mark.parametrize("name", ["train", "judge", "release", "verify", "monitor", "arrive"])
def test_the_local_server_can_run_it(name):
    path = ROOT / ".github" / "workflows" / f"{name}.yml"
    assert lint.problems(workflow.load(path.name, path.read_text()), read_file) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_act_accepts_it(path):
    act = ROOT / ".venv" / "bin" / "act"
    done = subprocess.run(
        [str(act), "--validate", "--strict", "-W", str(path)],
        capture_output=True,
        text=True,
        cwd=path.parent,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


HEARD = {
    "action": "completed",
    "repository": {"full_name": "octo/flights"},
    "workflow_run": {"name": "review", "event": "push", "head_repository": {"full_name": "octo/flights"}},
}


@pytest.mark.parametrize(
    ("changed", "runs"),
    [
        ({}, True),
        ({"action": "requested"}, False),
        ({"name": "train"}, False),
        ({"event": "pull_request"}, False),  # of a branch that is named like a tag, with a review.yml of its own
        ({"head_repository": {"full_name": "mallory/flights"}}, False),
        ({"head_repository": None}, False),  # a fork that is gone
    ],
)
def test_a_word_is_heard_of_a_push_to_this_repository_alone(changed, runs):
    job = read(ROOT / ".github" / "workflows" / "judge.yml")["jobs"]["review"]
    top = {name: text for name, text in changed.items() if name == "action"}
    event = HEARD | top | {"workflow_run": HEARD["workflow_run"] | {k: v for k, v in changed.items() if k not in top}}
    assert evaluate(job["if"], event) is runs


def evaluate(condition, event):
    """A condition of comparisons that are joined by &&, as GitHub evaluates it: what is not there is null."""
    for part in condition.removeprefix("${{ ").removesuffix(" }}").split(" && "):
        equal = " == " in part
        left, right = (value(one, event) for one in part.split(" == " if equal else " != "))
        if (left == right) is not equal:
            return False
    return True


def value(text, event):
    if text.startswith("'"):
        return text.strip("'")
    found = {"github": {"event": event}}
    for name in text.split("."):
        found = (found or {}).get(name)
    return found


def test_a_word_is_on_the_commit_that_its_status_is_set_on():
    jobs = read(ROOT / ".github" / "workflows" / "judge.yml")["jobs"]
    (step,) = (step for step in jobs["review"]["steps"] if "run" in step)
    assert step["run"] == '.venv/bin/pushforward promote --review "$TAG" --head "$HEAD"'
    assert step["env"]["TAG"] == "${{ github.event.workflow_run.head_branch }}"
    assert step["env"]["HEAD"] == "${{ github.event.workflow_run.head_sha }}"
    for name in ("review", "promote"):
        assert jobs[name]["outputs"] == {"word": "${{ steps.promote.outputs.word }}"}
        assert [step["id"] for step in jobs[name]["steps"] if "id" in step] == ["promote"]


def test_a_word_that_does_not_count_posts_nothing():
    post = read(ROOT / ".github" / "workflows" / "judge.yml")["jobs"]["post"]
    assert set(post["needs"]) == {"judge", "promote", "review"}
    assert post["if"] == (
        "${{ !cancelled() && startsWith(github.event.repository.html_url, 'http') && "
        "(needs.judge.result != 'skipped' || needs.review.outputs.word != '') }}"
    )
    told = post["steps"][-1]["with"]
    assert told["word"] == "${{ needs.review.outputs.word || needs.promote.outputs.word }}"
    assert told["what"] == "${{ needs.judge.result != 'skipped' && 'verdict' || 'word' }}"
    report = ROOT / ".github" / "actions" / "report" / "action.yml"
    steps_of = {step.get("name"): step for step in read(report)["runs"]["steps"]}
    assert steps_of["commit status"]["if"] == "${{ inputs.what == 'verdict' }}"
    assert steps_of["a person's word"]["if"] == "${{ inputs.word != '' }}"


def test_what_is_heard_of_one_commit_does_not_drop_a_verdict():
    """A group of concurrency drops what waits in it: each thing that is heard has one of its own."""
    group = read(ROOT / ".github" / "workflows" / "judge.yml")["concurrency"]["group"]
    for part in ("workflow_run.name", "action", "workflow_run.head_repository.full_name", "workflow_run.head_sha"):
        assert f"${{{{ github.event.{part} }}}}" in group
