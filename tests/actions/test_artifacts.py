"""Artifacts as folders: what is taken, what is left out, what is refused."""

import os
from pathlib import Path

import pytest

from pushforward.actions import artifacts
from pushforward.errors import PushforwardError


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    for name in ("out/a.txt", "out/deep/b.txt", "out/.hidden", "metrics/m.json", "top.md"):
        path = tmp_path / "workspace" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "workspace"


def held(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("out", ["a.txt", "deep/b.txt"]),
        ("out/", ["a.txt", "deep/b.txt"]),
        ("out/a.txt", ["a.txt"]),
        ("out/**/*.txt", ["a.txt", "deep/b.txt"]),
        ("out/*", ["a.txt", "deep/b.txt"]),
        ("out\nmetrics\n", ["metrics/m.json", "out/a.txt", "out/deep/b.txt"]),
        ("out/a.txt\ntop.md", ["out/a.txt", "top.md"]),
        ("out\n!out/deep/**", ["a.txt"]),
        ("./out/deep", ["b.txt"]),
    ],
)
def test_an_artifact_holds_what_its_patterns_name(
    workspace: Path, tmp_path: Path, path: str, expected: list[str]
) -> None:
    artifacts.upload({"name": "x", "path": path}, workspace, tmp_path / "store")
    assert held(tmp_path / "store/x") == expected


def test_hidden_files_are_taken_if_asked_for(workspace: Path, tmp_path: Path) -> None:
    artifacts.upload({"path": "out", "include-hidden-files": "true"}, workspace, tmp_path / "store")
    assert held(tmp_path / "store/artifact") == [".hidden", "a.txt", "deep/b.txt"]


def test_links_are_neither_followed_nor_kept(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    (workspace / "out/link").symlink_to(tmp_path / "outside/secret")
    (workspace / "out/folder").symlink_to(tmp_path / "outside")
    artifacts.upload({"name": "x", "path": "out"}, workspace, tmp_path / "store")
    assert held(tmp_path / "store/x") == ["a.txt", "deep/b.txt"]


def test_nothing_found_is_an_error_a_warning_or_nothing(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = {"path": "absent/**"}
    with pytest.raises(PushforwardError, match=r"no files were found with absent/\*\*"):
        artifacts.upload({**inputs, "if-no-files-found": "error"}, workspace, tmp_path)
    assert artifacts.upload({**inputs, "if-no-files-found": "ignore"}, workspace, tmp_path) == 0
    assert capsys.readouterr().out == ""
    assert artifacts.upload(inputs, workspace, tmp_path) == 0
    assert capsys.readouterr().out.startswith("::warning::no files")


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "a\nb", "a:b"])
def test_a_name_that_leads_elsewhere_is_refused(workspace: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(PushforwardError, match="is not allowed"):
        artifacts.upload({"name": name, "path": "out"}, workspace, tmp_path)
    with pytest.raises(PushforwardError, match="there is no artifact"):
        artifacts.download({"name": name}, workspace, tmp_path)


def test_an_artifact_is_replaced_only_if_asked_for(workspace: Path, tmp_path: Path) -> None:
    artifacts.upload({"name": "x", "path": "out"}, workspace, tmp_path / "store")
    with pytest.raises(PushforwardError, match="exists already"):
        artifacts.upload({"name": "x", "path": "metrics"}, workspace, tmp_path / "store")
    artifacts.upload({"name": "x", "path": "metrics", "overwrite": "true"}, workspace, tmp_path / "store")
    assert held(tmp_path / "store/x") == ["m.json"]


def test_artifacts_come_back_one_by_name_or_several_by_pattern(workspace: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    for name, path in (("m-1", "out/a.txt"), ("m-2", "metrics"), ("other", "top.md")):
        artifacts.upload({"name": name, "path": path}, workspace, store)
    artifacts.download({"name": "m-1", "path": "one"}, tmp_path, store)
    artifacts.download({"pattern": "m-*", "path": "several"}, tmp_path, store)
    artifacts.download({"merge-multiple": "true", "path": "flat"}, tmp_path, store)
    assert held(tmp_path / "one") == ["a.txt"]
    assert held(tmp_path / "several") == ["m-1/a.txt", "m-2/m.json"]
    assert held(tmp_path / "flat") == ["a.txt", "m.json", "top.md"]


def test_scrubbing_leaves_plain_files_and_folders(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "a").mkdir(parents=True)
    (store / "a/file").write_text("x")
    (store / "a/link").symlink_to("/etc/passwd")
    (store / "folder").symlink_to("/etc")
    os.mkfifo(store / "a/pipe")
    artifacts.scrub(store)
    assert sorted(path.name for path in store.rglob("*")) == ["a", "file"]
    assert Path("/etc/passwd").exists()
