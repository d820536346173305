"""What a commit needs and its store does not have: the workflows that a server is to run."""

from pushforward.judge import stock

RUNS = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: make\n"
CANNOT = RUNS.replace("- run: make", "- uses: actions/deploy-pages@cd2ce8fcbc39b97be8ca5fce6e763baed58fa128")


def test_only_a_workflow_that_a_server_runs_has_to_run_on_one(tmp_path):
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    for name in ("train.yml", "judge.yaml", "pages.yml"):
        (folder / name).write_text(RUNS if name == "train.yml" else CANNOT)
    tree = [f".github/workflows/{name}" for name in ("train.yml", "judge.yaml", "pages.yml")]
    ((path, problem),) = stock.workflows(tmp_path, [*tree, "train.yml"], ["train", "judge"])
    assert path == ".github/workflows/judge.yaml"
    assert "actions/deploy-pages" in problem
    assert [path for path, _ in stock.workflows(tmp_path, tree, ["train", "pages"])] == [".github/workflows/pages.yml"]
