"""provenance: which bytes a version was made from, told again by an independent hash, and nothing believed on MD5."""

import dataclasses
import hashlib
import http.server
import json
import shutil
import sys
import threading
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline import revision
from pushforward.release import provenance
from pushforward.release.provenance import Content, read, statement

# Wang and Yu, 2005: two blocks of 128 bytes with one MD5.
DEEP = b'{"a":' * (sys.getrecursionlimit() + 1)  # one more than is parsed
WANG = [
    bytes.fromhex(
        f"d131dd02c5e6eec4693d9a0698aff95c2fcab5{a}12467eab4004583eb8fb7f8955ad340609f4b30283e4888325{b}415a085125e8f7"
        f"cdc99fd91dbd{c}280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2{d}487da03fd02396306d248cda0e99f33420f577ee8ce"
        f"54b67080{e}0d1ec69821bcb6a8839396f965{f}6ff72a70"
    )
    for a, b, c, d, e, f in (("87", "71", "f", "b", "a8", "2b"), ("07", "f1", "7", "3", "28", "ab"))
]


def sha(content):
    return hashlib.sha256(content).hexdigest()


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def stored(hub, oid):
    return hub.store / "files" / "md5" / oid[:2] / oid[2:]


@pytest.fixture
def make(hub):
    """Makes the statement on a model at a commit of the hub's clone, which is on main and judged."""

    def made(model="b", *, number=1, previous=None, clone=None, verdict=None):
        repository = Repository(clone or hub.clone)
        commit = repository.commit("HEAD")
        verdict = verdict or hub.judge(commit, model)
        made = revision.Revision(repository, commit)
        return statement(repository.path, made, verdict, number=number, previous=previous, say=hub.said.append)

    return made


def commit_data(hub, name, content, *, lock=True):
    """Data beside the model: an out of a stage, or added by hand."""
    oid = hub._stored(content)
    if lock:
        text = hub.model("b")[0].decode()
        text += f"  data:\n    cmd: data\n    outs:\n    - path: {name}\n      hash: md5\n      md5: {oid}\n"
    else:
        text = hub.model("b")[0].decode()
        hub.write(f"{name}.dvc", f"outs:\n- md5: {oid}\n  size: {len(content)}\n  path: {name.rpartition('/')[2]}\n")
    hub.write("dvc.lock", text)
    hub.git(hub.clone, "add", "-A")
    hub.git(hub.clone, "commit", "-q", "-m", "Data")
    hub.git(hub.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
    return oid


def test_it_is_an_in_toto_statement_with_slsa_provenance(make):
    tree = json.loads(make())
    assert tree["_type"] == "https://in-toto.io/Statement/v1"
    assert tree["predicateType"] == "https://slsa.dev/provenance/v1"
    assert set(tree) == {"_type", "subject", "predicateType", "predicate"}
    definition, run = tree["predicate"]["buildDefinition"], tree["predicate"]["runDetails"]
    assert set(definition) == {"buildType", "externalParameters", "internalParameters", "resolvedDependencies"}
    assert set(run) == {"builder", "byproducts"}
    assert set(run["builder"]) == {"id", "version", "builderDependencies"}
    assert all(":" in uri for uri in (definition["buildType"], run["builder"]["id"]))
    some = [*tree["subject"], *definition["resolvedDependencies"], *run["byproducts"]]
    for one in [*some, *run["builder"]["builderDependencies"]]:
        # a descriptor needs one of uri, digest and content; all of these have digests in lowercase hexadecimal
        assert set(one) == {"name", "digest"}
        assert one["digest"]
        for kind, value in one["digest"].items():
            size = {"sha256": 64, "md5": 32, "gitCommit": 40, "gitTree": 40}[kind]
            assert len(value) == size, (kind, value)
            assert value == value.lower()
            int(value, 16)
    assert len({one["name"] for one in tree["subject"]}) == len(tree["subject"])


def test_it_says_what_of_the_environment_is_not_locked_and_nothing_where_all_is(make, hub):
    inside = json.loads(make())["predicate"]["buildDefinition"]["internalParameters"]
    assert inside == {"number": 1}
    assert read(make()).unlocked == ()
    hub.write("lock.txt", "polars==2.1.0\n")
    hub.commit("b", "Loosen")
    assert read(make()).unlocked == ("lock.txt",)
    hub.write("pushforward.yaml", (hub.clone / "pushforward.yaml").read_text().replace("[lock.txt]", "[]"))
    hub.commit("b", "Lock nothing")
    assert read(make()).unlocked == ("no lock is named",)


def test_it_says_how_the_model_was_fitted_where_the_manifest_does(make, hub):
    assert read(make()).fitted == {}
    means = {"device": "cuda", "workers": 2, "reproducible": False, "within": 0.02}
    hub.manifest = json.dumps({"fitted": means}).encode()
    hub.commit("b", "Fit on a cluster")
    first = make()
    assert json.loads(first)["predicate"]["buildDefinition"]["internalParameters"]["fitted"] == means
    assert read(first).fitted == means
    shutil.rmtree(hub.store)
    shutil.rmtree(hub.clone / ".dvc" / "cache", ignore_errors=True)
    assert read(make(previous=first)).fitted == means, "as the version before, whose manifest it is"


def test_its_digests_are_those_of_the_bytes(make, hub, git):
    made = read(make())
    assert made.subjects == {"model/manifest.json": sha(b"{}"), "model/model.json": sha(b"b")}
    assert made.data["model/model.json"] == Content(md5(b"b"), sha(b"b"))
    listing = next(path for path in hub.store.rglob("*.dir") if made.data["model/"].md5[2:] in path.name)
    assert made.data["model/"].sha256 == sha(listing.read_bytes())
    assert made.locks == {"lock.txt": sha((hub.clone / "lock.txt").read_bytes())}
    assert made.params == sha((hub.clone / "params.yaml").read_bytes())
    assert made.settings == sha((hub.clone / "pushforward.yaml").read_bytes())
    assert made.lock == sha((hub.clone / "dvc.lock").read_bytes())
    assert made.tree == git(hub.clone, "rev-parse", "HEAD^{tree}")
    assert made.commit == made.lock_commit == made.judge == git(hub.clone, "rev-parse", "HEAD")
    assert (made.model, made.number, made.previous, made.ledger) == ("toy", 1, "", "")
    assert made.builder == "urn:pushforward:builder:server"


def test_the_same_promotion_gives_the_same_bytes_anywhere(make, hub, monkeypatch):
    first = make()
    other = hub.another("elsewhere")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    monkeypatch.setenv("LC_ALL", "C")
    assert make(clone=other) == first == make()


def test_each_statement_names_the_one_before(hub):
    for model, message in (("b", "One"), ("c", "Two"), ("d", "Three")):
        hub.commit(model, message)
        hub.promote(model)
    made = [hub.file(f"toy@v1.{n}.0", "provenance.json") for n in range(3)]
    assert [read(one).number for one in made] == [1, 2, 3]
    assert [read(one).previous for one in made] == ["", sha(made[0]), sha(made[1])]
    assert [hub.record(f"toy@v1.{n}.0")["provenance"] for n in range(3)] == [sha(one) for one in made]


def test_a_runner_of_a_forge_is_another_builder(make, hub, git):
    told = hub.judge(git(hub.clone, "rev-parse", "HEAD"), "b")
    git(hub.clone, "remote", "set-url", "origin", "https://forge.example/team/toy")
    assert read(make(verdict=told)).builder == "urn:pushforward:builder:forge"


@pytest.mark.parametrize("lock", [True, False], ids=["made by a stage", "added by hand"])
def test_all_data_is_listed(make, hub, lock):
    commit_data(hub, "data/raw/May the 4th.csv", b"1,2\n", lock=lock)
    assert read(make()).data["data/raw/May the 4th.csv"] == Content(md5(b"1,2\n"), sha(b"1,2\n"))


def test_metrics_that_git_keeps_are_listed_as_they_are_committed(make, hub):
    hub.write("metrics/metrics.json", '{"auc": 0.7}')
    text = hub.model("b")[0].decode()
    text += "    - path: metrics/metrics.json\n      hash: md5\n      md5: 00000000000000000000000000000000\n"
    hub.write("dvc.lock", text)
    hub.git(hub.clone, "add", "-A")
    hub.git(hub.clone, "commit", "-q", "-m", "Metrics")
    hub.git(hub.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
    content = b'{"auc": 0.7}'
    assert read(make()).data["metrics/metrics.json"] == Content(md5(content), sha(content))


def test_a_model_that_was_swapped_for_one_with_the_same_md5_is_refused(make, hub):
    assert md5(WANG[0]) == md5(WANG[1])
    assert sha(WANG[0]) != sha(WANG[1])
    oid = hub._stored(WANG[0])
    listing = hub._stored(
        json.dumps([{"md5": md5(b"{}"), "relpath": "manifest.json"}, {"md5": oid, "relpath": "model.json"}]).encode(),
        ".dir",
    )
    lock = hub.model("b")[0].decode()
    before = next(line for line in lock.splitlines() if "md5: " in line).split()[-1]
    hub.write("dvc.lock", lock.replace(before, listing))
    hub.git(hub.clone, "commit", "-qam", "Swap")
    hub.git(hub.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
    verdict = hub.judge(Repository(hub.clone).commit("HEAD"), "b")
    verdict = dataclasses.replace(verdict, digests=dataclasses.replace(verdict.digests, model=sha(WANG[0])))
    assert read(make(verdict=verdict)).subjects["model/model.json"] == sha(WANG[0])
    stored(hub, oid).write_bytes(WANG[1])
    with pytest.raises(PushforwardError, match="hop store: the model in the DVC store has SHA-256"):
        make(verdict=verdict)


@pytest.mark.parametrize("content", [b"", b"x", b"B"], ids=["truncated", "overwritten", "one bit"])
def test_an_object_that_is_not_what_its_name_says_is_refused(make, hub, content):
    told = hub.judge(Repository(hub.clone).commit("HEAD"), "b")
    stored(hub, md5(b"b")).write_bytes(content)
    with pytest.raises(
        PushforwardError, match=r"hop store: model .* in no cache and no remote, or its bytes are others"
    ):
        make(verdict=told)


def test_an_intact_copy_in_the_cache_stands_in_for_a_spoilt_one(make, hub):
    cache = hub.clone / ".dvc" / "cache"
    shutil.copytree(hub.store, cache)
    (cache / "files" / "md5" / md5(b"b")[:2] / md5(b"b")[2:]).write_bytes(b"evil")
    assert read(make()).subjects["model/model.json"] == sha(b"b")


def test_what_is_not_at_hand_is_taken_from_the_statement_before(make, hub):
    oid = commit_data(hub, "data/raw.csv", b"1,2\n")
    first = make()
    stored(hub, oid).unlink()
    with pytest.raises(PushforwardError, match=r"data/raw\.csv"):
        make(number=2)
    assert read(make(number=2, previous=first)).data == read(first).data


def test_bytes_at_hand_count_more_than_the_statement_before(make, hub):
    oid = commit_data(hub, "data/raw.bin", WANG[0])
    first = make()
    stored(hub, oid).write_bytes(WANG[1])
    assert read(make(number=2, previous=first)).data["data/raw.bin"] == Content(oid, sha(WANG[1]))


def test_a_path_with_other_bytes_than_before_is_never_taken_from_there(make, hub):
    commit_data(hub, "data/raw.csv", b"old\n")
    first = make()
    oid = commit_data(hub, "data/raw.csv", b"new\n")
    stored(hub, oid).unlink()
    with pytest.raises(PushforwardError, match=r"data/raw\.csv"):
        make(number=2, previous=first)


@pytest.mark.slow
def test_what_a_remote_elsewhere_has_is_fetched(make, hub):
    folder, elsewhere = hub.store, hub.folder / "elsewhere"
    hub.write("dvc.yaml", "stages:\n  train:\n    cmd: train\n    outs: [model]\n")
    told = hub.judge(hub.commit("b", "A pipeline"), "b")
    expected = make(verdict=told)
    folder.rename(elsewhere)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(elsewhere))
    handler.func.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        (hub.clone / ".dvc" / "config.local").write_text(f"['remote \"s\"']\n    url = {url}\n")
        assert make(verdict=told) == expected
        assert "fetching 1 of 1 outs of dvc.lock" in hub.said
        server.shutdown()


def test_a_model_of_many_files_has_the_digest_that_the_judge_gave_it(tmp_path):
    names = ["model.json", "a/b.txt", "a.b", "a-b", "a/c/d", "ünï", "Z", "manifest.json", "sub/manifest.json"]
    for name in names:
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_text(name)
    subjects = {f"model/{name}": sha(name.encode()) for name in names}
    assert provenance.model_digest(subjects, "model") == revision.model_digest(tmp_path / "model")


def altered(content, change):
    tree = json.loads(content)
    change(tree)
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def definition(tree):
    return tree["predicate"]["buildDefinition"]


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda tree: tree.update(predicateType="https://slsa.dev/provenance/v0.2"),
        lambda tree: tree.pop("subject"),
        lambda tree: tree["subject"].append(tree["subject"][0]),
        lambda tree: tree["subject"][0]["digest"].update(sha256="nonsense"),
        lambda tree: tree["subject"][0].update(digest={}),
        lambda tree: tree["subject"][0].update(name=7),
        lambda tree: definition(tree)["externalParameters"].update(more=1),
        lambda tree: definition(tree)["externalParameters"].update(commit="0" * 40),
        lambda tree: definition(tree)["externalParameters"].update(params=["0" * 64]),
        lambda tree: tree["subject"][0]["digest"].update(sha256="0" * 64),
        lambda tree: definition(tree)["internalParameters"].update(number=0),
        lambda tree: definition(tree)["internalParameters"].update(number=True),
        lambda tree: definition(tree)["internalParameters"].update(number=1.5),
        lambda tree: definition(tree).update(buildType="https://evil.example"),
        lambda tree: definition(tree).update(resolvedDependencies=None),
        lambda tree: tree["predicate"]["runDetails"]["builder"].update(id="https://evil.example"),
        lambda tree: tree["predicate"]["runDetails"].update(byproducts=[]),
        lambda tree: tree.update(predicate=[]),
    ],
)
def test_another_form_is_refused(make, change):
    with pytest.raises(PushforwardError, match="not a provenance statement of ours"):
        read(altered(make(), change))


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"null", b"\xff", DEEP, b'{"a":NaN}', b'{"_type":1,"_type":2}'],
    ids=["empty", "object", "list", "null", "no text", "deep", "NaN", "twice"],
)
def test_what_is_no_statement_is_refused(content):
    with pytest.raises(PushforwardError, match="not a provenance statement of ours"):
        read(content)


def test_the_same_content_in_other_bytes_is_refused(make):
    made = make()
    for other in (made + b"\n", json.dumps(json.loads(made)).encode(), b" " + made):
        with pytest.raises(PushforwardError, match="canonical"):
            read(other)


def test_a_huge_one_is_refused_before_it_is_read():
    with pytest.raises(PushforwardError, match="the limit is"):
        read(b" " * (provenance.LIMIT_BYTES + 1))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_any_changed_byte_is_refused_or_read_as_what_it_says(example, place, byte):
    at = int(place * len(example))
    changed = example[:at] + bytes([byte]) + example[at + 1 :]
    try:
        other = read(changed)
    except PushforwardError:
        return
    # what is read is what stands there: nothing of it is guessed or left out, but for the version of this tool
    version = example.index(b'"version"')
    assert changed == example or other != read(example) or 0 <= at - version < 40


@pytest.fixture
def example(make):
    return make()
