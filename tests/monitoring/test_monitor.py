"""Monitoring from the tags to the record in git: real repositories, a real command for outcomes, a real proposal."""

import calendar
import dataclasses
import functools
import hashlib
import io
import json
import math
import shutil
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from click.testing import CliRunner
from tests import documents
from tests.team import MODEL_SETTINGS, Hub

from pushforward.commands import notify
from pushforward.commands.cli import main
from pushforward.errors import DATA, PushforwardError
from pushforward.gate.verdict import Calibration, Holdout, Number, Validation
from pushforward.git.repository import Repository
from pushforward.judge import passed, score
from pushforward.monitoring import asking, kept, record, tables, words
from pushforward.monitoring.look import Asked, held, look
from pushforward.monitoring.monitor import act, monitor
from pushforward.release import verify
from pushforward.release.release import release
from pushforward.server import telling

pytestmark = pytest.mark.whole

NOW = datetime(2020, 6, 1, tzinfo=UTC)
OUTCOMES = """\
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import polars as pl

known = pl.read_parquet("@FOLDER@/known.parquet")
known.write_parquet(sys.argv[1])
"""
LOSS = """\
import sys

import polars as pl

labels, predictions, out = sys.argv[1:]
told = pl.read_parquet(labels).join(pl.read_parquet(predictions), on="id")
told.select("id", loss=3 * (pl.col("y") - pl.col("p")).abs()).write_parquet(out)
"""
SETTINGS = (
    MODEL_SETTINGS.replace("    environment: [lock.txt]\n", "    validation: data/predictions.parquet\n").replace(
        "    batches: params.yaml:data.months\n", ""
    )
    + """\
gate: {slices: [half]}
monitor:
  reference: data/rows
  log: LOG
  outcomes: python outcomes.py {out}
  retrain: params.yaml:data.until
"""
)
PROMISED = 0.5


class Served(Hub):
    """A hub whose pipeline keeps the rows that were trained on, a table for each month."""

    def model(self, content):
        lock, digests = super().model(content)
        listed = [{"md5": self._stored(text), "relpath": name} for name, text in sorted(_rows().items())]
        oid = self._stored(json.dumps(listed).encode(), ".dir")
        stage = "  prepare:\n    cmd: prepare\n    outs:\n    - path: data/rows\n      hash: md5\n"
        unseen = _predictions()
        more = f"    - path: data/predictions.parquet\n      hash: md5\n      md5: {self._stored(unseen)}\n"
        shutil.copytree(self.store / "files", self.clone / ".dvc/cache/files", dirs_exist_ok=True)
        return (
            lock
            + f"{stage}      md5: {oid}\n      size: {sum(map(len, _rows().values()))}\n      nfiles: 4\n"
            f"{more}      size: {len(unseen)}\n".encode(),
            digests,
        )


@functools.cache
def _rows():
    """Four months of rows, of a key, a moment and an input each."""
    found = {}
    for month in range(1, 5):
        first = datetime(2020, month, 1, tzinfo=UTC)
        days = calendar.monthrange(2020, month)[1]
        moments = [first + timedelta(days=day, minutes=20 * place) for day in range(days) for place in range(60)]
        halves = ["am" if place % 4 < 2 else "pm" for place in range(len(moments))]
        keys = [f"{month}-{place}" for place in range(len(moments))]
        buffer = io.BytesIO()
        pl.DataFrame({"id": keys, "at": pl.Series(moments, dtype=tables.INSTANT), "half": halves}).write_parquet(buffer)
        found[f"2020-{month:02d}.parquet"] = buffer.getvalue()
    return found


@functools.cache
def _predictions():
    """What a fit that has not seen April says of it: .8 and .2 in turn, as `_serve` has them served."""
    april = pl.read_parquet(_rows()["2020-04.parquet"])
    up = pl.int_range(april.height, eager=True) % 2 == 0
    buffer = io.BytesIO()
    april.select("id", date=pl.col("at").dt.date(), y=up.cast(pl.Int8), p=up * 0.6 + 0.2).write_parquet(buffer)
    return buffer.getvalue()


def _released(made, model, version, **more):
    """Judge `model` at the commit of the clone, with a promise of .5, and put it into production."""
    verdict = made.judge(made.git(made.clone, "rev-parse", "HEAD"), model)
    verdict = dataclasses.replace(
        verdict,
        numbers=(Number("log loss", "lower", None, PROMISED),),
        holdout=Holdout(("2020-03", "2020-04"), 1000, 61, "0" * 64),
        validation=Validation("", 1800, 30, ()),
        **more,
    )
    passed.record(made.clone, verdict)
    with made.run():
        made.promote_verdict(verdict, model)
    release(made.clone, version)


@pytest.fixture(scope="session")
def serving(begun, tmp_path_factory, git_of_all) -> Hub:
    """A hub whose v1.0.0 is in production, with a promise of .5; made once, to be copied."""
    made = Served(tmp_path_factory.mktemp("serving"), git_of_all, begun)
    made.write("pushforward.yaml", SETTINGS.replace("LOG", str(made.folder / "log")))
    made.write("params.yaml", 'data:\n  until: "2020-03-31"  # what is taken in\n')
    made.commit("one")
    _released(made, "one", "v1.0.0", metric="logloss", calibration=Calibration(0.5, None, 0.5, None, 0.01))
    return made


@pytest.fixture(scope="session")
def git_of_all():
    from tests.team import _git

    return _git


@pytest.fixture
def hub(serving, tmp_path, git):
    made = Served(tmp_path, git, serving)
    made.write("pushforward.yaml", SETTINGS.replace("LOG", str(tmp_path / "log")))
    made.write("outcomes.py", OUTCOMES.replace("@FOLDER@", str(tmp_path)))
    git(made.bare, "config", "receive.advertisePushOptions", "true")
    made.commit("one", "Look at what is in use")
    return made


def _serve(hub, days, right, *, rows=60, p=0.8, after=timedelta(hours=5), version="toy@v1.0.0"):
    """Log so many days of answers that end at NOW: of each day's rows a share `right` comes as was predicted."""
    keys, moments, labels, predicted = [], [], [], []
    for day in range(days):
        for place in range(rows):
            keys.append(f"{day}-{place}")
            moments.append(NOW - timedelta(days=days - day) + timedelta(minutes=20 * place))
            up = place % 2 == 0
            hit = place < rows * right
            predicted.append(p if up else 1 - p)
            labels.append(int(up == hit))
    frame = pl.DataFrame(
        {
            "at": pl.Series(moments, dtype=tables.INSTANT),
            "request": keys,
            "version": [version] * len(keys),
            "digest": ["0" * 64] * len(keys),
            "arm": ["main"] * len(keys),
            "key": keys,
            "time": pl.Series(moments, dtype=tables.INSTANT),
            "p": predicted,
            "latency_us": [100] * len(keys),
            "features": pl.Series([None] * len(keys), dtype=pl.String),
            "row.half": ["am" if place % 4 < 2 else "pm" for place in range(len(keys))],
        }
    )
    folder = hub.folder / "log" / f"{NOW:%Y-%m-%d}"
    folder.mkdir(parents=True)
    frame.write_parquet(folder / "000000-000000-1.parquet")
    known = pl.DataFrame({"id": keys, "y": labels, "known_at": frame["time"] + after})
    known.write_parquet(hub.folder / "known.parquet")


def _ask_again(hub, until, *, later):
    """Log all questions that were asked before a moment once more, so much later."""
    (path,) = (hub.folder / "log").glob("*/*.parquet")
    moved = (pl.col("at", "time") + later).cast(tables.INSTANT)
    again = pl.read_parquet(path).filter(pl.col("time") < until).with_columns(moved)
    again.write_parquet(path.with_name("000000-000001-1.parquet"))


def _asked(hub, **more):
    said = []
    return Asked(hub.clone, "production", "", "", NOW, said.append, **more)


def _loss(right, p=0.8):
    return -(right * math.log(p) + (1 - right) * math.log(1 - p))


def test_a_version_that_keeps_its_promise(hub):
    _serve(hub, 30, right=0.8)
    found = monitor(_asked(hub), dry_run=False)
    assert found.version == "toy@v1.0.0"
    assert found.live.wait.age == timedelta(hours=5)
    # the last day's rows after 19:00 are too young: 60 rows of 20 minutes end at 19:40, 57 are old enough
    assert (found.live.asked, found.live.old, found.live.missing) == (1800, 1798, 0)
    assert found.live.loss.mean == pytest.approx(_loss(0.8), abs=0.002)
    assert found.live.loss.clusters == 30
    assert found.promise.rival == pytest.approx(math.log(2))
    assert (found.decision, found.reasons, found.before) == ("fine", (), "")
    assert len(found.days) == 30


@pytest.mark.ml_test_score("Monitoring 7")
def test_one_that_has_decayed_is_proposed_to_be_retrained_once(hub):
    _serve(hub, 30, right=0.6)
    found = monitor(_asked(hub), dry_run=False)
    assert found.decision == "retrain"
    assert found.reasons[0].rule == "worse"
    assert found.reason.startswith(f"it loses {found.live.loss.mean:.4f} live (")
    assert "promised were 0.5000 on the holdout (2020-03, 2020-04), more than 10.0 % above" in found.reason
    assert found.proposed == "retrain/production-2020-06-01"
    proposed = Repository(hub.bare).read(found.proposed, "params.yaml")
    assert proposed == b'data:\n  until: "2020-06-01"  # what is taken in\n'
    subject = hub.git(hub.bare, "log", "-1", "--format=%s", found.proposed)
    assert subject == "Retrain toy on what has come until 2020-06-01"

    again = monitor(dataclasses.replace(_asked(hub), now=NOW + timedelta(days=1)), dry_run=False)
    assert (again.before, again.proposed) == ("retrain", found.proposed)
    branches = hub.git(hub.bare, "for-each-ref", "--format=%(refname)", "refs/heads/retrain")
    assert branches.split() == ["refs/heads/retrain/production-2020-06-01"]


def test_a_dry_run_proposes_and_keeps_nothing(hub):
    _serve(hub, 30, right=0.6)
    before = hub.git(hub.bare, "for-each-ref")
    found = monitor(_asked(hub), dry_run=True)
    assert found.decision == "retrain"
    assert found.step == ("would propose: retrain/production-2020-06-01 sets params.yaml:data.until to 2020-06-01")
    assert hub.git(hub.bare, "for-each-ref") == before


def test_every_look_is_kept_in_a_chain_with_its_report(hub):
    _serve(hub, 30, right=0.8)
    first = monitor(_asked(hub), dry_run=False)
    second = monitor(dataclasses.replace(_asked(hub), now=NOW + timedelta(days=1)), dry_run=False)
    there = Repository(hub.bare)
    assert kept.looks(there, "production") == [second, first]
    report = there.read("refs/pushforward/monitor/production", "report.md").decode()
    assert report.startswith("## ✓ fine: `toy@v1.0.0` in `production`\n")
    assert "| promised log loss | 0\\.5000 on the holdout (2020-03, 2020-04) |" in report
    assert second.before == first.decision
    assert kept.environments(there) == [("", "production")]


def test_whoever_comes_second_adds_its_look_after_the_first(hub):
    _serve(hub, 12, right=0.8)
    found = monitor(_asked(hub), dry_run=True)
    book = kept.book(hub.clone)
    one, other = kept.Book(book.repository), kept.Book(book.repository)
    one.put(found, lambda _: "one\n")
    other.put(found, lambda _: "other\n")
    assert len(kept.looks(book.repository, "production")) == 2
    assert book.repository.read("refs/pushforward/monitor/production", "report.md") == b"other\n"


def test_without_a_log_and_without_outcomes_it_says_so(hub):
    with pytest.raises(PushforwardError, match="there is no log in"):
        monitor(_asked(hub), dry_run=True)
    _serve(hub, 12, right=0.8)
    (hub.folder / "known.parquet").unlink()
    found = monitor(_asked(hub), dry_run=True)
    assert found.live is None
    assert found.decision == "watch"
    assert "the outcomes: asking for outcomes in main/ failed with exit status 1" in found.reason


def test_what_the_command_writes_is_read_as_hostile_data(hub):
    _serve(hub, 12, right=0.8)
    pl.DataFrame({"id": ["a"], "y": ["yes"], "known_at": [NOW]}).write_parquet(hub.folder / "known.parquet")
    found = monitor(_asked(hub), dry_run=True)
    assert "the outcomes: what monitor.outcomes has written: a y is no finite number" in found.reason


def test_a_repository_that_names_no_monitor_is_told_what_to_do(hub):
    hub.write("pushforward.yaml", MODEL_SETTINGS)
    hub.commit("one", "Forget it")
    with pytest.raises(PushforwardError, match="has no `monitor`: nothing says what is to be looked at"):
        monitor(_asked(hub), dry_run=True)


def test_an_environment_that_there_is_none_of(hub):
    with pytest.raises(PushforwardError, match="no environment is called 'canary'"):
        monitor(dataclasses.replace(_asked(hub), environment="canary"), dry_run=False)


def test_a_record_is_read_as_it_was_written_and_nothing_else(hub):
    _serve(hub, 12, right=0.8)
    found = monitor(_asked(hub), dry_run=True)
    assert record.read(found.to_json()) == found
    tree = json.loads(found.to_json())
    for wrong in ({**tree, "more": 1}, {**tree, "decision": "maybe"}, {k: v for k, v in tree.items() if k != "at"}):
        with pytest.raises(PushforwardError, match="this is no record of monitoring"):
            record.read(json.dumps(wrong).encode())


def test_the_verb_prints_lines_or_one_document(hub, monkeypatch):
    _serve(hub, 30, right=0.8)
    monkeypatch.chdir(hub.clone)
    run = CliRunner()
    said = run.invoke(main, ["monitor", "--now", NOW.isoformat(), "--dry-run"])
    assert said.exit_code == 0, said.output
    assert "toy@v1.0.0 in production" in said.output
    told = run.invoke(main, ["monitor", "--now", NOW.isoformat(), "--dry-run", "--json"])
    assert json.loads(told.stdout)["version"] == "toy@v1.0.0"
    assert run.invoke(main, ["monitor", "--now", "tomorrow"]).exit_code == 2


def test_one_of_several_models_that_cannot_be_looked_at_hides_no_other(hub, monkeypatch):
    _serve(hub, 12, right=0.8)
    found = monitor(_asked(hub), dry_run=True)
    monkeypatch.chdir(hub.clone)
    monkeypatch.setattr(verify, "models", lambda _: ["red", "toy", "wine"])

    def looked(asked, *, dry_run):
        if asked.model == "red":
            raise PushforwardError("its log is damaged", next="look at the log", exit_code=DATA)
        return found if asked.model == "toy" and dry_run else None

    monkeypatch.setattr("pushforward.monitoring.monitor.monitor", looked)
    said = CliRunner().invoke(main, ["monitor", "--dry-run"])
    assert said.exit_code == DATA
    assert said.stderr == "pushforward: red: its log is damaged\n  next: look at the log\n"
    assert "fine: toy@v1.0.0 in production" in said.stdout
    assert "wine: production holds no version yet" in said.stdout
    told = CliRunner().invoke(main, ["monitor", "--dry-run", "--json"])
    assert told.exit_code == DATA
    document = documents.check("monitor", told.stdout)
    assert [one["version"] for one in document["looks"]] == ["toy@v1.0.0"]
    assert document["failed"] == {"red": {"error": "its log is damaged", "next": "look at the log", "exit_code": 3}}


def test_a_look_with_a_number_that_json_has_none_of_is_not_kept(hub):
    _serve(hub, 12, right=0.8)
    found = monitor(_asked(hub), dry_run=True)
    for wrong in (
        dataclasses.replace(found.live, naive=math.inf),
        dataclasses.replace(found.live, loss=dataclasses.replace(found.live.loss, mean=math.nan)),
    ):
        with pytest.raises(PushforwardError, match="has a number that is not finite and cannot be kept"):
            kept.book(hub.clone).put(dataclasses.replace(found, live=wrong), lambda _: "x\n")
    assert kept.looks(Repository(hub.bare), "production") == []


def test_inputs_that_are_none_of_training_are_watched_with_their_names(hub):
    _serve(hub, 30, right=0.8)
    path = next((hub.folder / "log").glob("*/*.parquet"))
    late = pl.col("time") >= NOW - timedelta(days=7)
    strange = pl.when(late & (pl.col("row.half") == "pm")).then(pl.lit("night")).otherwise(pl.col("row.half"))
    pl.read_parquet(path).with_columns(strange.alias("row.half")).write_parquet(path)
    found = monitor(_asked(hub), dry_run=True)
    assert found.decision == "watch"
    assert {"broken", "drift"} >= {reason.rule for reason in found.reasons} >= {"broken"}
    assert "half: 1 unseen value (night) in 50.0 % of the rows" in " ".join(reason.words for reason in found.reasons)


def test_a_loss_by_command_is_measured_by_the_command(hub):
    settings = SETTINGS.replace("LOG", str(hub.folder / "log"))
    by_command = "    loss: python loss.py {labels} {predictions} {out}\n    validation:"
    hub.write("pushforward.yaml", settings.replace("    validation:", by_command))
    hub.write("loss.py", LOSS)
    hub.commit("two", "Have it cost what it costs")
    _released(hub, "two", "v1.1.0", metric="loss")
    _serve(hub, 30, right=0.6, version="toy@v1.1.0")
    found = monitor(_asked(hub), dry_run=True)
    assert (found.version, found.metric) == ("toy@v1.1.0", "loss")
    # a hit costs 3 · .2, a miss 3 · .8; promised were .5
    assert found.live.loss.mean == pytest.approx(3 * (0.6 * 0.2 + 0.4 * 0.8), abs=0.002)
    assert (found.live.loss.rows, found.live.loss.clusters, found.live.bias) == (1798, 30, None)
    assert found.live.over.mean == pytest.approx(found.live.loss.mean - 1.1 * PROMISED)
    assert found.days[0].loss == pytest.approx(3 * (0.6 * 0.2 + 0.4 * 0.8))
    assert (found.decision, found.reasons[0].rule) == ("retrain", "worse")
    monitor(_asked(hub), dry_run=False)
    _ask_again(hub, NOW - timedelta(days=29), later=timedelta(days=20))
    again = monitor(_asked(hub), dry_run=False)
    assert (again.days[0].day, again.first, again.live.begun) == ("2020-05-03", date(2020, 5, 2), "")
    assert again.live.over.above(0.0)
    assert (again.decision, again.reasons[0].rule) == ("retrain", "worse")


def test_predictions_that_moved_are_watched_by_the_rows_that_no_fit_has_seen(hub):
    _serve(hub, 30, right=0.8)
    sound = monitor(_asked(hub), dry_run=True)
    assert sound.predicted.against == "1,800 of rows that no fit has seen (2020-04-01 to 2020-04-30)"
    assert {one.kind for one in sound.predicted.looked} >= {"index", "mean"}
    path = next((hub.folder / "log").glob("*/*.parquet"))
    late = (pl.col("time") >= NOW - timedelta(days=7)) & (pl.col("p") < 0.5)
    pl.read_parquet(path).with_columns(p=pl.when(late).then(0.4).otherwise("p")).write_parquet(path)
    found = monitor(_asked(hub), dry_run=True)
    assert not any(one.far for one in found.drift)
    drifted = [reason.words for reason in found.reasons if reason.rule == "drift"]
    assert drifted[0].startswith("predictions: mean 0.50 → 0.60; against 2020-04-27 to 2020-05-24, where its moves")
    assert found.decision == "watch"
    assert ("predictions", f"held against {sound.predicted.against}, further than they may be") in words.numbers(found)


def test_keys_of_another_form_are_watched_in_the_end(hub):
    _serve(hub, 40, right=0.8)
    path = hub.folder / "known.parquet"
    pl.read_parquet(path).with_columns(id="K" + pl.col("id")).write_parquet(path)
    found = monitor(_asked(hub), dry_run=True)
    assert (found.decision, [reason.rule for reason in found.reasons]) == ("watch", ["open"])
    assert found.reason.startswith("no outcome of 2,400 answers has come within 38.")  # the hundredth of the oldest


def test_answers_without_a_key_are_said_to_have_no_outcome(hub):
    _serve(hub, 12, right=0.8)
    path = next((hub.folder / "log").glob("*/*.parquet"))
    pl.read_parquet(path).with_columns(key=pl.lit("")).write_parquet(path)
    found = monitor(_asked(hub), dry_run=True)
    assert found.live is None
    assert found.reason == "the outcomes: no answer of the log has a key that one could come to"


def test_a_retrain_is_proposed_once_though_the_word_was_another_one_between(hub):
    _serve(hub, 30, right=0.6)
    first = monitor(_asked(hub), dry_run=False)
    book = kept.book(hub.clone)
    book.put(dataclasses.replace(first, decision="watch", step=""), lambda _: "between\n")
    again = monitor(dataclasses.replace(_asked(hub), now=NOW + timedelta(days=1)), dry_run=False)
    assert (again.before, again.decision, again.proposed) == ("watch", "retrain", first.proposed)
    assert again.step == "retrain/production-2020-06-01 was proposed for toy@v1.0.0 before"
    branches = hub.git(hub.bare, "for-each-ref", "--format=%(refname)", "refs/heads/retrain")
    assert branches.split() == ["refs/heads/retrain/production-2020-06-01"]


def test_that_it_was_proposed_is_kept_while_the_word_is_another_one(hub):
    _serve(hub, 30, right=0.8)
    first = monitor(_asked(hub), dry_run=False)
    book = kept.book(hub.clone)
    book.put(dataclasses.replace(first, decision="retrain", proposed="retrain/x"), lambda _: "before\n")
    found = monitor(_asked(hub), dry_run=False)
    assert (found.decision, found.proposed) == ("fine", "retrain/x")
    book.put(dataclasses.replace(first, version="toy@v0.9.0", proposed="retrain/y"), lambda _: "another\n")
    assert monitor(_asked(hub), dry_run=False).proposed == "retrain/x"
    assert (
        monitor(dataclasses.replace(_asked(hub), now=NOW + timedelta(hours=1)), dry_run=False).proposed == "retrain/x"
    )


def test_a_retrain_is_proposed_once_though_another_version_was_in_use_between(hub):
    _serve(hub, 30, right=0.6)
    first = monitor(_asked(hub), dry_run=False)
    another = dataclasses.replace(first, version="toy@v0.9.0", decision="fine", reasons=(), proposed="", step="")
    kept.book(hub.clone).put(another, lambda _: "between\n")
    again = monitor(dataclasses.replace(_asked(hub), now=NOW + timedelta(days=1)), dry_run=False)
    assert (again.before, again.decision, again.proposed) == ("fine", "retrain", first.proposed)
    branches = hub.git(hub.bare, "for-each-ref", "--format=%(refname)", "refs/heads/retrain")
    assert branches.split() == ["refs/heads/retrain/production-2020-06-01"]


def test_a_retrain_that_cannot_be_proposed_is_said_and_the_look_is_kept(hub):
    _serve(hub, 30, right=0.6)
    hub.write("params.yaml", "data: {}\n")
    hub.commit("one", "Forget until when")
    said = []
    found = monitor(dataclasses.replace(_asked(hub), say=said.append), dry_run=False)
    assert (found.decision, found.proposed) == ("retrain", "")
    assert found.step == (
        "the retrain could not be proposed: monitor.retrain names params.yaml:data.until, and params.yaml has no "
        "data.until; edit pushforward.yaml"
    )
    assert found.step in said
    assert kept.looks(Repository(hub.bare), "production") == [found]


def test_a_log_that_is_typed_is_where_it_was_typed(hub, monkeypatch):
    _serve(hub, 12, right=0.8)
    (hub.folder / "log").rename(hub.folder / "elsewhere")
    monkeypatch.chdir(hub.folder)
    assert monitor(dataclasses.replace(_asked(hub), log="elsewhere"), dry_run=True).live.asked == 720


def test_outcomes_that_the_loss_cannot_be_taken_of_are_said_and_the_record_is_read(hub):
    _serve(hub, 12, right=0.8)
    path = hub.folder / "known.parquet"
    pl.read_parquet(path).with_columns(y=pl.col("y") * 2).write_parquet(path)
    found = monitor(_asked(hub), dry_run=False)
    assert found.live is None
    assert found.reason == "the outcomes: a label is neither 0 nor 1"
    assert kept.looks(Repository(hub.bare), "production") == [found]


def test_a_log_that_has_lost_its_beginning_is_said_by_the_looks_before(hub):
    _serve(hub, 30, right=0.8)
    first = monitor(_asked(hub), dry_run=False)
    assert (first.live.begun, first.days[0].day, first.first) == ("", "2020-05-02", date(2020, 5, 2))
    path = next((hub.folder / "log").glob("*/*.parquet"))
    pl.read_parquet(path).filter(pl.col("time") >= NOW - timedelta(days=20)).write_parquet(path)
    found = monitor(_asked(hub), dry_run=False)
    assert (found.live.begun, found.live.loss.low, found.live.loss.clusters) == ("2020-05-02", None, 20)
    assert found.first == first.first
    told = dict(words.numbers(found))
    assert told["answers from 2020-05-02 on"] == (
        "were counted, of which the first or their outcomes are there no more: only what is lost lately can be proven"
    )
    assert "no interval; 1,198 answers of 20 days" in told["live log loss"]


@pytest.fixture
def dated(hub, monkeypatch):
    """The hub with v1.1.0 in production, which was committed before it was asked, as in life."""
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2020-04-20T12:00:00Z")
    hub.write("params.yaml", 'data:\n  until: "2020-04-18"\n')
    hub.commit("two", "Learn until April")
    monkeypatch.delenv("GIT_COMMITTER_DATE")
    _released(hub, "two", "v1.1.0", metric="logloss", calibration=Calibration(0.5, None, 0.5, None, 0.01))
    _serve(hub, 30, right=0.6, version="toy@v1.1.0")
    return hub


def test_a_first_day_that_cannot_be_switches_no_alarm_off(dated):
    sound = look(_asked(dated))
    assert (sound.first, sound.live.over.above(0.0), sound.decision) == (date(2020, 5, 2), True, "retrain")
    day = dataclasses.replace(sound.days[0], day="0001-01-01")
    book = kept.book(dated.clone)
    book.put(dataclasses.replace(sound, first=date.min, days=(day, *sound.days)), lambda _: "forged\n")
    found = look(_asked(dated))
    assert (found.live, found.reasons, found.decision) == (sound.live, sound.reasons, "retrain")
    book.put(dataclasses.replace(sound, first=date(2020, 4, 20)), lambda _: "of its first day\n")
    assert look(_asked(dated)).live.begun == "2020-04-20"


def test_a_look_that_counts_from_before_its_version_was_is_kept_by_nobody(dated):
    sound = look(_asked(dated))
    with pytest.raises(PushforwardError) as refused:
        held(_asked(dated), {"toy": dataclasses.replace(sound, first=date(2020, 4, 18))})
    assert refused.value.message == (
        "the look is not taken: it counts from 2020-04-18 on, and toy@v1.1.0 was committed after 2020-04-19"
    )
    assert held(_asked(dated), {"toy": dataclasses.replace(sound, first=date(2020, 4, 19))}).first is not None


def test_a_moment_of_long_ago_that_a_client_names_switches_no_alarm_off_and_hides_no_loss(dated):
    path = next((dated.folder / "log").glob("*/*.parquet"))
    rows = pl.read_parquet(path)
    ancient = rows.head(1).with_columns(time=pl.lit(datetime(1970, 1, 1, tzinfo=UTC)).cast(tables.INSTANT))
    pl.concat([ancient, rows.tail(-1)]).write_parquet(path)
    first = monitor(_asked(dated), dry_run=False)
    assert (first.days[0].day, first.first) == ("1970-01-01", date(2020, 5, 2))
    again = monitor(_asked(dated), dry_run=False)
    assert (again.live.begun, again.live.over.above(0.0), again.decision) == ("", True, "retrain")
    late = rows.filter(pl.col("time") >= NOW - timedelta(days=20))
    for table in (pl.concat([ancient, late]), late):
        table.write_parquet(path)
        found = monitor(_asked(dated), dry_run=False)
        assert (found.live.begun, found.live.over.low) == ("2020-05-02", None)


def test_predictions_of_the_validation_that_cannot_be_had_are_said_to_be_missing(hub):
    _serve(hub, 12, right=0.8)
    oid = hashlib.md5(_predictions(), usedforsecurity=False).hexdigest()
    for kept_at in (hub.store, hub.clone / ".dvc/cache"):
        (kept_at / "files/md5" / oid[:2] / oid[2:]).unlink()
    found = monitor(_asked(hub), dry_run=True)
    assert [reason.rule for reason in found.reasons] == ["unread"]
    assert found.reason.startswith("validation: ")
    assert found.predicted.looked == ()


def test_what_was_made_of_the_past_is_kept_by_its_digest(hub, monkeypatch):
    _serve(hub, 12, right=0.8)
    first = monitor(_asked(hub), dry_run=True)
    said = []
    again = monitor(dataclasses.replace(_asked(hub), say=said.append), dry_run=True)
    assert again.drift == first.drift
    assert not any("fetching data/rows" in line for line in said)


def test_who_is_told_hears_of_a_look_whose_word_is_another_one(hub, monkeypatch):
    monkeypatch.setenv("PUSHFORWARD_RUN", "schedule-17")
    there = Repository(hub.bare)
    _serve(hub, 30, right=0.6)
    monitor(_asked(hub), dry_run=False)
    (news,) = telling.of_looks("ours", there, "schedule-17", failed=False)
    assert (news.event, news.title) == ("monitor", "Retrain: toy@v1.0.0 in production")
    assert news.text.startswith("It loses 0.77")
    assert news.then.startswith("retrain/production-2020-06-01 is pushed, ")
    assert [*telling.of_looks("ours", there, "another", failed=False)] == []
    (none,) = telling.of_looks("ours", there, "another", failed=True)
    assert none.title == "what is in use was not looked at"
    monitor(dataclasses.replace(_asked(hub), now=NOW + timedelta(hours=1)), dry_run=False)
    assert [*telling.of_looks("ours", there, "schedule-17", failed=False)] == [], "it is as it was"


def test_a_job_of_a_forge_tells_of_its_own_run(hub, monkeypatch):
    monkeypatch.setenv("GITHUB_RUN_ID", "99")
    _serve(hub, 30, right=0.6)
    monitor(_asked(hub), dry_run=False)
    monkeypatch.chdir(hub.clone)
    retrain, failed = (one.title for one in notify._looked(hub.clone, "ours", failed=True))
    assert (retrain, failed) == ("Retrain: toy@v1.0.0 in production", "not all that is in use was looked at")
    assert len(notify._looked(hub.clone, "ours", failed=False)) == 1


AT = ("--now", NOW.isoformat())


def _two_jobs(hub, monkeypatch, forged=None):
    """Look in one job and act in another one, what the first has left forged on the way; what the second came to."""
    monkeypatch.chdir(hub.clone)
    run = CliRunner()
    looks = hub.folder / "looks"
    first = run.invoke(main, ["monitor", "--look", str(looks), *AT])
    assert first.exit_code == 0, first.output
    assert first.output.endswith(f"{looks / 'looks.json'}: 1 taken\n")
    if forged is not None:
        tree = json.loads((looks / "looks.json").read_text())
        tree["looks"][0] |= forged
        (looks / "looks.json").write_text(json.dumps(tree))
    (hub.clone / "outcomes.py").write_text("raise SystemExit('the project runs')")
    shutil.rmtree(hub.folder / "log")
    return run.invoke(main, ["monitor", "--from", str(looks), *AT])


def test_a_look_is_acted_on_by_another_job_that_runs_nothing_of_the_project(hub, monkeypatch):
    _serve(hub, 30, right=0.6)
    before = hub.git(hub.bare, "for-each-ref")
    taken = look(_asked(hub))
    assert hub.git(hub.bare, "for-each-ref") == before
    done = _two_jobs(hub, monkeypatch)
    assert done.exit_code == 0, done.output
    (found,) = kept.looks(Repository(hub.bare), "production")
    (left,) = json.loads((hub.folder / "looks" / "looks.json").read_text())["looks"]
    assert json.loads(found.to_json()) == left | {"proposed": found.proposed, "step": found.step}
    assert (found.decision, found.promise, found.limits) == ("retrain", taken.promise, taken.limits)
    assert found.proposed == "retrain/production-2020-06-01"


def _nothing(*_args, **_more):
    raise AssertionError("a checkout, in which code could be run")


def test_acting_checks_nothing_out(hub, monkeypatch):
    _serve(hub, 30, right=0.8)
    told = {"toy": look(_asked(hub))}
    monkeypatch.setattr(asking.Project, "checkout", _nothing)
    monkeypatch.setattr(score, "command", _nothing)
    assert act(_asked(hub), held(_asked(hub), told), dry_run=False).decision == "fine"


def test_what_git_knows_is_not_taken_from_another_job(hub, monkeypatch):
    _serve(hub, 30, right=0.6)
    sound = monitor(_asked(hub), dry_run=True)
    limits = json.loads(sound.to_json())["limits"] | {"retrain": "pushforward.yaml:tool", "lose_at_most": 2.0}
    forged = {
        "commit": "0" * 40,
        "limits": limits,
        "metric": "my own",
        "promise": {"loss": 0.1, "of": "me"},
        "waiting": ["2031-01"],
        "before": "fine",
        "run": "another",
        "proposed": "main",
        "step": "rm -r .",
    }
    done = _two_jobs(hub, monkeypatch, forged)
    assert done.exit_code == 0, done.output
    (found,) = kept.looks(Repository(hub.bare), "production")
    wanted = ("commit", "limits", "metric", "promise", "waiting", "before", "run")
    assert {name: getattr(found, name) for name in wanted} == {name: getattr(sound, name) for name in wanted}
    assert found.step.startswith("retrain/production-2020-06-01 is pushed, ")
    assert Repository(hub.bare).read(found.proposed, "pushforward.yaml") == Repository(hub.bare).read(
        "main", "pushforward.yaml"
    )


@pytest.mark.parametrize(
    ("forged", "why"),
    [
        ({"version": "toy@v9.0.0"}, "it is of toy@v9.0.0 in production, and production has toy@v1.0.0"),
        ({"environment": "staging"}, "it is of toy@v1.0.0 in staging, and production has toy@v1.0.0"),
        ({"model": "another"}, "none is there"),
        (
            {"at": "2020-05-30T23:00:00Z", "days": [], "first": None},
            "it was taken at 2020-05-30 23:00, and it is 2020-06-01 00:00",
        ),
        ({"at": "2031-01-01T00:00:00Z"}, "it was taken at 2031-01-01 00:00, and it is 2020-06-01 00:00"),
    ],
)
def test_a_look_at_something_else_is_kept_by_nobody(hub, monkeypatch, forged, why):
    _serve(hub, 12, right=0.8)
    before = hub.git(hub.bare, "for-each-ref")
    done = _two_jobs(hub, monkeypatch, forged)
    assert done.exit_code == 3
    assert f"the look is not taken: {why}" in done.output
    assert hub.git(hub.bare, "for-each-ref") == before


@pytest.mark.parametrize("other", [("--from", "x"), ("--dry-run",), ("--json",)])
def test_only_to_look_goes_with_nothing_else(hub, monkeypatch, other):
    monkeypatch.chdir(hub.clone)
    assert CliRunner().invoke(main, ["monitor", "--look", "looks", *other]).exit_code == 2
    assert CliRunner().invoke(main, ["monitor", "--from", "looks", "--log", "x"]).exit_code == 2
