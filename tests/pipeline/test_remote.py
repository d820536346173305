"""The DVC remote, tried before anything is made for it: a folder, and a store on the web that takes what is put."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pushforward.errors import TOOL, PushforwardError
from pushforward.judge import handover
from pushforward.pipeline import dvc as pipeline


class Shelf(BaseHTTPRequestHandler):
    """What is put is there; `kept` is by path, `refuses` the status that a PUT gets, `spoils` loses its end."""

    def do_PUT(self):
        size = self.headers["Content-Length"]
        content = self._chunks() if size is None else self.rfile.read(int(size))
        self.server.asked.append(("PUT", self.path))
        if not self.server.refuses:
            self.server.kept[self.path] = content[:-1] if self.server.spoils else content
        self._answer(self.server.refuses or 201)

    def do_GET(self):
        self.server.asked.append((self.command, self.path))
        content = self.server.kept.get(self.path)
        self._answer(404 if content is None else 200, content or b"")

    do_HEAD = do_GET  # noqa: N815

    def _chunks(self):
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _answer(self, status, content=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def shelf():
    with ThreadingHTTPServer(("127.0.0.1", 0), Shelf) as server:
        server.kept, server.asked, server.refuses, server.spoils = {}, [], 0, False
        server.url = f"http://ann:secret@127.0.0.1:{server.server_port}/dvc"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def project(tmp_path, git):
    """A project of one stage that tells that it ran."""
    folder = tmp_path / "project"
    (folder / ".dvc").mkdir(parents=True)
    (folder / "dvc.yaml").write_text("stages:\n  one:\n    cmd: touch ran.txt\n    outs: [ran.txt]\n")
    (folder / ".gitignore").write_text("/ran.txt\n")
    git(folder, "init", "-q")
    config(folder, "../../store")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Begin")
    return folder


def config(folder, url, more=""):
    (folder / ".dvc" / "config").write_text(
        f"[core]\n    remote = s\n    analytics = false\n['remote \"s\"']\n    url = {url}\n{more}"
    )


def run(folder, *, push=True):
    return pipeline.reproduce(folder, pull=False, push=push, say=lambda _: None)


def refused(folder):
    with pytest.raises(PushforwardError) as told:
        run(folder)
    assert not (folder / "ran.txt").exists(), "told before anything ran"
    assert told.value.exit_code == TOOL
    assert "pushforward check --github" in told.value.next
    return told.value.message


def test_a_folder_that_is_not_there_is_told_before_anything_runs(project):
    assert refused(project) == "the DVC remote ../store does not exist"
    assert not (project.parent / "store").exists(), "DVC would have made one"


def test_what_is_not_to_be_pushed_asks_no_store(project):
    assert run(project, push=False).outcome == "ok"


def test_a_store_on_the_web_is_written_and_read_before_anything_runs(project, shelf):
    config(project, shelf.url, "    method = PUT\n")
    assert run(project).outcome == "ok"
    assert shelf.asked[0] == ("PUT", "/dvc/pushforward-was-here")
    assert shelf.kept["/dvc/pushforward-was-here"] == b"pushforward tries whether it can write here\n"
    assert any(path.startswith("/dvc/files/md5/") for path in shelf.kept)


def test_a_store_that_takes_nothing_is_named_without_its_password(project, shelf):
    config(project, shelf.url, "    method = PUT\n")
    shelf.refuses = 403
    told = refused(project)
    assert told.startswith(f"the DVC remote s (http://127.0.0.1:{shelf.server_port}/dvc) cannot be reached: ")
    assert "secret" not in told


def test_a_store_that_spoils_what_it_takes_is_told(project, shelf):
    config(project, shelf.url, "    method = PUT\n")
    shelf.spoils = True
    assert refused(project).endswith("gives back other bytes than it took")


def test_a_store_that_nobody_reaches_is_told(project):
    config(project, "http://127.0.0.1:1/dvc", "    method = PUT\n")
    assert "the DVC remote s (http://127.0.0.1:1/dvc) cannot be reached: " in refused(project)


def test_a_store_is_reached_without_a_run(project, shelf):
    config(project, shelf.url, "    method = PUT\n")
    assert pipeline.reach(project, write=True) == f"http://127.0.0.1:{shelf.server_port}/dvc"
    shelf.refuses = 500
    with pytest.raises(PushforwardError, match="cannot be reached"):
        pipeline.reach(project, write=True)
    (project.parent / "store").mkdir()
    config(project, "../../store")
    assert pipeline.reach(project, write=True) == str(project.parent / "store")
    (project / ".dvc" / "config").write_text("")
    assert pipeline.reach(project, write=True) == ""


@pytest.mark.parametrize(("run", "left"), [("", True), ("abc", False)], ids=["forge", "server"])
def test_a_runner_of_a_forge_leaves_for_the_judge_what_it_lacks(tmp_path, monkeypatch, run, left):
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("PUSHFORWARD_RUN", run)
    told = PushforwardError("the DVC remote ../store does not exist", next="pushforward check", exit_code=TOOL)
    with pytest.raises(PushforwardError), handover.refusal(tmp_path, "a" * 40):
        raise told
    assert (tmp_path / handover.RECORD).is_file() == left
    if left:
        assert told.message in (tmp_path / handover.RECORD).read_text()
