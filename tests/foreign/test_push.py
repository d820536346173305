"""A project without Parquet, time, clusters, events, manifest and folder for its model, pushed to a real server."""

import json
import shutil

import pytest
from tests.foreign import test_ranking as ranking
from tests.team import Team, make_toy

OWN = {
    "pushforward.yaml": ranking.SETTINGS.replace(
        "[run.txt, data.txt, test.txt]", "[requirements/run.txt, requirements/data.txt]"
    ),
    ".gitignore": "/.venv\n/data/*\n!/data/keep\n/model.json\n/handover\n/verdict\n__pycache__\n",
}


@pytest.mark.slow
def test_one_file_ranked_by_its_own_loss_goes_from_push_to_bundle(tmp_path):
    team = Team(tmp_path / "toy", tmp_path / "toy.git")
    make_toy(team.clone)
    shutil.rmtree(team.clone / "src" / "toy")
    for name, text in (ranking.SHAPE | OWN).items():
        (team.clone / name).parent.mkdir(exist_ok=True)
        (team.clone / name).write_text(text)
    team.git("init", "-q", "-b", "main")
    team.git("config", "user.name", "Ann")
    team.git("config", "user.email", "ann@example.org")
    team.git("add", "-A")
    team.git("commit", "-q", "-m", "Begin")
    team.pushforward("init")
    said = team.push()
    assert "search@v1.0.0" in said, said
    assert "rows are taken as independent" in said.replace("\n", " ")
    team.git("switch", "-q", "-c", "fairer")
    team.commit("params.yaml", "weight: 0.1", "weight: 0.5", "Weigh both alike")
    said = team.push("fairer")
    assert "PROMOTE" in said, said
    team.git("switch", "-q", "main")
    team.git("merge", "-q", "--no-ff", "-m", "Merge", "fairer")
    said = team.push()
    assert "search@v1.1.0" in said, said
    made = json.loads(team.pushforward_fetched("bundle", "v1.1.0", "--out", str(tmp_path / "out"), "--json"))
    assert made["parity"] == "it loads, and gives its 100 golden rows to the last bit"
    assert json.loads((tmp_path / "out" / "model" / "model.json").read_text()) == {"weight": 0.5}
    card = (tmp_path / "out" / "model-card.md").read_text()
    assert "The score command takes no events: whether features see the future was not asked." in card
    assert "Rows are taken as independent" in card
    assert "nothing here knows whether it was trained on" in card
    told, _ = json.JSONDecoder().raw_decode(team.pushforward("verify", "v1.1.0", "--json"))
    assert told["ok"], told
