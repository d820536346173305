"""A version holds wherever it is verified; one bit that is flipped anywhere is found, and its hop named."""

import functools
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from pushforward.errors import POLICY, TOOL, PushforwardError
from pushforward.git.refs import HOLDOUTS, REGISTRY, VERDICTS
from pushforward.git.repository import Repository
from pushforward.git.server import Server
from pushforward.pipeline import environment, fitted
from pushforward.pipeline import store as objects
from pushforward.pipeline.fitted import Fitted
from pushforward.pipeline.revision import Revision
from pushforward.registry import tags as registry
from pushforward.registry import trust
from pushforward.release import provenance, rebuild, verify
from pushforward.release.hop import DifferentError, ElsewhereError, FailedError, taken

pytestmark = pytest.mark.slow  # two real pushes make the versions

ROOT = Path(__file__).parent.parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"
HOPS = ["tag", "target", "registry", "verdict", "word", "ledger", "provenance", "model", "objects"]
FIRST, SECOND = "toy@v1.0.0", "toy@v1.1.0"


class Story:
    """A team with two versions, in a folder of its own; what is done to it is done to a copy."""

    def __init__(self, folder):
        self.clone, self.bare, self.store = folder / "toy", folder / "toy.git", objects.Store(folder / "store")
        self.repository = Repository(self.bare)
        self.target = self.repository.commit(SECOND)

    def verify(self, version=SECOND, *, root=None, quick=True):
        """What every hop says."""
        return verify.verify(root or self.clone, version, quick=quick, say=lambda _: None, progress=lambda _: None)

    def broken(self, version=SECOND, *, root=None):
        """The first hop that does not hold."""
        outcome = self.verify(version, root=root)
        assert outcome.exit_code == POLICY, outcome
        return next(hop for hop in outcome.hops if hop.ok is False)

    def command(self, *args, env=None, prefix=()):
        """`pushforward verify` as a person types it; its exit code and what it says."""
        words = [*prefix, str(PYTHON), "-m", "pushforward", "verify", *args]
        merged = os.environ | {"PYTHONPATH": str(ROOT / "src")} | (env or {})
        done = subprocess.run(words, cwd=self.clone, env=merged, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def retag(self, name=SECOND, *, target="", old="", new="", record=None, key=None):
        """The tag again, with another record, signed by the server's key."""
        text = self.repository.git("cat-file", "tag", name).text
        content = text.partition("\n\n")[2].partition("-----BEGIN")[0]
        if record is not None:
            line = content.splitlines()[0]
            content = registry.message(line, registry.record(content) | record)
        content = content.replace(old, new) if old else content
        who = {"GIT_COMMITTER_NAME": "pushforward", "GIT_COMMITTER_EMAIL": "pushforward@localhost"}
        key = key or self.bare / "pushforward" / "keys" / "ci"
        options = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={key}")
        self.repository.git(
            *options, "tag", "-s", "-f", "-F", "-", name, target or self.target, stdin=content.encode(), env=who
        )
        Repository(self.clone).git("tag", "-d", name, check=False)

    def rewrite(self, change, ref=REGISTRY):
        """The chain at `ref` again, with other files: `change` gets those of each commit by path."""
        tip = ""
        for commit in self.repository.git("rev-list", "--reverse", ref).text.split():
            tree = self.repository.tree(commit)
            files = {path: self.repository.read(commit, path) for path in tree}
            change(files)
            empty = self.repository.git("mktree", stdin=b"").text
            made = self.repository.write_tree(empty, files, index=self.bare / "rewrite.index")
            tip = self.repository.write_commit(made, [tip] if tip else [], "Again\n", date="1600000000 +0000")
        self.repository.git("update-ref", ref, tip)

    def flip(self, oid, store=None):
        """Flip one bit in the middle of an object."""
        path = (store or self.store).file(oid)
        path.chmod(0o644)
        path.write_bytes(flipped(path.read_bytes()))
        path.chmod(0o444)
        return path

    def statement(self, version=SECOND):
        """The provenance of a version."""
        return provenance.read(self.repository.read(REGISTRY, f"versions/{version}/provenance.json"))

    def oid(self, path):
        """DVC's name of a file of the second version."""
        md5 = self.statement().data[path].md5
        return f"{md5}.dir" if path.endswith("/") else md5


def flipped(content):
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def copied(source, folder):
    """A copy of a team's folder, whose server and clone know where they are."""
    for name in ("toy", "toy.git", "store"):
        shutil.copytree(
            source / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("lib", "runs", "hooks")
        )
    shutil.copytree(source / "store" / "runs", folder / "store" / "runs")
    bare = folder / "toy.git"
    server = replace(Server.load(source / "toy.git"), bare=str(bare), store=str(folder / "store"), id="copy")
    server.save()
    Repository(folder / "toy").git("remote", "set-url", "local", str(bare))
    return Story(folder)


@pytest.fixture
def story(second_version, tmp_path):
    return copied(second_version, tmp_path / "copy")


@pytest.fixture(scope="module")
def whole(second_version):
    """The same, only to be read."""
    return Story(second_version)


# What holds.


@pytest.mark.parametrize("version", [SECOND, "v1.1.0", "1.1.0", FIRST])
def test_every_hop_of_a_version_holds(whole, version):
    outcome = whole.verify(version)
    assert [hop.name for hop in outcome.hops] == HOPS
    assert all(hop.ok for hop in outcome.hops), outcome
    assert outcome.exit_code == 0
    assert outcome.version == (FIRST if version == FIRST else SECOND)


def test_each_hop_says_what_it_saw(whole):
    said = {hop.name: hop.said for hop in whole.verify().hops}
    assert re.fullmatch(r"toy@v1\.1\.0, signed by pushforward@localhost with SHA256:.{12}…", said["tag"])
    assert re.fullmatch(r"a lock commit \w{9} of \w{9}, on main; dvc\.lock, params and locks.*", said["target"])
    assert said["registry"] == "version 2 of 2, after toy@v1.0.0"
    assert said["verdict"].startswith("promote, superior: log loss falls by")
    assert said["word"] == "none was needed: the verdict promotes"
    assert said["ledger"] == "look 1 of 10 at 2020-03_2020-04, promoted"
    assert said["provenance"] == "signed; 2 subjects, 9 data files"
    assert said["model"] == "model/model.json and manifest.json have the tag's SHA-256"
    assert said["objects"] == f"8 objects in {whole.store.path}, 8 copies in caches"


def test_the_bare_repository_and_a_bald_clone_of_a_server_elsewhere_say_the_same(whole, tmp_path, git, monkeypatch):
    assert whole.verify(root=whole.bare).exit_code == 0
    # a server of another machine: no folder that this one knows
    away = tmp_path / "away.git"
    shutil.copytree(whole.bare, away)
    (away / "pushforward" / "server.json").unlink()
    bald = tmp_path / "bald"
    git(tmp_path, "clone", "-q", "--no-tags", f"file://{away}", str(bald))
    (bald / ".dvc" / "config.local").write_text(f"['remote \"store\"']\n    url = {whole.store.path}\n")
    outcome = whole.verify(root=bald)
    assert outcome.exit_code == 0, outcome
    assert "no copies" not in outcome.hops[-1].said
    assert outcome.hops[-1].said.endswith("0 copies in caches")
    assert git(bald, "tag") == ""


def test_what_is_in_use_is_verified_with_the_tag_that_says_so(whole):
    def take(environment):
        return verify.verify(whole.clone, in_use=environment, quick=True, say=lambda _: None, progress=lambda _: None)

    outcome = take("staging")
    assert (outcome.version, outcome.exit_code) == (SECOND, 0)
    assert outcome.hops[0].name == "use"
    assert outcome.hops[0].said == "toy#staging#2, signed by pushforward@localhost"
    empty = take("production")
    assert (empty.version, empty.hops, empty.exit_code) == ("", (), 0)
    with pytest.raises(PushforwardError, match="no environment is called 'stagin'"):
        take("stagin")


def test_what_promoted_by_itself_holds_after_the_settings_have_changed(story, tmp_path):
    repository = story.repository
    params = repository.read("main", "params.yaml")
    asked = b"promote:\n  environments: {staging: manual, production: manual}\n"
    manual = {"params.yaml": params + asked}
    tree = repository.write_tree("main", manual, index=tmp_path / "index")
    main = repository.commit("main")
    repository.set_ref("refs/heads/main", repository.write_commit(tree, [main], "Ask", date=repository.date(main)))
    outcome = verify.verify(story.clone, in_use="staging", quick=True, say=lambda _: None, progress=lambda _: None)
    assert (outcome.version, outcome.exit_code) == (SECOND, 0), outcome


def test_a_version_that_is_not_there_is_named_with_one_that_is(whole):
    with pytest.raises(PushforwardError, match=re.escape("toy has no version v1.2.0; did you mean v1.1.0?")):
        whole.verify("v1.2.0")


def test_it_is_the_same_model_in_another_place_for_another_user(second_version):
    """Path, user, home, time zone, locale and umask are others, and nothing is cached."""
    with tempfile.TemporaryDirectory(dir="/tmp") as place:  # one that others may enter
        folder = Path(place)
        folder.chmod(0o755)
        story = copied(second_version, folder / "elsewhere, ünder a longer näme")
        home = folder / "home"
        home.mkdir()
        (home / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")
        env = {"HOME": str(home), "TMPDIR": str(home), "TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
        prefix = ["sh", "-c", 'umask 077; exec "$@"', "sh"]
        other = os.geteuid() == 0 and shutil.which("setpriv") is not None
        if other:
            shutil.chown(home, "nobody")
            prefix += ["setpriv", "--reuid=nobody", "--clear-groups"]
            # the Python of this machine may be in a folder of root's: to be read, never written
            prefix += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
            assert subprocess.run([*prefix, "id", "-un"], capture_output=True, check=True).stdout == b"nobody\n"
        code, said = story.command(SECOND, env=env, prefix=prefix)
    assert code == 0, said
    assert re.search(r"✓ rebuild    3 stages from raw data, 9 files and 100 golden predictions the same; \d+ s", said)
    assert said.splitlines()[-1] == "toy@v1.1.0 holds"
    if not other:
        pytest.skip("verified by the same user only: to become another one takes root and setpriv")


def test_no_network_is_needed_and_json_says_it_all(whole):
    unshare = ["unshare", "-rn"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no network namespace on this machine")
    code, said = whole.command("--quick", "--json", SECOND, prefix=unshare)
    told = json.loads(said)
    assert (code, told["version"], told["ok"]) == (0, SECOND, True)
    assert [hop["name"] for hop in told["hops"]] == HOPS


# What does not.


def test_a_changed_tag_text(story):
    text = story.repository.git("cat-file", "tag", SECOND).stdout
    changed = text.replace(b"log loss falls", b"log loss fells")
    assert changed != text
    identity = story.repository.git("mktag", stdin=changed).text
    story.repository.git("update-ref", f"refs/tags/{SECOND}", identity)
    Repository(story.clone).git("tag", "-d", SECOND, check=False)
    hop = story.broken()
    assert (hop.name, "its signature does not fit" in hop.said) == ("tag", True)


def test_a_tag_object_with_a_flipped_bit_on_disk(story):
    identity = story.repository.git("rev-parse", f"refs/tags/{SECOND}").text
    path = story.bare / "objects" / identity[:2] / identity[2:]
    path.chmod(0o644)
    path.write_bytes(flipped(path.read_bytes()))
    hop = story.broken()
    assert (hop.name, "cannot be read as an annotated tag" in hop.said) == ("tag", True)
    others = [hop for hop in story.verify().hops if hop.name != "tag"]
    assert all(hop.ok is not True or hop.name == "registry" for hop in others), "what a tag does not say cannot hold"


def test_a_tag_under_another_name_a_light_one_and_one_of_nobody(story, tmp_path):
    identity = story.repository.git("rev-parse", f"refs/tags/{SECOND}").text
    story.repository.git("update-ref", "refs/tags/toy@v9.9.9", identity)
    assert "called 'toy@v1.1.0'" in story.broken("toy@v9.9.9").said
    story.repository.git("update-ref", "refs/tags/toy@v9.9.8", story.target)
    assert story.broken("toy@v9.9.8").said == "it is lightweight: it names a commit, and carries no signature"
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    story.retag(key=key)
    hop = story.broken()
    assert (hop.name, "nobody trusts its key" in hop.said) == ("tag", True)


def test_a_key_that_may_not_make_versions_and_one_that_was_revoked(story):
    signers = story.bare / "pushforward" / "allowed_signers"
    text = signers.read_text()
    signers.write_text(text.replace("may=version", "may=staging"))
    assert "may not make versions" in story.broken().said
    signers.write_text(
        text.replace('namespaces="git,pushforward"', 'namespaces="git,pushforward",valid-before="20200101000000Z"')
    )
    hop = story.broken()
    assert (hop.name, "was revoked at 20200101000000Z" in hop.said) == ("tag", True)


def test_another_tag_of_that_name_in_the_clone(story):
    Repository(story.clone).git("tag", "-f", "-a", "-m", "mine", SECOND, "HEAD")
    hop = story.broken()
    assert (hop.name, hop.place) == ("tag", f"refs/tags/{SECOND}")
    assert hop.found == Repository(story.clone).git("rev-parse", f"refs/tags/{SECOND}").text
    assert story.verify(root=story.bare).exit_code == 0


def test_a_lock_commit_that_changes_more_than_the_lock(story):
    files = {"params.yaml": b"x: 1\n"}
    tree = story.repository.write_tree(story.target, files, index=story.bare / "t.index")
    parent = story.repository.commit(f"{story.target}^")
    story.retag(target=story.repository.write_commit(tree, [parent], "Lock\n", date="1600000000 +0000"))
    hop = story.broken()
    assert (hop.name, hop.place) == ("target", "params.yaml")


@pytest.mark.parametrize("content", [b'{"auc": 1}', b'{"auc": 2}'], ids=["found", "another"])
def test_a_lock_commit_has_what_git_keeps_of_the_run_as_its_lock_names_it(story, content):
    md5 = hashlib.md5(b'{"auc": 1}').hexdigest()
    entry = f"  kept:\n    cmd: c\n    outs:\n    - path: eval/auc.json\n      hash: md5\n      md5: {md5}\n"
    lock = (story.repository.read(story.target, "dvc.lock") or b"") + entry.encode()
    files = {"dvc.lock": lock, "eval/auc.json": content}
    tree = story.repository.write_tree(story.target, files, index=story.bare / "t.index")
    judged = registry.record(story.repository.git("cat-file", "tag", SECOND).text)["commit"]
    made = story.repository.write_commit(tree, [judged], "Lock\n", date="1600000000 +0000")
    story.retag(target=made, record={"lock": hashlib.sha256(lock).hexdigest()})
    hop = story.broken()
    if hashlib.md5(content).hexdigest() == md5:
        assert hop.name != "target", "what breaks is that no such lock was judged"
    else:
        assert (hop.name, hop.place) == ("target", "eval/auc.json")


def test_a_target_that_is_not_what_the_record_says(story):
    wrong = {
        "lock": ("0" * 64, "dvc.lock"),
        "params": ("0" * 64, "params.yaml"),
        "environment": ("0" * 64, "environment's locks"),
        "commit": ("0" * 40, "is nowhere"),
    }
    text = registry.record(story.repository.git("cat-file", "tag", SECOND).text)
    for key, (value, words) in wrong.items():
        story.retag(record=text | {key: value})
        hop = story.broken()
        assert (hop.name, words in hop.said) == ("target", True), hop


def test_a_commit_that_never_was_on_the_default_branch(story):
    story.repository.git("update-ref", "refs/heads/main", story.repository.commit("main^"))
    hop = story.broken()
    assert (hop.name, "is not on the default branch" in hop.said) == ("target", True)
    assert story.verify(FIRST).exit_code == 0


def test_a_place_in_the_chain_that_it_has_not(story):
    for record in ({"number": 3}, {"number": 2, "previous": None}):
        story.retag(record=record)
        assert story.broken().name == "registry"


def test_a_record_of_another_form(story):
    text = registry.record(story.repository.git("cat-file", "tag", SECOND).text)
    for record in ({"number": "2"}, {"schema": 3}, {"model": None}, {"more": 1}):
        story.retag(record=text | record)
        hop = story.broken()
        assert (hop.name, "another form" in hop.said) == ("tag", True)


def test_a_chain_that_was_changed_after(story):
    tip = story.repository.commit(REGISTRY)
    late = story.repository.write_tree(tip, {f"versions/{FIRST}/card.md": b"better\n"}, index=story.bare / "t.index")
    story.repository.git(
        "update-ref", REGISTRY, story.repository.write_commit(late, [tip], "x\n", date="1600000000 +0000")
    )
    hop = story.broken()
    assert (hop.name, "does more than add one version" in hop.said) == ("registry", True)
    story.repository.git("update-ref", REGISTRY, story.repository.commit(f"{tip}^"))
    assert "has no such version" in story.broken().said
    two = story.repository.write_commit(f"{tip}^{{tree}}", [tip, story.target], "merge\n", date="1600000000 +0000")
    story.repository.git("update-ref", REGISTRY, two)
    assert story.broken().name == "registry"
    story.repository.git("update-ref", "-d", REGISTRY)
    assert "cannot be read" in story.broken().said


def test_a_flipped_bit_in_what_the_chain_keeps(story):
    tip = story.repository.commit(REGISTRY)
    kept = {"verdict.json": "verdict", "provenance.json": "provenance", "provenance.json.sig": "provenance"}
    kept |= {"golden.json": "registry", "card.md": "registry"}
    for name, hop in kept.items():

        def change(files, path=f"versions/{SECOND}/{name}"):
            if path in files:
                files[path] = flipped(files[path])

        story.rewrite(change)
        assert story.broken().name == hop
        story.repository.git("update-ref", REGISTRY, tip)
    story.rewrite(change)
    assert story.verify(FIRST).exit_code == 0, "of another version"


def test_a_verdict_that_the_gate_has_not_recorded(story):
    ref = f"{VERDICTS}{story.repository.commit('main')}"
    story.rewrite(lambda files: files.update({"verdict.json": flipped(files["verdict.json"])}), ref)
    hop = story.broken()
    assert (hop.name, hop.place) == ("verdict", ref)


def _told_otherwise(story):
    """Fields of a provenance with what they say and what is put in their place."""
    told, settings = story.statement(SECOND).scoring, story.statement(SECOND).settings
    return {
        "number": (b'"number":2', b'"number":7', "2", "7"),
        "scoring": (told.encode(), b"0" * 64, told, "0" * 64),
        "settings": (settings.encode(), b"0" * 64, settings, "0" * 64),
    }


@pytest.mark.parametrize("field", ["number", "scoring", "settings"])
def test_a_provenance_that_says_something_else_in_good_form(story, field):
    """Whoever has the key could sign it; then the fields that repeat the record still give it away."""
    path = f"versions/{SECOND}/provenance.json"
    text = story.repository.read(REGISTRY, path)
    said, forged, expected, found = _told_otherwise(story)[field]
    other = text.replace(said, forged)
    assert other != text
    signature = trust.sign_file(other, story.bare / "pushforward" / "keys" / "ci")

    def change(files):
        if path in files:
            files.update({path: other, f"{path}.sig": signature})

    story.rewrite(change)
    story.retag(record={"provenance": hashlib.sha256(other).hexdigest()})
    hop = story.broken()
    assert (hop.name, hop.expected, hop.found) == ("provenance", expected, found)


def test_a_flipped_bit_in_the_ledger(story):
    ref = f"{HOLDOUTS}2020-03_2020-04"
    story.rewrite(lambda files: files.update({"entry.json": flipped(files["entry.json"])}), ref)
    hop = story.broken()
    assert (hop.name, ref in hop.said) == ("ledger", True)
    assert story.verify(FIRST).exit_code == 0, "it rests on no look"


def test_a_look_that_is_not_in_the_ledger(story):
    ref = f"{HOLDOUTS}2020-03_2020-04"
    story.repository.git("update-ref", ref, story.repository.git("rev-list", "--max-parents=0", ref).text)
    assert story.broken().name == "ledger"
    story.repository.git("update-ref", "-d", ref)
    assert story.broken().name == "ledger"


def test_a_flipped_bit_in_the_model_of_the_remote(story):
    for path in ("model/model.json", "model/manifest.json", "model/"):
        oid = story.oid(path)
        story.flip(oid)
        hop = story.broken()
        assert (hop.name, path in hop.said or oid in hop.said) == ("model", True), hop
        story.flip(oid)


def test_a_flipped_bit_in_an_object_of_the_remote_or_of_the_cache(story):
    for path in ("data/rows.parquet", "data/holdout/", "data/holdout/labels.parquet"):
        for store in (objects.Store(story.bare / "pushforward" / "cache"), story.store):
            place = story.flip(story.oid(path), store)
            hop = story.broken()
            assert (hop.name, hop.place) == ("objects", str(place))
            assert hop.expected == story.statement().data[path].sha256 != hop.found
            assert f"expected {hop.expected}" in hop.line()
            assert f"found    {hop.found}" in hop.line()
            story.flip(story.oid(path), store)


def test_an_object_that_the_remote_has_lost(story):
    place = story.store.file(story.oid("data/rows.parquet"))
    place.unlink()
    hop = story.broken()
    assert (hop.name, "is missing in the DVC remote" in hop.said, hop.place) == ("objects", True, str(place))


def test_metrics_that_are_not_those_of_the_run(story):
    tree = story.repository.write_tree(story.target, {"metrics/metrics.json": b"{}"}, index=story.bare / "t.index")
    parent = story.repository.commit(f"{story.target}^")
    story.retag(target=story.repository.write_commit(tree, [parent], "Lock\n", date="1600000000 +0000"))
    outcome = story.verify()
    assert {hop.name for hop in outcome.hops if hop.ok is False} == {"provenance", "objects"}


def test_a_remote_that_is_not_there_is_no_broken_chain(story):
    story.store.path.rename(story.store.path.with_name("away"))
    outcome = story.verify()
    assert outcome.exit_code == TOOL
    (broken, *later) = [hop for hop in outcome.hops if not hop.ok]
    assert (broken.name, [hop.ok for hop in later]) == ("model", [None])


@pytest.fixture
def served(story):
    """The store as a remote of the web, which DVC has to be asked for; nothing of it is in a cache."""
    quiet = {"log_message": lambda *_: None}
    handler = type("Handler", (http.server.SimpleHTTPRequestHandler,), quiet)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(story.store.path))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    (story.clone / ".dvc" / "config.local").write_text(f"['remote \"store\"']\n    url = {url}\n")
    shutil.rmtree(story.bare / "pushforward" / "cache")
    yield story
    server.shutdown()
    server.server_close()


def test_a_remote_that_is_no_folder_is_asked_through_dvc(served):
    outcome = served.verify()
    assert outcome.exit_code == 0, outcome
    assert re.fullmatch(r"8 objects in http://127\.0\.0\.1:\d+, 0 copies in caches", outcome.hops[-1].said)
    served.flip(served.oid("data/rows.parquet"))
    hop = served.broken()
    assert (hop.name, "data/rows.parquet is missing in the DVC remote" in hop.said) == ("objects", True)
    served.flip(served.oid("model/model.json"))
    assert served.broken().name == "model"


def test_a_remote_that_does_not_answer_is_no_broken_chain(story):
    url = "http://127.0.0.1:9"
    (story.clone / ".dvc" / "config.local").write_text(f"['remote \"store\"']\n    url = {url}\n")
    assert story.verify().exit_code == TOOL


def test_a_missing_tool_is_named(whole, tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "git").symlink_to(shutil.which("git"))
    code, said = whole.command(SECOND, "--quick", env={"PATH": str(tools)})
    assert (code, "ssh-keygen is not installed" in said) == (TOOL, True)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="to become another user takes root")
def test_a_user_without_a_name_cannot_verify_and_is_told_so(whole):
    anonymous = ["setpriv", "--reuid=54321", "--clear-groups"]
    anonymous += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    code, said = whole.command(SECOND, "--quick", prefix=anonymous)
    assert (code, "the user 54321, who has no name on this machine" in said) == (TOOL, True), said


def test_what_is_broken_is_not_run(story):
    story.flip(story.oid("data/rows.parquet"))
    outcome = story.verify(quick=False)
    assert outcome.hops[-1].name == "rebuild"
    assert (outcome.hops[-1].ok, outcome.hops[-1].said) == (None, "not made again: objects does not hold")
    assert outcome.exit_code == POLICY


# Made again.


@pytest.fixture
def built(story, tmp_path, monkeypatch):
    """What the versions lock is there already: the environment that this package runs in."""
    rules = Revision(story.repository, story.target).settings
    wanted = environment.digest(story.repository, story.target, rules.model.environment)
    known = tmp_path / "environments"
    known.mkdir()
    home = known / wanted[:16]
    (home / "bin").mkdir(parents=True)
    (home / ".locked").write_text(f"{wanted}\n")
    (home / "bin" / "python").write_text(f'#!/bin/sh\nexec {PYTHON} "$@"\n')
    (home / "bin" / "python").chmod(0o755)
    monkeypatch.setenv(environment.KNOWN, str(known))


def made_again(story, commit, tmp_path, golden=None, **how):
    data = story.statement().data
    content = golden or story.repository.read(REGISTRY, f"versions/{SECOND}/golden.json")
    source = rebuild.Source(story.repository, commit, str(story.store.path), story.bare, None)
    return rebuild.rebuild(source, data, content, folder=tmp_path / "again", progress=lambda _: None, **how)


def edited(story, path, old, new):
    text = story.repository.read(story.target, path).decode()
    assert old in text
    tree = story.repository.write_tree(
        story.target, {path: text.replace(old, new).encode()}, index=story.bare / "t.index"
    )
    return story.repository.write_commit(tree, [story.target], "Edit\n", date="1600000000 +0000")


@pytest.mark.parametrize(
    ("old", "new", "stage", "path"),
    [
        ("* 100 + number", "* 100 + number + 1", "collect", "data/rows.parquet"),
        ("float(table", "0.5 * float(table", "train", "model/model.json"),
        ("minutes=29", "minutes=28", "holdout", "data/holdout/rows.parquet"),
    ],
)
def test_the_first_stage_that_makes_something_else_is_named(built, story, tmp_path, old, new, stage, path):
    commit = edited(story, "src/toy/pipeline.py", old, new)
    with pytest.raises(DifferentError, match=f"the stage {stage} makes another {path}") as other:
        made_again(story, commit, tmp_path)
    assert other.value.expected == story.statement().data[path].sha256 != other.value.found


def test_a_stage_that_fails_is_named_with_its_last_words(built, story, tmp_path):
    commit = edited(
        story, "src/toy/pipeline.py", "def train() -> None:", "def train() -> None:\n    raise OSError('no')"
    )
    with pytest.raises(FailedError, match=r"train failed with exit status") as failed:
        made_again(story, commit, tmp_path)
    assert "OSError: no" in failed.value.message


def test_a_prediction_that_is_another_is_named(built, story, tmp_path):
    golden = json.loads(story.repository.read(REGISTRY, f"versions/{SECOND}/golden.json"))
    golden["rows"][7]["p"] += 1e-6
    assert golden["rows"][7]["p"] != pytest.approx(0)
    key = golden["rows"][7]["id"]
    with pytest.raises(DifferentError, match=f"the prediction for id '{key}'"):
        made_again(story, story.target, tmp_path, json.dumps(golden).encode())


LOOSE = Fitted({"cluster": "dask"}, reproducible=False, within=0.05)


def test_of_a_model_that_is_another_each_time_data_and_metrics_are_held_against_what_was_told(built, story, tmp_path):
    commit = edited(story, "src/toy/pipeline.py", "float(table", "1.0001 * float(table")
    said = made_again(story, commit, tmp_path, how=LOOSE)
    assert re.match(
        r"3 stages from raw data, 5 files the same, 1 metrics within 0.05; no bytes of the model are promised; ", said
    )


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("* 100 + number", "* 100 + number + 1", "the stage collect makes another data/rows.parquet"),
        ('{"buckets": buckets}', '{"buckets": buckets * 1.06}', "the metric validation.buckets is not within 0.05"),
    ],
)
def test_but_other_data_and_metrics_beyond_the_bound_differ(built, story, tmp_path, old, new, what):
    commit = edited(story, "src/toy/pipeline.py", old, new)
    with pytest.raises(DifferentError, match=what):
        made_again(story, commit, tmp_path, how=LOOSE)


def test_what_needs_a_gpu_is_not_made_again_where_there_is_none(built, story, tmp_path, monkeypatch):
    monkeypatch.setattr(fitted, "DEVICES", tmp_path / "dev")
    with pytest.raises(ElsewhereError, match="cannot be rebuilt here: it was fitted on cuda") as elsewhere:
        made_again(story, story.target, tmp_path, how=Fitted({}, device="cuda"))
    assert not (tmp_path / "again").exists()
    told = taken("rebuild", functools.partial(_raise, elsewhere.value))
    assert (told.ok, told.said[:22]) == (None, "cannot be rebuilt here")
    assert verify.Outcome(SECOND, (told,)).exit_code == 0


def _raise(error):
    raise error


def test_a_stage_that_lacks_something_outside_of_it_says_that_it_cannot_be_rebuilt_here(built, story, tmp_path):
    fails = "def train() -> None:\n    print('no scheduler answers')\n    sys.exit(6)"
    commit = edited(story, "src/toy/pipeline.py", "def train() -> None:", fails)
    with pytest.raises(ElsewhereError, match="cannot be rebuilt here: train: no scheduler answers"):
        made_again(story, commit, tmp_path, how=LOOSE)
    with pytest.raises(FailedError, match="train failed with exit status"):
        made_again(story, commit, tmp_path / "plain")  # a model that a processor fits lacks nothing
