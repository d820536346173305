"""The folders of a pipeline: which dvc.yaml of a repository are DVC's, and how their locks are one."""

import pytest

from pushforward.errors import PushforwardError
from pushforward.git import kept
from pushforward.git.repository import Repository
from pushforward.pipeline import declared, folders
from pushforward.pipeline import lock as locks
from pushforward.pipeline.revision import Revision, sha256

TREE = {
    ".dvc/config": "",
    "dvc.yaml": "stages: {}\n",
    "a/dvc.yaml": "stages: {}\n",
    "a/b/dvc.yaml": "stages: {}\n",
    "tests/case/dvc.yaml": "stages: {}\n",
    "old/dvc.yaml": "stages: {}\n",
    "other/.dvc/config": "",
    "other/in/dvc.yaml": "stages: {}\n",
    ".dvcignore": "/tests/\n",
    "old/.dvcignore": "dvc.yaml\n",
}
A = b"""\
schema: '2.0'
stages:
  train:
    cmd: python train.py
    deps:
    - path: ../data.csv
      hash: md5
      md5: 11111111111111111111111111111111
    params:
      params.yaml:
        depth: 1
    outs:
    - path: model.pkl
      hash: md5
      md5: 22222222222222222222222222222222
"""
ROOT = b"""\
schema: '2.0'
stages:
  data:
    cmd: python data.py
    params:
      params.yaml:
        seed: 1
    outs:
    - path: data.csv
      hash: md5
      md5: 11111111111111111111111111111111
"""


def write(folder, tree):
    for name, text in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
def commit(tmp_path, git):
    def make(tree):
        write(tmp_path, tree)
        git(tmp_path, "init", "-q")
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-q", "-m", "Begin")
        return Repository(tmp_path)

    return make


def test_what_dvc_passes_over_is_none(commit):
    repository = commit(TREE)
    assert folders.at(repository, "HEAD") == folders.here(repository.path) == ["", "a", "a/b"]


def test_dvc_itself_loads_the_same(commit):
    from dvc.repo import Repo

    stage = "stages:\n  s: {cmd: c, outs: [o]}\n"
    repository = commit({name: stage if name.endswith("dvc.yaml") else text for name, text in TREE.items()})
    with Repo(str(repository.path)) as repo:
        loaded = {str(one.path).removeprefix(f"{repository.path}/") for one in repo.index.stages}
    assert loaded == {"dvc.yaml", "a/dvc.yaml", "a/b/dvc.yaml"}


@pytest.mark.parametrize(
    ("ignores", "found"),
    [
        ({"": "# note\x0c/a/\n"}, True),
        ({"": "# note\x85/a/\u2028/a/\n"}, True),
        ({"": "x\r/a/\r\n"}, False),
        ({"": "dvc.yaml\n", "a": "!dvc.yaml\n"}, True),
        ({"": "!dvc.yaml\n", "a": "dvc.yaml\n"}, False),
        ({"": "/a/\n!/a/\n"}, True),
        ({"": "/a/\n", "a": "!dvc.yaml\n"}, False),  # nobody looks into a folder that is passed over
        ({"": "/a/\n!/a/b/dvc.yaml\n"}, False),
        ({"": ".dvcignore\n", "a": "dvc.yaml\n"}, True),
        ({"": "dvc.yaml/\n"}, True),
    ],
)
def test_the_last_line_that_names_it_decides_as_in_dvc(commit, ignores, found):
    from dvc.repo import Repo

    stage = "stages:\n  s: {cmd: c, outs: [o]}\n"
    texts = {f"{folder}/.dvcignore".lstrip("/"): text for folder, text in ignores.items()}
    repository = commit({".dvc/config": "", "a/dvc.yaml": stage, **texts})
    assert folders.at(repository, "HEAD") == (["a"] if found else [])
    with Repo(str(repository.path)) as repo:
        assert bool(repo.index.stages) is found


def test_a_project_below_the_root_is_the_one_that_there_is():
    tree = ["dvc.yaml", "ml/.dvc/config", "ml/dvc.yaml", "ml/x/dvc.yaml", "app/dvc.yaml"]
    assert folders.of_tree(tree, lambda _: None) == ["ml", "ml/x"]
    with pytest.raises(PushforwardError, match=r"several DVC projects in one repository: a/\.dvc, b/\.dvc"):
        folders.of_tree(["a/.dvc/config", "b/.dvc/config", "a/dvc.yaml"], lambda _: None)


def test_locks_are_one_with_paths_and_stages_from_the_root():
    whole = locks.merged({"dvc.lock": ROOT, "a/dvc.lock": A})
    stages = locks.read_lock(whole)
    assert sorted(stages) == ["a/dvc.yaml:train", "data"]
    assert [dep["path"] for dep in stages["a/dvc.yaml:train"]["deps"]] == ["data.csv"]
    assert list(stages["a/dvc.yaml:train"]["params"]) == ["a/params.yaml"]
    # the chain of two files: a change of either parameter is one of what the model is made with, no file is
    assert locks.making(whole, "a/model.pkl") == (set(), {"seed", "a/params.yaml: depth"})
    assert locks.merged({"dvc.lock": ROOT}) == ROOT
    assert locks.merged({}) == b""


def test_a_lock_keeps_the_digest_that_it_has_by_itself_and_several_have_one_of_all():
    assert kept.digest({"dvc.lock": ROOT}, "dvc.lock") == sha256(ROOT)
    told = f"{sha256(A)}  a/dvc.lock\n{sha256(ROOT)}  dvc.lock\n"
    assert kept.digest({"dvc.lock": ROOT, "a/dvc.lock": A}, "dvc.lock") == sha256(told.encode())
    assert kept.digest({"a/dvc.lock": A}, "dvc.lock") == sha256(f"{sha256(A)}  a/dvc.lock\n".encode())


def test_a_commit_tells_its_locks_and_the_parameters_beside_each_dvc_yaml(commit):
    repository = commit(
        {
            "dvc.yaml": "stages: {}\n",
            "a/dvc.yaml": "stages: {}\n",
            "dvc.lock": ROOT,
            "a/dvc.lock": A,
            "params.yaml": "seed: 1\n",
            "a/params.yaml": "depth: 1\n",
            "b/params.yaml": "depth: 2\n",
        }
    )
    revision = Revision(repository, "HEAD")
    assert set(revision.locks) == {"dvc.lock", "a/dvc.lock"}
    assert set(revision.lock) == {"data", "a/dvc.yaml:train"}
    assert revision.leaves == {"seed": 1, "a/params.yaml: depth": 1}
    assert revision.params_digest == kept.digest(
        {"params.yaml": b"seed: 1\n", "a/params.yaml": b"depth: 1\n"}, "params.yaml"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stages: {s: {cmd: c, outs: [../../x]}}", "stage 's' writes ../../x, outside of the repository"),
        ("stages: {s: {cmd: c, outs: [params.yaml]}}", "stage 's' writes params.yaml; a/params.yaml is not the"),
        ("stages: {s: {cmd: c, outs: [../b/dvc.lock]}}", "stage 's' writes ../b/dvc.lock; b/dvc.lock is not the"),
        ("stages: {s: {cmd: c, outs: [kept.txt]}}", "stage 's' writes kept.txt, which git already holds (a/kept.txt)"),
        ("stages: {s: {cmd: c, wdir: ../.., outs: [x]}}", "stage 's' works in '../..', outside of the repository"),
        ("stages: [", "line 1, column 10"),
    ],
)
def test_what_a_dvc_yaml_may_not_say_is_refused_wherever_it_lies(commit, text, words):
    repository = commit({"a/dvc.yaml": text, "a/kept.txt": "x"})
    with pytest.raises(PushforwardError) as refused:
        folders.check(repository.path, set(repository.tree("HEAD")))
    assert refused.value.message.startswith(f"a/dvc.yaml: {words}"), refused.value.message
    assert refused.value.next in ("edit a/dvc.yaml", "git rm -r --cached a/kept.txt, and kept.txt into .gitignore")


def test_metrics_are_named_from_the_root(commit):
    text = "stages: {s: {cmd: c, metrics: [m.json: {cache: false}], plots: [../p.csv]}}\nmetrics: [n.json]\n"
    repository = commit({"a/dvc.yaml": text, "dvc.yaml": "metrics: [r.json]\n"})
    for told in (declared.at(repository, "HEAD"), declared.here(repository.path)):
        assert sorted(told.metrics) == ["a/m.json", "a/n.json", "r.json"]
        assert told.uncached == ("a/m.json",)


WORKED = """\
stages:
  train: {wdir: .., cmd: c, deps: [data.csv], outs: [model.pkl]}
  plain: {cmd: c, outs: [own]}
  each: {foreach: [x, y], do: {wdir: "../models/${item}", cmd: c, outs: [m]}}
  named: {foreach: {one: {at: p}, two: {at: q}}, do: {wdir: "${item.at}", cmd: c, outs: [n]}}
  keyed: {foreach: {one: 1}, do: {wdir: "${key}", cmd: c, outs: [k]}}
  cell: {matrix: {x: [1, 2], y: [a]}, wdir: "${item.y}/${item.x}", cmd: c, outs: [c]}
  told: {wdir: "${place.of}", cmd: c, outs: [t]}
"""


def entries(names):
    """A lock of these stages, with one out each."""
    lines = [
        f"  {name}:\n    cmd: c\n    outs:\n    - path: {out}\n      hash: md5\n      md5: {'a' * 31}{number}\n"
        for number, (name, out) in enumerate(names.items())
    ]
    return f"schema: '2.0'\nstages:\n{''.join(lines)}"


def test_a_lock_names_paths_from_where_its_stages_work(commit):
    """DVC writes them from there, and the lock does not tell where that is."""
    named = {"train": "model.pkl", "plain": "own", "each@x": "m", "each@y": "m", "named@one": "n", "named@two": "n"}
    named |= {"keyed@one": "k", "cell@1-a": "c", "cell@2-a": "c", "told": "t"}
    repository = commit(
        {"a/dvc.yaml": WORKED, "a/dvc.lock": entries(named), "a/params.yaml": "place: {of: deep}\n", ".dvc/config": ""}
    )
    made = {
        name.removeprefix("a/dvc.yaml:"): entry["outs"][0]["path"]
        for name, entry in locks.read_lock(folders.whole_here(repository.path)).items()
    }
    assert made == {
        "train": "model.pkl",
        "plain": "a/own",
        "each@x": "models/x/m",
        "each@y": "models/y/m",
        "named@one": "a/p/n",
        "named@two": "a/q/n",
        "keyed@one": "a/one/k",
        "cell@1-a": "a/a/1/c",
        "cell@2-a": "a/a/2/c",
        "told": "a/deep/t",
    }
    assert Revision(repository, "HEAD").whole_lock == folders.whole_here(repository.path)


def test_a_root_whose_stages_work_below_is_placed_too(commit):
    text = "stages: {train: {wdir: sub, cmd: c, outs: [../model, own]}}\n"
    lock = entries({"train": "../model"})
    repository = commit({"dvc.yaml": text, "dvc.lock": lock})
    assert locks.read_lock(folders.whole_here(repository.path))["train"]["outs"][0]["path"] == "model"


def test_a_wdir_that_nothing_here_tells_is_refused(commit):
    repository = commit({"a/dvc.yaml": "stages: {s: {wdir: '${nope}', cmd: c, outs: [o]}}\n"})
    with pytest.raises(PushforwardError, match=r"a/dvc.yaml: stage 's' has a wdir of which nothing here says where"):
        folders.check(repository.path, set())
