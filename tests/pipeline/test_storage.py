"""Where a checkout keeps its data, as .dvc/config says."""

from pushforward.pipeline.storage import storage


def test_all_options_of_a_remote_go_along_and_relative_places_become_absolute(tmp_path):
    root = tmp_path / "a,b" / "clone"
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc" / "config").write_text(
        '[core]\n    remote = s\n[cache]\n    dir = ../../cache\n[\'remote "s"\']\n    url = "../../store #1"\n'
        "['remote \"other\"']\n    url = s3://other\n"
    )
    (root / ".dvc" / "config.local").write_text("['remote \"s\"']\n    jobs = 4\n    verify = true\n")
    there = storage(root)
    assert there.cache == tmp_path / "a,b" / "cache"
    assert there.options == {"url": f"{tmp_path}/a,b/store #1", "jobs": "4", "verify": "true"}
    (tmp_path / "x" / ".dvc").mkdir(parents=True)
    (tmp_path / "x" / ".dvc" / "config").write_text(there.config())
    assert storage(tmp_path / "x") == there
    from dvc.config import Config

    read = Config(dvc_dir=str(tmp_path / "x" / ".dvc"))
    assert (read["cache"]["dir"], read["core"]["remote"]) == (str(there.cache), "s")
    assert {key: str(read["remote"]["s"][key]).lower() for key in there.options} == there.options
