"""The page in data/: every out of the pipeline is on it, with who makes it; git holds no other file there."""

import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from flights import schema
from flights.catalog import FEATURES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "data" / "README.md").read_text()
ROWS = re.findall(r"^\| `([^`]+)` \| \[(\w+)\]\(([^)]+)\) \|", PAGE, re.MULTILINE)


def outs():
    """Path below data/ -> its stage, of every out in dvc.yaml; a month is MONTH."""
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    bodies = {name: stage.get("do", stage) for name, stage in stages.items()}
    named = {out.replace("${item}", "MONTH"): name for name, body in bodies.items() for out in body.get("outs", [])}
    return {path.removeprefix("data/"): name for path, name in named.items() if path.startswith("data/")}


def test_the_page_has_every_out_and_the_stage_that_makes_it():
    assert {path: stage for path, stage, _ in ROWS} == outs()
    assert {link for _, stage, link in ROWS if link != f"../src/flights/{stage}.py"} == set()


def test_links_lead_somewhere():
    links = set(re.findall(r"\]\((?!https:)([^)]+)\)", PAGE))
    assert [link for link in sorted(links) if not (ROOT / "data" / link).exists()] == []


@pytest.mark.parametrize(
    ("table", "columns"), [("rows", schema.ROWS), ("events", schema.EVENTS), ("labels", schema.LABELS)]
)
def test_columns_are_those_of_the_schema(table, columns):
    (told,) = re.findall(rf"^\| {table} \| (.+) \|$", PAGE, re.MULTILINE)
    assert re.findall(r"`(\w+)`", told) == list(columns)


def test_the_number_of_features_is_right():
    assert f"{len(FEATURES)} features" in PAGE


def test_git_ignores_the_outs_and_holds_the_page_alone():
    paths = [f"data/{path.replace('MONTH', '2013-01')}" for path in outs()]
    asked = ["git", "-C", str(ROOT), "check-ignore", "--no-index", *paths, *(f"{path}/inside" for path in paths)]
    ignored = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    assert ignored == [*paths, *(f"{path}/inside" for path in paths)]
    listed = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "data"]
    held = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
    assert held == ["data/.gitignore", "data/README.md"]
