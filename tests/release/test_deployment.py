"""deployment: what a bundle is served with elsewhere; the files as those read them who build and start it."""

import hashlib
import re
import subprocess
from types import SimpleNamespace

import pytest
from ruamel.yaml import YAML
from tests.serving.shelf import Shelf

from pushforward.git.repository import Repository
from pushforward.release.bundle import bundle
from pushforward.release.deployment import Tree, unserved

pytestmark = pytest.mark.whole

VERSION = "toy@v1.0.0"
READY, LIVE = ({"httpGet": {"path": f"/v2/health/{what}", "port": 8080}} for what in ("ready", "live"))


@pytest.fixture
def shelf(hub):
    made = Shelf(hub, settings="serve: {memory_mb: 1536, load_seconds: 40.0}\n")
    hub.write("bin/tool", "#!/bin/sh\n")
    (hub.clone / "bin" / "tool").chmod(0o755)
    return made


def bundled(shelf):
    """The bundle of a version whose predictor and score command agree."""
    if shelf.hub.git(shelf.hub.bare, "tag", "-l", VERSION) == "":
        text = (shelf.hub.clone / "predict.py").read_text()
        shelf.hub.write("predict.py", text.replace('pl.col("x") + told / 1000', 'pl.col("x")'))
        shelf.add()
    out = shelf.hub.folder / "out"
    bundle(shelf.hub.clone, "v1.0.0", out, say=lambda _: None)
    return out


def documents(path):
    return list(YAML(typ="safe").load_all(path))


def test_code_is_the_versions_whole_tree_with_what_can_be_run_and_every_file_has_its_sum(shelf):
    out, repository = bundled(shelf), Repository(shelf.hub.bare)
    tree = repository.tree(VERSION)
    files = {path.relative_to(out / "code").as_posix(): path for path in (out / "code").rglob("*") if path.is_file()}
    assert set(files) == set(tree)
    assert {"lock.txt", "pushforward.yaml", "src/served.py"} <= set(files)
    for name, path in files.items():
        content = path.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        assert tree[name] == f"{'100755' if path.stat().st_mode & 0o111 else '100644'} {blob}", name
    assert tree["bin/tool"].startswith("100755")
    sums = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=out, capture_output=True, text=True)
    listed = {line.removesuffix(": OK") for line in sums.stdout.splitlines()}
    assert sums.returncode == 0, sums.stdout
    assert listed == {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} - {"SHA256SUMS"}
    assert {
        "README.md",
        "Containerfile",
        "kubernetes.yaml",
        "kserve.yaml",
        "commit.txt",
        "golden/rows.parquet",
    } <= listed


def test_the_readme_is_three_lines_and_its_files_are_there(shelf):
    out = bundled(shelf)
    lines = (out / "README.md").read_text().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"`{VERSION}`: the model (`model/`), its code and locks (`code/`, commit ")
    assert "`sha256sum -c SHA256SUMS`" in lines[1]
    assert f"`pushforward verify '{VERSION}'`" in lines[1]
    assert "`pushforward serve --bundle .`" in lines[2]
    assert "-t toy:v1.0.0 ." in lines[2]
    for name in re.findall(r"[\w.]+\.yaml", lines[2]):
        assert (out / name).is_file()


def test_the_image_is_made_from_the_files_of_the_bundle_and_is_run_by_nobody_special(shelf):
    lines = (bundled(shelf) / "Containerfile").read_text().replace("\\\n", "").splitlines()
    words = {}
    for line in lines:
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            words.setdefault(word, []).append(rest)
    assert list(words) == ["ARG", "FROM", "RUN", "COPY", "ENV", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT"]
    assert re.fullmatch(r"BASE=docker\.io/library/python:3\.\d+-slim", words["ARG"][0])
    assert words["ARG"][1] == "TOOL", "no name in an index is taken by default"
    assert words["COPY"] == [". /bundle"]
    assert words["USER"] == ["10001:10001"]
    assert words["ENTRYPOINT"] == ['["pushforward", "serve", "--bundle", "/bundle", "--host", "0.0.0.0"]']
    assert "http://127.0.0.1:8080/v2/health/ready" in words["HEALTHCHECK"][0]
    for run in words["RUN"]:
        subprocess.run(["sh", "-n", "-c", run], check=True)
    assert [run for run in words["RUN"] if run.endswith("pushforward serve --bundle /bundle --check")]


def test_a_cluster_gets_probes_limits_and_no_rights(shelf):
    out = bundled(shelf)
    deployment, service = documents(out / "kubernetes.yaml")
    (kserve,) = documents(out / "kserve.yaml")
    assert (deployment["apiVersion"], deployment["kind"]) == ("apps/v1", "Deployment")
    assert (service["apiVersion"], service["kind"]) == ("v1", "Service")
    assert (kserve["apiVersion"], kserve["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    template = deployment["spec"]["template"]
    chosen = {"app.kubernetes.io/name": "toy"}
    assert deployment["spec"]["selector"] == {"matchLabels": chosen}
    assert service["spec"]["selector"] == chosen
    assert template["metadata"]["labels"] == chosen | {"app.kubernetes.io/version": "v1.0.0"}
    for pod in (template["spec"], kserve["spec"]["predictor"]):
        (container,) = pod["containers"]
        assert container["image"] == "toy:v1.0.0"
        assert container["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]
        assert READY.items() <= container["startupProbe"].items()
        assert READY.items() <= container["readinessProbe"].items()
        assert LIVE.items() <= container["livenessProbe"].items()
        probe = container["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 2 * 40, "it is loaded twice"
        assert container["resources"] == {"requests": {"cpu": "1", "memory": "1024Mi"}, "limits": {"memory": "2048Mi"}}
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == 10001
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
        assert pod["volumes"] == [{"name": "tmp", "emptyDir": {}}]
    (container,) = kserve["spec"]["predictor"]["containers"]
    assert container["name"] == "kserve-container"
    assert container["env"] == [{"name": "PROTOCOL", "value": "v2"}], (
        "by it KServe knows what a custom predictor speaks"
    )


def test_a_tree_with_a_link_is_bundled_without_code_and_the_readme_says_why(shelf):
    (shelf.hub.clone / "link").symlink_to("lock.txt")
    out = bundled(shelf)
    assert not (out / "code").exists()
    assert not (out / "Containerfile").exists()
    last = (out / "README.md").read_text().splitlines()[-1]
    assert last == "To serve: nothing here does: its tree has a link or a submodule, which is no file."


ROWS = "its model has no manifest.json with `inputs.rows`"


@pytest.mark.parametrize(
    ("manifest", "events", "why"),
    [
        (None, False, ROWS),
        ('{"note": "nothing said of its \\"inputs\\"", "inputs_of": 1}', False, ROWS),
        ('{"data": {"inputs": {"rows": {"x": "Int8"}}}}', False, ROWS),
        ('{"inputs": {"rows": {"x": "Int8"}}', False, ROWS),
        ('["inputs"]', False, ROWS),
        ('{"inputs": ["rows"]}', False, ROWS),
        ('{"inputs": {"rows": {}}}', False, ROWS),
        ('{"inputs": {"rows": "x"}}', False, ROWS),
        ('{"inputs": {"rows": {"x": "Int8"}}}', False, ""),
        ('{"inputs": {"rows": {"x": "Int8"}}}', True, "its model has no manifest.json with `inputs.events`"),
        ('{"inputs": {"rows": {"x": "Int8"}, "events": {"kind": "String"}}}', True, ""),
    ],
)
def test_only_a_version_that_says_what_it_is_asked_can_be_served(tmp_path, manifest, events, why):
    if manifest is not None:
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "manifest.json").write_text(manifest)
    rules = SimpleNamespace(score="score", model_path="model", contract=SimpleNamespace(events=events))
    of = SimpleNamespace(statement=SimpleNamespace(judged=""), rules=rules)
    assert unserved(of, Tree({}, frozenset()), tmp_path) == why
