"""The pages over HTTP and as files: read only, closed to other sites, the same bytes either way."""

import http.client
import importlib.util
import itertools
import re
import socket
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from posixpath import dirname, join, normpath

import pytest
from click.testing import CliRunner

from pushforward.commands.cli import main
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.views import web
from pushforward.views.pages import Setting, Site
from pushforward.views.underway import Desk, Step, Underway

SPEC = importlib.util.spec_from_file_location("web_team", Path(__file__).parents[2] / "benchmarks" / "web.py")
benchmark = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = benchmark  # its dataclasses look themselves up
SPEC.loader.exec_module(benchmark)

PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><title>ROC</title></svg>'


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    made = benchmark.team(tmp_path_factory.mktemp("team") / "team.git", runs=9, tags=6, pictures={"roc.svg": PICTURE})
    benchmark.looks(made, "2013-04_2013-05", ("hold",))
    return made


@contextmanager
def serving(folder, host="127.0.0.1"):
    server = web.listen(Site(Repository(folder)), host, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def port(story):
    with serving(story.folder) as port:
        yield port


def ask(port, path="/", method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def raw(port, request):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_page_comes_with_a_policy_that_lets_nothing_run(port):
    answer, content = ask(port)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = {part.split()[0]: part.split()[1:] for part in answer.headers["Content-Security-Policy"].split("; ")}
    assert (
        policy["default-src"] == policy["form-action"] == policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]
    )
    assert policy["style-src"] == policy["img-src"] == ["'self'"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert not [name for name in answer.headers if name.lower() in ("set-cookie", "access-control-allow-origin")]
    assert "Python" not in answer.headers["Server"]
    assert b"<h1>flight-delay</h1>" in content


def test_a_picture_opened_by_itself_may_only_paint(port, story):
    answer, content = ask(port, f"/plots/{story.commits[0]}/push/roc.svg")
    assert (answer.status, content, answer.headers["Content-Type"]) == (200, PICTURE, "image/svg+xml")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'unsafe-inline';")
    assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_a_head_is_the_page_without_its_content(port):
    whole, _ = ask(port, "/metrics.html")
    head, content = ask(port, "/metrics.html", "HEAD")
    assert content == b""
    assert head.headers["Content-Length"] == whole.headers["Content-Length"] != "0"


def test_a_page_that_has_not_changed_is_not_sent_again(port):
    first, _ = ask(port, "/models.html")
    again, content = ask(port, "/models.html", **{"If-None-Match": first.headers["ETag"]})
    assert (again.status, content) == (304, b"")
    assert ask(port, "/models.html", **{"If-None-Match": '"other"'})[0].status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"])
def test_only_reading_is_allowed(port, method):
    answer, _ = ask(port, "/", method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/../params.yaml",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/style.css%00",
        "/run/HEAD.html",
        "/templates/base.html",
        "/%ff%fe",
        "/<script>alert(1)</script>",
        "/a/b/c",
    ],
)
def test_what_is_not_there_is_a_page_too(port, path):
    answer, content = ask(port, path)
    assert answer.status == 404
    assert b"There is no such page" in content
    assert b"<script" not in content


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8765", "127.0.0.1", "127.0.0.1:80", "[::1]:9000"])
def test_this_machine_is_answered_by_any_of_its_names(port, host):
    assert ask(port, Host=host)[0].status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "localhost:x"])
def test_a_name_of_another_site_is_not_answered(port, host):
    answer, content = ask(port, Host=host)
    assert answer.status == 421
    assert b"flight-delay" not in content


def test_who_listens_for_others_is_answered_by_any_name(story):
    with serving(story.folder, "0.0.0.0") as port:
        assert ask(port, Host="pushforward.example")[0].status == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"<script> / x\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02",
        b"GET " + b"/" * 70_000,
    ],
)
def test_what_is_no_request_ends_the_connection_and_not_the_server(port, request_):
    said = raw(port, request_)
    assert re.match(rb"$|HTTP/1\.1 (4\d\d|505) ", said), said
    assert b"syntax" not in said
    assert ask(port)[0].status == 200


def test_a_broken_repository_is_an_answer_and_says_what_to_do(tmp_path, git):
    git(tmp_path, "init", "-q", "--bare", "gone.git")
    with serving(tmp_path / "gone.git") as port:
        assert ask(port)[0].status == 200
        (tmp_path / "gone.git" / "HEAD").unlink()
        answer, content = ask(port)
        assert answer.status == 500
        assert b"git -C" in content
        assert ask(port, "/style.css")[0].status == 200


def test_many_readers_at_once_get_the_same_page(port):
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(ask(port, "/pulls.html")[1])) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 12
    assert len(set(seen)) == 1


def test_a_taken_port_is_told(port, story):
    with pytest.raises(PushforwardError, match=f"cannot listen on 127.0.0.1:{port}"):
        web.listen(Site(Repository(story.folder)), "127.0.0.1", port)


def test_an_export_is_what_is_served_and_works_from_any_folder(story, port, tmp_path):
    folder = tmp_path / "deep" / "site"
    count = web.export(story.folder, folder)
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    assert files.pop(".nojekyll").read_bytes() == b""
    assert len(files) == count > 25
    for name, path in files.items():
        assert ask(port, f"/{name}")[1] == path.read_bytes(), name
        if name.endswith(".html"):
            text = path.read_text()
            assert text.index("Content-Security-Policy") < text.index("<link")
            links = re.findall(r'(?:href|src)="([^"#]*)', text)
            assert {normpath(join(dirname(name), link)) for link in links if link} <= files.keys()


def test_an_export_is_brought_up_to_date_and_spares_what_is_not_its_own(story, tmp_path):
    web.export(story.folder, tmp_path)
    (tmp_path / "CNAME").write_text("flights.example")
    (tmp_path / "models.html").write_text("old")
    web.export(story.folder, tmp_path)
    assert (tmp_path / "CNAME").read_text() == "flights.example"
    assert "flight-delay@v1.0.0" in (tmp_path / "models.html").read_text()
    assert not list(tmp_path.rglob(".*.new"))


def test_an_export_does_not_replace_somebody_elses_site(story, tmp_path):
    (tmp_path / "index.html").write_text("<h1>Mine</h1>")
    with pytest.raises(PushforwardError, match="is not of an earlier export"):
        web.export(story.folder, tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["index.html"]


def test_a_clone_is_read_at_its_server_and_by_itself_without_one(story, tmp_path, git):
    git(tmp_path, "clone", "-q", "-o", "local", str(story.folder), "clone")
    assert web.site_of(tmp_path / "clone")[1].repository.path == story.folder
    git(tmp_path / "clone", "remote", "set-url", "local", str(tmp_path / "moved.git"))
    assert web.site_of(tmp_path / "clone")[1].repository.path == tmp_path / "clone"
    assert web.site_of(story.folder)[1].repository.path == story.folder


def test_a_folder_without_git_is_refused(tmp_path):
    with pytest.raises(PushforwardError, match="is not a git repository"):
        web.site_of(tmp_path)


def test_the_command_exports(story, tmp_path, monkeypatch):
    monkeypatch.chdir(story.folder)
    done = CliRunner().invoke(main, ["web", "--export", str(tmp_path / "site")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "site" / "index.html").is_file()


def test_the_command_says_what_it_reads_and_where_it_is_and_ends_on_interrupt(story, monkeypatch):
    said = []

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(web.ThreadingHTTPServer, "serve_forever", interrupt)
    web.serve(story.folder, "127.0.0.1", 0, say=said.append)
    assert said[0] == f"reads    {story.folder}"
    assert re.fullmatch(r"open     http://127\.0\.0\.1:\d+/", said[1])


def test_what_is_served_may_ask_for_a_page_and_for_nothing_else(story):
    live = Underway("push-" + "a" * 40, "a", "push", "main", "", None, "running", "train", "", "", "", 1, 1, 2.0)
    marks = itertools.chain(["a", "b", "b"], itertools.repeat("c"))
    said = [Step("train.yml", "train", "fit", "running", 1.5, "epoch <1>")]
    desk = Desk(lambda: [live], lambda _: "epoch 1\n", lambda _: said, lambda: next(marks))
    site = Site(Repository(story.folder), setting=Setting(served=True, desk=desk))
    server = web.listen(site, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    port = server.server_address[1]
    try:
        answer, content = ask(port, "/index.html?verdict=hold&text=%3Cb%3E")
        assert answer.status == 200
        assert "form-action 'self';" in answer.headers["Content-Security-Policy"]
        assert b"form-action 'self'" in content
        assert b"<b>" not in content
        assert b'http-equiv="refresh"' not in content
        log, content = ask(port, "/log/push-" + "a" * 40 + ".html")
        assert log.status == 200
        assert b'<noscript><meta http-equiv="refresh" content="5"></noscript>' in content
        assert b"epoch 1" in content
        assert b'<a href="#step-1">fit</a>' in content
        assert re.search(rb'<details id="step-1" open>.*epoch &lt;1&gt;', content, re.DOTALL)
        assert ask(port, "/live.js")[0].headers["Content-Type"].startswith("text/javascript")
        with socket.create_connection(("127.0.0.1", port), timeout=20) as listener:
            listener.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            heard = b""
            while b"data: c" not in heard:
                heard += listener.recv(4096)
        assert b"Content-Type: text/event-stream" in heard
        assert re.findall(rb"data: (\w)", heard) == [b"a", b"b", b"c"]  # at first, and where something is new
        assert ask(port, "/log/push-" + "b" * 40 + ".html")[0].status == 404
        feed, _ = ask(port, "/feed.xml")
        assert feed.headers["Content-Type"].startswith("application/atom+xml")
        assert ask(port, "/feed.xml", **{"If-None-Match": feed.headers["ETag"]})[0].status == 304
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_code_of_a_pull_request_is_fetched_from_where_no_branch_has_it(tmp_path, git):
    allow = ("-c", "protocol.ext.allow=always")
    made = benchmark.Story(tmp_path / "hub.git")
    first = made.commit("Begin")
    tried = made.commit("Try", branch="try", start=first)
    made.write_commits()
    old, new = made.commits[first], made.commits[tried]
    champion = benchmark.Champion("v", old)
    made.note(old, [benchmark.written(benchmark.verdict(old, "promote", gain=None))])
    told = benchmark.verdict(new, "hold", ref="refs/heads/try", pull=1, champion=champion)
    made.note(new, [benchmark.written(told)])
    bare = made.write()
    git(bare, "update-ref", "refs/pull/1/head", new)
    git(bare, "update-ref", "-d", "refs/heads/try")
    git(tmp_path, *allow, "clone", "-q", *allow, f"ext::git %s {bare}", "clone")
    clone = tmp_path / "clone"
    assert Repository(clone).objects([new]) == [None]
    site, _ = web.site_of(clone)
    assert not site.history.whole
    page = site.answer("pull/1.html").content.decode()
    assert '<pre class="diff"' in page
    assert Repository(clone).refs("refs/pull") == []
    # what the forge has lost too is no reason to go without pages
    git(bare, "update-ref", "-d", "refs/pull/1/head")
    git(tmp_path, *allow, "clone", "-q", *allow, f"ext::git %s {bare}", "later")
    site, _ = web.site_of(tmp_path / "later")
    assert site.answer("pull/1.html") is not None
    assert '<pre class="diff"' not in site.answer("pull/1.html").content.decode()
