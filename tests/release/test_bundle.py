"""bundle: what whoever serves a version gets, and every hop at which it is refused."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from tests.team import CI

from pushforward.errors import DATA, POLICY, TOOL, USAGE, PushforwardError
from pushforward.gate.verdict import Holdout
from pushforward.git.refs import REGISTRY, VERDICTS
from pushforward.git.repository import Repository
from pushforward.git.server import Server
from pushforward.judge import holdout, passed, score
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import environment
from pushforward.pipeline.revision import sha256
from pushforward.registry import tags as registry
from pushforward.release.bundle import bundle
from pushforward.release.promote import Passed, promote
from pushforward.release.verify import verify

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parent.parent.parent
NAME = "toy@v1.0.0"
NULL = sha256(b"null")  # of the data that a manifest names which names none
FILES = {
    *("SHA256SUMS", "golden.json", "model-card.md", "provenance.json", "provenance.json.sig", "report.md", "tag.txt"),
    *("verdict.json", "model/manifest.json", "model/model.json", "commit.txt", "README.md"),
}
# What one has besides whose model says what it takes.
ELSEWHERE = {"Containerfile", "kubernetes.yaml", "kserve.yaml", "golden/rows.parquet", "golden/events.parquet"}
# What the model says of a row: its x; a model whose file holds anything else than b does something else.
PREDICT = """\
import os, signal, sys, time
import polars as pl
from pathlib import Path

kind = Path("model/model.json").read_text()
table = pl.read_parquet(sys.argv[1])
if kind == "crash":
    os.kill(os.getpid(), signal.SIGSEGV)
if kind == "hang":
    time.sleep(60)
p = pl.col("x") if kind != "nan" else pl.lit(float("nan"))
table.select("id", p=p).write_parquet(sys.argv[3])
"""
SETTINGS = {"[lock.txt]": "[lock.txt]", "python -m toy.predict": "python predict.py"}


def quiet(_):
    pass


def found(folder):
    """The files of a bundle; `code/` is looked at where it is made."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in names if not name.startswith("code/")}


def forge(bare, files):
    """Let the registry say something else in its one entry, past every hook; of what is None it says nothing."""
    repository = Repository(bare)
    tip = repository.commit(REGISTRY)
    kept = {path: repository.read(tip, path) for path in repository.tree(tip)}
    kept |= {f"versions/{NAME}/{name}": content for name, content in files.items()}
    kept = {path: content for path, content in kept.items() if content is not None}
    tree = repository.write_tree(tip, kept, index=bare / "forged.index", drop="versions")
    repository.update_ref(REGISTRY, repository.write_commit(tree, [], "Forge", date="100000000 +0000"))


def resign(bare, changed, key=None):
    """The version's tag again, with `changed` in its record, signed by the server's `key`."""
    repository = Repository(bare)
    text = repository.git("cat-file", "tag", NAME).text
    content = text.partition("\n\n")[2].partition("-----BEGIN")[0]
    message = registry.message(content.splitlines()[0], registry.record(content) | changed)
    key = key or bare / "pushforward" / "keys" / "ci"
    options = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={key}")
    who = {"GIT_COMMITTER_NAME": "pushforward", "GIT_COMMITTER_EMAIL": "pushforward@localhost"}
    target = repository.commit(NAME)
    repository.git(*options, "tag", "-s", "-f", "-F", "-", NAME, target, stdin=message.encode(), env=who)


def one_file(hub, path):
    """Have the hub's model be one file at `path`, as dvc.lock has it: no folder, no manifest."""

    def model(content):
        oid = hub._stored(content.encode())
        train = f"  train:\n    cmd: train\n    outs:\n    - path: {path}\n      hash: md5\n      md5: {oid}\n"
        return f"schema: '2.0'\nstages:\n{train}".encode(), {"model": sha256(content.encode()), "manifest": ""}

    hub.model = model
    text = (hub.clone / "pushforward.yaml").read_text()
    assert "    path: model\n" in text
    hub.write("pushforward.yaml", text.replace("    path: model\n", f"    path: {path}\n"))


class Served:
    """A hub whose one version can be scored.

    It is to give its predictions again, with `golden` added; or `told` is what was recorded of them. `data` is what
    the verdict says that its manifest names.
    """

    def __init__(self, hub, model="b", *, golden=0.0, told=None, data=NULL, file=None):
        self.hub, self.out = hub, hub.folder / "out"
        if file:
            one_file(hub, file)
        Server(str(hub.bare), sys.executable, str(hub.store), "s", "toy").save()
        settings = (hub.clone / "pushforward.yaml").read_text()
        for old, new in SETTINGS.items():
            assert old in settings
            settings = settings.replace(old, new)
        hub.write("pushforward.yaml", settings)
        hub.write("predict.py", PREDICT.replace("model/model.json", file or "model/model.json"))
        train = f"stages:\n  train: {{cmd: train, outs: [{file or 'model'}]}}\n"
        hub.write("dvc.yaml", f"{train}  hold: {{cmd: h, outs: [data/holdout]}}\n")
        lock, digest = self._lock(model)
        hub.write("dvc.lock", lock.decode())
        hub.write(".gitignore", "/model\n/data\n")
        hub.git(hub.clone, "add", "-A")
        hub.git(hub.clone, "commit", "-q", "-m", "Serve")
        hub.git(hub.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
        commit = hub.git(hub.clone, "rev-parse", "HEAD")
        verdict = replace(hub.judge(commit, model), holdout=Holdout(("2020-03", "2020-04"), 9, 9, digest))
        locks = environment.digest(Repository(hub.clone), commit, ["lock.txt"])
        digests = replace(verdict.digests, lock=sha256(lock), environment=locks, data=data)
        verdict = replace(verdict, digests=digests)
        passed.record(hub.clone, verdict)
        rows = [{"id": f"r{n}", "p": n / 10 + golden} for n in range(1, 9)]
        told = told or json.dumps({"schema": 1, "key": "id", "rows": rows}).encode()
        with hub.run():
            promote(hub.clone, Passed(verdict, "minor", told), {"dvc.lock": lock}, {}, say=quiet)
        self.model_file = hub.store / "files" / "md5" / self._object(model)

    def _lock(self, model):
        """The lock of the model and of a holdout of nine rows, and that holdout's digest."""
        folder = self.hub.folder / "holdout"
        folder.mkdir()
        table = pl.DataFrame({"id": [f"r{n}" for n in range(9)], "x": [n / 10 for n in range(9)]})
        at = pl.lit(datetime(2020, 3, 1, tzinfo=UTC)).alias("at")
        table.with_columns(at).write_parquet(folder / "rows.parquet")
        table.clear().with_columns(at.alias("known_at")).write_parquet(folder / "events.parquet")
        table.with_columns(y=pl.lit(1), date=pl.lit(date(2020, 3, 1))).write_parquet(folder / "labels.parquet")
        listed = [
            {"md5": self.hub._stored(path.read_bytes()), "relpath": path.name} for path in sorted(folder.iterdir())
        ]
        listing = self.hub._stored(json.dumps(listed).encode(), ".dir")
        lock = self.hub.model(model)[0].decode()
        lock += f"  hold:\n    cmd: h\n    outs:\n    - path: data/holdout\n      hash: md5\n      md5: {listing}\n"
        return lock.encode(), holdout.digest(folder)

    def _object(self, content):
        oid = hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
        return f"{oid[:2]}/{oid[2:]}"

    def bundle(self, name=NAME):
        said = []
        return bundle(self.hub.clone, name, self.out, say=said.append)

    def refused(self, hop, why, code):
        """It is refused at this hop, and leaves nothing behind."""
        with pytest.raises(PushforwardError, match=rf"^hop {hop}: .*{why}") as failed:
            self.bundle()
        assert failed.value.exit_code == code
        assert failed.value.next
        assert not [path for path in self.hub.folder.iterdir() if path.name.startswith(("out", ".out"))]


@pytest.fixture
def served(hub, tmp_path, monkeypatch):
    """Makes a hub with a version; the environment that it locks is the one of these tests."""
    locked = hashlib.sha256((hub.clone / "lock.txt").read_bytes()).hexdigest()
    python = tmp_path / "environments" / locked[:16] / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp_path / "environments" / locked[:16] / ".locked").write_text(f"{locked}\n")
    monkeypatch.setenv("PUSHFORWARD_ENVIRONMENTS", str(tmp_path / "environments"))
    return lambda *model, **more: Served(hub, *model, **more)


@pytest.mark.slow
def test_a_bundle_has_all_that_a_server_needs_and_its_sums_hold(promoted, tmp_path, git):
    out = tmp_path / "release" / "bundle"
    made = json.loads(promoted.pushforward("bundle", NAME, "--out", str(out), "--json"))
    assert found(out) == FILES | ELSEWHERE
    assert (made["version"], made["commit"]) == (NAME, git(promoted.bare, "rev-parse", f"{NAME}^{{commit}}"))
    assert made["parity"] == "it loads, and gives its 100 golden rows to the last bit"
    assert made["model"] == hashlib.sha256((out / "model" / "model.json").read_bytes()).hexdigest()
    sums = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=out, capture_output=True, text=True)
    assert sums.returncode == 0, sums.stdout
    assert sums.stdout.count(": OK") == len([path for path in out.rglob("*") if path.is_file()]) - 1
    assert [path for path in out.parent.iterdir() if path != out] == []
    verify = [
        "ssh-keygen",
        "-Y",
        "verify",
        "-n",
        "pushforward",
        "-I",
        "pushforward@localhost",
        "-s",
        "provenance.json.sig",
    ]
    signers = promoted.bare / "pushforward" / "allowed_signers"
    with (out / "provenance.json").open("rb") as statement:
        done = subprocess.run([*verify, "-f", str(signers)], cwd=out, stdin=statement, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (out / "model-card.md").read_text().startswith(f"# Model card: `{NAME}`\n")
    assert (out / "report.md").read_text().startswith("## ✅ Promote: ")


@pytest.mark.slow
def test_the_command_says_where_it_is_and_the_same_version_gives_the_same_bytes(promoted, tmp_path):
    said = promoted.pushforward("bundle", NAME, "--out", str(tmp_path / "one"))
    assert f"{NAME} is in {tmp_path / 'one'}" in said
    told = json.loads(promoted.pushforward("bundle", NAME, "--out", str(tmp_path / "two"), "--json"))
    assert told["version"] == NAME
    assert (tmp_path / "one" / "SHA256SUMS").read_bytes() == (tmp_path / "two" / "SHA256SUMS").read_bytes()


@pytest.mark.slow
def test_where_it_was_judged_nothing_may_differ_but_by_rounding(promoted, tmp_path):
    golden = json.loads(Repository(promoted.bare).read(REGISTRY, f"versions/{NAME}/golden.json"))
    golden["rows"][7]["p"] += 1e-8
    content = json.dumps(golden).encode()
    forge(promoted.bare, {"golden.json": content})
    resign(promoted.bare, {"golden": hashlib.sha256(content).hexdigest()})
    Repository(promoted.clone).git("tag", "-d", NAME, check=False)
    said = promoted.pushforward("bundle", NAME, "--out", str(tmp_path / "out"), check=False)
    assert "hop golden: it gives other predictions than when it was judged, by up to 1e−08" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["v1.0.0", "toy#staging#1"])
def test_a_version_is_known_by_its_number_and_by_where_it_is_used(served, name):
    assert served().bundle(name).version == NAME


@pytest.mark.parametrize("path", ["model.pkl", "models/wine/model.pkl"])
def test_a_model_that_is_one_file_is_verified_and_bundled_under_its_own_name(served, path):
    there = served(file=path, data=sha256(b"{}"))
    assert there.bundle().parity == "it loads, and gives its 8 golden rows to the last bit"
    assert found(there.out) == FILES - {"model/manifest.json", "model/model.json"} | {"model/model.pkl"}
    assert (there.out / "model" / "model.pkl").read_bytes() == b"b"
    hops = {one.name: one for one in verify(there.hub.clone, NAME, quick=True, say=quiet, progress=quiet).hops}
    assert hops["model"].ok, hops["model"]
    assert hops["model"].said == f"{path} has the tag's SHA-256"


def test_a_file_that_was_exchanged_in_the_store_breaks_the_chain_at_the_model(served):
    there = served(file="model.pkl", data=sha256(b"{}"))
    there.model_file.chmod(0o644)
    there.model_file.write_bytes(b"c")
    with pytest.raises(PushforwardError, match=r"^hop model: "):
        there.bundle()
    assert there.model_file.read_bytes() == b"c", "who only reads takes nothing away"
    hops = verify(there.hub.clone, NAME, quick=True, say=quiet, progress=quiet).hops
    assert [one.name for one in hops if one.ok is False] == ["model", "objects"]


def test_what_dvc_lock_says_a_model_without_manifest_is_made_of_is_what_its_tag_names(served):
    served(file="model.pkl", data=NULL).refused("model", "the data that dvc.lock names", DATA)


def test_a_bundle_needs_no_training(served):
    assert served().bundle().parity == "it loads, and gives its 8 golden rows to the last bit"


def test_a_model_that_does_not_say_what_it_takes_is_bundled_without_a_server(served):
    there = served()
    there.bundle()
    assert (there.out / "code" / "predict.py").is_file()
    last = (there.out / "README.md").read_text().splitlines()[-1]
    assert last == "To serve: nothing here does: its model has no manifest.json with `inputs.rows`."


def test_elsewhere_a_millionth_is_let_pass_and_said(served):
    assert "within 1e-06 (by up to 5e−07: another machine)" in served(golden=5e-7).bundle().parity


def test_rounding_is_let_pass_where_it_was_judged_and_said(served):
    assert "golden rows but for rounding (by up to 1e−11)" in served(golden=1e-11).bundle().parity


def test_more_than_a_millionth_is_refused(served):
    served(golden=2e-6).refused("golden", "by up to 2e−06", DATA)


@pytest.mark.parametrize(
    ("model", "why", "code"),
    [("crash", "died of SIGSEGV", TOOL), ("hang", "took longer than 1 s", TOOL), ("nan", "p is nan", DATA)],
)
def test_a_model_that_cannot_be_served_is_never_handed_on(served, monkeypatch, model, why, code):
    if model == "hang":
        monkeypatch.setattr(score, "SCORE_SECONDS", 1.0)
    served(model).refused("load", why, code)


@pytest.mark.parametrize("content", [b"", b"B", None], ids=["emptied", "one bit", "gone"])
def test_bytes_that_are_not_the_judged_ones_are_refused(served, content):
    one = served()
    if content is None:
        one.model_file.unlink()
    else:
        one.model_file.write_bytes(content)
    one.refused("model", "", TOOL if content is None else DATA)


def test_a_cache_of_this_machine_has_no_part(served):
    one = served()
    cache = one.hub.clone / ".dvc" / "cache"
    shutil.copytree(one.hub.store, cache)
    evil = cache / "files" / "md5" / one.model_file.relative_to(one.hub.store / "files" / "md5")
    evil.write_bytes(b"evil")
    one.bundle()
    assert (one.out / "model" / "model.json").read_bytes() == b"b"


def test_a_file_beside_the_model_is_refused(served):
    one = served()
    # a listing of three files under the name of one of two: what an MD5 collision would give
    listing = next(path for path in one.hub.store.rglob("*.dir") if b"manifest.json" in path.read_bytes())
    told = json.loads(listing.read_bytes())
    told.append({"md5": one.hub._stored(b"import os"), "relpath": "evil.py"})
    listing.write_bytes(json.dumps(told).encode())
    with pytest.raises(PushforwardError, match=r"^hop model: "):
        one.bundle()
    assert not one.out.exists()


def test_what_verify_would_not_bear_out_is_not_packed(served, git):
    """Record, commit, verdict and the clone's own tag: bundle asks for all of the chain before it fetches anything."""
    one = served()
    bare, clone = one.hub.bare, one.hub.clone
    tag, commit = git(bare, "rev-parse", f"refs/tags/{NAME}"), git(bare, "rev-parse", "main")
    changed = [
        ({"more": 1}, "tag", "the record in .* has another form: more: "),
        ({"number": "1"}, "tag", "the record in .* has another form: number: "),
        ({"commit": "0" * 40}, "target", "records the commit 000000000000, which is nowhere"),
        ({"number": 2}, "registry", "the place of .* in the chain .*: expected 2, found 1"),
        ({"data": "0" * 64}, "verdict", "the digest of data"),
    ]
    for record, hop, why in changed:
        resign(bare, record, one.hub.keys[CI])
        git(clone, "tag", "-d", NAME, check=False)
        one.refused(hop, why, POLICY)
        git(bare, "update-ref", f"refs/tags/{NAME}", tag)
    git(bare, "update-ref", "-d", f"{VERDICTS}{commit}")
    one.refused("verdict", "the gate has recorded no verdict on it", POLICY)
    git(clone, "tag", "-f", "-a", "-m", "mine", NAME, "HEAD")
    one.refused("tag", "the tag of this clone is another", POLICY)


def test_the_data_that_the_manifest_names_is_that_of_the_tag(served):
    one = served(data="0" * 64)
    one.refused("model", "the data that the manifest names", DATA)


def test_a_use_of_a_version_that_is_deprecated_is_not_packed(served, git):
    one = served()
    git(
        one.hub.bare,
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@y",
        "tag",
        "-a",
        "-m",
        'x\n\n{"schema":2}',
        f"{NAME}!",
        f"{NAME}^{{}}",
    )
    with pytest.raises(
        PushforwardError, match=r"^hop use: toy#staging#1 puts toy@v1\.0\.0 to use, which is deprecated"
    ):
        one.bundle("toy#staging#1")
    assert one.bundle(NAME).version == NAME, "it is what was asked for by its own name"


@pytest.mark.parametrize(("name", "target"), [("more", "/etc"), ("more", "gone"), ("model.json", "../params.yaml")])
def test_a_link_in_the_model_is_refused_wherever_it_points(served, monkeypatch, name, target):
    one, fetch = served(), pipeline.fetch

    def fetched(checkout, *paths, say):
        fetch(checkout, *paths, say=say)
        (checkout / "model" / name).unlink(missing_ok=True)
        (checkout / "model" / name).symlink_to(target)

    monkeypatch.setattr(pipeline, "fetch", fetched)
    one.refused("model", f"the model's file model/{name} .*found no plain file", DATA)


def test_an_unknown_key_is_refused(served):
    one = served()
    signers = one.hub.bare / "pushforward" / "allowed_signers"
    signers.write_text("".join(line for line in signers.read_text().splitlines(keepends=True) if "may=any" in line))
    one.refused("tag", "nobody trusts its key", POLICY)


def test_a_key_that_may_not_make_versions_is_refused(served):
    one = served()
    signers = one.hub.bare / "pushforward" / "allowed_signers"
    signers.write_text(signers.read_text().replace("may=version", "may=staging"))
    one.refused("tag", "is signed by pushforward@localhost, who may not make versions", POLICY)


@pytest.mark.parametrize(
    ("files", "hop", "why"),
    [
        ({"verdict.json": b"{}"}, "verdict", "the SHA-256 of verdict.json"),
        ({"verdict.json": b"{}"}, "verdict", "found 44136fa355b3"),
        ({"provenance.json": b"{}"}, "provenance", "the SHA-256 of provenance.json"),
        ({"golden.json": None}, "registry", "does more than add one version"),
        ({"golden.json": b"{}"}, "registry", "the SHA-256 of golden.json"),
        ({"card.md": b"# The best"}, "registry", "the SHA-256 of card.md"),
        ({"more.txt": b""}, "registry", "does more than add one version"),
    ],
)
def test_a_registry_that_was_forged_is_refused(served, files, hop, why):
    one = served()
    forge(one.hub.bare, files)
    with pytest.raises(PushforwardError) as failed:
        one.bundle()
    assert failed.value.message.startswith(f"hop {hop}: ")
    assert why in failed.value.message
    assert not one.out.exists()


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (b"{}", "not of the form expected"),
        (b'{"schema":1,"key":"id","rows":[]}', "rows: List should have at least 1 item"),
        (b'{"schema":1,"key":"id","rows":[{"id":"r99","p":0.5}]}', "the holdout has no row 'r99'"),
    ],
)
def test_golden_rows_that_say_nothing_are_refused(served, told, why):
    served(told=told).refused("golden", why, DATA)


def test_a_signature_of_something_else_is_refused(served):
    one = served()
    name = "provenance.json.sig"
    signature = Repository(one.hub.bare).read(REGISTRY, f"versions/{NAME}/{name}").splitlines()
    signature[2] = signature[2][::-1]
    forge(one.hub.bare, {name: b"\n".join(signature)})
    one.refused("provenance", "", POLICY)


def test_a_folder_that_is_in_use_is_left_alone(served):
    one = served()
    one.out.mkdir()
    (one.out / "mine").write_text("keep")
    with pytest.raises(PushforwardError, match="is not empty") as failed:
        one.bundle()
    assert failed.value.exit_code == USAGE
    assert found(one.out) == {"mine"}


def test_an_empty_folder_is_filled(served):
    one = served()
    one.out.mkdir()
    one.bundle()
    assert found(one.out) == FILES


@pytest.mark.parametrize("name", ["v9.9.9", "toy@v1.0.1", "toy#production#1", "toy#staging#7"])
def test_what_is_not_there_is_refused_by_name(served, name):
    with pytest.raises(PushforwardError, match=r"no version|is not there"):
        served().bundle(name)


def test_publishing_makes_one_release_of_a_version_and_marks_it_as_the_latest(served, tmp_path):
    one = served()
    one.bundle()
    calls, double = tmp_path / "calls", tmp_path / "bin" / "gh"
    double.parent.mkdir()
    # what `gh` does with its arguments here: it notes them, and knows of a release once it has made it
    double.write_text(
        f'#!/bin/sh\necho "$@" >>{calls}\n'
        f'[ "$1" = api ] && exec cat {tmp_path}/refs\n'
        f'case "$2" in view) grep -q "^release create" {calls} ;;\n'
        f"create) cp ../bundle.tar.gz {tmp_path}/sent.tar.gz ;; esac\n"
    )
    double.chmod(0o755)
    (tmp_path / "refs").write_text("refs/tags/toy#production#9\nrefs/tags/toy#production#10\n")
    env = os.environ | {"PATH": f"{double.parent}:{os.environ['PATH']}", "TAG": "toy#production#10"}
    for _ in range(2):
        subprocess.run([str(ROOT / ".github" / "publish.sh"), str(one.out)], check=True, env=env)
    told = [line.split() for line in calls.read_text().splitlines()]
    assert [words[:2] for words in told if words[0] == "api"] == [["api", "--paginate"]] * 2
    assert told[2][2] == "repos/{owner}/{repo}/git/matching-refs/tags/toy%23production%23"
    told = [words for words in told if words[0] != "api"]
    assert [words[1] for words in told] == ["view", "create", "edit", "view", "edit"]
    assert all(words[2] == NAME for words in told)
    assert "--verify-tag" in told[1]
    assert told[-1] == ["release", "edit", NAME, "--latest"]
    subprocess.run(["tar", "-xzf", "sent.tar.gz", "--one-top-level"], cwd=tmp_path, check=True)
    assert found(tmp_path / "sent") == FILES
    late = [str(ROOT / ".github" / "publish.sh"), str(one.out)]
    said = subprocess.run(late, check=True, env=env | {"TAG": "toy#production#9"}, capture_output=True, text=True)
    assert "toy#production#9 is not the newest any more" in said.stdout
    assert calls.read_text().splitlines()[-1].startswith("api ")
    count = len(calls.read_text().splitlines())
    (one.out / "model" / "model.json").write_text("evil")
    spoilt = subprocess.run([str(ROOT / ".github" / "publish.sh"), str(one.out)], check=False, env=env)
    assert spoilt.returncode != 0
    assert len(calls.read_text().splitlines()) == count


def test_a_place_that_cannot_be_made_is_said_before_anything_is_fetched(served, tmp_path):
    one = served()
    (tmp_path / "file").write_text("")
    one.out = tmp_path / "file" / "out"
    with pytest.raises(PushforwardError, match="cannot be made") as failed:
        one.bundle()
    assert (failed.value.exit_code, failed.value.next) == (USAGE, "another --out")


@pytest.mark.slow
def test_any_clone_of_a_server_verifies_and_fetches_from_any_of_its_folders(promoted, git):
    far = promoted.clone.parent / "x" / "y" / "far"
    far.parent.mkdir(parents=True)
    git(far.parent, "clone", "-q", "-o", "local", str(promoted.bare), str(far))
    other = replace(promoted, clone=far / "src")
    assert f"{NAME} holds" in other.pushforward("verify", NAME, "--quick")
    assert f"{NAME} is in" in other.pushforward("bundle", NAME, "--out", "../made")
    assert found(far / "made") == FILES | ELSEWHERE
