"""A server whose store is at S3, from init to gc: what is pushed is judged, released and verified out of the bucket."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests import team as teams
from tests.bucket import CONFIG, bucket
from tests.team import ROOT, Team

LOGIN = "['remote \"store\"']\n    access_key_id = ann\n    secret_access_key = not-in-git\n"


@pytest.fixture
def team(tmp_path, monkeypatch):
    """A team that keeps its data in a bucket, and that; all of it runs in the environment of the tests, with dvc-s3."""
    monkeypatch.setattr(teams, "PYTHON", Path(sys.executable))
    made = Team(tmp_path / "toy", tmp_path / "toy.git")
    with bucket() as place:
        teams.make_toy(made.clone)
        shutil.copy(ROOT / "requirements" / "test.txt", made.clone / "requirements" / "s3.txt")
        (made.clone / ".dvc" / "config").write_text(CONFIG.format(url=place.url))
        (made.clone / ".dvc" / "config.local").write_text(LOGIN)
        settings = made.clone / "pushforward.yaml"
        settings.write_text(settings.read_text().replace("data.txt]", "data.txt, requirements/s3.txt]"))
        made.git("init", "-q", "-b", "main")
        key = str(tmp_path / "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        for name, value in {"user.name": "Ann", "user.email": "ann@example.org", "gpg.format": "ssh"}.items():
            made.git("config", name, value)
        made.git("config", "user.signingkey", f"{key}.pub")
        made.git("add", "-A")
        made.git("commit", "-q", "-m", "Begin")
        yield made, place


@pytest.mark.slow
def test_a_project_whose_store_is_a_bucket_goes_the_whole_way(team):
    made, place = team
    assert "login    to the store, of .dvc/config.local" in made.pushforward("init")
    login = made.bare / "pushforward" / "keys" / "store.json"
    assert login.stat().st_mode & 0o777 == 0o600
    assert json.loads(login.read_text()) == {"access_key_id": "ann", "secret_access_key": "not-in-git"}

    said = made.push()
    assert "toy@v1.0.0" in made.tags(), said
    sent = [path for path in place.of("PUT") if "/files/md5/" in path]
    assert len(sent) == len(set(sent)) == 8  # data, holdout of three and its list, model of two and its list

    # a pull request reaches no network, and is judged all the same; what the server's cache lacks is brought into it
    shutil.rmtree(made.bare / "pushforward" / "cache")
    made.commit("params.yaml", "buckets: 2", "buckets: 6", "Use six buckets")
    place.forget()
    said = made.push("main:six")
    assert "beats toy@v1.0.0" in said
    assert "8 objects from the store: this run reaches no network" in said
    assert place.of("PUT") == []
    files = [path for path in (made.bare / "pushforward" / "runs").rglob("*") if path.is_file()]
    (told,) = (path for path in files if "not-in-git" in path.read_text())  # of the push to the default branch
    assert (told.parts[-2][:5], told.stat().st_mode & 0o777) == ("push-", 0o600)

    made.git("fetch", "-q", "--tags", "local")
    said = made.pushforward("release", "v1.0.0", "--detach")
    assert "production: toy@v1.0.0" in said
    said = made.pushforward("verify", "v1.0.0", "--quick")
    assert "8 objects in s3://bucket/dvc" in said
    assert "toy@v1.0.0 holds" in said
    said = made.pushforward("gc", "--dry-run")
    assert "the DVC remote 'store' is not a folder of this machine: what is in it was not looked at" in said
