"""Where a checkout keeps its data, as .dvc/config says."""

import pytest

from pushforward.errors import PushforwardError
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


@pytest.mark.parametrize(("text", "line"), [(b"no section\n", ":1"), (b"[core]\nwhat\n", ":2"), (b"\xff\xfe", "")])
@pytest.mark.parametrize("name", [".dvc/config", ".dvc/config.local"])
def test_settings_of_dvc_that_are_none_are_refused_with_their_line(tmp_path, text, line, name):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / name).write_bytes(text)
    with pytest.raises(PushforwardError) as refused:
        storage(tmp_path)
    assert refused.value.message == f"{name}{line}: it is no section and no setting"
    assert refused.value.next == f"edit {name}"
