"""What a lock decides: which stages need not run, and whose word on what they made is believed."""

import shutil

import pytest
from tests.pipeline.small import DVC_YAML, begin, clone, edit, outcomes, refused, run

from pushforward.git.repository import Repository
from pushforward.pipeline import folders, frozen, lint, lock
from pushforward.pipeline.lock import read_lock

pytestmark = pytest.mark.whole

CODES = "  codes:\n    cmd: printf 'EWR' > out/codes.txt\n    outs: [out/codes.txt]\n"
LOOPED = """\
  each:
    foreach: [a, b]
    do:
      cmd: printf ${item} > out/${item}.txt
      outs: ['out/${item}.txt']
  cell:
    matrix: {x: [1, 2], y: [3]}
    cmd: printf ${item.x}${item.y} > out/${item.x}${item.y}.txt
    outs: ['out/${item.x}${item.y}.txt']
"""


def begun(project, git):
    """A clone in which all but what is added to dvc.yaml later is known by the lock, and nothing lies there."""
    run(project)
    fresh = clone(git, project, "fresh")
    shutil.copyfile(project / "dvc.lock", fresh / "dvc.lock")
    return fresh


@pytest.mark.parametrize(
    ("added", "names"),
    [
        (CODES, {"codes"}),
        (LOOPED, {"each@a", "each@b", "cell@1-3", "cell@2-3"}),
        # what it needs is not here either, as nothing has to be brought for the others
        (
            "  more:\n    cmd: cp out/first.txt out/more.txt\n    deps: [out/first.txt]\n    outs: [out/more.txt]\n",
            {"more"},
        ),
    ],
)
def test_what_the_lock_does_not_know_runs(project, git, added, names):
    fresh = begun(project, git)
    (fresh / "dvc.yaml").write_text(DVC_YAML + added)
    done = run(fresh)
    assert {name for name, outcome in outcomes(done).items() if outcome == "ran"} == names
    assert all(stage.reason == "new stage" for stage in done.stages if stage.outcome == "ran")
    assert names <= set(read_lock((fresh / "dvc.lock").read_bytes()))
    assert set(outcomes(run(fresh)).values()) == {"unchanged"}


def test_a_stage_may_depend_on_one_that_depends_on_nothing(project, git):
    fresh = begun(project, git)
    (fresh / "dvc.yaml").write_text(DVC_YAML.replace("deps: [source.txt]", "deps: [source.txt, out/codes.txt]") + CODES)
    assert outcomes(run(fresh)) == {"codes": "ran", "first": "ran", "second": "unchanged", "third": "unchanged"}
    assert (fresh / "out" / "codes.txt").read_text() == "EWR"


def test_a_stage_inside_of_a_folder_that_is_not_here_is_new_too(project, git):
    text = DVC_YAML.replace("cat source.txt > out/first.txt", "mkdir -p out/d && cat source.txt > out/d/f.txt")
    text = text.replace("out/first.txt", "out/d/f.txt", 1) if "out/first.txt" in text else text
    text = text.replace("cat out/first.txt", "cat out/d/f.txt").replace("deps: [out/first.txt]", "deps: [out/d/f.txt]")
    text = text.replace("outs: [out/first.txt]", "outs: [out/d]")
    (project / "dvc.yaml").write_text(text)
    (project / ".gitignore").write_text("out/*.txt\nout/.gitignore\nout/d\n")
    fresh = begun(project, git)
    inside = "  inside:\n    cmd: cp out/d/f.txt out/i.txt\n    deps: [out/d/f.txt]\n    outs: [out/i.txt]\n"
    (fresh / "dvc.yaml").write_text(text + inside)
    assert outcomes(run(fresh))["inside"] == "ran"
    assert (fresh / "out" / "i.txt").read_text() == "one\n"


def test_an_out_that_the_lock_does_not_know_has_its_stage_run(project, git):
    fresh = begun(project, git)
    text = DVC_YAML.replace("outs: [out/second.txt]", "outs: [out/second.txt, out/more.txt]")
    (fresh / "dvc.yaml").write_text(text)
    done = run(fresh)
    made = "it ended well, but made no out/more.txt, which dvc.yaml says it makes"
    assert (done.outcome, done.cause, outcomes(done)["second"]) == ("failed", made, "failed")
    made = "scale: 1\n# and out/more.txt\n"
    (fresh / "params.yaml").write_text(made)
    (fresh / "dvc.yaml").write_text(text.replace("> out/second.txt", "| tee out/more.txt > out/second.txt"))
    assert "out/more.txt (new out)" in next(stage.reason for stage in run(fresh).stages if stage.name == "second")


def frozen_by_hand(project, git, stage="first"):
    """A commit that has made everything, pushed it to the store, and then frozen a stage: the lock is committed."""
    run(project)
    edit(project, f"  {stage}:\n", f"  {stage}:\n    frozen: true\n")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "Freeze")
    return project


def test_a_frozen_stage_comes_from_the_lock_that_is_committed_and_from_the_store(project, git):
    fresh = begin(git, frozen_by_hand(project, git))
    (fresh / "source.txt").write_text("one\n")
    done = run(fresh)
    assert outcomes(done) == {"first": "frozen", "second": "restored", "third": "ran"}
    assert done.stages[0].reason == "as dvc.lock has it"
    assert (fresh / "dvc.lock").read_bytes() == (project / "dvc.lock").read_bytes()
    (fresh / "params.yaml").write_text("scale: 2\n")
    assert outcomes(run(fresh))["second"] == "ran", "brought in for who needs it"


def test_only_what_is_frozen_is_taken_from_the_lock_of_the_commit(project, git):
    frozen_by_hand(project, git)
    forged = (project / "dvc.lock").read_text().replace("scale: 1", "scale: 9")
    (project / "dvc.lock").write_text(forged)
    git(project, "commit", "-qam", "Forge")
    fresh = begin(git, project)
    assert set(read_lock((fresh / "dvc.lock").read_bytes())) == {"first"}
    assert outcomes(run(fresh))["second"] == "restored"
    assert "scale: 9" not in (fresh / "dvc.lock").read_text()


def test_a_commit_without_a_lock_has_what_the_champion_has_of_a_frozen_stage(project, git):
    frozen_by_hand(project, git)
    champion = git(project, "rev-parse", "HEAD")
    git(project, "rm", "-q", "dvc.lock")
    git(project, "commit", "-q", "-m", "No lock")
    fresh = begin(git, project, champion=champion)
    assert outcomes(run(fresh)) == {"first": "frozen", "second": "unchanged", "third": "unchanged"}


@pytest.mark.parametrize("stage", ["second", "third"])
def test_what_a_commit_says_of_a_model_or_a_metric_is_not_believed(project, git, stage):
    """A stage that makes out/second.txt, which is judged, and one that finds metrics/size.json."""
    fresh = begin(git, frozen_by_hand(project, git, stage), made=["out/second.txt"])
    wrong = refused(fresh, wanted=["out/second.txt"], shown=["metrics/size.json"])
    made = {"second": "out/second.txt", "third": "metrics/size.json"}[stage]
    assert wrong.message == (
        f"dvc.yaml: stage {stage} is frozen, and makes {made}, which is judged: "
        "a run has to make it; what a commit says of it is not believed"
    )
    assert wrong.next == f"dvc unfreeze {stage}"


def test_a_frozen_model_that_a_run_has_made_stays(project, git):
    run(project)
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "Run")
    champion = git(project, "rev-parse", "HEAD")
    lock = (project / "dvc.lock").read_text()
    edit(project, "  second:\n", "  second:\n    frozen: true\n")
    (project / "dvc.lock").write_text(lock.replace(read_lock(lock.encode())["second"]["outs"][0]["md5"], "0" * 32))
    git(project, "commit", "-qam", "Freeze and forge")
    fresh = begin(git, project, made=["out/second.txt"], champion=champion)
    assert outcomes(run(fresh, wanted=["out/second.txt"]))["second"] == "frozen"
    assert (fresh / "dvc.lock").read_text() == lock


def test_a_frozen_stage_that_no_lock_knows_is_refused(project, git):
    edit(project, "  first:\n", "  first:\n    frozen: true\n")
    git(project, "commit", "-qam", "Freeze")
    wrong = refused(begin(git, project))
    assert wrong.message == "dvc.yaml: stage first is frozen, and no dvc.lock says what it has made"
    assert wrong.next == ("dvc unfreeze first; or commit dvc.lock as it was when first last ran, after dvc push")


def test_a_frozen_stage_that_claims_what_is_not_its_own_is_refused(project, git):
    """A line more in its entry would be a second maker of the model."""
    frozen_by_hand(project, git)
    lock = (project / "dvc.lock").read_text()
    more = "    outs:\n    - path: model\n      hash: md5\n      md5: 0000000000000000000000000000000a\n"
    (project / "dvc.lock").write_text(lock.replace("    outs:\n", more, 1))
    git(project, "commit", "-qam", "Claim")
    wrong = refused(begin(git, project))
    assert wrong.message == "dvc.lock: the frozen stage first has made model there, which dvc.yaml does not name"


def test_what_a_frozen_stage_made_and_nobody_pushed_is_named_with_the_command(project, git):
    frozen_by_hand(project, git)
    oid = read_lock((project / "dvc.lock").read_bytes())["first"]["outs"][0]["md5"]
    (project.parent / "store" / "files" / "md5" / oid[:2] / oid[2:]).unlink()
    wrong = refused(begin(git, project))
    assert wrong.message == (
        f"dvc.lock, of the frozen stage first, names out/first.txt (md5 {oid}), which the DVC remote does not have"
    )
    assert wrong.next == "dvc push, then push again"


def test_what_is_frozen_in_a_loop_and_below_the_root_is_found(project, git):
    (project / "sub").mkdir()
    (project / "sub" / "dvc.yaml").write_text(
        "stages:\n  one: {cmd: c, frozen: true, outs: [o]}\n"
        "  each: {foreach: [a], do: {cmd: c, frozen: true, outs: ['${item}']}}\n"
        "  cell: {matrix: {x: [1]}, cmd: c, frozen: true, outs: ['${item.x}']}\n"
        "  asked: {cmd: c, frozen: '${thaw}', outs: [p]}\n  free: {cmd: c, frozen: false, outs: [q]}\n"
    )
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "More")
    names = frozen.families(Repository(project), "HEAD")
    assert names == {f"sub/dvc.yaml:{name}" for name in ("one", "each", "cell", "asked")}
    assert lock.family("each@a", "sub") in names
    assert lock.family("each@a", "") not in names


def test_a_key_may_be_spelled_with_an_escape_and_a_folder_may_have_an_at(project, git):
    (project / "a@b").mkdir()
    (project / "a@b" / "dvc.yaml").write_text('stages:\n  s: {cmd: c, "fr\\x6fzen": true, outs: [o]}\n')
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "More")
    names = frozen.families(Repository(project), "HEAD")
    assert names == {"a@b/dvc.yaml:s"}
    assert lock.family("s", "a@b") in names
    assert lint.wdirs(b'stages: {s: {"wd\\x69r": sub, cmd: c}}', {}) == {"s": "sub"}


def claim(md5, out="o"):
    return {"cmd": "c", "deps": [{"path": "raw", "md5": md5}], "outs": [{"path": "model", "md5": out}]}


@pytest.mark.parametrize(
    ("claimed", "others"),
    [(claim("v2"), []), (claim("v2", "p"), ["clean"]), (claim("v1"), [])],
    ids=["made from something else", "another out", "the same"],
)
def test_of_a_frozen_stage_the_judge_has_its_own_word_in_whole(claimed, others):
    locks = {"dvc.lock": lock.write_lock({"clean": claimed, "fit": claim("f")})}
    told, other = frozen.judged_by({"dvc.lock": {"clean": claim("v1")}}, locks, {"clean"}, set())
    assert read_lock(told["dvc.lock"]) == {"clean": claim("v1"), "fit": claim("f")}
    assert other == others


@pytest.mark.parametrize("still", [True, False])
def test_what_was_frozen_and_is_no_more_is_made_again(project, git, still):
    """Else a claim of one commit would be what the next one takes for unchanged."""
    frozen_by_hand(project, git)
    champion = git(project, "rev-parse", "HEAD")
    if not still:
        edit(project, "    frozen: true\n", "")
    git(project, "commit", "-qam", "Go on", "--allow-empty")
    fresh = begin(git, project, champion=champion)
    whole = {"first", "second", "third"}
    assert set(read_lock((fresh / "dvc.lock").read_bytes())) == (whole if still else whole - {"first"})
    known = frozen.known(Repository(project), "HEAD", champion, ())
    assert set(known["dvc.lock"]) == (whole if still else whole - {"first"})


def test_a_lock_that_was_none_of_the_pipeline_is_no_start(project, git):
    """No run has written it; what names its folder in .dvcignore is gone by the next commit."""
    run(project)
    (project / "sub").mkdir()
    (project / "sub" / "dvc.yaml").write_text("stages:\n  s: {cmd: c, outs: [o]}\n")
    shutil.copyfile(project / "dvc.lock", project / "sub" / "dvc.lock")
    (project / ".dvcignore").write_text("/sub/\n")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "Pass over")
    champion = git(project, "rev-parse", "HEAD")
    git(project, "rm", "-q", ".dvcignore")
    git(project, "commit", "-q", "-m", "Take in")
    fresh = begin(git, project, champion=champion)
    assert (fresh / "dvc.lock").is_file()
    assert not (fresh / "sub" / "dvc.lock").exists()


LOOP = "  each:\n    foreach: ['{item}']\n    do:\n      cmd: 'true'\n      {do}\n"


@pytest.mark.parametrize(
    ("added", "words"),
    [
        (LOOP.format(item="../outside", do="outs: ['${item}/p': {cache: false}]"), "outside of the repository"),
        (LOOP.format(item="..", do="wdir: '${item}'"), "outside of the repository"),
        (LOOP.format(item=".github/x", do="outs: ['${item}']"), ".github is not the pipeline's"),
        (
            LOOP.format(item="source.txt", do="outs: ['${item}': {cache: false}]"),
            "which git already holds (source.txt)",
        ),
    ],
)
def test_what_a_loop_writes_is_checked_item_by_item_before_anything_runs(project, added, words):
    edit(project, "stages:\n", f"stages:\n{added}")
    wrong = refused(project)
    assert words in wrong.message
    assert not (project / "out" / "first.txt").exists()
    assert (project / "source.txt").read_text() == "one\n"


def test_a_file_of_added_data_writes_no_more_than_a_stage_may(project):
    (project / "source.dvc").write_text(
        "outs:\n- path: source.txt\n  hash: md5\n  md5: 5bbf5a52328e7439ae6e719dfe712200\n"
    )
    wrong = refused(project)
    assert wrong.message.startswith("source.dvc writes source.txt, which git already holds (source.txt)")


def test_a_stage_that_dvc_finds_and_nothing_here_knows_is_refused(project, monkeypatch):
    monkeypatch.setattr(folders, "here", lambda _: ["sub"])
    wrong = refused(project)
    assert wrong.message.startswith("dvc.yaml: DVC would run stage first, and believe its lock, though dvc.yaml is no")
