"""sections: what of arrival, serving and monitoring could only fail later, found before, each with its line."""

import json
import sys
from pathlib import Path

import pytest

from pushforward.git.repository import Repository
from pushforward.server import check, sections

SOUND = """\
tool: "0.2.0"
models:
  shop:
    path: model.pkl
    environment: [lock.txt]
    holdout: {path: data/holdout, key: id, label: y, cluster: day, time: at}
    score: python score.py {rows} {out}
    serve: shop.served:load
    batches: params.yaml:months
arrive:
  source: python list.py {out}
  expect: monthly
  merge: promote
serve:
  canary: staging
monitor:
  reference: data/valid/rows
  needs: [data/valid]
  log: remote://s/log
  retrain: params.yaml:until
"""
DVC = """\
stages:
  train: {cmd: t, outs: [model.pkl, data/holdout, data/valid]}
"""


@pytest.fixture
def root(tmp_path, git, monkeypatch):
    """A project whose sections hold; its locked environment is the one at hand."""
    place = tmp_path / "shop"
    files = {
        "pushforward.yaml": SOUND,
        "dvc.yaml": DVC,
        "params.yaml": 'months: ["2020-01", "2020-02"]\nuntil: "2020-02-29"\ndays: 3\n',
        "lock.txt": "",
        "src/shop/served.py": "def load(folder): ...\n",
        "list.py": "import json, sys\njson.dump([{'batch': '2020-03', 'digest': 'abcdef'}], open(sys.argv[1], 'w'))\n",
        ".dvc/config": "[core]\nremote = s\n['remote \"s\"']\nurl = ../../store\n",
    }
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    git(place, "init", "-q")
    git(place, "remote", "add", "origin", "https://github.com/shop/shop.git")
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", "Begin")
    monkeypatch.setattr(sections.source.environment, "project", lambda _: Path(sys.executable))
    return place


def found(root, *, quick=True):
    return [*sections.findings(root, quick=quick, say=lambda _: None)]


def test_what_holds_is_a_line_for_each_section(root):
    assert [(one.name, one.ok) for one in found(root)] == [("arrive", True), ("serve", True), ("monitor", True)]
    asked = found(root, quick=False)[0]
    assert (asked.name, asked.ok, asked.found) == ("arrive", True, "the source lists 1, the last is 2020-03")


def test_a_project_without_such_sections_hears_nothing_of_them(root):
    text = SOUND.partition("arrive:")[0].replace("    serve: shop.served:load\n", "")
    (root / "pushforward.yaml").write_text(text)
    assert found(root, quick=False) == []


@pytest.mark.parametrize(
    ("old", "new", "name", "words", "mend"),
    [
        (
            "expect: monthly",
            "expect: weekly",
            "arrive",
            "the batch '2020-01' is no week like 2013-W22",
            "take expect out",
        ),
        (
            "batches: params.yaml:months",
            "batches: none",
            "arrive",
            "nothing to add to: batches are none",
            "docs/arrival",
        ),
        ("batches: params.yaml:months", "batches: params.yaml:no", "arrive", "'no' has to be a list", "edit"),
        (
            "canary: staging",
            "shadow: stagin",
            "serve",
            "shadow names stagin, which is no environment",
            "write one of them",
        ),
        ("shop.served:load", "shop.serve:load", "serve", "git holds no shop.serve in ./src or src or .", "MODULE"),
        ("shop.served:load", "shop.served:lode", "serve", "src/shop/served.py has no lode", "MODULE:CALLABLE"),
        ("reference: data/valid", "reference: data/vald", "monitor", "data/vald/rows (reference) is no out", "edit"),
        ("needs: [data/valid]", "needs: [data/x]", "monitor", "data/x (needs) is no out of the pipeline", "edit"),
        ("remote://s/", "remote://t/", "monitor", "log names t, which is no remote of DVC", "dvc remote add t URL"),
        ("yaml:until", "yaml:since", "monitor", "retrain: params.yaml has no since", "edit pushforward.yaml"),
        ("yaml:until", "yaml:days", "monitor", "retrain: params.yaml:days is 3, and no day", "edit pushforward.yaml"),
    ],
)
def test_what_would_fail_later_is_told_with_its_line_and_what_mends_it(root, old, new, name, words, mend):
    assert old in SOUND
    (root / "pushforward.yaml").write_text(SOUND.replace(old, new))
    (one,) = [one for one in found(root) if not one.ok]
    assert (one.name, one.optional) == (name, True)
    assert words in one.found
    assert mend in one.mend
    file, line, _ = one.found.split(":", 2)
    assert file == "pushforward.yaml"
    lines = SOUND.replace(old, new).splitlines()
    key = "arrive:" if "batches" in new else new
    assert key in lines[int(line) - 1]


def test_each_of_several_models_has_to_have_what_its_look_reads(root):
    shop = SOUND.partition("  shop:\n")[2].partition("arrive:")[0]
    wine = shop.replace("    path: model.pkl", "    folder: wine\n    path: model.pkl").replace(
        "    serve: shop.served:load\n", ""
    )
    several = SOUND.replace("arrive:", f"  wine:\n{wine}arrive:")
    measured = "  told:\n    folder: told\n    path: model.pkl\n    environment: [lock.txt]\n"
    measured += "    metrics: {m.json:a: {better: lower}}\n"
    (root / "pushforward.yaml").write_text(several.replace("arrive:", f"{measured}arrive:"))
    (root / "wine").mkdir()
    (root / "wine/dvc.yaml").write_text(DVC.replace(", data/valid]", "]"))
    told = [one.found.split(": ", 1)[1] for one in found(root) if one.name == "monitor"]
    assert told == [
        "data/valid/rows (reference) is no out of the pipeline of wine",
        "data/valid (needs) is no out of the pipeline of wine",
    ]
    (root / "wine/dvc.yaml").write_text(DVC)
    assert [(one.ok, one.found) for one in found(root) if one.name == "monitor"] == [
        (True, "what it reads is made, or has its place")
    ]


@pytest.mark.parametrize(
    ("remote", "more", "words", "mend"),
    [
        ("", "", "this clone has no git remote to propose to", "pushforward init"),
        (
            "local",
            "server: {workflows: [train]}\n",
            "the server runs train, and not arrive: nothing asks",
            "add arrive",
        ),
        ("local", "server: {workflows: [train, arrive]}\n", "not judge: nothing judges what it proposes", "add judge"),
        ("origin", "", "gitea gets branches, and a person opens and merges", "write merge: never"),
    ],
)
def test_a_proposal_that_nobody_makes_or_merges_is_told(root, git, remote, more, words, mend):
    git(root, "remote", "remove", "origin")
    if remote:
        git(root, "remote", "add", remote, "https://gitea.example.org/shop/shop.git")
    (root / "pushforward.yaml").write_text(SOUND + more)
    told = [one for one in found(root) if not one.ok]
    (one,) = [one for one in told if words in one.found]
    assert one.name == "arrive"
    assert mend in one.mend
    (root / "pushforward.yaml").write_text(SOUND.replace("merge: promote", "merge: never") + more)
    assert (one in found(root)) == (not remote or "nothing asks" in words), "a branch is proposed all the same"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("raise SystemExit('the shop is shut')", "the shop is shut"),
        ("import sys\nopen(sys.argv[1], 'w').write('{}')", "it is no list"),
        ("import sys\nopen(sys.argv[1], 'w').write('[]')", "the source lists 0"),
    ],
)
def test_a_source_that_cannot_be_used_is_found_where_it_is_asked(root, git, program, words):
    (root / "list.py").write_text(program)
    git(root, "commit", "-q", "-am", "Break the source")
    assert all(one.ok for one in found(root))
    one = found(root, quick=False)[0]
    assert (one.name, one.ok) == ("arrive", False)
    assert words in one.found
    assert one.mend


def test_what_serves_and_is_not_installed_is_told_with_the_command(root, monkeypatch):
    monkeypatch.setattr(sections, "SERVED_BY", ("uvicorn", "no_such_thing"))
    (one,) = [one for one in found(root) if not one.ok]
    assert (one.found, one.mend) == ("no_such_thing: not installed here", "pip install 'pushforward[serve]'")


def test_check_has_them_and_is_silent_where_settings_cannot_be_read(root):
    say = lambda _: None  # noqa: E731
    names = [one.name for one in check.looped(Repository(root), quick=True, say=say)]
    assert names == ["arrive", "serve", "monitor"]
    (root / "pushforward.yaml").write_text(json.dumps({"models": 1}))
    assert [*check.looped(Repository(root), quick=True, say=say)] == []
