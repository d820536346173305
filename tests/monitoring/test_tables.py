"""The log and the outcomes as whoever writes them might leave them: what is wrong is refused by its name."""

import shutil
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from pushforward.errors import DATA, PushforwardError
from pushforward.monitoring import tables

NOON = datetime(2013, 4, 1, 12, tzinfo=UTC)
VERSION = "m@v1.0.0"


def _log(folder, rows, name="2013-04-01/120000-000000-17.parquet", **casts):
    """Leave rows of (key, p, minutes, version, arm) as `serve` does."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    moments = [NOON + timedelta(minutes=row[2]) for row in rows]
    frame = pl.DataFrame(
        {
            "at": pl.Series(moments, dtype=tables.INSTANT),
            "request": [f"r{place}" for place in range(len(rows))],
            "version": [row[3] for row in rows],
            "arm": [row[4] for row in rows],
            "key": [row[0] for row in rows],
            "time": pl.Series([None if row[0] == "now" else NOON for row in rows], dtype=tables.INSTANT),
            "p": [row[1] for row in rows],
            "row.origin": ["EWR"] * len(rows),
        },
    )
    frame.with_columns(**casts).write_parquet(path)
    return path


def _read(folder):
    return tables.answers(folder, VERSION, ("p",), probability=True)


def test_the_answers_of_a_version_each_question_once_by_its_last_answer(tmp_path):
    _log(tmp_path, [("b", 0.2, 1, VERSION, "main"), ("a", 0.1, 0, VERSION, "main"), ("c", 0.9, 0, "m@v0.9.0", "main")])
    _log(tmp_path, [("a", 0.3, 5, VERSION, "shadow")], "2013-04-02/000000-000001-17.parquet")
    found = _read(tmp_path)
    assert found.select("key", "p", "row.origin").rows() == [("a", 0.3, "EWR"), ("b", 0.2, "EWR")]
    assert found["at"].to_list() == [NOON, NOON + timedelta(minutes=1)], "when each was first answered"


def test_rows_without_a_key_are_questions_of_their_own(tmp_path):
    _log(tmp_path, [("", 0.2, 1, VERSION, "main"), ("", 0.3, 2, VERSION, "main"), ("a", 0.1, 0, VERSION, "main")])
    assert _read(tmp_path).select("key", "p").rows() == [("", 0.2), ("", 0.3), ("a", 0.1)]


def test_a_row_without_a_time_was_asked_when_it_was_answered(tmp_path):
    _log(tmp_path, [("now", 0.2, 7, VERSION, "main")])
    assert _read(tmp_path)["time"].to_list() == [NOON + timedelta(minutes=7)]


def test_what_is_no_table_of_the_log_is_passed_over(tmp_path):
    path = _log(tmp_path, [("a", 0.2, 0, VERSION, "main")])
    (path.parent / ".120000-000000-17.parquet.part").write_bytes(b"half")
    (tmp_path / "lost+found").mkdir()
    assert _read(tmp_path).height == 1


def test_what_is_asked_for_beside_is_there(tmp_path):
    _log(tmp_path, [("a", 0.2, 0, VERSION, "main"), ("b", 0.3, 0, VERSION, "main")])
    found = tables.answers(tmp_path, VERSION, ("p",), probability=True, also=("request",))
    assert found.select("key", "request", "p").rows() == [("a", "r0", 0.2), ("b", "r1", 0.3)]


def test_no_answers_are_an_empty_table_with_its_columns(tmp_path):
    _log(tmp_path, [("a", 0.2, 0, "m@v2.0.0", "main")])
    assert _read(tmp_path).columns == ["at", "key", "time", "p", tables.ARM]
    also = tables.answers(tmp_path, VERSION, ("p",), probability=True, also=("request",)).schema
    assert (also["request"], also["p"]) == (pl.String, pl.Float64)


@pytest.mark.parametrize(
    ("rows", "casts", "said"),
    [
        ([("a", 1.5, 0, VERSION, "main")], {}, "p is 1.5 for 'a', not a number in [0, 1]"),
        ([("a", float("nan"), 0, VERSION, "main")], {}, "p is nan"),
        ([("a", None, 0, VERSION, "main")], {"p": pl.lit(None, pl.Float64)}, "1 rows have no p"),
        ([("a", 0.5, 0, VERSION, "main")], {"p": pl.lit("0.5")}, "p is String, not Float64"),
        ([("a", 0.5, 0, VERSION, "main")], {"time": pl.lit(NOON.replace(tzinfo=None))}, "time is Datetime"),
        ([("a", 0.5, 0, VERSION, "main")], {"key": pl.lit(17)}, "key is Int32, not String"),
    ],
)
def test_a_log_that_is_not_as_it_must_be_is_refused_by_name(tmp_path, rows, casts, said):
    _log(tmp_path, rows, **casts)
    with pytest.raises(PushforwardError) as refused:
        _read(tmp_path)
    assert said in refused.value.message
    assert refused.value.exit_code == DATA


def test_a_damaged_file_and_a_link_are_refused_by_name(tmp_path):
    path = _log(tmp_path, [("a", 0.2, 0, VERSION, "main")])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(PushforwardError, match=r"2013-04-01/120000-000000-17\.parquet of the log is not a readable"):
        _read(tmp_path)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(PushforwardError, match="is not a regular file"):
        _read(tmp_path)


@pytest.mark.parametrize(
    ("where", "step", "gone"),
    [
        (tables, "_within", "2013-04-02"),
        (tables, "_mode", "2013-04-02/000000-000001-17.parquet"),
        (tables.parquet, "measure", "2013-04-02/000000-000001-17.parquet"),
        (tables.table, "read", "2013-04-02/000000-000001-17.parquet"),
    ],
)
def test_what_is_taken_out_while_the_log_is_read_is_passed_over(tmp_path, monkeypatch, where, step, gone):
    _log(tmp_path, [("a", 0.2, 0, VERSION, "main")])
    _log(tmp_path, [("b", 0.3, 5, VERSION, "main")], "2013-04-02/000000-000001-17.parquet")
    real, taken = getattr(where, step), []

    def late(path, *more):
        if path == tmp_path / gone and not taken:
            shutil.rmtree(tmp_path / "2013-04-02")
            taken.append(path)
        return real(path, *more)

    monkeypatch.setattr(where, step, late)
    assert _read(tmp_path)["key"].to_list() == ["a"]
    assert taken


def test_a_column_that_a_file_has_only_nulls_of_is_one_with_that_of_the_others(tmp_path):
    nothing = {"row.origin": pl.lit(None), "row.dest": pl.lit(None)}
    _log(tmp_path, [("a", 0.2, 0, VERSION, "main")], **{"row.dest": pl.lit(None)})
    _log(tmp_path, [("b", 0.3, 5, VERSION, "main")], "2013-04-02/000000-000001-17.parquet", **nothing)
    found = _read(tmp_path)
    assert found.select("key", "row.origin", "row.dest").rows() == [("a", "EWR", None), ("b", None, None)]
    assert (found.schema["row.origin"], found.schema["row.dest"]) == (pl.String, pl.Null)
    _log(tmp_path, [("c", 0.3, 5, VERSION, "main")], "2013-04-03/000000-000001-17.parquet", **{"row.origin": pl.lit(3)})
    with pytest.raises(PushforwardError, match="files of the log have one column in several types"):
        _read(tmp_path)


def test_without_a_log_it_says_who_writes_one(tmp_path):
    with pytest.raises(PushforwardError, match="there is no log in") as refused:
        _read(tmp_path / "none")
    assert refused.value.next == "pushforward serve --log DIR, or another --log"


def _outcomes(tmp_path, **columns):
    frame = pl.DataFrame({"id": [1, 2], "late": [0, 1], "known_at": [NOON, NOON], "date": ["x", "y"]})
    frame.with_columns(**columns).write_parquet(tmp_path / "out.parquet")
    return tables.outcomes(tmp_path / "out.parquet", "id", "late", ())


def test_outcomes_with_their_key_as_text_and_their_moment_in_utc(tmp_path):
    local = pl.lit(NOON).dt.convert_time_zone("America/New_York")
    found = _outcomes(tmp_path, known_at=local)
    assert found.rows() == [("1", 0.0, NOON, "x"), ("2", 1.0, NOON, "y")]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"known_at": pl.lit(NOON.replace(tzinfo=None))}, "known_at is Datetime"),
        ({"known_at": pl.lit(None, tables.INSTANT)}, "2 rows have no known_at"),
        ({"late": pl.lit("yes")}, "a late is no finite number"),
        ({"late": pl.lit(float("nan"))}, "a late is no finite number"),
        ({"late": pl.lit(None, pl.Int8)}, "2 rows have no late"),
    ],
)
def test_outcomes_that_are_not_as_they_must_be_are_refused(tmp_path, columns, said):
    with pytest.raises(PushforwardError) as refused:
        _outcomes(tmp_path, **columns)
    assert said in refused.value.message
    assert "monitor.outcomes" in refused.value.next


def test_texts_are_the_places_of_their_classes(tmp_path):
    pl.DataFrame({"id": ["a"], "kind": ["dog"], "known_at": [NOON]}).write_parquet(tmp_path / "o.parquet")
    assert tables.outcomes(tmp_path / "o.parquet", "id", "kind", ("cat", "dog"))["label"].to_list() == [1.0]
    with pytest.raises(PushforwardError, match="which is none of `classes`"):
        tables.outcomes(tmp_path / "o.parquet", "id", "kind", ("cat", "cow"))
    with pytest.raises(PushforwardError, match="is not a file"):
        tables.outcomes(tmp_path / "none.parquet", "id", "kind", ())
