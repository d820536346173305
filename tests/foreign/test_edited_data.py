"""A data set that is edited in place: a CSV by `dvc add`, without batches; the holdout is by a hash of the key."""

import hashlib
import json
import random

import pytest
from tests.foreign.shapes import Foreign
from tests.team import make_team

from pushforward import __version__
from pushforward.gate.verdict import Epoch
from pushforward.judge import ledger, names, seal
from pushforward.judge.judge import weigh
from pushforward.judge.question import Question
from pushforward.report.markdown import markdown

SETTINGS = f"""\
tool: "{__version__}"
models:
  houses:
    path: model.json
    environment: [run.txt, data.txt, test.txt]
    holdout: {{path: data/holdout, key: id, label: price, cluster: none, time: none}}
    score: python predict.py {{rows}} {{out}}
    loss: squared
    data: [houses.csv.dvc]
gate:
  promotions: 1
  renews: 100
  suspect_fall: 1
"""
PARAMS = "train:\n  columns: 1\n"
DVC = """\
stages:
  prepare:
    cmd: python prepare.py
    deps: [prepare.py, houses.csv]
    outs: [data/train.csv, data/holdout]
  train:
    cmd: python train.py
    deps: [train.py, data/train.csv]
    params: [train.columns]
    outs: [model.json]
"""
PREPARE = """\
import csv, hashlib, os

def held_out(key):
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64 < 0.2

def write(path, head, some):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([head, *some])

os.makedirs("data/holdout", exist_ok=True)
rows = list(csv.DictReader(open("houses.csv")))
kept = [row for row in rows if held_out(row["id"])]
write("data/train.csv", list(rows[0]), [row.values() for row in rows if not held_out(row["id"])])
write("data/holdout/rows.csv", ("id", "size", "rooms"), [(r["id"], r["size"], r["rooms"]) for r in kept])
write("data/holdout/labels.csv", ("id", "price"), [(r["id"], r["price"]) for r in kept])
"""
TRAIN = """\
import csv, json

columns = int(open("params.yaml").read().split("columns:")[1].split()[0])
rows = list(csv.DictReader(open("data/train.csv")))
weights = {"size": 3.0, "rooms": 2.0 if columns == 2 else 0.0}
rest = [float(row["price"]) - sum(weights[name] * float(row[name]) for name in weights) for row in rows]
json.dump(weights | {"": sum(rest) / len(rest)}, open("model.json", "w"))
"""
PREDICT = """\
import csv, json, sys

model = json.load(open("model.json"))
with open(sys.argv[2], "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["id", "p"])
    for row in csv.DictReader(open(sys.argv[1])):
        writer.writerow([row["id"], model[""] + sum(model[name] * float(row[name]) for name in ("size", "rooms"))])
"""
SHAPE = {
    "params.yaml": PARAMS,
    "pushforward.yaml": SETTINGS,
    "dvc.yaml": DVC,
    ".dvc/.gitignore": "/config.local\n/cache\n/tmp\n",
    ".gitignore": "/model.json\n/data\n/houses.csv\n/.venv\n/handover/\n/verdict/\n__pycache__\n",
    "prepare.py": PREPARE,
    "train.py": TRAIN,
    "predict.py": PREDICT,
}


def table(first, last):
    """The rows of these numbers as CSV, without a head; the same for the same number."""
    lines = []
    for n in range(first, last):
        some = random.Random(n)
        size, rooms = some.random(), some.random()
        lines.append(f"{1000 + n},{size:.4f},{rooms:.4f},{3 * size + 2 * rooms + some.gauss(0, 0.5):.4f}\n")
    return "".join(lines)


def held_out(first, last):
    keys = (hashlib.sha256(str(1000 + n).encode()).digest()[:8] for n in range(first, last))
    return [key for key in keys if int.from_bytes(key, "big") / 2**64 < 0.2]


class Edited(Foreign):
    """The project, with data that is added by hand and pushed to its store, as people do."""

    def data(self, text):
        self.write({"houses.csv": text})
        md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        for cache in (self.root / ".dvc" / "cache", self.root.parent / "store"):
            place = cache / "files" / "md5" / md5[:2] / md5[2:]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        pointer = f"outs:\n- md5: {md5}\n  size: {len(text)}\n  hash: md5\n  path: houses.csv\n"
        self.write({"houses.csv.dvc": pointer})
        return self.commit("Take in data")

    def git(self, *args):
        return self._git(self.root, *args)

    @property
    def book(self):
        return ledger.of(self.root)

    def state(self, number):
        return self.book.state(names.epoch(number))


HEAD = "id,size,rooms,price\n"
FIRST = HEAD + table(0, 1500)


@pytest.fixture
def project(tmp_path, git, monkeypatch):
    made = Edited(tmp_path, git, monkeypatch, SHAPE)
    made.data(FIRST)
    return made


def judged_as_a_pull_request(project, judge):
    """The verdict on HEAD as the branch of a pull request into `judge`, and its report."""
    project.answer()
    (project.root / "dvc.lock").unlink()
    head = project.git("rev-parse", "HEAD")
    question = Question(head, head, "pull_request", "refs/heads/topic", 1)
    work = project.root / ".git" / "judge"
    verdict, context, _ = weigh(project.root, project.handover, question, judge=judge, work=work, say=lambda _: None)
    return verdict, markdown(verdict, context)


@pytest.mark.slow
def test_where_only_a_pass_is_told_an_epoch_goes_on_after_a_promotion_and_says_no_other_word(project, monkeypatch):
    monkeypatch.setenv(seal.VARIABLE, "secret")
    project.edit("pushforward.yaml", "promotions: 1", "promotions: 3\n  reveal: pass")
    project.judge()
    project.release("houses@v1.0.0")
    project.edit("params.yaml", "columns: 1", "columns: 2")
    better, report = project.judge()
    assert (better.verdict, better.sealed, better.numbers) == ("promote", True, ()), better.reason
    assert (better.look.alpha, better.look.promoted, better.look.promotions) == (0.005, 0, 3)
    assert "look 1 of 10 is taken, promotion 1 of 3 on this holdout; its numbers stay sealed" in report
    project.book.promoted("epoch.1", 1, "houses@v1.1.0")
    project.release("houses@v1.1.0")
    assert "promotions  2 of 3 left on this holdout" in project.invoke("gate", "--plan")

    project.edit("train.py", '"size": 3.0', '"size": 1.0')
    worse, report = project.judge()
    assert (worse.verdict, worse.sealed, worse.champion.version) == ("unknown", True, "houses@v1.1.0")
    assert worse.reason.startswith("not promoted; which of the reasons it was is told when the holdout retires (")
    assert worse.look.alpha == pytest.approx(0.005 / 9)
    assert "hold" not in report.lower().replace("holdout", "")
    assert [look.verdict for look in project.state(1).looks] == ["promote", "unknown"]
    project.book.retire("epoch.1", "superseded")
    assert seal.opened(worse.to_json(), project.book.numbers("epoch.1")[2]).verdict == "hold"


@pytest.mark.slow
def test_rows_that_are_added_are_a_refresh_on_keys_that_nobody_has_judged(project):
    first, report = project.judge()
    keys = held_out(0, 1500)
    assert (first.verdict, first.rows, first.look) == ("promote", len(keys), None), first.reason
    opened = project.state(1).opened
    assert (opened.keys, opened.since, opened.commit) == (len(keys), "", first.commit)
    assert project.book.keys(project.state(1)) == b"".join(sorted(keys))
    assert f"**Holdout**: epoch 1: {len(keys)} keys, the first that there were; the next opens at 100." in report
    assert "on `epoch 1`" in report
    assert "manifest.json" not in report, "the table that it trains on was looked at"
    project.release("houses@v1.0.0")

    # 600 rows come
    project.data(FIRST + table(1500, 2100))
    second, report = project.judge()
    fresh = held_out(1500, 2100)
    assert (second.verdict, second.mode, second.rows) == ("promote", "refresh", len(fresh)), second.reason
    assert (second.look.number, second.look.of, second.look.alpha) == (1, 10, 0.05)
    assert second.touched == ()
    assert second.holdout.epoch == Epoch(2, len(fresh), "houses@v1.0.0", open=True, waiting=0, renews=100)
    assert f"**Holdout**: epoch 2: {len(fresh)} keys first seen since `houses@v1.0.0`; the next opens at 100." in report
    assert project.book.keys(project.state(2)) == b"".join(sorted(fresh))
    project.book.promoted(names.of(second.holdout), 1, "houses@v1.0.1")
    assert project.state(2).retired is None, "the refresh leaves it open"
    project.release("houses@v1.0.1")

    # a change of the model is judged on the same keys, with a look
    project.edit("params.yaml", "columns: 1", "columns: 2")
    third, _ = project.judge()
    assert (third.verdict, third.mode, third.rows) == ("promote", "superior", len(fresh)), third.reason
    assert (third.look.number, third.look.alpha) == (2, 0.0025)
    assert names.of(third.holdout) == "epoch.2"
    project.book.promoted(names.of(third.holdout), 2, "houses@v1.1.0")
    project.release("houses@v1.1.0")
    said = project.invoke("gate", "--plan")
    told = f"epoch 2: {len(fresh)} keys first seen since houses@v1.0.0; the next opens at 100"
    assert told in " ".join(said.split()), said
    assert "closed      epoch 2 of the holdout has retired: houses@v1.1.0 was promoted on" in said

    # 50 rows come, and wait
    project.data(FIRST + table(1500, 2150))
    fourth, report = project.judge()
    few = len(held_out(2100, 2150))
    assert (fourth.verdict, fourth.mode, fourth.look) == ("unknown", "refresh", None), fourth.reason
    assert fourth.reason == (
        "epoch 2 of the holdout has retired: houses@v1.1.0 was promoted on it; "
        "the next opens when enough unseen keys have come"
    )
    assert f"; {few} wait for the next, which opens at 100." in report
    assert f"the next epoch opens with {100 - few} more unseen keys of the holdout" in report


@pytest.mark.slow
def test_a_pull_request_is_judged_on_the_keys_that_it_brings_and_its_merge_repeats_the_verdict(project):
    project.judge()
    project.release("houses@v1.0.0")
    main = project.git("rev-parse", "HEAD")
    project.data(FIRST + table(1500, 2100))
    asked, report = judged_as_a_pull_request(project, main)
    fresh = held_out(1500, 2100)
    assert (asked.verdict, asked.mode, asked.rows) == ("promote", "refresh", len(fresh)), asked.reason
    assert f"epoch 2, which these keys will open: {len(fresh)} keys first seen since `houses@v1.0.0`" in report
    state = project.state(2)
    assert state.opened is None
    assert [number for number, _ in state.looked] == [1]
    merged, _ = project.judge()
    assert (merged.verdict, merged.look.number, merged.look.replayed) == ("promote", 1, True)
    assert project.state(2).opened.keys == len(fresh)


@pytest.mark.slow
def test_what_a_branch_does_to_its_own_holdout_is_judged_by_the_target_branch(project):
    project.judge()
    project.release("houses@v1.0.0")
    main = project.git("rev-parse", "HEAD")

    def tried(name, old, new):
        project.git("reset", "-q", "--hard", main)
        project.data(FIRST.replace(old, new) if name == "houses.csv" else FIRST)
        if name != "houses.csv":
            project.edit(name, old, new)
        return judged_as_a_pull_request(project, main)

    # another rule, which puts rows to train on into the holdout
    verdict, report = tried("prepare.py", "2**64 < 0.2", "2**64 < 0.3")
    assert verdict.verdict == "invalid"
    assert "the holdout has" in verdict.reason
    assert verdict.touched == ("prepare.py",)
    assert "This change touches the judge" in report
    # rows of the open epoch are gone
    line = next(
        line for line in FIRST.splitlines(keepends=True)[1:] if held_out(int(line[:4]) - 1000, int(line[:4]) - 999)
    )
    verdict, report = tried("houses.csv", line, "")
    assert verdict.verdict == "invalid"
    assert verdict.reason.startswith(
        f"houses.csv: 1 lines are gone, or are others now; so it is judged on the data of {main[:9]}: predictions.csv"
    ), verdict.reason
    assert verdict.touched == ("houses.csv.dvc",)
    # another label, which the old data does not have: judged by the old
    verdict, report = tried("houses.csv", line, line.rpartition(",")[0] + ",0.0\n")
    assert (verdict.mode, verdict.touched) == ("superior", ("houses.csv.dvc",))
    assert verdict.holdout.epoch.number == 1
    assert verdict.verdict == "identical" or verdict.look is not None, verdict.reason
    assert "opened with other labels" not in report
    # the same key once more: a line more, and another label
    verdict, _ = tried("houses.csv", FIRST, FIRST + line.rpartition(",")[0] + ",0.0\n")
    assert verdict.verdict == "invalid"
    # rules of its own count for nobody
    for old, new in (("renews: 100", "renews: 1000"), ("time: none}", "time: none, share: 0.1}")):
        verdict, _ = tried("pushforward.yaml", old, new)
        assert verdict.verdict in ("identical", "hold", "unknown"), verdict.reason
        assert verdict.holdout.epoch == Epoch(1, len(held_out(0, 1500)), "", open=True, waiting=0, renews=100)
        assert len(verdict.touched) == 1
        assert verdict.touched[0].startswith("pushforward.yaml: ")


@pytest.mark.slow
def test_a_table_to_train_on_that_has_keys_of_the_holdout_is_refused(project):
    project.edit("prepare.py", "if not held_out(", "if True or not held_out(")
    project.commit("Judge by itself")
    verdict, _ = project.judge()
    assert verdict.verdict == "invalid"
    many = len(held_out(0, 1500))
    assert verdict.reason == f"the model is made of data/train.csv, which has {many} rows whose key is held out"


def test_a_rehearsal_says_on_which_epoch_it_would_be_judged(project):
    many = len(held_out(0, 1500))
    said = project.invoke("rehearse")
    assert f"would be judged: {many} rows, taken as independent, squared" in said, said
    assert f"epoch 1 would open with {many} keys" in said
    project.edit("pushforward.yaml", "[houses.csv.dvc]", "[houses.csv]")
    said = project.invoke("rehearse", fails=True)
    assert "houses.csv is no file of git" in said
    assert "write houses.csv.dvc" in said


@pytest.mark.slow
def test_rows_added_to_a_file_of_git_are_promoted_by_a_push_and_verified(tmp_path):
    own = {
        "pushforward.yaml": SETTINGS.replace(
            "[run.txt, data.txt, test.txt]", "[requirements/run.txt, requirements/data.txt]"
        ).replace("houses.csv.dvc", "houses.csv"),
        ".gitignore": "/.venv\n/data\n/model.json\n/handover\n/verdict\n__pycache__\n",
        "houses.csv": FIRST,
    }
    team = make_team(tmp_path, {name: text for name, text in (SHAPE | own).items() if not name.startswith(".dvc")})
    said = team.push()
    assert "houses@v1.0.0" in said, said
    team.commit("houses.csv", FIRST, FIRST + table(1500, 2100), "Take in six hundred more")
    said = team.push()
    assert "houses@v1.0.1" in said, said
    fresh = len(held_out(1500, 2100))
    assert f"epoch       2: {fresh} keys first seen since houses@v1.0.0; the next opens at" in said
    told, _ = json.JSONDecoder().raw_decode(team.pushforward_fetched("verify", "v1.0.1", "--json"))
    assert told["ok"], told
    assert "| epoch 2 |" in team.pushforward("show", "--markdown")
