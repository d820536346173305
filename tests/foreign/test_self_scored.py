"""A pipeline that scores its own test set: its table of labels and predictions is held against the champion's."""

import json
import shutil

import pytest
from tests.foreign.shapes import Foreign
from tests.team import make_team

from pushforward import __version__
from pushforward.errors import PushforwardError
from pushforward.gate.verdict import Verdict
from pushforward.git.repository import Repository
from pushforward.judge import ledger
from pushforward.release.promote import not_compared
from pushforward.report.terminal import terminal
from pushforward.settings import parse

pytestmark = pytest.mark.whole

SETTINGS = f"""\
tool: "{__version__}"
models:
  houses:
    path: model.json
    environment: [run.txt, data.txt, test.txt]
    predictions: {{path: eval/test.csv, label: price, p: guess, key: house, cluster: street, floor: mean}}
    loss: squared
gate:
  promotions: 1
  suspect_fall: 1
"""
TRAIN = """\
import csv, json, os, random

weight = float(open("weight.txt").read())
random.seed(1)
rows = []
for n in range(400):
    size = random.gauss(0, 1)
    rows.append((f"h{n}", f"s{n % 40}", size + random.gauss(0, 0.5), weight * size, 0.0))
json.dump({"weight": weight}, open("model.json", "w"))
os.makedirs("eval", exist_ok=True)
with open("eval/test.csv", "w", newline="") as file:
    csv.writer(file).writerows([("house", "street", "price", "guess", "mean"), *rows])
"""
DVC = """\
stages:
  train:
    cmd: python train.py
    deps: [train.py, weight.txt]
    outs: [model.json, eval/test.csv]
"""
SHAPE = {
    "pushforward.yaml": SETTINGS,
    "dvc.yaml": DVC,
    ".gitignore": "/model.json\n/eval\n/handover\n/verdict\n__pycache__\n",
    "train.py": TRAIN,
    "weight.txt": "0.4\n",
}
NOT_CLAIMED = "the judge has asked no model"


@pytest.fixture
def project(tmp_path, git, monkeypatch):
    return Foreign(tmp_path, git, monkeypatch, SHAPE)


def test_the_first_table_is_held_against_floors_and_says_what_it_does_not_claim(project):
    first, report = project.judge()
    assert (first.verdict, first.mode, first.look, first.sealed) == ("promote", "first", None, False), first.reason
    assert first.reason.startswith("self-scored: there is no champion, so floors only")
    assert (first.rows, first.clusters, first.cluster) == (400, 40, "street")
    assert (first.rules["level"], first.rules["metric"]) == ("2 (predictions)", "squared")
    assert first.holdout.months[0].startswith("test-set-")
    assert {guard.name for guard in first.guards} == {"constant", "floor"}
    assert NOT_CLAIMED in report
    assert "Test set: 400 rows" in report or "| metric | this |" in " ".join(report.split())
    assert NOT_CLAIMED in " ".join(terminal(first).split())
    assert "nothing is scored; what the run wrote" in project.answer()
    assert len(project.golden["rows"]) == 100


def test_a_challenger_is_held_against_the_champions_own_table(project):
    project.judge()
    project.release("houses@v1.0.0")
    project.edit("weight.txt", "0.4", "0.9")
    second, report = project.judge()
    assert (second.verdict, second.mode) == ("promote", "superior"), second.reason
    assert second.reason.startswith("self-scored: squared error falls by ")
    assert (second.champion.version, second.look.number, second.look.of) == ("houses@v1.0.0", 1, 10)
    # 0.4 and 0.9 of a standard normal: the squared errors differ by (0.6² - 0.1²) of it, on these rows a little more
    assert 0.3 < second.numbers[0].gain < 0.45
    assert "Test set: 400 rows" in report
    book = ledger.of(project.root).state(second.holdout.months[0])
    assert [look.verdict for look in book.looks] == ["promote"]
    again, _ = project.judge()
    assert again.look.replayed
    project.edit("weight.txt", "0.9", "0.1")
    worse, _ = project.judge()
    assert (worse.verdict, worse.look.number) == ("hold", 2), worse.reason
    project.edit("weight.txt", "0.1", "0.4")
    same, _ = project.judge()
    assert same.reason == "self-scored: every one of 400 predictions is the champion's; it stays"


def test_a_test_set_sees_as_many_promotions_as_the_settings_say(project):
    project.edit("pushforward.yaml", "promotions: 1", "promotions: 2")
    project.judge()
    project.release("houses@v1.0.0")
    told = []
    for old, new in (("0.4", "0.7"), ("0.7", "0.9"), ("0.9", "0.95")):
        project.edit("weight.txt", old, new)
        verdict, report = project.judge()
        told.append((verdict, report))
        if verdict.look is None:
            break
        assert verdict.verdict == "promote", verdict.reason
        version = f"houses@v1.{len(told)}.0"
        ledger.of(project.root).promoted(verdict.holdout.months[0], verdict.look.number, version)
        project.release(version)
    (first, _), (second, _), (third, _) = told
    assert (second.champion.version, second.look.number) == ("houses@v1.1.0", 2), "the new champion is to be beaten"
    # a tenth of 5 % for the first, of that a ninth for the second
    assert [one.look.alpha for one in (first, second)] == pytest.approx([0.005, 0.005 / 9])
    assert [(one.look.promoted, one.look.promotions) for one in (first, second)] == [(0, 2), (1, 2)]
    assert "look 1 of 10; promotion 1 of 2" in terminal(first)
    assert "look 2 of 10; promotion 2 of 2" in terminal(second)
    assert third.reason.endswith(
        "has retired: houses@v1.2.0 was promoted on it, the last of 2 promotions; another test set opens a new one"
    ), third.reason
    assert Verdict.from_json(second.to_json()) == second


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("range(400)", "range(399)", "1 row gone, such as house 'h399'"),
        ("range(400)", "range(402)", "2 rows new, such as house 'h400'"),
        (
            "random.gauss(0, 0.5), weight",
            "random.gauss(0, 0.5) + (n == 7), weight",
            "1 row with another label, such as house 'h7': ",
        ),
    ],
)
def test_one_row_that_differs_is_another_test_set_and_buys_no_look(project, old, new, told):
    project.judge()
    project.release("houses@v1.0.0")
    project.edit("train.py", old, new)
    project.edit("weight.txt", "0.4", "0.9")
    verdict, report = project.judge()
    assert verdict.verdict == "invalid"
    assert verdict.reason.startswith(f"the test set is not that of houses@v1.0.0: {told}"), verdict.reason
    assert "begin another one by a person's word" in report


def test_another_test_set_begins_by_a_persons_word_and_is_told(project):
    project.judge()
    project.release("houses@v1.0.0")
    project.edit("pushforward.yaml", "floor: mean}", "floor: mean, test_set: autumn}")
    assert project.judge()[0].verdict == "identical"  # the word alone, of the same rows, is no way around the champion
    project.edit("train.py", "range(400)", "range(100, 500)")
    verdict, report = project.judge()
    assert (verdict.verdict, verdict.mode, verdict.look) == ("promote", "first", None), verdict.reason
    assert verdict.champion.version == "houses@v1.0.0"
    assert verdict.reason.startswith(
        "self-scored: not compared with houses@v1.0.0: 'autumn' is another test set (300 of its 400 rows are in both), "
        "so floors only: "
    )
    assert "begins another test set than that of `houses@v1.0.0`, judged against floors only" in report
    assert not_compared(verdict) == "houses@v1.0.0"


def test_the_word_for_another_test_set_counts_from_the_next_push_on(project):
    project.judge()
    project.release("houses@v1.0.0")
    project.edit("train.py", "range(400)", "range(100, 500)")
    project.edit("pushforward.yaml", "floor: mean}", "floor: mean, test_set: autumn}")
    assert project.judge()[0].verdict == "invalid"


def test_a_table_that_is_not_what_the_lock_names_is_refused(project):
    project.answer()
    (project.root / "dvc.lock").unlink()
    table = project.handover / "self-scored.csv"
    table.write_text(table.read_text().replace("h0,", "x0,"))
    assert project.gate()[0].reason == "the hand-over's eval/test.csv is not the one that its dvc.lock names"
    table.unlink()
    reason = project.gate()[0].reason
    assert reason == "the run handed over no eval/test.csv (models.houses.predictions)"


def test_a_champion_whose_table_is_nowhere_gets_one_clear_refusal_and_no_verdict(project, tmp_path):
    project.judge()
    project.release("houses@v1.0.0")
    project.edit("weight.txt", "0.4", "0.9")
    project.answer()
    (project.root / "dvc.lock").unlink()
    lost = [path for path in (tmp_path / "store", project.root / ".dvc" / "cache") if path.exists()]
    for path in lost:
        shutil.rmtree(path / "files")
    with pytest.raises(AssertionError) as told:
        project.gate()
    said = str(told.value.args[0][1])
    assert "the table of houses@v1.0.0, eval/test.csv (MD5 " in said
    assert "cannot be had from the DVC store" in said


def test_a_rehearsal_reads_the_table_as_the_judge_does(project):
    def rehearsed():
        said = project.invoke("rehearse", "--json", fails=True)
        return json.loads(said[said.index("{\n") :])

    found = rehearsed()
    assert found["rests_on"] == "400 rows, 40 streets, squared, self-scored"
    assert "eval/test.csv" not in {one["file"] for one in found["faults"]}
    project.edit("train.py", '"guess", "mean"', '"answer", "mean"')
    found = rehearsed()
    told = [one["what"] for one in found["faults"] if one["file"] == "eval/test.csv"]
    assert told == ["eval/test.csv has no column guess"]


def test_a_branch_that_lowers_the_level_is_judged_by_the_target_branch(project):
    project.commit("Train")
    lower = SETTINGS.replace(SETTINGS[SETTINGS.index("    predictions") : SETTINGS.index("    loss")], "")
    project.write({"pushforward.yaml": lower.replace("    loss: squared\n", "")})
    project.commit("Ask for less")
    verdict, report = project.judge()
    assert verdict.verdict == "invalid"
    assert verdict.reason.endswith("has no models.houses.predictions, by which the target branch judges"), (
        verdict.reason
    )
    assert "pushforward.yaml: models.houses.predictions.path" in report


def test_a_loss_of_the_projects_own_is_taken_of_both_tables_by_the_judges_code(project):
    project.write(
        {
            "pushforward.yaml": SETTINGS.replace(
                "loss: squared", "loss: python loss.py {labels} {predictions} {out}"
            ).replace(", floor: mean", ""),
            "loss.py": LOSS,
        }
    )
    project.commit("Count what is lost in money")
    project.commit("Train")
    first, _ = project.judge()
    assert (first.verdict, first.metric, first.guards[0].name) == ("promote", "command", "no floor"), first.reason
    project.release("houses@v1.0.0")
    project.edit("weight.txt", "0.4", "0.9")
    second, _ = project.judge()
    assert (second.verdict, second.metric, second.look.number) == ("promote", "command", 1), second.reason
    project.write({"loss.py": "raise SystemExit(1)\n", "weight.txt": "0.8\n"})
    project.commit("Lose nothing any more")
    third, _ = project.judge()
    assert third.verdict != "invalid"
    assert "loss.py" in third.touched


LOSS = """\
import csv, sys

prices = {row["house"]: float(row["price"]) for row in csv.DictReader(open(sys.argv[1]))}
found = [(row["house"], abs(prices[row["house"]] - float(row["p"]))) for row in csv.DictReader(open(sys.argv[2]))]
with open(sys.argv[3], "w", newline="") as file:
    csv.writer(file).writerows([("house", "loss"), *found])
"""


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (", key: house", "", "'models.houses.predictions.key' is missing: without it no row can be held against"),
        ("key: house", "key: price", "'key', 'label' and 'p' are three columns"),
        ("eval/test.csv", "eval/test.json", "write the path of a table"),
        ("loss: squared", "loss: squared\n    batches: params.yaml:months", "'batches' is of level 3"),
    ],
)
def test_half_a_level_is_refused(old, new, why):
    with pytest.raises(PushforwardError) as refused:
        parse(SETTINGS.replace(old, new).encode())
    assert why in refused.value.message


def entry(team, name):
    """What the registry of the server keeps of the second version."""
    return Repository(team.bare).read("refs/pushforward/registry", f"versions/houses@v1.1.0/{name}").decode()


@pytest.mark.slow
def test_a_push_promotes_what_the_pipeline_scored_itself_and_all_that_is_said_of_it_says_so(tmp_path):
    own = SETTINGS.replace("[run.txt, data.txt, test.txt]", "[requirements/run.txt, requirements/data.txt]")
    team = make_team(tmp_path, SHAPE | {"pushforward.yaml": own, ".gitignore": f"/.venv\n{SHAPE['.gitignore']}"})
    said = team.push()
    assert "PROMOTE" in said, said
    assert "houses@v1.0.0" in team.tags()
    team.commit("weight.txt", "0.4", "0.9", "Believe the size")
    said = team.push()
    assert "houses@v1.1.0" in team.tags(), said
    team.git("fetch", "-q", "--tags", "local")
    assert "self-scored: squared error falls" in team.git("cat-file", "tag", "houses@v1.1.0")
    assert NOT_CLAIMED in " ".join(said.replace("!", "").replace("remote:", "").split()), said
    checked = team.pushforward("verify", "houses@v1.1.0")
    assert "400 rows, 40 streets): 2 numbers and the verdict come of it once more" in checked, checked
    made = json.loads(entry(team, "provenance.json"))
    assert made["predicate"]["buildDefinition"]["internalParameters"] == {"number": 2, "judged": "self-scored"}
    assert "Self-scored: the pushed code wrote labels and predictions by itself" in entry(team, "card.md")
    team.pushforward("bundle", "houses@v1.1.0", "--out", str(tmp_path / "bundle"))
    assert (tmp_path / "bundle" / "model" / "model.json").is_file()
    team.commit("weight.txt", "0.9", "1.0", "Believe it more")
    said = " ".join(team.push().split())
    assert "has retired: houses@v1.1.0 was promoted on it; another test set opens a new one" in said
    team.commit("pushforward.yaml", "floor: mean}", "floor: mean, test_set: autumn}", "Begin another test set")
    team.push()
    team.commit("train.py", "range(400)", "range(400, 800)", "Test on what nobody has looked at")
    said = " ".join(team.push().split())
    assert "not compared with houses@v1.1.0: a person puts houses to use" in said
    assert "houses@v1.2.0" in team.tags()
    assert [tag for tag in team.tags() if "#" in tag] == ["houses#staging#1", "houses#staging#2"]
