"""The files for each forge: who gets a secret, what starts the judge, and which of them `adopt` writes."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML
from tests.project import shapes
from tests.test_docket_steps import holds

from pushforward import process
from pushforward.actions import lint, workflow
from pushforward.actions.supervisor import ACT
from pushforward.commands.cli import main
from pushforward.project import adopt as projects
from pushforward.project import workflows
from pushforward.project.survey import survey
from pushforward.project.workflows import FORGES, Form

SECRETS = ("PUSHFORWARD_SEAL", "PUSHFORWARD_SIGNING_KEY", "PUSHFORWARD_FORGE_TOKEN")
SETUP = "uv venv -q .venv && echo 'x  y' | sha256sum -c - && .venv/bin/pushforward env"


def rendered(forge, prefix=""):
    made = workflows.render(Form("main", "src", SETUP, prefix, forge))
    return {one.path: YAML(typ="safe").load(one.body) for one in made if one.path.endswith(".yml")}


@pytest.mark.parametrize("prefix", ["", workflows.PREFIX])
@pytest.mark.parametrize("forge", FORGES)
def test_every_file_is_yaml_with_nothing_left_to_fill_in(forge, prefix):
    for made in workflows.render(Form("main", "src", SETUP, prefix, forge)):
        assert not workflows.PLACE.search(made.body.decode()), made.path
        assert workflows.taken_apart(made.content) == (workflows.digest(made.body), made.body)
    assert all(isinstance(tree, dict) for tree in rendered(forge, prefix).values())


@pytest.mark.parametrize("forge", ["gitea", "forgejo", "github"])
def test_names_begin_with_the_prefix_in_files_and_in_what_names_them(forge):
    for path, tree in rendered(forge, workflows.PREFIX).items():
        name = path.rpartition("/")[2]
        if name != "action.yml":
            assert path.rpartition("/")[2] == f"{tree['name']}.yml"
            assert tree["name"].startswith(workflows.PREFIX)
        for used in re.findall(r"uses': '(\./[^']+)'", str(tree)):
            assert f"{used.removeprefix('./')}/action.yml" in rendered(forge, workflows.PREFIX)


ROOT = Path(__file__).parent.parent.parent
# who touches the store, and as whom
READER = "${{ vars.PUSHFORWARD_AWS_READER_ROLE || vars.PUSHFORWARD_AWS_ROLE }}"
LOGGED_IN = {
    (
        "train",
        "train",
    ): "${{ github.event_name == 'push' && vars.PUSHFORWARD_AWS_ROLE || vars.PUSHFORWARD_AWS_READER_ROLE }}",
    ("judge", "judge"): READER,
    ("judge", "promote"): READER,
    ("judge", "review"): READER,
    ("release", "bundle"): READER,
    ("verify", "verify"): READER,
}


def logging_in(prefix=""):
    return workflows.render(Form("main", "src", SETUP, prefix, login=True))


def test_who_touches_the_store_logs_in_and_nobody_else():
    found = {}
    for made in logging_in():
        if made.path.startswith(".github/workflows/") and "pages" not in made.path:
            tree = YAML(typ="safe").load(made.body)
            for name, job in tree["jobs"].items():
                uses = [step.get("uses", "") for step in job["steps"]]
                logins = [step for step in job["steps"] if step.get("uses") == "./.github/actions/store-login"]
                assert bool(logins) == (job["permissions"].get("id-token") == "write"), (made.path, name)
                for step in logins:
                    assert step["if"] == "${{ github.token != '' }}", "a local server has no token"
                    assert uses.index(step["uses"]) == uses.index("./.github/actions/setup") + 1
                    found[tree["name"], name] = step["with"]["role"]
    assert found == LOGGED_IN
    assert "environment" not in YAML(typ="safe").load(logging_in()[0].body)["jobs"]["train"]


def test_without_a_login_the_files_are_as_they_were():
    before = {made.path: made.body for made in workflows.render(Form("main", "src", SETUP))}
    for made in logging_in():
        text = made.body.decode()
        if made.path in before:
            cut = re.sub(r"\n +id-token: write # says to the store[^\n]*", "", text)
            cut = re.sub(r"\n      - uses: \./\.github/actions/store-login(\n {8,}[^\n]*)+", "", cut)
            assert cut == before[made.path].decode(), made.path
            assert "%login%" not in before[made.path].decode()
    assert {made.path for made in logging_in()} - set(before) == {
        ".github/actions/store-login/action.yml",
        ".github/actions/store-login/login.py",
    }


@pytest.mark.parametrize("prefix", ["", workflows.PREFIX])
def test_files_that_log_in_are_found_right_by_who_reads_such_files(prefix, tmp_path, git):
    for made in logging_in(prefix):
        (tmp_path / made.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / made.path).write_bytes(made.content)
    assert workflows.logs_in(tmp_path)
    shutil.copy(ROOT / ".github" / "zizmor.yml", tmp_path / ".github")
    zizmor = shutil.which("zizmor", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert zizmor is not None
    command = [zizmor, "--offline", "-q", "--persona", "auditor", str(tmp_path / ".github")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    git(tmp_path, "init", "-q", "-b", "main")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    for file in sorted((tmp_path / ".github" / "workflows").glob("*.yml")):
        command = [str(ACT), "--validate", "--strict", "-W", str(file)]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


GITLAB = ("train", "judge", "promote", "sweep", "verify", "release")
MAIN = {"CI_DEFAULT_BRANCH": "main", "CI_COMMIT_BRANCH": "main"}
ASKED = {"CI_DEFAULT_BRANCH": "main", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"}


STARTS = pytest.mark.parametrize(
    ("variables", "jobs"),
    [
        (ASKED | {"CI_PIPELINE_SOURCE": "merge_request_event"}, ["train"]),
        (
            ASKED | {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "v1"},
            [],
        ),
        (MAIN | {"CI_PIPELINE_SOURCE": "push"}, ["train", "judge", "promote"]),
        (MAIN | {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BRANCH": "topic"}, []),
        (MAIN | {"CI_PIPELINE_SOURCE": "schedule"}, ["sweep"]),
        (MAIN | {"CI_PIPELINE_SOURCE": "schedule", "CI_PIPELINE_SCHEDULE_DESCRIPTION": "verify"}, ["verify"]),
        (MAIN | {"CI_PIPELINE_SOURCE": "web"}, ["sweep"]),
        (MAIN | {"CI_PIPELINE_SOURCE": "web", "CI_COMMIT_BRANCH": "topic"}, []),
        ({"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_TAG": "toy#production#3", "CI_DEFAULT_BRANCH": "main"}, ["release"]),
        ({"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_TAG": "toy#staging#3", "CI_DEFAULT_BRANCH": "main"}, []),
        ({"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_TAG": "toy@v1.0.0", "CI_DEFAULT_BRANCH": "main"}, []),
    ],
)


@STARTS
def test_gitlab_starts_each_job_with_what_it_is_for(variables, jobs):
    tree = rendered("gitlab")[".gitlab-ci.yml"]
    assert [name for name in tree if name in GITLAB] == list(GITLAB)
    started = [name for name in GITLAB if any(holds(rule["if"], variables) for rule in tree[name]["rules"])]
    assert started == jobs


@STARTS
def test_a_program_that_runs_such_files_starts_the_same(variables, jobs, tmp_path, git):
    """gitlab-ci-local reads the file by itself: anchors, what a job extends, rules, what needs what."""
    program = shutil.which("gitlab-ci-local")
    if program is None:
        pytest.skip("NOT TESTED HERE with gitlab-ci-local: it is not on the PATH (npm install gitlab-ci-local@4.45.0)")
    (made,) = workflows.render(Form("main", "src", SETUP, forge="gitlab"))
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / made.path).write_bytes(made.content)
    git(tmp_path / "toy", "init", "-q", "-b", "main")
    git(tmp_path / "toy", "add", "-A")
    git(tmp_path / "toy", "commit", "-q", "-m", "Begin")
    git(tmp_path / "toy", "remote", "add", "origin", "git@gitlab.com:octo/toy.git")
    given = {"CI_COMMIT_BRANCH": "", "CI_COMMIT_TAG": ""} | variables
    words = [word for name, text in given.items() for word in ("--variable", f"{name}={text}")]
    done = subprocess.run(
        [program, "--list-csv", *words], cwd=tmp_path / "toy", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split(";") for line in done.stdout.splitlines() if ";" in line and not line.startswith("name;")]
    assert [row[0] for row in rows] == jobs
    assert {row[0]: row[5] for row in rows if row[0] in {"judge", "promote"}} == {
        name: f"[{needs}]" for name, needs in (("judge", "train"), ("promote", "judge")) if name in jobs
    }


def test_gitlab_gives_no_environment_to_what_runs_pushed_code():
    tree = rendered("gitlab")[".gitlab-ci.yml"]
    assert "environment" not in tree["train"]
    named = {name: tree[name]["environment"]["name"] for name in GITLAB if "environment" in tree[name]}
    assert named == {"judge": "judge", "sweep": "judge", "promote": "judge/promote", "release": "production"}
    assert not [word for word in SECRETS if word in str(tree)], "GitLab gives them by environment, the file names none"


def test_gitlab_judges_nothing_of_a_merge_requests_own():
    tree = rendered("gitlab")[".gitlab-ci.yml"]
    for name in ("judge", "promote", "sweep"):
        assert "MERGE_REQUEST" not in str(tree[name])
        assert tree[name]["extends"] == ".judge"
    assert tree["sweep"]["script"] == [".venv/bin/pushforward forge sweep"]


@pytest.mark.parametrize("forge", ["gitea", "forgejo"])
def test_gitea_gives_secrets_to_the_judge_alone_and_the_key_to_promotion(forge):
    for path, tree in rendered(forge).items():
        if path.rpartition("/")[2] != "judge.yml":
            assert "secrets." not in str(tree), path
    (judge,) = [tree for path, tree in rendered(forge).items() if path.endswith("judge.yml")]
    named = {name: sorted(set(re.findall(r"secrets\.(\w+)", str(job)))) for name, job in judge["jobs"].items()}
    assert named == {"judge": ["PUSHFORWARD_FORGE_TOKEN", "PUSHFORWARD_SEAL"], "promote": sorted(SECRETS)}
    keyed = [step["run"] for step in judge["jobs"]["promote"]["steps"] if "SIGNING_KEY" in str(step)]
    assert keyed == [".venv/bin/pushforward forge promote"]


@pytest.mark.parametrize(("forge", "starts"), [("gitea", True), ("forgejo", False)])
def test_the_judge_takes_nothing_from_what_started_it(forge, starts):
    (judge,) = [tree for path, tree in rendered(forge).items() if path.endswith("judge.yml")]
    assert ("workflow_run" in judge["on"]) is starts, "Forgejo has no such event"
    assert {"schedule", "workflow_dispatch"} <= set(judge["on"])
    assert "github.event" not in str(judge)
    assert "pull_request" not in str(judge)
    assert judge["jobs"]["judge"]["if"] == "${{ vars.PUSHFORWARD_REPOSITORY != '' }}"
    for job in judge["jobs"].values():
        assert job["steps"][0]["with"]["ref"] == "main"
        assert job["steps"][0]["with"]["persist-credentials"] is False


@pytest.mark.parametrize("forge", ["gitea", "forgejo"])
def test_actions_are_pinned_by_whole_address_and_commit(forge):
    used = [name for tree in rendered(forge).values() for name in re.findall(r"'uses': '([^']+)'", str(tree))]
    assert used
    for name in used:
        assert re.fullmatch(r"https://github\.com/actions/[\w-]+@[0-9a-f]{40}|\./\.\w+/actions/setup", name), name
    # the fourth of these refuses any server but GitHub's own, and the fifth of that one wants a newer runner
    assert {name.partition("@")[0].rpartition("/")[2] for name in used} == {
        "checkout",
        "upload-artifact",
        "download-artifact",
        "setup",
    }


@pytest.mark.parametrize("forge", ["gitea", "forgejo"])
def test_a_step_is_one_command_without_expressions(forge):
    for tree in rendered(forge).values():
        steps = [step for job in tree.get("jobs", {}).values() for step in job["steps"]]
        for step in (step for step in steps if "run" in step):
            assert "\n" not in step["run"].strip()
            assert "${{" not in step["run"]


@pytest.mark.parametrize("forge", ["gitea", "forgejo"])
def test_act_reads_them(forge, tmp_path, git):
    """Their runners are forks of act, whose parser is strict about what it knows."""
    for made in workflows.render(Form("main", "src", SETUP, forge=forge)):
        (tmp_path / "toy" / made.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "toy" / made.path).write_bytes(made.content)
    git(tmp_path / "toy", "init", "-q", "-b", "main")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = [str(ACT), "--list", "-W", f".{forge}/workflows"]
    done = subprocess.run(command, cwd=tmp_path / "toy", env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = {line.split()[1]: set(line.split()[-1].split(",")) for line in done.stdout.splitlines()[1:]}
    judge = {"schedule", "workflow_dispatch"} | ({"workflow_run"} if forge == "gitea" else set())
    assert listed == {
        "train": {"push", "pull_request"},
        "judge": judge,
        "promote": judge,
        "verify": {"schedule", "workflow_dispatch"},
        "bundle": {"push"},
    }


def _validator(name):
    """One of SchemaStore's schemas, as check-jsonschema ships them."""
    untested = "NOT TESTED HERE against the schemas of workflow files: check-jsonschema is not installed"
    schemas = pytest.importorskip("check_jsonschema.builtin_schemas", reason=untested)
    return pytest.importorskip("jsonschema", reason=untested).Draft7Validator(schemas.get_builtin_schema(name))


@pytest.mark.parametrize(
    ("forge", "schema"),
    [("gitlab", "vendor.gitlab-ci"), ("gitea", "vendor.github-workflows"), ("forgejo", "vendor.github-workflows")],
)
def test_files_are_as_their_schema_says(forge, schema):
    validator = _validator(schema)
    for path, tree in rendered(forge).items():
        if not path.endswith("action.yml"):
            wrong = [
                f"{path}: {'/'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(tree)
            ]
            assert wrong == []


TOOL = f"https://example.org/team/pushforward.git@{'a' * 40}"
WRITTEN = {
    "gitlab": [".gitlab-ci.yml"],
    "gitea": [f".gitea/workflows/{name}.yml" for name in workflows.NAMES] + [".gitea/actions/setup/action.yml"],
    "forgejo": [f".forgejo/workflows/{name}.yml" for name in workflows.NAMES] + [".forgejo/actions/setup/action.yml"],
}


@pytest.fixture
def adopted(tmp_path, monkeypatch, git):
    """A repository that is none of ours yet, and `adopt` in it."""
    folder = shapes.make(tmp_path / "shop", git, "sklearn")
    (tmp_path / "uv").write_text('#!/bin/sh\nfor last; do :; done\nprintf "numpy==2.0 --hash=sha256:00" >"$last"\n')
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setattr(process, "uv", lambda: str(tmp_path / "uv"))
    monkeypatch.chdir(folder)

    def run(*args, code=0):
        done = CliRunner().invoke(main, ["adopt", *args])
        assert done.exit_code == code, done.output
        return done.output

    return folder, run


def written(output):
    return [one["path"] for one in json.loads(output)["writes"] if one["path"].startswith((".git", ".forgejo"))]


@pytest.mark.parametrize("forge", WRITTEN)
def test_adopt_writes_the_files_of_the_forge_that_is_named(adopted, forge):
    folder, adopt = adopted
    found = written(adopt("--tool-from", TOOL, "--forge", forge, "--json"))
    assert [path for path in found if path != ".gitignore"] == WRITTEN[forge]
    assert TOOL.rpartition("@")[2] in "".join((folder / path).read_text() for path in WRITTEN[forge])
    trees = [YAML(typ="safe").load(folder / path) for path in WRITTEN[forge]]
    assert 'exec "$PUSHFORWARD_PYTHON" -m pushforward' in str(trees).replace("\\", ""), "the line of shell is whole"
    assert not (folder / ".github").exists()
    assert [path for path in written(adopt("--json")) if path != ".gitignore"] == [], "it knows them again"
    adopt("--check")
    text = (folder / WRITTEN[forge][0]).read_text()
    (folder / WRITTEN[forge][0]).unlink()
    if forge != "gitlab":  # of that one nothing else is left to tell by
        assert adopt("--check", code=4).startswith(f"{WRITTEN[forge][0]} is not there\nnext")
    assert text.startswith("# Generated by pushforward")


@pytest.mark.parametrize(
    ("url", "first"),
    [
        ("https://gitlab.com/octo/flights.git", ".gitlab-ci.yml"),
        ("git@gitlab.example.org:octo/flights.git", ".gitlab-ci.yml"),
        ("https://codeberg.org/octo/flights", ".forgejo/workflows/train.yml"),
        ("ssh://git@gitea.example.org:2222/octo/flights.git", ".gitea/workflows/train.yml"),
        ("https://github.com/gitlab/gitea.git", ".github/workflows/train.yml"),
        ("https://git.example.org/octo/flights.git", ".github/workflows/train.yml"),
        ("/srv/gitlab/flights.git", ".github/workflows/train.yml"),
    ],
)
def test_adopt_goes_by_the_host_of_the_remote_where_none_is_named(adopted, url, first, git):
    folder, adopt = adopted
    git(folder, "remote", "add", "origin", url)
    assert first in written(adopt("--tool-from", TOOL, "--dry-run", "--json"))


def test_files_that_log_in_are_remembered(adopted):
    folder, adopt = adopted
    adopt("--tool-from", TOOL)
    assert not workflows.logs_in(folder)
    form = projects.form_of(survey(folder), login=True)
    for made in workflows.render(form):
        (folder / made.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / made.path).write_bytes(made.content)
    adopt("--check")
    train = folder / ".github" / "workflows" / "train.yml"
    train.unlink()
    adopt("--update")
    assert "store-login" in train.read_text()
    shutil.rmtree(folder / ".github" / "actions" / "store-login")
    adopt("--update")
    assert "store-login" not in train.read_text(), "without that folder they are as before"


def test_a_file_of_gitlabs_that_people_wrote_stays_and_includes_ours(adopted, git):
    folder, adopt = adopted
    (folder / ".gitlab-ci.yml").write_text("lint: {script: [ruff check]}\n")
    said = adopt("--tool-from", TOOL, "--forge", "gitlab")
    assert (folder / ".gitlab-ci.yml").read_text() == "lint: {script: [ruff check]}\n"
    assert (folder / ".gitlab" / "pushforward.yml").is_file()
    assert "it needs `include: [{local: /.gitlab/pushforward.yml}]`, and the stages train, judge and promote" in said


def test_another_forge_is_refused(adopted):
    _, adopt = adopted
    assert "'bitbucket' is not one of" in adopt("--forge", "bitbucket", code=2)


@pytest.fixture(scope="module")
def arriving():
    """The workflow by which batches arrive, where the settings name a source."""
    made = workflows.render(Form("main", "src", "make env", beside=("arrive",)))
    (found,) = (one for one in made if one.path == ".github/workflows/arrive.yml")
    return found


def test_batches_arrive_by_two_jobs_of_which_the_one_that_runs_code_may_write_nothing(arriving):
    tree = YAML(typ="safe").load(arriving.body)
    assert set(tree["on"]) == {"schedule", "workflow_dispatch"}
    assert tree["permissions"] == {}
    look, propose, tell = (tree["jobs"][name] for name in ("look", "propose", "tell"))
    assert look["permissions"] == {"contents": "read"}
    assert "secrets." not in str(look)
    assert propose["permissions"] == {"contents": "write", "pull-requests": "write", "statuses": "read"}
    assert propose["environment"] == "judge"
    assert tell["permissions"] == {"contents": "read"}
    assert tell["needs"] == ["look", "propose"]
    failed = "(needs.look.result == 'failure' || needs.propose.result == 'failure')"
    assert tell["if"] == f"${{{{ !cancelled() && {failed} && vars.PUSHFORWARD_NOTIFY != '' }}}}"
    (brought,) = (step for step in tell["steps"] if step.get("uses", "").startswith("actions/download-artifact"))
    assert brought["continue-on-error"] is True, "where the look failed there is none"
    assert [step["run"] for job in (look, propose, tell) for step in job["steps"] if "run" in step] == [
        ".venv/bin/pushforward arrive --look arrival",
        ".venv/bin/pushforward arrive --from arrival",
        ".venv/bin/pushforward notify arrival --from arrival",
    ]
    assert tell["steps"][-1]["continue-on-error"] is True


def test_a_look_is_taken_by_a_job_that_may_write_nothing_and_kept_by_one_that_runs_no_code():
    made = workflows.render(Form("main", "src", "make env", login=True, beside=("monitor",)))
    (found,) = (one for one in made if one.path == ".github/workflows/monitor.yml")
    jobs = YAML(typ="safe").load(found.body)["jobs"]
    look, record, tell = (jobs[name] for name in ("look", "record", "tell"))
    assert look["permissions"] == {"contents": "read", "id-token": "write"}
    assert ("secrets." in str(look), "environment" in look) == (False, False)
    assert (record["permissions"], record["environment"]) == ({"contents": "write", "pull-requests": "write"}, "judge")
    assert (record["needs"], tell["needs"]) == ("look", ["look", "record"])
    assert "store-login" not in str(record), "what is kept needs nothing of the store"
    assert [step["run"] for job in (look, record, tell) for step in job["steps"] if "run" in step] == [
        '.venv/bin/pushforward monitor production --log "$LOG" --look looks',
        ".venv/bin/pushforward monitor production --from looks",
        ".venv/bin/pushforward notify monitor",
    ]
    failed = "needs.look.result == 'failure' || needs.record.result == 'failure'"
    assert tell["steps"][-1]["env"]["PUSHFORWARD_FAILED"] == f"${{{{ {failed} }}}}"


def test_who_has_no_source_gets_no_workflow_that_asks_one():
    assert not [one for one in workflows.render(Form("main", "src", SETUP)) if "arrive" in one.path]
    other = workflows.render(Form("main", "src", SETUP, forge="gitea", beside=("arrive",)))
    assert not [one for one in other if "arrive" in one.path]


def test_act_a_server_and_zizmor_take_the_workflow_by_which_batches_arrive(arriving, tmp_path):
    flow = tmp_path / ".github" / "workflows" / "arrive.yml"
    flow.parent.mkdir(parents=True)
    flow.write_bytes(arriving.content)
    shutil.copy(ROOT / ".github" / "zizmor.yml", tmp_path / ".github")
    shutil.copytree(ROOT / ".github" / "actions", tmp_path / ".github" / "actions")
    act = [str(ROOT / ".venv" / "bin" / "act"), "--validate", "--strict", "-W", str(flow)]
    done = subprocess.run(act, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    read_file = lambda path: (tmp_path / path).read_text() if (tmp_path / path).is_file() else None  # noqa: E731
    assert lint.problems(workflow.load("arrive.yml", flow.read_text()), read_file) == []
    assert workflow.writes(workflow.load("arrive.yml", flow.read_text()))
    zizmor = [
        str(ROOT / ".venv-test" / "bin" / "zizmor"),
        "--offline",
        "-q",
        "--persona",
        "auditor",
        str(tmp_path / ".github"),
    ]
    done = subprocess.run(zizmor, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_adopt_installs_it_where_the_settings_name_a_source(tmp_path):
    folder = tmp_path / "carried"
    shutil.copytree(ROOT / "tests" / "toy", folder)
    told = (folder / "pushforward.yaml").read_text()
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Begin"]):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    for text, arrives in ((told, ()), (f"{told}arrive: {{source: 'python x.py {{out}}'}}\n", ("arrive",))):
        (folder / "pushforward.yaml").write_text(text)
        form = projects.form_of(survey(folder), f"https://example.org/pushforward.git@{'a' * 40}")
        assert form is not None
        assert form.beside == arrives


def test_a_workflow_of_its_own_comes_with_the_section_that_asks_for_it():
    told = b"tool: '0.2.0'\nmonitor:\n  reference: data/rows\n"
    assert workflows.beside(told) == ("monitor",)
    assert workflows.beside(b"server:\n  workflows: [monitor]\n# monitor:\n") == ()
    assert workflows.beside(b"{'tool': '0.2.0', \"monitor\": {reference: data/rows}, 'arrive' : {source: x}}") == (
        "arrive",
        "monitor",
    )
    assert workflows.beside(b"note: |\n  of\n\n  monitor:\nmonitor:\n") == (), "a text, and a section without a word"
    assert workflows.beside(b"") == workflows.beside(b"monitor: [") == workflows.beside(b"monitor") == ()
    plain, asked = (workflows.render(Form("main", "src", SETUP, beside=names)) for names in ((), ("monitor",)))
    (more,) = (made for made in asked if made.path not in {one.path for one in plain})
    assert more.path == ".github/workflows/monitor.yml"
    assert not workflows.PLACE.search(more.body.decode())


def test_a_search_has_a_file_where_the_settings_have_one():
    plain, searched = (
        Form("main", "src", SETUP),
        Form("main", "src", SETUP, workflows.PREFIX, beside=("tune",), tune="install it"),
    )
    assert not any("tune" in made.path for made in workflows.render(plain))
    (made,) = (one for one in workflows.render(searched) if one.path == ".github/workflows/pushforward-tune.yml")
    tree = YAML(typ="safe").load(made.body)
    assert tree["name"] == "pushforward-tune"
    assert {"name": "Optuna", "run": "install it"} in tree["jobs"]["search"]["steps"]
    assert tree["jobs"]["search"]["permissions"] == {"contents": "read"}
    assert not any("install it" in str(step) for step in tree["jobs"]["propose"]["steps"])
    assert "secrets." not in str(tree["jobs"]["search"])
    propose = tree["jobs"]["propose"]
    assert propose["environment"] == "judge"
    token = "${{ secrets.PUSHFORWARD_FORGE_TOKEN || github.token }}"
    assert propose["steps"][-1]["env"] == {"GITHUB_TOKEN": token}


@pytest.mark.parametrize(
    ("asked", "typed"),
    [
        ({}, ["--seed", "0"]),
        (
            {"SEED": "3", "TRIALS": "12", "MINUTES": "90", "MODEL": "toy"},
            ["--seed", "3", "--trials", "12", "--timeout", "90", "--model", "toy"],
        ),
        ({"SEED": "7", "TRIALS": "--out /x; y $(z)"}, ["--seed", "7", "--trials", "--out /x; y $(z)"]),
    ],
)
def test_what_nobody_asks_of_a_search_is_what_the_settings_say(tmp_path, asked, typed):
    """By a shell: an input that is empty is none, and each other one is one word."""
    form = Form("main", "src", SETUP, beside=("tune",), tune="install it")
    (made,) = (one for one in workflows.render(form) if one.path == ".github/workflows/tune.yml")
    tree = YAML(typ="safe").load(made.body)
    inputs = tree["on"]["workflow_dispatch"]["inputs"]
    assert {name: one["default"] for name, one in inputs.items()} == {
        "trials": "",
        "minutes": "",
        "seed": "0",
        "model": "",
    }
    search = tree["jobs"]["search"]
    (step,) = (one for one in search["steps"] if one.get("name") == "search")
    assert set(step["env"]) == {name.upper() for name in inputs}
    told = tmp_path / ".venv" / "bin" / "pushforward"
    told.parent.mkdir(parents=True)
    told.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    told.chmod(0o755)
    environ = {"PATH": os.environ["PATH"], **dict.fromkeys(step["env"], ""), **asked}
    bash = ["bash", "-e", "-c", step["run"]]
    done = subprocess.run(bash, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    within = 330
    assert done.stdout.splitlines() == ["tune", *typed, "--within", str(within), "--out", "found"]
    assert within < search["timeout-minutes"] - 15
