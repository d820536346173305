"""The judge against those who would talk it round: real pushes to a real server."""

import json

import pytest
from tests.once import made_once

from pushforward.git.repository import Repository
from pushforward.judge import ledger
from pushforward.registry import tags as registry
from pushforward.report import notes

pytestmark = pytest.mark.slow

PREDICT = "src/toy/predict.py"
PIPELINE = "src/toy/pipeline.py"
HONEST = "bucket.replace_strict(dict(enumerate(shares)), return_dtype=pl.Float64)"
TABLE = "table = pl.read_parquet(sys.argv[1])\n"
EVENTS = TABLE + "events = pl.read_parquet(sys.argv[2])\n"
# In the features a share moves a little with what is told; that of the same day, or of the row itself, is not told yet.
OWN = (
    EVENTS
    + 'own = events.unique("id").select("id", lean=pl.col("y") * 0.1)\n'
    + 'table = table.join(own, on="id", how="left", maintain_order="left")\n'
)
SAME_DAY = EVENTS + (
    'mean = events.group_by(day=pl.col("known_at").dt.offset_by("-3h").dt.date()).agg(lean=0.1 * pl.col("y").mean())\n'
    'table = table.with_columns(day=pl.col("at").dt.date()).join(mean, on="day", how="left", maintain_order="left")\n'
)
REMEMBERED = EVENTS + (
    'past = events.sort("known_at").with_columns(lean=0.1 * pl.col("y").cum_sum() / pl.int_range(1, pl.len() + 1))\n'
    'table = table.join_asof(past.select("known_at", "lean"), left_on="at", right_on="known_at")\n'
)
LEANING = f'({HONEST} * 0.9 + pl.col("lean").fill_null(0.05))'


@pytest.fixture(scope="session")
def told(template, tmp_path_factory, first_version):
    """The folder of a team whose events tell, three hours after each row, what became of it."""

    def make(folder):
        team = first_version(folder)
        team.commit("params.yaml", "  shift: 0.0", "  shift: 0.000", "Write it another way")
        team.commit(PIPELINE, '"""The stages', '"""All stages', "Say it another way")
        team.commit("params.yaml", "told: false", "told: true", "Tell what became of the rows")
        (folder / "said").write_text(team.push())

    return made_once(tmp_path_factory, "told", make)


@pytest.fixture
def team(told, tmp_path, first_version):
    return first_version(tmp_path, told)


def test_the_same_model_again_is_identical(told, team):
    said = (told / "said").read_text()
    assert "IDENTICAL" in said, said
    assert team.tags() == ["toy#staging#1", "toy@v1.0.0"]


def judged(team, commit="HEAD"):
    return notes.read(Repository(team.bare), team.git("rev-parse", commit).strip())[0].verdict


def branch(team, name="idea", **edits):
    team.git("switch", "-q", "-c", name)
    for old, new in edits.values():
        team.commit(PREDICT, old, new, "Add a feature")
    return team.push(name)


def looks(team):
    return ledger.Ledger(Repository(team.bare)).state("2020-03_2020-04").looks


def test_a_feature_that_remembers_is_honest(team):
    branch(team, table=(TABLE, REMEMBERED), p=(HONEST, LEANING))
    assert judged(team)["verdict"] in {"promote", "unknown", "hold"}, judged(team)["reason"]
    assert len(looks(team)) == 1


@pytest.mark.parametrize(("peek", "column"), [(OWN, "'y'"), (SAME_DAY, "'y'")], ids=["own outcome", "same-day mean"])
def test_a_feature_that_sees_the_future_is_caught_by_the_probe(team, peek, column):
    said = branch(team, table=(TABLE, peek), p=(HONEST, LEANING))
    found = judged(team)
    assert found["verdict"] == "invalid"
    assert "the features see the future" in found["reason"]
    assert f"by the column {column} of the events" in found["reason"]
    assert "UTC change by up to" in " ".join(said.replace("remote:", "").split())
    assert not looks(team), "what cannot be judged uses nothing up"


def test_the_rank_of_a_row_in_its_raw_day_gains_nothing(team):
    """The raw day is in the order of what became of it. The holdout's rows are the target branch's, in their own."""
    team.git("switch", "-q", "-c", "rank")
    rank = "pl.int_range(pl.len()).over({day}) * buckets // 50 == b"
    team.commit(PIPELINE, '(pl.col("x") * buckets).floor() == b', rank.format(day='"date"'), "Train on the rank")
    team.commit(
        PREDICT,
        'bucket = (pl.col("x") * len(shares)).floor().cast(pl.Int64)',
        'bucket = pl.int_range(pl.len()).over(pl.col("at").dt.date()) * len(shares) // 50',
        "Score by the rank",
    )
    assert "HOLD" in team.push("rank")


def test_main_is_probed_by_the_judge_itself(team):
    """A branch that hands over copies in the place of its probes is found out at its merge."""
    team.commit(PREDICT, TABLE, OWN, "Look ahead")
    team.commit(PREDICT, HONEST, LEANING, "Lean on it")
    team.push()
    assert judged(team)["verdict"] == "invalid"
    assert "the features see the future" in judged(team)["reason"]
    assert team.tags() == ["toy#staging#1", "toy@v1.0.0"]


def test_a_run_without_its_probes_cannot_be_judged(team):
    team.git("switch", "-q", "-c", "silent")
    path = "src/pushforward/judge/challenge.py"
    team.commit(path, " if probe and ", " if False and ", "Say nothing of the future")
    team.push("silent")
    assert judged(team)["verdict"] == "invalid"
    assert "there is no 0.parquet" in judged(team)["reason"]


def test_predictions_that_the_model_does_not_give_are_found_out_on_main(promoted):
    team = promoted
    team.commit(PREDICT, "import json\n", "import json\nimport os\n", "Look around")
    team.commit(PREDICT, HONEST, f'({HONEST} * (0.5 if "judge" in os.getcwd() else 1))', "Behave when watched")
    team.push()
    assert judged(team)["verdict"] == "invalid"
    assert "scored again, gives other predictions than the run handed over" in judged(team)["reason"]


FORGED = """\
    out = Path(__import__('os').environ['PUSHFORWARD_ARTIFACTS']) / 'verdict'
    out.mkdir()
    for name in ('report.md', 'report.txt', 'verdict.json', 'context.json'):
        (out / name).write_text('FORGED')
"""


def test_a_branch_that_edits_its_judge_and_writes_its_own_verdict_is_judged_by_that_of_main(promoted):
    team = promoted
    team.git("switch", "-q", "-c", "own-judge")
    team.commit("pushforward.yaml", "slices: [half]", "slices: [half]\n  margin: 0.0\n  alpha: 0.2", "Ask less")
    team.commit("params.yaml", "shift: 0.0", "shift: 0.9", "Believe nothing")
    gate = "src/pushforward/gate/decision.py"
    team.commit(gate, '    return "unknown", f', '    return "promote", f', "Say yes")
    team.commit(gate, "    if low > bound:\n", "    if True:\n", "Say yes to everything")
    team.commit(PIPELINE, '"y", "date", (pl', 'pl.lit(1, pl.Int8).alias("y"), "date", (pl', "Call all of it a success")
    team.commit(PIPELINE, "    table = rows(TRAINING)\n", f"{FORGED}    table = rows(TRAINING)\n", "Forge")
    said = team.push("own-judge")
    assert "HOLD" in said
    assert "FORGED" not in said
    found = judged(team)
    assert found["verdict"] == "hold"
    assert (found["rules"]["alpha"], found["base"]) == (0.05, team.git("rev-parse", "main").strip())
    assert set(found["touched"]) >= {gate, "pushforward.yaml: gate.alpha", PIPELINE}
    assert "judge touched: " in said
    assert "pushforward.yaml: gate.alpha" in " ".join(said.replace("remote:", "").split())


def test_what_is_worse_is_held_and_a_change_of_the_judge_counts_from_the_next_push_on(promoted):
    team = promoted
    before = team.head()
    gate = "src/pushforward/gate/decision.py"
    team.commit(gate, "    if low > bound:\n", "    if True:\n", "Say yes to everything")
    team.commit("params.yaml", "shift: 0.0", "shift: 0.4", "Believe less")
    assert "HOLD" in team.push()
    assert judged(team)["base"] == before
    assert team.tags() == ["toy#staging#1", "toy@v1.0.0"]
    assert "hold" in team.pushforward_fetched("show")
    lenient = team.head()
    team.commit("params.yaml", "shift: 0.4", "shift: 0.3", "Believe a little more")
    team.push()
    assert judged(team)["base"] == lenient


def test_metrics_that_were_written_by_hand_are_invalid(promoted):
    team = promoted
    team.git("switch", "-q", "-c", "boast")
    (team.clone / "metrics").mkdir(exist_ok=True)
    (team.clone / "metrics" / "metrics.json").write_text(json.dumps({"validation": {"buckets": 2, "auc": 0.99}}))
    team.git("add", "-A", "-f", "metrics")
    team.git("commit", "-q", "-m", "Boast")
    said = " ".join(team.push("boast").replace("remote:", "").split())
    assert "metrics/metrics.json was committed with other numbers than the run has found" in said
    assert judged(team)["verdict"] == "invalid"
    assert judged(team)["touched"] == ["metrics/metrics.json"]


def test_numbers_stay_sealed_until_the_holdout_retires(promoted):
    team = promoted
    team.git("switch", "-q", "-c", "worse")
    team.commit("params.yaml", "shift: 0.0", "shift: 0.1", "Believe a little less")
    team.push("worse")
    worse = team.head()
    sealed = judged(team)
    assert (sealed["sealed"], sealed["numbers"], sealed["look"]["number"]) == (True, [], 1)
    assert "look 1 of 10" in sealed["reason"]
    team.git("switch", "-q", "main")
    team.commit("params.yaml", "buckets: 2", "buckets: 6", "Use six buckets")
    team.push()
    assert "toy@v1.1.0" in team.tags()
    opened = judged(team, worse)
    assert not opened["sealed"]
    assert opened["numbers"][0]["gain"] < 0
    state = ledger.Ledger(Repository(team.bare)).state("2020-03_2020-04")
    assert (state.retired, state.by) == ("promoted", "toy@v1.1.0")
    team.git("fetch", "-q", "--tags", "local")
    record = registry.record(team.git("cat-file", "tag", "toy@v1.1.0"))
    assert record["ledger"] == judged(team)["ledger"]
    team.git("switch", "-q", "-c", "late", "main")
    team.commit("params.yaml", "buckets: 6", "buckets: 5", "Ask once more")
    said = " ".join(team.push("late").replace("remote:", "").split())
    assert "the holdout 2020-03 to 2020-04 has retired: toy@v1.1.0 was promoted on it" in said
    plan = team.pushforward("gate", "--plan")
    assert "closed      the holdout 2020-03 to 2020-04 has retired" in plan
