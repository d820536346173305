"""A server that looks at what is in use by itself: the schedule, the jail, the log in the store, the record in git."""

import subprocess
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from tests.team import ROOT

from pushforward.git.repository import Repository
from pushforward.git.server import Server
from pushforward.monitoring import kept, tables
from pushforward.server import pending, runs

pytestmark = pytest.mark.slow  # two real pushes, and a run of a schedule

OUTCOMES = """\
import sys

import polars as pl

asked, came = (pl.read_parquet(f"data/holdout/{name}.parquet") for name in ("rows", "labels"))
told = came.join(asked.select("id", "at"), on="id").with_columns(known_at=pl.col("at") + pl.duration(hours=3))
told.select("id", "y", "date", "known_at").write_parquet(sys.argv[1])
"""
MONITOR = """\
monitor:
  reference: data/rows.parquet
  log: remote://store/serving-log
  outcomes: python outcomes.py {out}
  needs: [data/holdout]
server: {workflows: [train, judge, monitor]}
"""
CRON = "43 5 * * *"


def _log(store):
    """Fifty answers a day of March and April 2020: half of what is asked, whatever it is."""
    start = datetime(2020, 3, 1, tzinfo=UTC)
    keys = [f"2020-{3 + day // 31:02d}-{50 * (day % 31) + place}" for day in range(61) for place in range(50)]
    moments = [start + timedelta(days=day, minutes=29 * place) for day in range(61) for place in range(50)]
    frame = pl.DataFrame(
        {
            "at": pl.Series(moments, dtype=tables.INSTANT),
            "request": keys,
            "version": ["toy@v1.0.0"] * len(keys),
            "arm": ["main"] * len(keys),
            "key": keys,
            "time": pl.Series(moments, dtype=tables.INSTANT),
            "p": [0.5] * len(keys),
            "row.x": [0.5] * len(keys),
        }
    )
    folder = store / "serving-log" / "2020-03-01"
    folder.mkdir(parents=True)
    frame.write_parquet(folder / "000000-000000-1.parquet")


def test_a_server_looks_every_morning_and_keeps_what_it_finds(promoted):
    team, server = promoted, Server.load(promoted.bare)
    _log(team.clone.parent / "store")
    key = team.clone.parent / "ann"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    team.git("config", "gpg.format", "ssh")
    team.git("config", "user.signingkey", f"{key}.pub")
    team.pushforward("trust", f"{key}.pub")
    team.pushforward("release", "v1.0.0")
    (team.clone / "outcomes.py").write_text(OUTCOMES)
    settings = team.clone / "pushforward.yaml"
    settings.write_text(settings.read_text() + MONITOR)
    workflow = team.clone / ".github" / "workflows" / "monitor.yml"
    assert workflow.read_text() == (ROOT / ".github" / "workflows" / "monitor.yml").read_text()
    team.git("add", "-A")
    team.git("commit", "-q", "-m", "Look every morning")
    team.push()
    team.rest()
    due = f"monitor.yml {CRON}"
    assert due in pending.remembered(server)
    pending.remember(server, {due: (datetime.now(UTC) - timedelta(days=2)).strftime(pending.DUE)})
    team.pushforward("dispatch")

    (ran,) = [run for run in runs.listed(server) if run.job.event == "schedule" and run.job.file == "monitor.yml"]
    assert ran.verdict == "success", "".join(runs.log(server, ran, follow=False))
    (found,) = kept.looks(Repository(team.bare), "production")
    assert (found.version, found.run) == ("toy@v1.0.0", ran.job.key)
    assert found.live is not None, found.reasons
    assert found.live.wait.age == timedelta(hours=3)
    assert (found.live.asked, found.live.missing) == (3050, 0)
    assert found.live.loss.mean == pytest.approx(0.693147, abs=1e-6)
    assert found.live.loss.clusters == 61
    assert "rows.parquet has no column at" in " ".join(reason.words for reason in found.reasons)
