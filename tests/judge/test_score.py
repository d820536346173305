"""score: a revision's own command in its checkout, and predictions that want to be more than numbers."""

import ast
import contextlib
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from pushforward import parquet
from pushforward.errors import PushforwardError
from pushforward.judge import table as tables
from pushforward.judge.score import Pair, PredictionsError, read_predictions, read_validation, score, score_each

KEYS = pl.Series("flight_id", [f"f{i}" for i in range(6)])


def contract(command, folder="."):
    return SimpleNamespace(score=command, folder=folder)


def checkout(tmp_path, source):
    """A checkout whose scorer is `source`, with its own package under src/."""
    folder = tmp_path / "check out"
    (folder / "src" / "scorer").mkdir(parents=True)
    (folder / "src" / "scorer" / "__init__.py").write_text("")
    (folder / "src" / "scorer" / "predict.py").write_text(source)
    return folder


def run_score(tmp_path, source, *, command="python -m scorer.predict {rows} {events} {out}", timeout=30.0):
    folder = checkout(tmp_path, source)
    (tmp_path / "rows with space.parquet").write_bytes(b"rows")
    (tmp_path / "events.parquet").write_bytes(b"events")
    out = tmp_path / "out.parquet"
    score(
        folder,
        contract(command),
        tmp_path / "rows with space.parquet",
        tmp_path / "events.parquet",
        out,
        python_bin=Path(sys.executable),
        timeout=timeout,
    )
    return folder, out


def test_the_command_runs_in_the_checkout_with_its_code_and_a_clean_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    folder, out = run_score(
        tmp_path,
        "import os, sys, json\n"
        "json.dump([sys.argv[1:], os.getcwd(), sys.executable, dict(os.environ)], open(sys.argv[3], 'w'))\n",
    )
    import json

    words, cwd, executable, environment = json.loads(out.read_text())
    expected = [tmp_path / "rows with space.parquet", tmp_path / "events.parquet", out]
    assert words == [str(path) for path in expected]
    assert (cwd, executable) == (str(folder), sys.executable)
    assert environment["PYTHONPATH"] == str(folder / "src")
    assert (environment["TZ"], environment["OMP_WAIT_POLICY"]) == ("UTC", "passive")
    assert not {"GIT_DIR", "GITHUB_TOKEN", "PYTHONDONTWRITEBYTECODE"} & environment.keys()


def test_a_place_inside_a_word_and_a_quoted_word_stay_one_word(tmp_path):
    _, out = run_score(
        tmp_path,
        "import sys; open(sys.argv[3].removeprefix('--out='), 'w').write(repr(sys.argv[1:]))",
        command="python -m scorer.predict 'a b; touch x' --rows={rows} --out={out} {events}",
    )
    assert "'a b; touch x'" in out.read_text()
    assert f"'--rows={tmp_path / 'rows with space.parquet'}'" in out.read_text()


@pytest.mark.parametrize("others", [0, 2])
def test_a_command_that_repeats_is_told_several_tables_of_events_and_starts_once(tmp_path, others):
    rows, pairs = tmp_path / "rows.parquet", [Pair(tmp_path / f"{n}.events", tmp_path / f"{n}.out") for n in range(3)]
    source = "import os, sys\nfor out in sys.argv[4::2]: print((os.getpid(), sys.argv), file=open(out, 'w'))"
    folder = checkout(tmp_path, source)
    command = contract("python -m scorer.predict --fast {rows} {events} {out} ...")
    score_each(folder, command, rows, pairs[: 1 + others], python_bin=Path(sys.executable), timeout=30.0)
    found = {ast.literal_eval(pair.out.read_text())[0] for pair in pairs[: 1 + others]}
    assert len(found) == 1
    told = [str(path) for pair in pairs[: 1 + others] for path in pair]
    assert ast.literal_eval(pairs[0].out.read_text())[1][1:] == ["--fast", str(rows), *told]
    assert not any(pair.out.exists() for pair in pairs[1 + others :])


def test_each_table_of_predictions_has_to_be_written(tmp_path):
    pairs = [Pair(tmp_path / f"{n}.events", tmp_path / f"{n}.out") for n in range(2)]
    folder = checkout(tmp_path, "import pathlib, sys; pathlib.Path(sys.argv[3]).touch()")
    with pytest.raises(PredictionsError, match=r"wrote no 1\.out"):
        score_each(
            folder,
            contract("python -m scorer.predict {rows} {events} {out} ..."),
            tmp_path / "rows",
            pairs,
            python_bin=Path(sys.executable),
            timeout=30.0,
        )


def test_a_failure_shows_the_last_lines(tmp_path):
    with pytest.raises(PushforwardError, match="failed with exit status 3") as caught:
        run_score(tmp_path, "import sys\nfor i in range(20): print('line', i)\nsys.exit(3)")
    assert "line 19" in str(caught.value)
    assert "line 9" not in str(caught.value)


def test_a_crash_names_the_signal(tmp_path):
    with pytest.raises(PushforwardError, match="died of SIGSEGV"):
        run_score(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")


def test_nothing_written_is_said_and_an_old_file_is_not_taken_for_new(tmp_path):
    (tmp_path / "out.parquet").write_bytes(b"of an earlier run")
    with pytest.raises(PredictionsError, match=r"wrote no out\.parquet"):
        run_score(tmp_path, "pass")
    assert not (tmp_path / "out.parquet").exists()


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


FORKER = (
    "import pathlib, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "pathlib.Path(sys.argv[3] + '.pid').write_text(str(child.pid))\n"
)


@pytest.mark.parametrize("ending", ["time.sleep(600)\n", "pathlib.Path(sys.argv[3]).write_text('x')\n"])
def test_nothing_that_the_command_started_outlives_it(tmp_path, ending):
    started = time.monotonic()
    if "sleep" in ending:
        with pytest.raises(PushforwardError, match="took longer than 3 s and was stopped"):
            run_score(tmp_path, FORKER + ending, timeout=3)
        assert time.monotonic() - started < 20
    else:
        run_score(tmp_path, FORKER + ending)
    pid = int((tmp_path / "out.parquet.pid").read_text())
    for _ in range(100):
        if not alive(pid):
            break
        time.sleep(0.05)
    assert not alive(pid)


def test_who_waits_for_the_command_does_not_look_again_and_again(tmp_path, monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    run_score(tmp_path, "import pathlib, sys, time; time.sleep(0.3); pathlib.Path(sys.argv[3]).touch()")
    assert slept == []


def test_a_program_that_is_missing_is_named(tmp_path):
    with pytest.raises(PushforwardError, match="no-such-program cannot be run"):
        run_score(tmp_path, "", command="no-such-program {rows} {events} {out}")


def write(tmp_path, frame):
    path = tmp_path / "predictions.parquet"
    frame.write_parquet(path)
    return path


def test_predictions_come_in_the_order_of_the_keys(tmp_path):
    frame = pl.DataFrame({"p": [0.1, 0.2, 0.3, 0.4, 0.5, 1.0], "flight_id": KEYS.to_list()})
    path = write(tmp_path, frame.sample(fraction=1, shuffle=True, seed=3))
    assert read_predictions(path, KEYS).tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 1.0]


@pytest.mark.parametrize("order", [range(6), [3, 0, 5, 1, 2, 4]], ids=["in order", "in another"])
@pytest.mark.parametrize("keys", [KEYS, pl.Series("n", [4, 2, None, 9, 7, 1])], ids=["texts", "numbers"])
def test_a_table_in_the_order_of_the_keys_is_read_like_any_other(tmp_path, keys, order):
    typed = keys.cast(pl.Int32) if keys.dtype.is_integer() else keys
    frame = typed.to_frame().with_columns(p=pl.Series([0.0, 0.1, 0.2, 0.3, 0.4, 0.5]))
    path = write(tmp_path, frame[list(order)])
    assert read_predictions(path, keys).tolist() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


def test_single_precision_is_read_as_double(tmp_path):
    frame = pl.DataFrame({"flight_id": KEYS, "p": pl.Series([0.25] * 6, dtype=pl.Float32)})
    found = read_predictions(write(tmp_path, frame), KEYS)
    assert found.dtype == np.float64
    assert found.tolist() == [0.25] * 6


def test_a_regression_may_leave_the_unit_interval(tmp_path):
    frame = pl.DataFrame({"flight_id": KEYS, "p": [-3.0, 0, 1, 2, 3, 400]})
    assert read_predictions(write(tmp_path, frame), KEYS, probability=False)[5] == 400
    with pytest.raises(PredictionsError, match=r"p is -3\.0 for flight_id 'f0'.*\(4 such rows\)"):
        read_predictions(write(tmp_path, frame), KEYS)


GOOD = {"flight_id": KEYS.to_list(), "p": [0.5] * 6}


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (GOOD | {"p": [0.5] * 5 + [float("nan")]}, "p is nan for flight_id 'f5', not a number in"),
        (GOOD | {"p": [0.5] * 5 + [None]}, "p is nan for flight_id 'f5'"),
        (GOOD | {"p": [0.5] * 5 + [float("inf")]}, "p is inf for flight_id 'f5'"),
        (GOOD | {"p": [1.0000001] + [0.5] * 5}, "p is 1.0000001 for flight_id 'f0'"),
        (GOOD | {"p": ["0.5"] * 6}, "column p is String, not Float64"),
        (GOOD | {"p": [1] * 6}, "column p is Int64, not Float64"),
        (GOOD | {"flight_id": list(range(6))}, "column flight_id is Int64, not String"),
        (GOOD | {"label": [1] * 6}, "exactly 'flight_id', 'p' are wanted"),
        ({"p": [0.5] * 6}, "exactly 'flight_id', 'p' are wanted"),
        ({"flight_id": KEYS.to_list()[:5], "p": [0.5] * 5}, "has 5 rows; the holdout has 6"),
        (GOOD | {"flight_id": ["f0"] * 2 + KEYS.to_list()[2:]}, "flight_id 'f0' appears more than once"),
        (GOOD | {"flight_id": [None, *KEYS.to_list()[1:]]}, "flight_id None is not in the holdout"),
        (GOOD | {"flight_id": ["x" * 999, *KEYS.to_list()[1:]]}, "xxx.* is not in the holdout"),
    ],
)
@pytest.mark.ml_test_score("Monitoring 5")
def test_predictions_that_are_not_what_was_asked_are_refused(tmp_path, frame, message):
    with pytest.raises(PredictionsError, match=message) as caught:
        read_predictions(write(tmp_path, pl.DataFrame(frame)), KEYS)
    assert len(str(caught.value)) < 300


def test_files_that_are_not_parquet_are_refused(tmp_path):
    good = write(tmp_path, pl.DataFrame(GOOD)).read_bytes()
    path = tmp_path / "bad.parquet"
    for content in (b"", b"flight_id,p\nf0,0.5\n", good[:-20], good[: len(good) // 2], b"PAR1" * 100):
        path.write_bytes(content)
        with pytest.raises(PredictionsError, match="not a readable parquet"):
            read_predictions(path, KEYS)


def test_a_damaged_page_is_refused_or_read_as_numbers_but_nothing_else(tmp_path):
    good = bytearray(write(tmp_path, pl.DataFrame(GOOD)).read_bytes())
    path = tmp_path / "bad.parquet"
    for position in range(4, len(good) - 8, 7):
        damaged = bytearray(good)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            found = read_predictions(path, KEYS)
        except PredictionsError:
            continue
        assert found.shape == (6,)
        assert np.all((found >= 0) & (found <= 1))


def test_what_is_missing_a_folder_a_link_or_too_large_is_not_opened(tmp_path):
    good = write(tmp_path, pl.DataFrame(GOOD))
    (tmp_path / "link.parquet").symlink_to(good)
    (tmp_path / "folder.parquet").mkdir()
    os.mkfifo(tmp_path / "pipe.parquet")
    with (tmp_path / "large.parquet").open("wb") as large:
        large.truncate(1024**3 + 1)
    for name, message in {
        "none": "there is no none",
        "link": "not a regular file",
        "folder": "not a regular file",
        "pipe": "not a regular file",
        "large": "the limit is 1,073,741,824",
    }.items():
        with pytest.raises(PredictionsError, match=message):
            read_predictions(tmp_path / f"{name}.parquet", KEYS)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n"


def test_a_pointer_is_told_as_one_and_not_read_as_a_table(tmp_path):
    path = tmp_path / "predictions.parquet"
    for content, words in ((LFS, "a Git LFS pointer"), (b"outs:\n- md5: ab\n  path: x\n", "a DVC pointer")):
        path.write_bytes(content)
        for read in (lambda: read_predictions(path, KEYS), lambda: tables.read(path, "predictions.parquet")):
            with pytest.raises(PushforwardError) as refused:
                read()
            assert refused.value.message == f"predictions.parquet is {words}, not what it points to"
            assert refused.value.exit_code == 3


@pytest.mark.parametrize(
    "table",
    [
        pl.DataFrame({"x": pl.repeat(1.0, 9000, eager=True)}),
        pl.DataFrame({"x": pl.repeat("EWR", 9000, eager=True)}),
        pl.DataFrame({"x": ["x" * 70_000]}),
        pl.DataFrame({"x": pl.repeat("x" * 2000, 60, eager=True)}),
        pl.DataFrame({"x": [[1] * 9000]}),
        pl.DataFrame({f"x{n}": [0] * 100 for n in range(90)}),
    ],
    ids=["a number", "a text", "one long text", "a long text", "a list", "many columns"],
)
def test_a_table_that_is_larger_in_memory_than_on_disk_is_refused(tmp_path, monkeypatch, table):
    path = write(tmp_path, table)
    monkeypatch.setattr(parquet, "LIMIT_MEMORY", 60_000)
    with pytest.raises(PushforwardError, match=r"takes [0-9,]+ bytes in memory.*; the limit is 60,000") as refused:
        tables.read(path, "data/holdout/rows.parquet")
    assert refused.value.exit_code == 3
    monkeypatch.setattr(parquet, "LIMIT_MEMORY", 400_000)
    assert tables.read(path, "rows").equals(table)


def test_predictions_that_are_larger_in_memory_than_on_disk_are_refused(tmp_path, monkeypatch):
    keys = pl.Series("flight_id", ["x" * 9000 + str(n) for n in range(6)])
    path = write(tmp_path, pl.DataFrame({"flight_id": keys, "p": [0.5] * 6}))
    monkeypatch.setattr(parquet, "LIMIT_MEMORY", 50_000)
    with pytest.raises(PushforwardError, match=r"predictions\.parquet takes .* in memory \(6 rows; [0-9,]+ on disk\)"):
        read_predictions(path, keys)


@pytest.mark.parametrize("rows", [0, 1, 1000])
def test_the_footer_says_what_the_file_holds(tmp_path, rows):
    table = pl.DataFrame({"a": range(rows), "b": [[1.5, 2.5]] * rows, "c": [{"d": "x"}] * rows, "e": [None] * rows})
    path = tmp_path / "t.parquet"
    table.write_parquet(path, row_group_size=100, compression="uncompressed")
    size = parquet.measure(path)
    assert (size.rows, size.values) == (rows, 5 * rows)
    assert size.bytes <= path.stat().st_size


def test_a_damaged_footer_is_left_to_the_reader(tmp_path):
    good = write(tmp_path, pl.DataFrame(GOOD)).read_bytes()
    path = tmp_path / "bad.parquet"
    for position in range(len(good) - 200, len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 0xFF]) + good[position + 1 :])
        size = parquet.measure(path)
        assert size is None or isinstance(size.memory, int)
        with contextlib.suppress(PushforwardError):
            assert tables.read(path, "rows").height < 1000


def test_the_command_of_a_model_below_the_root_runs_in_its_folder_with_both_sources(tmp_path):
    folder = tmp_path / "checkout" / "models" / "a"
    (folder / "src").mkdir(parents=True)
    (tmp_path / "checkout" / "src").mkdir()
    (folder / "src" / "mine.py").write_text("word = 'mine'\n")
    (tmp_path / "checkout" / "src" / "shared.py").write_text("word = 'shared'\n")
    (folder / "ask.py").write_text(
        "import mine, os, pathlib, shared, sys\n"
        "pathlib.Path(sys.argv[2]).write_text(' '.join([mine.word, shared.word, pathlib.Path.cwd().name]))\n"
    )
    out = tmp_path / "out.parquet"
    told = contract("python ask.py {rows} {out}", "models/a")
    score(tmp_path / "checkout", told, tmp_path / "rows", None, out, python_bin=Path(sys.executable), timeout=60)
    assert out.read_text() == "mine shared a"
    (folder / "ask.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(PushforwardError) as refused:
        score(tmp_path / "checkout", told, tmp_path / "rows", None, out, python_bin=Path(sys.executable), timeout=60)
    assert refused.value.next.startswith("in models/a in a checkout of that revision: ")


def test_of_a_validation_table_of_many_months_one_is_read(tmp_path, monkeypatch):
    rows = [(f"f{n}", 0.5, n % 2, f"2020-{month:02d}-07") for month in (1, 2) for n in range(1000)]
    table = pl.DataFrame(rows, schema=["flight_id", "p", "late", "date"], orient="row")
    table = table.with_columns(pl.col("flight_id") + pl.col("date"))
    path = write(tmp_path, table)
    about = {"key": "flight_id", "label": "late", "cluster": "date", "predicted": ("p",), "classes": ()}
    found = read_validation(path, SimpleNamespace(**about), "2020-02", [])
    assert (found.height, found["date"].unique().to_list()) == (1000, ["2020-02-07"])
    size = parquet.measure(path)
    monkeypatch.setattr(parquet, "LIMIT_MEMORY", size.bytes + 1000 * 4 * parquet.CELL_BYTES)
    assert size.memory > parquet.LIMIT_MEMORY
    assert read_validation(path, SimpleNamespace(**about), "2020-02", []).equals(found)
    monkeypatch.setattr(parquet, "LIMIT_MEMORY", parquet.LIMIT_MEMORY - 1)
    with pytest.raises(PushforwardError, match="of the rows that are asked"):
        read_validation(path, SimpleNamespace(**about), "2020-02", [])
