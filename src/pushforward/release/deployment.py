"""Deployment: what a bundle has for whoever serves it elsewhere: code, golden rows, an image, manifests; `bundle` asks.

The code is the version's whole tree: so its files can be held against the commit that the signed tag names.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from pushforward.judge import holdout, table
from pushforward.pipeline import environment
from pushforward.pipeline.revision import MANIFEST
from pushforward.release.chain import Evidence
from pushforward.release.hop import DifferentError

CODE = "code"
COMMIT = "commit.txt"
GOLDEN_ROWS = "golden"
TAG = "tag.txt"
EXECUTABLE = "100755"
PLAIN = ("100644", EXECUTABLE)
OWN_MB = 512  # what the server itself takes at the most, beside its version
ASKED_MB = 1024  # what a node has to have left
OF_TOOL = "'pushforward[serve] @ git+https://HOST/pushforward.git@COMMIT'"

ASKED = "# Where the tool comes from, as pip takes it: a git URL with its commit, or a wheel with its hash.\nARG TOOL"

README = Template("""\
`$version`: the model (`model/`), its code and locks (`code/`, commit $commit), and what was signed of it.
To verify: `sha256sum -c SHA256SUMS`, and `pushforward verify '$version'` in a clone of its repository$checks.
To serve: $serves
""")
CHECKS = "; `pushforward serve --bundle . --check --signers FILE` does here what needs no repository"
SERVES = Template("""\
`pushforward serve --bundle .`; in an image, `podman build --format docker $argument-t $image .`, then \
`kubectl apply -f kubernetes.yaml` or `-f kserve.yaml`.""")

CONTAINERFILE = Template("""\
# $version. Its predictions are decided by the lock in code/ and asked for below, so the base is named by its tag: what
# a registry has under a digest, and for which machine, is known there. --build-arg BASE=...@sha256:... pins it.
ARG BASE=docker.io/library/python:$python-slim
FROM $$BASE
$tool
RUN apt-get update \\
 && apt-get install -y --no-install-recommends git openssh-client \\
 && rm -rf /var/lib/apt/lists/* \\
 && useradd --uid 10001 --no-create-home pushforward
COPY . /bundle
RUN test -n "$$TOOL" || { echo "--build-arg TOOL=... says where pushforward comes from" >&2; exit 1; } \\
 && python -m venv /opt/pushforward \\
 && /opt/pushforward/bin/pip install --no-cache-dir "$$TOOL"
ENV PATH=/opt/pushforward/bin:$$PATH XDG_CACHE_HOME=/opt/cache HOME=/tmp PYTHONDONTWRITEBYTECODE=1
# Builds the environment that the version locks, apart from the tool's, and asks it for its golden rows.
RUN UV_NO_CACHE=1 pushforward serve --bundle /bundle --check
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --start-period=${load}s CMD ["python", "-c", "import urllib.request as r; \
r.urlopen('http://127.0.0.1:8080/v2/health/ready', timeout=5)"]
ENTRYPOINT ["pushforward", "serve", "--bundle", "/bundle", "--host", "0.0.0.0"]
""")

CONTAINER = """\
          image: $image
          ports: [{containerPort: 8080, protocol: TCP}]
          startupProbe:
            httpGet: {path: /v2/health/ready, port: 8080}
            periodSeconds: 5
            failureThreshold: $tries
          readinessProbe:
            httpGet: {path: /v2/health/ready, port: 8080}
            periodSeconds: 5
          livenessProbe:
            httpGet: {path: /v2/health/live, port: 8080}
            periodSeconds: 10
            failureThreshold: 6
          resources:
            requests: {cpu: "1", memory: ${asked}Mi}
            limits: {memory: ${memory}Mi}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          volumeMounts: [{name: tmp, mountPath: /tmp}]
"""
POD = """\
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 10001, runAsGroup: 10001, seccompProfile: {type: RuntimeDefault}}
      volumes: [{name: tmp, emptyDir: {}}]
      containers:
"""
KUBERNETES = Template(
    """\
# $version. `image` is the one that Containerfile makes, under the name that your registry has it by.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: $model
  labels: {app.kubernetes.io/name: $model, app.kubernetes.io/version: $number}
spec:
  replicas: 2
  selector: {matchLabels: {app.kubernetes.io/name: $model}}
  template:
    metadata:
      labels: {app.kubernetes.io/name: $model, app.kubernetes.io/version: $number}
    spec:
"""
    + POD
    + """\
        - name: server
"""
    + CONTAINER
    + """\
---
apiVersion: v1
kind: Service
metadata:
  name: $model
  labels: {app.kubernetes.io/name: $model}
spec:
  selector: {app.kubernetes.io/name: $model}
  ports: [{name: http, port: 80, targetPort: 8080, protocol: TCP}]
"""
)
KSERVE = Template(
    """\
# $version, as a predictor of KServe's that is no framework of its own; it speaks the Open Inference Protocol.
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: $model
  labels: {app.kubernetes.io/version: $number}
spec:
  predictor:
"""
    + "".join(line.removeprefix("  ") for line in POD.splitlines(keepends=True))
    + """\
      - name: kserve-container
        env: [{name: PROTOCOL, value: v2}]
"""
    + "".join(line.removeprefix("  ") for line in CONTAINER.splitlines(keepends=True))
)


@dataclass(frozen=True)
class Tree:
    """The files of a commit: path -> bytes, and which of them can be run."""

    files: Mapping[str, bytes]
    executable: frozenset[str]


def tree(of: Evidence) -> Tree | None:
    """The version's whole tree; None where a part of it is a link or another repository, and no file."""
    modes = {path: entry.split() for path, entry in of.repository.tree(of.target).items()}
    if any(mode not in PLAIN for mode, _ in modes.values()):
        return None
    found = of.repository.objects([name for _, name in modes.values()])
    files = {path: content[1] for path, content in zip(modes, found, strict=True) if content is not None}
    if missing := sorted(set(modes) - set(files)):
        raise DifferentError(f"{missing[0]} of {of.target[:9]} is not in the repository", missing[0])
    return Tree(files, frozenset(path for path, (mode, _) in modes.items() if mode == EXECUTABLE))


def unserved(of: Evidence, there: Tree | None, checkout: Path) -> str:
    """Why nothing here can serve the version; "" where it can be."""
    if of.statement.judged or not of.rules.score:
        return "the judge asks it nothing (no `score`)"
    if there is None:
        return "its tree has a link or a submodule, which is no file"
    told, wanted = _inputs(checkout / of.rules.model_path / MANIFEST), ["rows"]
    wanted += ["events"] if of.rules.contract.events else []
    if missing := [name for name in wanted if not (isinstance(told.get(name), dict) and told[name])]:
        return f"its model has no {MANIFEST} with `inputs.{missing[0]}`"
    return ""


def _inputs(manifest: Path) -> Mapping[str, object]:
    """What a manifest says under `inputs`; nothing where there is none, or none that can be read."""
    if not manifest.is_file():
        return {}
    try:
        told = json.loads(manifest.read_bytes())
    except (ValueError, RecursionError):
        return {}
    inputs = told.get("inputs") if isinstance(told, dict) else None
    return inputs if isinstance(inputs, dict) else {}


def golden_rows(of: Evidence, keys: set[str], checkout: Path, scratch: Path) -> dict[str, bytes | Path]:
    """What the version is asked for its golden rows with: these rows of its holdout, without labels, and the events."""
    import polars as pl

    contract = of.rules.contract
    place = checkout / contract.holdout
    rows = table.place(place, holdout.ROWS, contract.holdout)
    name = f"{GOLDEN_ROWS}/{rows.name}"
    found: dict[str, bytes | Path] = {name: rows}  # a part of a CSV may be read with other types than the whole
    if rows.suffix == table.PARQUET:
        whole, part = table.read(rows, rows.name), scratch / rows.name
        table.write(whole.filter(whole[contract.key].cast(pl.String).is_in(list(keys))), part)
        found[name] = part
    if contract.events:
        found[f"{GOLDEN_ROWS}/{holdout.EVENTS}"] = place / holdout.EVENTS
    return found


def texts(of: Evidence, why: str) -> dict[str, bytes]:
    """README.md, and what serves the version in an image and in a cluster; `why` nothing does, "" where it can."""
    model, _, number = of.name.partition("@")
    carried, may = environment.carried(of.repository, of.target), of.rules.serve
    told = {
        "version": of.name,
        "model": model.rstrip("-"),  # as a name in a cluster ends
        "number": number,
        "image": f"{model}:{number}",
        "commit": of.target[:12],
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "load": str(60 + 2 * int(may.load_seconds)),  # it is loaded twice: to be asked, and to answer
        "tries": str(12 + 2 * int(may.load_seconds) // 5),
        "asked": str(min(ASKED_MB, may.memory_mb + OWN_MB)),
        "memory": str(may.memory_mb + OWN_MB),
        "argument": "" if carried else f"--build-arg TOOL={OF_TOOL} ",
    }
    source = f"/bundle/{CODE}[serve]"
    told["tool"] = f"# The tool is in the version's own repository.\nARG TOOL={source}" if carried else ASKED
    serves = f"nothing here does: {why}." if why else SERVES.substitute(told)
    readme = README.substitute(told, checks="" if why else CHECKS, serves=serves)
    if why:
        return {"README.md": readme.encode()}
    made = {"Containerfile": CONTAINERFILE, "kubernetes.yaml": KUBERNETES, "kserve.yaml": KSERVE}
    return {"README.md": readme.encode()} | {name: text.substitute(told).encode() for name, text in made.items()}
