"""Training is honest in time, keeps its promises of direction, and gives the same bytes everywhere."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import polars as pl
import pytest

from flights import train
from flights.booster import best_round, matrix, plain, vocabulary
from flights.catalog import FEATURES
from flights.coded import held
from flights.errors import StageError
from flights.metrics import log_loss
from flights.params import read_section, read_split
from flights.predict import load
from flights.train import EXPLAINED_ROWS, Features, Fitter, Train, chosen_features, training_table
from pushforward.serving.inputs import inputs_of
from pushforward.serving.port import Served


def _digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "model").iterdir()}


@pytest.mark.ml_test_score("Infra 2")
def test_the_model_folder_holds_manifest_and_booster_that_fit_together(project):
    manifest, booster = load()
    assert manifest["training"]["months"] == ["2013-01", "2013-02"]
    assert manifest["training"]["validation_month"] == "2013-02"
    assert manifest["training"]["rounds"] == booster.num_boosted_rounds()
    assert [feature["name"] for feature in manifest["features"]] == [feature.name for feature in FEATURES]
    rows, events = (manifest["inputs"][name] for name in ("rows", "events"))
    assert [name for name, one in rows.items() if one["nullable"]] == ["tailnum"]
    assert [name for name, one in events.items() if not one["nullable"]] == ["known_at", "kind"]
    assert rows["origin"] == {"type": "string", "nullable": False, "values": ["EWR", "JFK", "LGA"]}
    assert [rows[name]["type"] for name in ("decided_at", "dep_local", "flight")] == ["instant", "local", "int32"]
    assert set(manifest["categories"]) == {"carrier", "origin", "dest"}
    for path, digest in manifest["data"].items():
        assert hashlib.sha256((project / path).read_bytes()).hexdigest() == digest
    assert not any("2013-03" in path for path in manifest["data"])


def test_each_event_is_of_a_kind_that_the_manifest_names(project):
    manifest, _ = load()
    paths = sorted((project / "data/valid/events").glob("*.parquet"))
    assert paths
    for path in paths:
        events = pl.read_parquet(path)
        for name in ("kind", "origin", "late"):
            assert set(events[name].drop_nulls().unique()) <= set(manifest["inputs"]["events"][name]["values"]), name


def test_what_the_manifest_says_is_how_the_holdout_is_asked_over_http(project):
    manifest, _ = load()
    served = Served("flight-delay", "v1.0.0", "", "", "flight_id", "decided_at", ("p",), True, manifest)
    for table, name in ((inputs_of(served).rows, "rows"), (inputs_of(served).events, "events")):
        told = pl.read_parquet(project / f"data/holdout/{name}.parquet").head(2000)
        moments = [one for one, dtype in told.schema.items() if isinstance(dtype, pl.Datetime)]
        zones = {one: "Z" if told.schema[one].time_zone else "" for one in moments}
        asked = told.with_columns(pl.col(one).dt.strftime(f"%Y-%m-%dT%H:%M:%S{zones[one]}") for one in moments)
        columns = table.read(json.dumps({name: asked.to_dicts()}).encode())
        assert {one: [*values] for one, values in columns.items()} == told.to_dict(as_series=False)


def test_no_day_is_on_two_sides_of_the_split(project):
    scored = pl.read_parquet("data/predictions.parquet")
    holdout = pl.read_parquet("data/holdout/labels.parquet")["date"]
    fitted, validated = (scored.filter(pl.col("part") == part)["date"] for part in ("train", "validation"))
    assert fitted.max() < validated.min() <= validated.max() < holdout.min()


def test_a_random_split_would_flatter_the_model(project):
    """Why the split is by time: flights of one day are alike, and a random split shows the model its test days."""
    settings = read_section("train", Train).model_copy(
        update={"max_depth": 8, "min_child_weight": 1.0, "min_rounds": 30}
    )
    chosen = chosen_features(read_section("features", Features).groups)
    table = pl.concat([training_table(month) for month in ("2013-01", "2013-02", "2013-03")])
    fitter = Fitter(chosen, settings)
    shown = (table["month"] == "2013-03").to_numpy() & (np.random.default_rng(0).random(table.height) < 0.5)
    leaky = table.with_columns(month=pl.when(pl.Series(shown)).then(pl.lit("2013-02")).otherwise("month"))
    honest, flattered = (
        pl.concat(fitter.pick_rounds([held(one.filter(~later))], one.filter(later))[2])
        for one in (table, leaky)
        for later in [one["month"] == "2013-03"]
    )
    tested = flattered.filter(pl.col("part") == "validation")
    honest = honest.filter(pl.col("flight_id").is_in(tested["flight_id"].implode()))
    losses = [log_loss(one["late"].to_numpy(), one["p"].to_numpy()) for one in (honest, tested)]
    assert losses[1] < losses[0] - 0.01


@pytest.mark.ml_test_score("Infra 2")
def test_the_learning_curve_shows_every_round_and_stops_for_lack_of_progress(project):
    curve = pl.read_csv("metrics/learning.csv")
    assert curve["round"].to_list() == list(range(1, curve.height + 1))
    settings = read_section("train", Train)
    best = best_round(curve["validation"].to_list())
    assert curve.height == min(settings.max_rounds, max(best + settings.patience, settings.min_rounds))
    validation = pl.read_parquet("data/predictions.parquet").filter(pl.col("part") == "validation")
    rounds = json.loads((project / "model/manifest.json").read_text())["training"]["rounds"]
    assert rounds == max(best, settings.min_rounds)
    shown = curve["validation"][rounds - 1]
    assert log_loss(validation["late"].to_numpy(), validation["p"].to_numpy()) == pytest.approx(shown, rel=1e-5)


def test_importance_is_how_far_each_feature_moves_the_shipped_model_on_the_validation_month(project):
    manifest, booster = load()
    names = [one["name"] for one in manifest["features"]]
    rows = pl.read_parquet("data/features/2013-02.parquet")
    step = next(step for step in range(1, rows.height) if len(range(0, rows.height, step)) <= EXPLAINED_ROWS)
    data = plain(matrix(rows.gather_every(step), names, manifest["categories"]), names, manifest["categories"])
    contributions = booster.predict(data, pred_contribs=True)
    np.testing.assert_allclose(contributions.sum(axis=1), booster.predict(data, output_margin=True), atol=1e-4)
    table = pl.read_csv("metrics/importance.csv")
    assert sorted(table["feature"]) == sorted(names)
    assert table["contribution"].is_sorted(descending=True)
    shown = dict(table.iter_rows())
    for place, name in enumerate(names):
        assert shown[name] == pytest.approx(np.abs(contributions[:, place]).mean(), rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("feature", [feature for feature in FEATURES if feature.monotone], ids=lambda f: f.name)
@pytest.mark.ml_test_score("Infra 2")
def test_more_delay_around_never_lowers_the_risk(project, feature):
    manifest, booster = load()
    names = [one["name"] for one in manifest["features"]]
    x = matrix(pl.read_parquet("data/features/2013-03.parquet").head(200), names, manifest["categories"])
    place = names.index(feature.name)
    known = x[~np.isnan(x[:, place])]
    values = np.quantile(known[:, place], np.linspace(0, 1, 9)) if len(known) else []
    risks = []
    for value in values:
        known[:, place] = value
        risks.append(booster.predict(plain(known, names, manifest["categories"])))
    steps = np.diff(np.array(risks), axis=0) * feature.monotone
    assert (steps >= -1e-6).all()


def test_groups_that_are_switched_off_are_not_in_the_model(project):
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(
        text.replace("[schedule, congestion, live, rotation, weather, history]", "[schedule, weather]")
    )
    train.main([])
    manifest, booster = load()
    assert {feature["group"] for feature in manifest["features"]} == {"schedule", "weather"}
    assert booster.num_features() == len(manifest["features"]) == 17


def test_a_vocabulary_is_sorted_and_unseen_values_are_missing():
    carrier = [feature for feature in FEATURES if feature.name == "carrier"]
    table = pl.DataFrame({"carrier": ["UA", "AA", None, "UA"]})
    categories = vocabulary([table.head(2), table.tail(2)], carrier)
    assert categories == {"carrier": ["AA", "UA"]}
    codes = matrix(pl.DataFrame({"carrier": ["UA", "ZZ", None, "AA"]}), ["carrier"], categories)
    np.testing.assert_array_equal(codes[:, 0], [1, np.nan, np.nan, 0])


def test_features_and_labels_of_different_flights_are_refused(project):
    labels = pl.read_parquet("data/valid/labels/2013-01.parquet")
    labels.reverse().write_parquet("data/valid/labels/2013-01.parquet")
    with pytest.raises(StageError, match="list different flights"):
        training_table("2013-01")


def test_a_month_that_is_not_there_stops_training_instead_of_shrinking_it(project):
    (project / "data/features/2013-01.parquet").unlink()
    with pytest.raises(StageError, match="is missing") as refused:
        train.main([])
    assert refused.value.exit_code == 3
    assert read_split().training == ["2013-01", "2013-02"]


@pytest.mark.slow
@pytest.mark.ml_test_score("Infra 1")
def test_the_same_bytes_at_another_path_zone_locale_hash_seed_and_number_of_threads(trained, tmp_path):
    digests = [_digests(trained)]
    cores = sorted(os.sched_getaffinity(0))
    for number, (zone, locale, threads) in enumerate([("Asia/Tokyo", "C.utf8", 1), ("UTC", "C", len(cores))]):
        folder = tmp_path / f"elsewhere ü {number}"
        shutil.copytree(trained, folder)
        shutil.rmtree(folder / "model")
        environment = os.environ | {
            "TZ": zone,
            "LC_ALL": locale,
            "PYTHONHASHSEED": str(number + 1),
            "POLARS_MAX_THREADS": str(threads),
            "OMP_NUM_THREADS": str(threads),
        }
        script = f"import os; os.sched_setaffinity(0, {cores[:threads]}); from flights.train import main; main([])"
        subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment, check=True, capture_output=True)
        digests.append(_digests(folder))
    assert digests[0] == digests[1] == digests[2]


def test_two_fits_side_by_side_leave_what_one_after_the_other_leaves(project, monkeypatch):
    text = (project / "params.yaml").read_text()
    settings = read_section("train", Train)
    (project / "params.yaml").write_text(text.replace(f"min_rounds: {settings.min_rounds}", "min_rounds: 5"))
    before, met, shares = train.fit, threading.Barrier(2, timeout=60), []

    def met_first(rows, params, *asked, **more):
        met.wait()  # for ever, were one fitted after the other
        shares.append(params["nthread"])
        return before(rows, params, *asked, **more)

    digests = []
    for threads, fit in ((1, before), (5, met_first)):
        monkeypatch.setattr(train, "threads", lambda threads=threads: threads)
        monkeypatch.setattr(train, "fit", fit)
        train.main([])
        files = ("data/predictions.parquet", "metrics/learning.csv", "metrics/importance.csv")
        digests.append((_digests(project), [(project / name).read_bytes() for name in files]))
    assert digests[0] == digests[1]
    assert sorted(shares) == [2, 3]
    assert json.loads((project / "model/manifest.json").read_text())["training"]["rounds"] > 5, "more than the least"


def test_a_first_fit_that_fails_ends_the_second_beside_it(project, monkeypatch):
    monkeypatch.setattr(train, "threads", lambda: 2)
    ended, fit_all = [], Fitter.fit_all

    def watched(self, parts, rounds):
        try:
            return fit_all(self, parts, rounds)
        finally:
            ended.append(True)

    def broken(*_):
        raise StageError("no round was boosted")

    monkeypatch.setattr(Fitter, "fit_all", watched)
    monkeypatch.setattr(Fitter, "pick_rounds", broken)
    with pytest.raises(StageError, match="no round was boosted"):
        train.main([])
    assert ended == [True]
