"""iterative/example-get-started as it stands: measured by its first push, judged by its second."""

import functools
import http.server
import threading

import pytest
from tests.foreign import get_started
from tests.foreign.stranger import LOCKED, Stranger, tool

__all__ = ["tool"]
CONFIG = "[core]\n    remote = storage\n['remote \"storage\"']\n    url = "
# What its people write to be judged: which rows nobody trains on, a model that has its words in it, what answers.
CONTRACT = """\
    holdout: {path: data/holdout, key: id, label: r, cluster: none, time: none}
    score: python src/score.py {rows} {out}
    batches: params.yaml:batches
"""
HOLDOUT = """\
output_test.close()
rows = [line.rstrip("\\n").split("\\t") for line in open(output_test.name)]
os.makedirs("data/holdout", exist_ok=True)
for name, head, place in (("rows", "text", 2), ("labels", "r", 1)):
    with open(f"data/holdout/{name}.csv", "w") as out:
        csv.writer(out).writerows([("id", head), *((row[0], row[place]) for row in rows)])
"""
SCORE = """\
import csv, pickle, sys

words, weights, forest = pickle.load(open("model.pkl", "rb"))
rows = list(csv.DictReader(open(sys.argv[1])))
told = forest.predict_proba(weights.transform(words.transform([row["text"] for row in rows])))[:, 1]
csv.writer(open(sys.argv[2], "w")).writerows([("id", "p"), *zip([row["id"] for row in rows], told)])
"""
WORDS = """\
with open(os.path.join(sys.argv[2], "words.pkl"), "wb") as file:
    pickle.dump((words, weights), file)
"""


@pytest.fixture
def store(tmp_path):
    """The store as the example has it, in the web, where it can only be read; its address."""
    folder = tmp_path / "web"
    folder.mkdir()
    answers = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def be_judged(shop):
    shop.edit("pushforward.yaml", "    # Level 1:", f"{CONTRACT}    # Level 1:")
    shop.edit("params.yaml", "prepare:", "batches: [a, b, c, d]\nprepare:")
    shop.edit("dvc.yaml", "    - data/prepared\n  featurize", "    - data/prepared\n    - data/holdout\n  featurize")
    shop.edit("data/.gitignore", "/prepared\n", "/prepared\n/holdout\n")
    shop.edit("src/prepare.py", "import os\n", "import csv\nimport os\n")
    shop.write({"src/prepare.py": (shop.root / "src" / "prepare.py").read_text() + HOLDOUT})
    shop.write({"src/featurization.py": get_started.FEATURIZE + WORDS, "src/score.py": SCORE})
    words = 'words = pickle.load(open(os.path.join(sys.argv[1], "words.pkl"), "rb"))\n'
    shop.edit("src/train.py", "pickle.dump(forest,", f"{words}pickle.dump((*words, forest),")
    shop.edit("src/evaluate.py", "forest = pickle", "*_, forest = pickle")


@pytest.mark.slow
def test_the_example_is_measured_by_its_first_push_and_judged_by_its_second(tmp_path, tool, store):
    folder, address = store
    data = {"data/data.xml.dvc": get_started.store(folder, 2000), "src/requirements.txt": LOCKED}
    shop = Stranger(tmp_path, tool, {**get_started.FILES, **data, ".dvc/config": f"{CONFIG}{address}\n"})
    for tag in ("text-classification@v1.0.0", "text-classification@v1.2.0", "text-classification#prod#1"):
        shop.git("tag", "-a", "-m", tag, tag)
    said = shop.adopt()
    assert "text-classification: model.pkl (dvc.yaml:57, an artifact of type model)" in said, said
    assert "eval/metrics.json (dvc.yaml:42, in the out eval)" in said, said
    said = shop.push()
    assert "• MEASURED" in said, said
    assert f"not stored: storage ({address}) can only be read" in said, said
    assert "eval/metrics.json:roc_auc.test" in said, said
    shop.needed("iterative/example-get-started, as it stands", "0, first numbers")
    be_judged(shop)
    shop.commit("Be judged")
    said = shop.rehearse(code=4)
    assert f".dvc/config: the remote storage ({address}) can only be read: no version has where to lie" in said, said
    # what its line to type next says
    shop.dvc("remote", "add", "-d", "store", str(tmp_path / "store"))
    shop.dvc("pull", "-r", "storage", "data/data.xml")
    shop.dvc("push", "-r", "store", "data/data.xml.dvc")
    shop.own("Have a store")
    shop.call("init", "--move-store")
    said = shop.push()
    assert "✓ PROMOTE" in said, said
    assert [tag for tag in shop.tags() if tag.startswith("text-classification@")], said
    shop.needed("iterative/example-get-started, with a holdout", "3, a version")
    assert (shop.pushes, shop.lines <= 30) == (2, True)
