"""What DVC refuses, in one sentence that names the file and the command; by real DVC, each in a project of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.pipeline.small import begin, edit, run

from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline import dvctext, folders

pytestmark = pytest.mark.whole

MADE = ["out/second.txt"]
PUSH = "dvc push, then push again"


def dvc(project, *args):
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run([sys.executable, "-m", "dvc", *args], cwd=project, env=env, check=True, capture_output=True)


def needs(project, path):
    edit(project, "deps: [source.txt]", f"deps: [source.txt, {path}]")


def text(project, name, content):
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text(content)


def added(project):
    text(project, "raw/notes.csv", "a,b\n")
    dvc(project, "add", "-q", "raw/notes.csv")


def added_and_needed(project):
    added(project)
    needs(project, "raw/notes.csv")


def imported(project):
    text(project.parent, "web.csv", "a")
    dvc(project, "import-url", "-q", str(project.parent / "web.csv"), "raw.csv")
    needs(project, "raw.csv")


def imported_without_bytes(project):
    text(project.parent, "web.csv", "a")
    dvc(project, "import-url", "-q", "--no-download", str(project.parent / "web.csv"), "raw.csv")
    (project.parent / "web.csv").unlink()
    needs(project, "raw.csv")


def imported_from_nowhere(project):
    oid = "aaaabbbbccccddddaaaabbbbccccdddd"
    text(
        project,
        "raw.csv.dvc",
        f"md5: {oid}\nfrozen: true\n"
        f"deps:\n- path: x.csv\n  repo:\n    url: /nowhere/repo\n    rev_lock: {oid}aaaabbbb\n"
        f"outs:\n- path: raw.csv\n  md5: {oid}\n  size: 1\n  hash: md5\n",
    )
    needs(project, "raw.csv")


def without_md5(project):
    text(project, "raw.csv.dvc", "outs:\n- path: raw.csv\n")
    needs(project, "raw.csv")


def conflict_in_a_dvc_file(project):
    text(project, "raw.csv.dvc", "<<<<<<< HEAD\nouts:\n=======\n")


def unknown_key(project):
    edit(project, "    deps: [source.txt]", "    dep: [source.txt]")


def unknown_key_below(project):
    text(project, "sub/dvc.yaml", "stages:\n  a:\n    cmd: c\n    out: [x]\n")


def no_yes_and_no(project):
    edit(project, "cache: false", "cache: maybe")


def no_such_value(project):
    edit(project, "deps: [source.txt]", "deps: [source.txt, '${nope}']")


def ignored_out(project):
    text(project, ".dvcignore", "out/first.txt\n")


def same_out_below(project):
    text(project, "sub/dvc.yaml", "stages:\n  a:\n    cmd: c\n    outs: [../out/first.txt]\n")


def no_such_parameter(project):
    edit(project, "params: [scale]", "params: [scale, deep.er]")


@pytest.mark.parametrize(
    ("mistake", "said", "then"),
    [
        (added, "raw/notes.csv.dvc names raw/notes.csv (md5 {}), which the DVC remote does not have", PUSH),
        (added_and_needed, "raw/notes.csv.dvc names raw/notes.csv (md5 {}), which the DVC remote does not have", PUSH),
        (imported, "raw.csv.dvc names raw.csv (md5 {}), which the DVC remote does not have", PUSH),
        (
            imported_without_bytes,
            "raw.csv.dvc imports raw.csv from {}web.csv, which does not give it",
            "dvc update raw.csv.dvc && dvc push, and commit raw.csv.dvc",
        ),
        (
            imported_from_nowhere,
            "raw.csv.dvc imports raw.csv from x.csv (/nowhere/repo), which does not give it",
            "dvc update raw.csv.dvc && dvc push, and commit raw.csv.dvc",
        ),
        (without_md5, "raw.csv.dvc names raw.csv without its md5, and nobody has it", "dvc add it, dvc push"),
        (conflict_in_a_dvc_file, "raw.csv.dvc:2:5: mapping values are not allowed here", "edit raw.csv.dvc"),
        (unknown_key, "dvc.yaml:4: stages.first.dep: DVC knows no such key", "edit dvc.yaml"),
        (unknown_key_below, "sub/dvc.yaml:4: stages.a.out: DVC knows no such key", "edit sub/dvc.yaml"),
        (
            no_yes_and_no,
            "dvc.yaml:16: stages.third.metrics.0.metrics/size.json.cache: expected bool",
            "edit dvc.yaml",
        ),
        (no_such_value, "stages.first.deps in dvc.yaml: Could not find 'nope'", "edit dvc.yaml"),
        (
            ignored_out,
            "dvc.yaml: Path 'out/first.txt' is ignored by .dvcignore:1:out/first.txt",
            "edit dvc.yaml",
        ),
        (same_out_below, "dvc.yaml: out/first.txt is an out of more than one stage: first, sub/dvc.yaml:a", ""),
    ],
)
def test_what_keeps_a_pipeline_from_running_is_one_sentence(project, git, mistake, said, then):
    mistake(project)
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "Mistake")
    fresh = begin(git, project, MADE)
    folders.check(fresh, set(Repository(fresh).tree("HEAD")))
    with pytest.raises(PushforwardError) as refused:
        run(fresh, wanted=MADE)
    headline = refused.value.message.partition("\n")[0]
    first, _, last = said.partition("{}")
    assert headline.startswith(first)
    assert headline.endswith(last)
    assert "dvc.org" not in refused.value.message
    assert refused.value.exit_code == 2, "of the commit, and not of the machine"
    assert str(project.parent) not in headline.replace(str(project.parent / "web.csv"), "")
    assert refused.value.next == (then or "edit dvc.yaml")


@pytest.mark.parametrize(
    ("mistake", "cause", "failed"),
    [
        # what never began has not failed: no training did
        (no_such_parameter, "stage second: params.yaml has no deep.er, which it names under params:", []),
        (
            lambda project: edit(project, "> out/first.txt", "> out/first.txt; rm source.txt"),
            "it ended well, but left no source.txt, which it depends on",
            ["first"],
        ),
    ],
)
def test_a_stage_has_failed_only_where_it_has_run(project, git, mistake, cause, failed):
    mistake(project)
    done = run(project)
    assert (done.outcome, done.cause) == ("failed", cause)
    assert [stage.name for stage in done.stages if stage.outcome == "failed"] == failed


def test_an_address_of_dvc_s_is_no_cause():
    told = "failed to reproduce 'a': Something odd:\nIs your cache up to date?\n<https://error.dvc.org/missing-files>"
    assert dvctext.sentence(told).text == "Something odd:"
    assert dvctext.sentence("<https://error.dvc.org/missing-files>").text == "DVC gives no reason"
