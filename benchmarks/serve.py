"""What a reply takes, here and from two public servers: `python benchmarks/serve.py`, of `.venv-test`.

One run, one machine: MLServer with its XGBoost runtime, BentoML and ours answer with the same booster, by the same load
generator in a process of its own; features that are ready, at 1, 8 and 32 connections, then in batches; ours also from
raw rows, by the example's model with its events. Each public server gets the form that it is fastest with, MLServer
also the very bytes that ours gets. Builds their environments in the machine's temporary folder. Needs `model/` and
`data/` of the example (`pushforward repro`). Six minutes.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before anything loads OpenMP

import numpy as np
import polars as pl
import xgboost as xgb

from flights.booster import sha256
from flights.catalog import FEATURES
from flights.serving import load as load_flights
from pushforward.serving.app import Application, server
from pushforward.serving.channel import Channel
from pushforward.serving.events import Events
from pushforward.serving.line import Spec
from pushforward.serving.port import Answer, Columns, Served

ROOT = Path(__file__).parents[1]
SECONDS = 5.0
CONNECTIONS = (1, 8, 32)
BATCH = 1000
ASKED = 50  # of the calls that bare XGBoost is timed by, ten each
MEMORY = 4 * 1024**3
# A version of each, by which figures can be compared.
MLSERVER = ("mlserver==1.7.1", "mlserver-xgboost==1.7.1", "uvloop==0.21.0")  # its workers die of a newer uvloop
BENTO = ("bentoml==1.4.40", f"xgboost-cpu=={xgb.__version__}")
KEY = "number"  # a row is asked for once in a request, so each has one, and the booster is given it too
NUMBERS = [KEY, *(feature.name for feature in FEATURES if not feature.category)]
# In a process of its own, with one worker, as both public servers are told to be.
SERVICE = """\
import bentoml, numpy, xgboost

@bentoml.service(workers=1, traffic={"timeout": 60})
class Model:
    def __init__(self):
        self.booster = xgboost.Booster({"nthread": 1})
        self.booster.load_model("model.ubj")

    @bentoml.api
    def predict(self, x: numpy.ndarray) -> numpy.ndarray:
        return self.booster.inplace_predict(x.astype(numpy.float32))
"""


class OneVersion:
    """Our server's versions: one, without a tag, that a worker answers for."""

    def __init__(self, served: Served, channel: Channel, events: Events) -> None:
        self.served: Served | None = served
        self._of, self._channel, self._events = served, channel, events

    async def predict(self, rows: Columns, request: str, *, pinned: bool = False) -> Answer:  # noqa: ARG002
        """Its answer."""
        found = await self._channel.predict(rows, len(next(iter(rows.values()))))
        return Answer(self._of, "main", found.columns)

    async def observe(self, events: Columns) -> int:
        """Keep events, and wait until it knows them."""
        await self._channel.observed(self._events.add(events))
        return self._events.rows


@dataclass
class Case:
    """A server under load: how it is started, where it is asked, with which bodies, and what it has to answer."""

    name: str
    words: Sequence[str | Path]
    path: str
    one: bytes
    many: bytes
    read: Callable[[Any], list[float]]
    expected: list[float]
    settings: dict[str, str] = field(default_factory=dict)


def main() -> None:
    """Measure, and print a table."""
    if sys.argv[1:2] == ["--host"]:
        asyncio.run(host(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])))
        return
    if not (ROOT / "data" / "holdout").is_dir() or not (ROOT / "model").is_dir():
        sys.exit("model/ and data/ are missing; next: pushforward repro")
    with tempfile.TemporaryDirectory(prefix="pushforward-serve-") as scratch:
        folder = Path(scratch)
        table = _ready(folder)
        print(f"load average {os.getloadavg()[0]:.1f} of {os.cpu_count()} processors before the first request")
        bare = _bare(folder, table)
        measured = {case.name: measure(case, folder) for case in _cases(folder, table)}
        _print(measured, bare)
        print(f"load average {os.getloadavg()[0]:.1f} after the last")


def _ready(folder: Path) -> pl.DataFrame:
    """Fit a booster on the example's numbers into `folder`; rows of its last month with none missing."""
    months = sorted((ROOT / "data" / "features").glob("*.parquet"))[:3]
    tables = [pl.read_parquet(path).with_columns(pl.int_range(pl.len()).cast(pl.Float64).alias(KEY)) for path in months]
    late = [pl.read_parquet(ROOT / "data" / "valid" / "labels" / path.name)["late"] for path in months]
    x, y = pl.concat(tables).select(NUMBERS).to_numpy(), pl.concat(late).to_numpy()
    asked = {"objective": "binary:logistic", "max_depth": 4, "learning_rate": 0.1, "seed": 7}
    booster = xgb.train(asked, xgb.QuantileDMatrix(x, y, feature_names=NUMBERS), 150)
    booster.save_model(folder / "model.ubj")
    return tables[-1].select(NUMBERS).drop_nulls()


def _bare(folder: Path, table: pl.DataFrame) -> dict[str, float]:
    """Calls a second of CPU, of nothing but `inplace_predict`, on one row and on a batch, by one thread."""
    booster = xgb.Booster({"nthread": 1})
    booster.load_model(folder / "model.ubj")
    found = {}
    for name, rows in (("one", 1), ("many", BATCH)):
        x = table.head(rows).to_numpy().astype(np.float32)
        took = []
        for _ in range(ASKED):
            began = time.process_time()
            for _ in range(10):
                booster.inplace_predict(x)
            took.append((time.process_time() - began) / 10)
        found[name] = 1 / float(np.median(took))
    return found


def _cases(folder: Path, table: pl.DataFrame) -> Iterator[Case]:
    booster = xgb.Booster()
    booster.load_model(folder / "model.ubj")
    expected = booster.inplace_predict(table.head(BATCH).to_numpy().astype(np.float32)).tolist()
    tensors = [_tensor(table.head(rows)) for rows in (1, BATCH)]
    columns = [_columns(table.head(rows)) for rows in (1, BATCH)]
    host = (sys.executable, __file__, "--host")
    yield Case("ours, ready features", (*host, "ready", folder), "/v2/models/ready/infer", *columns, _output, expected)
    yield _raw((*host, "raw", folder))
    python = _environment("mlserver", MLSERVER)
    _write_mlserver(folder / "mlserver", folder / "model.ubj")
    start = (python.parent / "mlserver", "start", folder / "mlserver")
    alone = {"MLSERVER_PARALLEL_WORKERS": "0"}
    where = "/v2/models/ready/infer"
    yield Case("MLServer, one tensor", start, where, *tensors, _output, expected)
    yield Case("MLServer without workers, one tensor", start, where, *tensors, _output, expected, alone)
    yield Case("MLServer without workers, our bytes", start, where, *columns, _output, expected, alone)
    python = _environment("bentoml", BENTO)
    (folder / "service.py").write_text(SERVICE)
    bodies = [json.dumps({"x": table.head(rows).rows()}).encode() for rows in (1, BATCH)]
    start = (python.parent / "bentoml", "serve", "service:Model", "--working-dir", folder)
    yield Case("BentoML", start, "/predict", *bodies, list, expected, {"BENTOML_DO_NOT_TRACK": "True"})


def _raw(host: Sequence[str | Path]) -> Case:
    """The example's model with its events, asked with rows as they are."""
    rows = pl.read_parquet(ROOT / "data" / "holdout" / "rows.parquet").tail(BATCH)
    predictor = load_flights(ROOT / "model")
    predictor.observe(_lists(pl.read_parquet(ROOT / "data" / "holdout" / "events.parquet")))
    expected = predictor.predict(_lists(rows))["p"]
    bodies = [
        json.dumps({"rows": rows.head(count).to_dicts()}, default=lambda instant: instant.isoformat()).encode()
        for count in (1, BATCH)
    ]
    return Case("ours, raw rows", host, "/predict", *bodies, lambda said: said["predictions"]["p"], expected)


def _lists(table: pl.DataFrame) -> dict[str, list[Any]]:
    return {name: table[name].to_list() for name in table.columns}


def _tensor(table: pl.DataFrame) -> bytes:
    data = table.to_numpy().ravel().tolist()
    return _asked([{"name": "x", "shape": list(table.shape), "datatype": "FP32", "data": data}])


def _columns(table: pl.DataFrame) -> bytes:
    shape = [table.height]
    return _asked(
        [{"name": name, "shape": shape, "datatype": "FP64", "data": table[name].to_list()} for name in table.columns]
    )


def _asked(inputs: list[dict[str, Any]]) -> bytes:
    # `pd`: columns by their names, for MLServer; of one tensor it may not be said
    said = {"parameters": {"content_type": "pd"}} if len(inputs) > 1 else {}
    return json.dumps(said | {"inputs": inputs}).encode()


def _output(said: Any) -> list[float]:
    return list(said["outputs"][0]["data"])


def _environment(name: str, wanted: Sequence[str]) -> Path:
    """The Python of an environment with `wanted`, built once in the machine's temporary folder."""
    place = Path(tempfile.gettempdir()) / f"pushforward-benchmark-{name}"
    if not (place / "built").exists():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, place], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", place / "bin" / "python", *wanted], check=True)
        (place / "built").touch()
    return place / "bin" / "python"


def _write_mlserver(place: Path, model: Path) -> None:
    (place / "ready").mkdir(parents=True, exist_ok=True)
    said = {"name": "ready", "implementation": "mlserver_xgboost.XGBoostModel", "parameters": {"uri": str(model)}}
    (place / "ready" / "model-settings.json").write_text(json.dumps(said))


async def host(what: str, folder: Path, port: int) -> None:
    """Our server: the application above one worker; ends with a signal."""
    raw = what == "raw"
    code, model = (ROOT, ROOT / "model") if raw else (Path(__file__).parent, folder)
    inputs = json.loads((ROOT / "model" / "manifest.json").read_text())["inputs"] if raw else {}
    manifest = {"inputs": inputs or {"rows": dict.fromkeys(NUMBERS, "Float64")}}
    key, entry = ("flight_id", "flights.serving:load") if raw else (KEY, "ready:load")
    served = Served(what, "v1.0.0", sha256(model / "model.ubj"), "", key, None, ("p",), raw, manifest)
    events = Events(days=1)
    spec = Spec(Path(sys.executable), code, ".", entry, model, ("p",), True, MEMORY)
    channel = Channel(spec, events, lambda fault: print(fault, file=sys.stderr))
    if raw:
        events.add(_lists(pl.read_parquet(ROOT / "data" / "holdout" / "events.parquet")))
    await channel.start()
    await server(Application(OneVersion(served, channel, events)), "127.0.0.1", port).serve()


def measure(case: Case, folder: Path) -> dict[str, dict[str, Any]]:
    """Start a server, see that it answers right, load it: figures by number of connections, and in batches."""
    found = {}
    bodies = {"one": folder / "one.json", "many": folder / "many.json"}
    bodies["one"].write_bytes(case.one)
    bodies["many"].write_bytes(case.many)
    with _running(case, folder) as (pid, port):
        print(f"{case.name}: it answers, from {len(case.one):,} bytes a row", flush=True)
        for connections in CONNECTIONS:
            found[f"{connections}"] = _load(pid, port, case.path, bodies["one"], connections)
        found["many"] = _load(pid, port, case.path, bodies["many"], CONNECTIONS[1])
    return found


@contextmanager
def _running(case: Case, folder: Path) -> Iterator[tuple[int, int]]:
    ports = _free_ports(3)
    words = [str(word) for word in case.words]
    told = os.environ | case.settings | {"OMP_WAIT_POLICY": "passive"}
    if words[2:3] == ["--host"]:
        words.append(str(ports[0]))
    elif words[1] == "serve":
        words += ["--port", str(ports[0])]
    else:
        names = ("MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT")
        told |= dict(zip(names, map(str, ports), strict=True))
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            words, stdout=out, stderr=subprocess.STDOUT, env=told, cwd=folder, start_new_session=True
        )
    try:
        said = _first(f"http://127.0.0.1:{ports[0]}{case.path}", case.many, process, log)
        off = float(np.abs(np.subtract(case.read(said), case.expected)).max())
        if off > 1e-6:
            sys.exit(f"{case.name} answers otherwise, by up to {off}")
        yield process.pid, ports[0]
    finally:
        for one in _family(process.pid):  # some start a session of their own
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        process.wait()


def _first(url: str, body: bytes, process: subprocess.Popen[bytes], log: Path) -> Any:
    """The first answer of a server that starts."""
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    for _ in range(600):
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            said = error.read()[:500].decode(errors="replace")
            if error.code not in (400, 404, 503):
                sys.exit(f"{url}: {error.code} {said}")
        except OSError:
            said = "nothing"
        if process.poll() is not None:
            break
        time.sleep(0.2)
    sys.exit(f"{url}: {said}\n{log.read_text(errors='replace')[-2000:]}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _family(pid: int) -> dict[int, int]:
    """A process and all that it has started, with the ticks of CPU that each has taken, and its own that have ended."""
    parents, taken = {}, {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = place.read_text().rpartition(")")[2].split()
            parents[int(place.parent.name)] = int(fields[1])
            taken[int(place.parent.name)] = sum(map(int, fields[11:15]))
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return {one: taken[one] for one in family if one in taken}


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process and all that it has started have taken."""
    return sum(_family(pid).values()) / os.sysconf("SC_CLK_TCK")


def _load(server: int, port: int, path: str, body: Path, connections: int) -> dict[str, Any]:
    words = [sys.executable, Path(__file__).with_name("load.py"), str(port), path, body, str(connections), str(SECONDS)]
    began = _cpu(server)
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    if found["errors"]:
        print(f"  {found['errors']} errors, the first: {found['first']}")
    # What was asked before the seconds that count was answered too; `all` has it.
    return found | {"rate": found["requests"] / found["seconds"], "cpu": (_cpu(server) - began) / max(1, found["all"])}


def _print(measured: dict[str, dict[str, dict[str, Any]]], bare: dict[str, float]) -> None:
    # Of the processor: what hardly depends on who else is at work on the machine.
    heads = [f"{count} connection{'s' * (count > 1)}: requests/s, p50, p99 ms" for count in CONNECTIONS]
    print(
        "| server |", " | ".join(heads), f"| CPU ms a request | rows/s by {BATCH:,} | CPU µs a row |\n|:--|{'--:|' * 6}"
    )
    for name, found in measured.items():
        cells = [
            f"{one['rate']:,.0f}, {one['p50']:.2f}, {one['p99']:.2f}" if one["requests"] else "none"
            for one in (found[f"{count}"] for count in CONNECTIONS)
        ]
        many, cpu = found["many"], 1000 * found["8"]["cpu"]
        cells += [f"{cpu:.2f}", f"{many['rate'] * BATCH:,.0f}", f"{1e6 * many['cpu'] / BATCH:.1f}"]
        print(f"| {name} | {' | '.join(cells)} |")
    alone = [f"{1000 / bare['one']:.2f}", f"{bare['many'] * BATCH:,.0f}", f"{1e6 / bare['many'] / BATCH:.1f}"]
    print(f"| `inplace_predict` alone | {bare['one']:,.0f} calls/s | | | {' | '.join(alone)} |")
    for ours in ("ours, ready features", "ours, raw rows"):
        for other in (name for name in measured if name != ours):
            first, second = measured[ours]["8"], measured[other]["8"]
            if second["requests"]:
                rate, late = first["rate"] / second["rate"], first["p99"] / second["p99"]
                cpu = second["cpu"] / first["cpu"]
                print(
                    f"{ours}, against {other}, 8 connections: {rate:.1f} x the requests/s, p99 {late:.2f} x, "
                    f"{cpu:.1f} x the requests for a second of CPU"
                )


if __name__ == "__main__":
    main()
