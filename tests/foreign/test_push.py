"""A project without Parquet, time, clusters, events, manifest and folder for its model, pushed to a real server."""

import json

import pytest
from tests.foreign import test_ranking as ranking
from tests.team import make_team

OWN = {
    "pushforward.yaml": ranking.SETTINGS.replace(
        "[run.txt, data.txt, test.txt]", "[requirements/run.txt, requirements/data.txt]"
    ),
    ".gitignore": "/.venv\n/data/*\n!/data/keep\n/model.json\n/handover\n/verdict\n__pycache__\n",
}


@pytest.mark.slow
def test_one_file_ranked_by_its_own_loss_goes_from_push_to_bundle(tmp_path):
    team = make_team(tmp_path, ranking.SHAPE | OWN)
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
