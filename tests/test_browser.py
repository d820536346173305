"""The web page in a real browser: headless Chromium, spoken to over its DevTools pipe.

Skipped where there is no Chromium: `apt-get install chromium`. With SCREENSHOTS=folder the pictures of all pages are
kept there, in light and dark, wide and narrow.
"""

import base64
import dataclasses
import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pushforward.gate.loss import LOSSES
from pushforward.gate.verdict import Champion
from pushforward.git.repository import Repository
from pushforward.report import plots
from pushforward.views import web
from pushforward.views.pages import Setting, Site
from pushforward.views.underway import Desk, Step, Underway

LIMIT_SECONDS = 240
WIDTHS = (360, 768, 1280)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.whole,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium"),
]


def module(name, path):
    """A file that is no part of a package, as a module."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded  # its dataclasses look themselves up
    spec.loader.exec_module(loaded)
    return loaded


benchmark = module("browser_benchmark", "../benchmarks/web.py")
golden = module("browser_golden", "report/test_golden.py")


# The protocol is spoken on descriptors 3 and 4.
PIPES = """\
import fcntl, os, sys
heard, said = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(heard, 3)
os.dup2(said, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """Headless Chromium with one tab."""

    def __init__(self, folder):
        ours, theirs = os.pipe(), os.pipe()
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            f"--user-data-dir={folder}",
            "--remote-debugging-pipe",
            "about:blank",
        ]
        command = [sys.executable, "-c", PIPES, str(ours[0]), str(theirs[1]), CHROMIUM, *options]
        self.process = subprocess.Popen(command, pass_fds=(ours[0], theirs[1]), stderr=subprocess.DEVNULL)
        self._watch = threading.Timer(LIMIT_SECONDS, self.process.kill)
        self._watch.daemon = True
        self._watch.start()
        os.close(ours[0])
        os.close(theirs[1])
        self._out, self._in = os.fdopen(ours[1], "wb", 0), os.fdopen(theirs[0], "rb")
        self._number, self._session, self.events = itertools.count(1), None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        self._session = None
        self.call("Browser.close")
        self.process.wait(20)
        self._watch.cancel()
        self._out.close()
        self._in.close()

    def call(self, method, **params):
        number = next(self._number)
        asked = {"id": number, "method": method, "params": params}
        if self._session:
            asked["sessionId"] = self._session
        self._out.write(json.dumps(asked).encode() + b"\0")
        while (said := self._read()).get("id") != number:
            self.events.append(said)
        assert "error" not in said, (method, said)
        return said["result"]

    def _read(self):
        parts = bytearray()
        while (byte := self._in.read(1)) not in (b"\0", b""):
            parts += byte
        assert parts, "chromium is gone"
        return json.loads(parts)

    def open(self, url):
        """Go to a page; the events until it and everything it asked for had been loaded."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())
        self.call("Runtime.evaluate", expression="1")
        return list(self.events)

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def size(self, width, height=900):
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def scheme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def screenshot(self, path):
        shot = base64.b64decode(self.call("Page.captureScreenshot")["data"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(shot)
        return shot

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=9)


def complaints(events):
    """What the browser's console says, and dialogs, which only a script can open."""
    kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Page.javascriptDialogOpening")
    return [event for event in events if event.get("method") in kinds]


def requests(events):
    return [event["params"]["request"]["url"] for event in events if event.get("method") == "Network.requestWillBeSent"]


@contextmanager
def serving(folder, desk=None):
    setting = Setting(served=True, desk=desk or Desk())
    server = web.listen(Site(Repository(folder), setting=setting), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def pictures():
    """Real plots of made-up predictions."""
    dice = np.random.default_rng(1)
    truth = dice.normal(size=3000)
    y = (dice.random(3000) < 1 / (1 + np.exp(1.2 - truth))).astype(np.int64)
    champion, challenger = (1 / (1 + np.exp(1.2 - truth * skill)) for skill in (0.6, 0.9))
    days = np.array([f"2013-03-{day:02d}" for day in dice.integers(1, 32, 3000)])
    curve = b"round,validation,train\n" + b"".join(
        b"%d,%.4f,%.4f\n" % (n, 0.5 - n / 900, 0.49 - n / 800) for n in range(60)
    )
    weights = b"feature,contribution\nlast_leg,0.41\norigin_delays,0.3\n<script>alert(1)</script>,0.2\n"
    return plots.draw(
        y,
        challenger,
        champion,
        days,
        loss=LOSSES["logloss"],
        learning={"challenger": curve},
        importance={"challenger": weights},
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A team's repository, and one pull request whose every text is hostile."""
    drawn = pictures()
    story = benchmark.team(tmp_path_factory.mktemp("team") / "team.git", runs=24, tags=12, pictures=drawn)
    commit = story.commits[-1]
    nasty = dataclasses.replace(golden.HOSTILE_VERDICT, event="pull_request", pull=999, champion=Champion("v1", commit))
    story.note(commit, [benchmark.written(nasty, golden.HOSTILE_CONTEXT)])
    story.draw(commit, {f"pull_request/plots/{name}": content for name, content in drawn.items()})
    story.write()
    benchmark.looks(story, "2013-03_2013-04", ("hold", "unknown", "promote"), promoted="flight-delay@v1.1.0")
    benchmark.looks(story, "2013-04_2013-05", ("hold", "unknown", "calibration-only", ""))
    return story.folder


@pytest.fixture(scope="module")
def paths(repository):
    """One page of each kind, the richest of its kind, and the hostile ones."""
    snapshot = Site(Repository(repository)).history.snapshot()
    hostile = next(run for run in snapshot.runs if run.pull == 999)
    compared = next(path for path, _ in Site(Repository(repository)).everything() if path.startswith("compare/"))
    made = next(run for run in snapshot.runs if run.version and run.loss.gain is not None)
    pull = max((pull for pull in snapshot.pulls if pull.number != 999), key=lambda pull: len(pull.runs))
    return {
        "runs": "index.html",
        "pulls": "pulls.html",
        "pull": f"pull/{pull.number}.html",
        "run": f"run/{made.commit}.html",
        "models": "models.html",
        "version": f"version/{made.version}.html",
        "environment": "environment/staging.html",
        "metrics": "metrics.html",
        "holdouts": "holdouts.html",
        "verdict": "verdict/hold.html",
        "compare": compared,
        "hostile pull": "pull/999.html",
        "hostile run": f"run/{hostile.commit}.html",
    }


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def exported(repository, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    web.export(repository, folder)
    return folder


INERT = """[
  document.scripts.length,
  [...document.querySelectorAll("*")].filter(e => [...e.attributes].some(a => /^on|^style$/i.test(a.name))).length,
  document.querySelectorAll("iframe, object, embed, form:not(.search[method=get]), base, " +
    "a[href^='javascript:']").length,
]"""
DRAWN = """Promise.all([...document.images].map(i => (
  i.loading = "eager", i.decode().then(() => [i.naturalWidth, i.clientWidth, i.alt.length])
)))"""


def test_every_page_opens_clean_wherever_it_lies(browser, repository, paths, exported):
    with serving(repository) as address:
        for base in (address, f"file://{exported}/"):
            for path in paths.values():
                events = browser.open(base + path)
                assert not complaints(events), (base, path)
                asked = requests(events)
                assert base + path in asked
                assert all(url.startswith(base) for url in asked), asked
                assert browser.evaluate("getComputedStyle(document.body).display") == "flex", (
                    "its style sheet is missing"
                )
                assert browser.evaluate("document.querySelector('h1').getClientRects().length") > 0


def test_hostile_names_do_nothing(browser, repository, paths):
    with serving(repository) as address:
        for path in paths.values():
            events = browser.open(address + path)
            assert browser.evaluate(INERT) == [0, 0, 0], path
            assert not [event for event in events if event.get("method") == "Page.javascriptDialogOpening"]
        browser.open(address + paths["hostile pull"])
        assert "<script>alert(1)</script>" in browser.evaluate("document.body.innerText")
        assert "\u202e" not in browser.evaluate("document.body.textContent")


def test_plots_are_seen_and_open_in_full(browser, repository, paths):
    with serving(repository) as address:
        for name in ("run", "pull", "hostile pull"):
            browser.open(address + paths[name])
            seen = browser.evaluate(DRAWN)
            assert len(seen) == 6
            assert all(natural >= 300 and shown >= 100 and said for natural, shown, said in seen), seen
        whole = browser.evaluate("document.querySelector('.plot').href")
        assert not complaints(browser.open(whole))
        assert browser.evaluate("document.documentElement.tagName") == "svg"
        assert browser.evaluate("document.querySelectorAll('script').length") == 0


def test_a_reader_finds_runs_and_compares_them_without_a_script(browser, repository):
    with serving(repository) as address:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
        for page, fields, said in (
            ("index.html", {"select[name=verdict]": "hold", "input[name=text]": "e"}, " runs"),
            ("compare.html", {"input[name=a]": "v1.0.0", "input[name=b]": "v1.1.0"}, "v1.0.0 beside v1.1.0"),
        ):
            browser.open(address + page)
            for field, value in fields.items():
                browser.evaluate(f"document.querySelector({json.dumps(field)}).value = {json.dumps(value)}")
            browser.events.clear()
            browser.evaluate("document.querySelector('form.search button').click()")
            while not any(event.get("method") == "Page.loadEventFired" for event in browser.events):
                browser.events.append(browser._read())
            assert not complaints(browser.events)
            assert page + "?" in browser.evaluate("location.href")
            assert said in browser.evaluate("document.querySelector('main').innerText")
            shown = browser.evaluate("[...document.querySelectorAll('.list .badge')].map(e => e.innerText)")
            assert set(shown) <= {"Hold"}


def test_what_decides_is_on_the_screen_of_a_phone(browser, repository, paths):
    with serving(repository) as address:
        browser.size(390)
        browser.open(address + paths["run"])
        places = browser.evaluate(
            "[...document.querySelectorAll('.numbers .interval, .numbers td.soft')].map(e => e.getBoundingClientRect())"
            ".map(r => [r.left, r.right])"
        )
        assert places
        assert all(0 <= left < right <= 390 for left, right in places)
        browser.open(address + paths["metrics"])
        charts = browser.evaluate(
            "[...document.querySelectorAll('.trend svg.narrow, .trend svg.wide')].map(e => e.getBoundingClientRect())"
            ".filter(r => r.width).map(r => [r.left, r.right])"
        )
        assert len(charts) == 3
        assert all(0 <= left < right <= 390 for left, right in charts)
    browser.size(1280)


def test_links_work_by_clicking(browser, repository, paths):
    with serving(repository) as address:
        browser.open(address)
        for click, ends in (
            (".list .change > a", ".html"),
            ("nav a[href$='models.html']", "/models.html"),
            (".card h2 a", "/environment/staging.html"),
            (".chain .tag", ".html"),
            ("nav a[href$='holdouts.html']", "/holdouts.html"),
            (".brand", "/index.html"),
        ):
            url = browser.evaluate(f"document.querySelector({json.dumps(click)}).href")
            assert url.endswith(ends)
            browser.events.clear()
            browser.evaluate(f"document.querySelector({json.dumps(click)}).click()")
            while not any(event.get("method") == "Page.loadEventFired" for event in browser.events):
                browser.events.append(browser._read())
            assert browser.evaluate("location.href") == url
            assert not complaints(browser.events)


def test_dark_is_dark_and_light_is_light(browser, repository, paths):
    with serving(repository) as address:
        for path in paths.values():
            grounds = []
            for scheme in ("light", "dark"):
                browser.scheme(scheme)
                browser.open(address + path)
                color = browser.evaluate("getComputedStyle(document.body).backgroundColor")
                grounds.append(sum(map(int, color.removeprefix("rgb(").removesuffix(")").split(","))))
            assert grounds[0] > 700
            assert grounds[1] < 100
    browser.scheme("light")


def test_no_page_is_wider_than_its_window(browser, repository, paths):
    with serving(repository) as address:
        for width, path in itertools.product(WIDTHS, paths.values()):
            browser.size(width)
            browser.open(address + path)
            assert browser.evaluate("document.documentElement.scrollWidth") <= width, (width, path)
    browser.size(1280)


def test_a_keyboard_reaches_the_content_first(browser, repository):
    with serving(repository) as address:
        browser.open(address)
        browser.press("Tab")
        assert browser.evaluate("document.activeElement.className") == "skip"
        assert browser.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
        browser.evaluate("document.activeElement.click()")
        assert browser.evaluate("location.hash") == "#main"
        browser.press("Tab")
        assert browser.evaluate("document.querySelector('main').contains(document.activeElement)")
        assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_screen_reader_finds_its_way(browser, repository):
    with serving(repository) as address:
        browser.open(address)
        nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
        roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
        for role in ("banner", "navigation", "main", "contentinfo"):
            assert roles.count(role) == 1, role
        names = [node["name"]["value"] for node in nodes if node.get("role", {}).get("value") == "image"]
        assert any("looks used" in name for name in names)


def test_a_page_needs_no_script(browser, repository, paths):
    with serving(repository) as address:
        for path in paths.values():
            heights = []
            for off in (False, True):
                browser.call("Emulation.setScriptExecutionDisabled", value=off)
                browser.open(address + path)
                heights.append(browser.call("Page.getLayoutMetrics")["cssContentSize"]["height"])
            browser.call("Emulation.setScriptExecutionDisabled", value=False)
            assert heights[0] == heights[1] > 400


APPEARS = """new Promise(done => {
  const seen = () => document.querySelector("main").innerText.includes(%s) && done(true);
  new MutationObserver(seen).observe(document.body, {childList: true, subtree: true});
  seen();
  setTimeout(() => done(document.querySelector("main").innerText), 20000);
})"""


def test_what_is_new_of_a_run_is_seen_without_a_reload(browser, repository, tmp_path):
    key = f"push-{'a' * 40}"
    told = {"key": key, "name": "aaaaaaaaa", "event": "push", "branch": "main", "commit": "a" * 40, "pull": None}
    times = {"place": "", "asked": 1385856000, "started": 1385856001, "seconds": 2.0}
    run = Underway(**told, state="running", stage="train.yml", verdict="", reason="", **times)
    steps = [
        Step("train.yml", "train", "set up", "success", 0.4, "ready"),
        Step("train.yml", "train", "fit", "running", 1.0),
    ]
    runs = [run]
    desk = Desk(lambda: [*runs], lambda _: "job train", lambda _: [*steps], lambda: f"{runs[0].state} {len(steps)}")
    kept = Path(os.environ.get("SCREENSHOTS", "") or tmp_path)
    with serving(repository, desk) as address:
        events = browser.open(f"{address}log/{key}.html")
        assert complaints(events) == []
        browser.evaluate("document.getElementById('step-1').open = true; window.stayed = true")
        browser.screenshot(kept / "log-live.png")
        steps[1:] = [
            Step("train.yml", "train", "fit", "failure", 7.5, "out of rows"),
            Step("train.yml", "train", "tidy", "running", 0.1),
        ]
        assert browser.evaluate(APPEARS % json.dumps("out of rows")) is True
        assert browser.evaluate("[window.stayed, document.getElementById('step-1').open]") == [True, True]
        runs[0] = dataclasses.replace(run, state="done", verdict="invalid", reason="fit failed")
        assert browser.evaluate(APPEARS % json.dumps("Fit failed")) is True
        browser.open(f"{address}queue.html")
        runs[0] = run
        assert browser.evaluate(APPEARS % json.dumps("running")) is True
        browser.screenshot(kept / "queue-live.png")
        assert complaints(browser.events) == []
        browser.call("Emulation.setScriptExecutionDisabled", value=True)
        browser.open(f"{address}log/{key}.html")
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
        assert browser.evaluate("document.querySelector('noscript meta')?.httpEquiv") == "refresh"
        browser.open("about:blank")


def test_pages_are_painted(browser, repository, paths, tmp_path):
    kept = os.environ.get("SCREENSHOTS", "")
    looks = itertools.product(("light", "dark"), (1280, 390)) if kept else (("light", 1280), ("dark", 390))
    with serving(repository) as address:
        for (scheme, width), (name, path) in itertools.product(looks, paths.items()):
            browser.scheme(scheme)
            browser.size(width)
            browser.open(address + path)
            browser.size(width, min(2400, browser.evaluate("document.documentElement.scrollHeight")))
            shot = browser.screenshot(Path(kept or tmp_path) / f"{name.replace(' ', '-')}-{scheme}-{width}.png")
            assert len(shot) > 10_000, (name, "an empty page is smaller")
    browser.size(1280)
    browser.scheme("light")
