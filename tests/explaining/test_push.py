"""A row of a project that was really pushed: found, scored by both, explained in a jail, sealed where it has to be."""

import json
import re
import shutil

import pytest
from tests import documents
from tests.team import Team

pytestmark = pytest.mark.slow

EXPLAIN = '''
"""What the toy says of a row; it also tries to leave something where it may not."""
import json, sys
from pathlib import Path
import polars as pl

shares = json.loads(Path("model/model.json").read_text())
row = pl.read_parquet(sys.argv[1])
events = pl.read_parquet(sys.argv[2])
bucket = min(int(row["x"][0] * len(shares)), len(shares) - 1)
base, p = sum(shares) / len(shares), shares[bucket]
try:
    Path("CLONE/stolen").write_text("x")
except OSError:
    pass
late = events.filter(pl.col("known_at") > row["at"][0]).height if events.height else 0
told = {
    "steps": [{"name": "bucket", "rows": [
        {"name": "bucket", "value": bucket, "note": "of the model \\x1b[31mred"},
        {"name": "later", "value": late},
        {"name": "told", "value": events.height},
        {"name": "outside", "value": Path("CLONE/pushforward.yaml").exists()},
        {"name": "labels", "value": Path("data/holdout/labels.parquet").exists()},
    ]}],
    "contributions": {"base": base, "parts": [{"name": "x", "value": row["x"][0], "contribution": p - base}]},
    "prediction": p,
}
Path(sys.argv[3]).write_text(json.dumps(told))
'''
AT = """    whole = pl.concat(frames)
    hour = pl.duration(minutes=29 * (pl.col("id").str.slice(8).cast(pl.Int32) % 50))
    whole.with_columns((pl.col("date").cast(pl.Datetime("us", "UTC")) + hour).alias("at")).write_parquet(
        "data/rows.parquet"
    )
"""


@pytest.fixture(scope="module")
def team(first_version, tmp_path_factory) -> Team:
    """A version, and a branch `told` with an `explain` command, events, and moments in the table of all rows."""
    made = first_version(tmp_path_factory.mktemp("explain"))
    made.git("switch", "-q", "-c", "told")
    (made.clone / "src/toy/explain.py").write_text(EXPLAIN.replace("CLONE", str(made.clone)))
    made.commit("src/toy/pipeline.py", '    pl.concat(frames).write_parquet("data/rows.parquet")\n', AT, "Tell moments")
    made.commit("params.yaml", "told: false", "told: true", "Tell events")
    score = "    score: python -m toy.predict {rows} {events} {out}\n"
    made.commit(
        "pushforward.yaml", score, f"{score}    explain: python -m toy.explain {{rows}} {{events}} {{out}}\n", "x"
    )
    made.git("add", "-A")
    made.git("commit", "-q", "-m", "Explain")
    said = made.push("told")
    assert "verdict" in said or "remote:" in said
    made.git("fetch", "-q", "local")
    return made


def explained(team: Team, *args: str) -> dict:
    said = team.pushforward("explain", *args, "--json")
    found, _ = json.JSONDecoder().raw_decode(said, said.index("{\n"))
    return documents.check("explain", json.dumps(found))


def lines(side: dict) -> dict:
    return {line["name"]: line for line in side["steps"][0]["rows"]}


def test_a_row_before_the_holdout_has_its_label_and_both_losses(team):
    told = explained(team, "2020-02-7")
    assert told["where"] == "data/rows.parquet"
    assert (told["batch"], told["sealed"]) == ("2020-02", "")
    assert told["label"] in (0, 1)
    champion, this = told["champion"], told["challenger"]
    assert (champion["name"], champion["version"]) == ("v1.0.0", "toy@v1.0.0")
    assert champion["predicted"] == pytest.approx(this["predicted"])
    assert champion["loss"] == pytest.approx(this["loss"])
    assert champion["trained"] is True
    assert champion["doubts"] == ["its settings name no `explain` command, so its steps are not known"]
    assert this["doubts"] == []
    assert this["base"] + this["parts"][0]["contribution"] == pytest.approx(this["predicted"]["p"])


def test_a_row_of_a_holdout_in_use_shows_all_but_what_would_tell_its_label(team):
    told = explained(team, "2020-04-7")
    assert told["where"] == "data/holdout/rows.parquet"
    assert told["label"] is None
    assert told["champion"]["loss"] is None
    assert told["challenger"]["loss"] is None
    assert "which is in use" in told["sealed"]
    known = told["known"]
    assert (known["later"], known["next"], known["own"]) == (None, "", [])
    # each event tells a label, three hours after its row was asked: that of this row, and of others before it
    assert known["known"] == 0
    assert (lines(told["challenger"])["later"]["value"], lines(told["challenger"])["told"]["value"]) == (0, 0)
    assert told["challenger"]["predicted"]["p"] > 0


def test_the_code_of_a_branch_sees_no_label_and_writes_nothing_outside(team):
    if shutil.which("bwrap") is None and shutil.which("unshare") is None:
        pytest.skip("no jail on this machine")
    found = lines(explained(team, "2020-02-7")["challenger"])
    assert found["outside"]["value"] is False
    assert found["labels"]["value"] is False
    assert not (team.clone / "stolen").exists()


def test_it_is_a_card_of_80_columns_without_a_control_character(team):
    said = team.pushforward("explain", "2020-02-7", "--commit", "told")
    card = said[said.index("2020-02-7, toy") :]
    assert max(len(line) for line in card.splitlines()) <= 80
    assert "\x1b" not in card
    for part in ("the row", "known when it was asked", "bucket", "what adds to it", "the prediction", "label, y"):
        assert part in card
    assert "2020-04-7, toy" in (sealed := team.pushforward("explain", "2020-04-7"))
    assert "label and loss are not told: it is in the holdout 2020-03 to" in " ".join(sealed.split())


def test_a_page_has_it_all_and_loads_nothing(team, tmp_path):
    team.pushforward("explain", "2020-02-7", "--html", str(tmp_path / "row.html"))
    page = (tmp_path / "row.html").read_text()
    assert "2020-02-7" in page
    assert "the model red" in page
    assert "\x1b" not in page
    assert not re.search(r"<script|src=|<link|url\(|@import", page)
    head = page.index("<style>")
    assert "&#34;" not in page[head : page.index("</style>")]


def test_another_than_the_version_in_use_can_stand_beside(team):
    told = explained(team, "2020-02-7", "--version", "v1.0.0", "--against", "told")
    assert (told["challenger"]["name"], told["champion"]["doubts"]) == ("v1.0.0", [])


def test_a_version_alone_stands_alone(team):
    told = explained(team, "2020-04-7", "--version", "v1.0.0")
    assert told["champion"] is None


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["2020-04-99999"], "no row has the id '2020-04-99999'"),
        (["2020-04-9999"], "near it are 2020-04-999"),
        (["2020-04-7", "--version", "v9.0.0"], "toy has no version v9.0.0"),
        (["2020-04-7", "--version", "v1.0.0", "--commit", "told"], "name a version or a commit, not both"),
        (["2020-02-7", "--version", "v1.0.0"], "not all columns that a row of the holdout has"),
    ],
)
def test_what_cannot_be_explained_is_refused_with_what_leads_on(team, args, said):
    assert said in (found := team.pushforward("explain", *args, check=False))
    assert "next: " in found or "Usage" in found


def test_nothing_is_left_behind(team, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = team.git("status", "--short")
    team.pushforward("explain", "2020-02-7")
    assert team.git("status", "--short") == before
    assert not any(one.name.startswith("pushforward-explain-") for one in tmp_path.iterdir())


def test_a_commit_that_nobody_has_run_is_run_here_and_anybody_elses_is_not(team):
    head = team.head()
    team.commit("params.yaml", "buckets: 2", "buckets: 4", "Use four buckets")
    told = explained(team, "2020-04-7", "--commit", "HEAD")
    assert told["challenger"]["commit"] == team.head()
    assert told["challenger"]["predicted"] != pytest.approx(told["champion"]["predicted"])
    team.git("branch", "-q", "theirs")
    team.git("reset", "-q", "--hard", head)
    said = team.pushforward("explain", "2020-04-7", "--commit", "theirs", check=False)
    assert "has no run in local" in said


HOSTILE = '''
"""A score that leaves links and notes wherever it can: for those who come after it, and for who reads what it wrote."""
import os, sys
from pathlib import Path

events, out = Path(sys.argv[2]), Path(sys.argv[3])
for folder in (out.parent, events.parent, out.parent.parent, Path("/tmp")):
    for name in (events.name, "rows.parquet", "explained.json", "note"):
        try:
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to("VICTIM")
        except OSError:
            pass
LEAVE
'''
LOOKS = '''
"""Whether anything of another command is here."""
import json, os, sys
from pathlib import Path

given, out = Path(sys.argv[1]).parent, Path(sys.argv[3])
# in /tmp are the folders through which what is bound is reached
found = {str(path) for folder in (out.parent, Path("/tmp")) for path in folder.iterdir() if not path.is_dir()}
found |= {str(path) for path in given.iterdir() if path.is_symlink()}
lines = [{"name": "found", "value": " ".join(sorted(found))}]
out.write_text(json.dumps({"steps": [{"name": "seen", "rows": lines}]}))
'''


@pytest.fixture
def hostile(team, tmp_path):
    """Commit a score command that leaves links to a file of the test's own; the file, and the head before it."""
    if shutil.which("bwrap") is None and shutil.which("unshare") is None:
        pytest.skip("no jail on this machine")
    head, victim = team.head(), tmp_path / "victim"
    victim.write_text("mine")

    def commit(leave):
        said = HOSTILE.replace("VICTIM", str(victim)).replace("LEAVE", leave)
        (team.clone / "src/toy/predict.py").write_text(said)
        (team.clone / "src/toy/explain.py").write_text(LOOKS)
        team.git("commit", "-q", "-am", "Leave links")
        return victim

    yield commit
    team.git("reset", "-q", "--hard", head)


def test_a_score_that_leaves_links_and_notes_leads_nobody_to_them(team, hostile):
    victim = hostile("""
import polars as pl
pl.read_parquet(sys.argv[1]).select("id", p=pl.lit(0.5)).write_parquet(out)
""")
    for key in ("2020-04-7", "2020-02-7"):
        told = explained(team, key, "--commit", "HEAD")
        assert told["challenger"]["predicted"] == {"p": 0.5}
        assert lines(told["challenger"])["found"]["value"] == ""
        assert victim.read_text() == "mine"


def test_predictions_that_are_a_link_are_not_read(team, hostile):
    victim = hostile("out.symlink_to(Path(sys.argv[1]))")
    said = team.pushforward("explain", "2020-04-7", "--commit", "HEAD", check=False)
    assert "the score command left no file predictions.parquet" in said
    assert victim.read_text() == "mine"
