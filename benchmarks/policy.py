"""What the policy hook costs a push: an empty hook, ours, ours with signed tags, in turns in one run.

    .venv-test/bin/python benchmarks/policy.py [ROUNDS [TAGS]]

Prints p50 and p95 of the wall time of a whole `git push` over a path (client, server and hook together), CPU time of
the same, and the ratios to the empty hook. TAGS are ordinary tags that the server has besides.
"""

import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests import policy_server
from tests.policy_server import Released, Server

EMPTY = "#!/bin/sh\nexit 0\n"
STORED = 200


def main(rounds: int = 40, tags: int = 0) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="policy-") as folder:
        released: Released = policy_server.made_once(policy_server.release, Path(folder))
        server = released.server
        _fill(server, tags)
        hook = server.bare / "hooks" / "pre-receive"
        ours = hook.read_text()
        cases: dict[str, tuple[str, Callable[[int], list[str]]]] = {
            "empty hook, a branch": (EMPTY, lambda number: [_branch(released, f"empty-{number}")]),
            "ours, a branch": (ours, lambda number: [_branch(released, f"ours-{number}")]),
            "ours, main": (ours, lambda number: [_main(released, number)]),
            "ours, a signed environment tag": (ours, lambda _: [_use(released)]),
            "ours, a refused tag": (ours, lambda _: [released.use("staging", 9999, "B")]),
            "ours, a promotion (version, use, chain)": (ours, lambda number: _promotion(released, number)),
        }
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
        for number in range(rounds + 1):
            for name, (text, make) in cases.items():
                specs = make(number)
                hook.write_text(text)
                cost = _push(server, specs, refused="refused" in name)
                if number:  # the first one warms up
                    took[name].append(cost)
        _print(took)


def _push(server: Server, specs: list[str], *, refused: bool) -> tuple[float, float]:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    said = server.push("--atomic", *specs, token=True)
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if said.taken == refused:
        raise RuntimeError(said.text)
    return wall, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime


def _fill(server: Server, tags: int) -> None:
    """As many files as a project has, and `tags` tags."""
    tip = server.follow("refs/heads/main", {f"src/part/file{number}.py": b"x" for number in range(STORED)})
    server.git("update-ref", "refs/heads/main", tip)
    server.taken(f"{tip}:refs/heads/main")
    lines = "".join(f"create refs/tags/old-{number} {tip}\n" for number in range(tags)).encode()
    server.git("update-ref", "--stdin", stdin=lines, where=server.bare)
    server.git("pack-refs", "--all", where=server.bare)


def _branch(released: Released, name: str) -> str:
    server = released.server
    return f"{server.follow('refs/heads/main', {'README.md': name.encode()})}:refs/heads/{name}"


def _main(released: Released, number: int) -> str:
    server = released.server
    tip = server.follow("refs/heads/main", {"README.md": f"main {number}".encode()})
    server.git("update-ref", "refs/heads/main", tip)
    return f"{tip}:refs/heads/main"


def _count(server: Server, pattern: str) -> int:
    return len(server.git("for-each-ref", pattern, where=server.bare).splitlines())


def _use(released: Released) -> str:
    number = _count(released.server, "refs/tags/toy#production#*") + 1
    record = {"schema": 2, "version": "toy@v1.1.0", "reason": "again", "by": "ann"}
    return released.use("production", number, "B", record)


def _promotion(released: Released, number: int) -> list[str]:
    previous = f"toy@v1.{number + 1}.0"
    promotion = released.promotion(name=f"toy@v1.{number + 2}.0", number=number + 3, previous=previous)
    staging = _count(released.server, "refs/tags/toy#staging#*") + 1
    return [*promotion.specs(), promotion.use("staging", staging)]


def _print(took: dict[str, list[tuple[float, float]]]) -> None:
    walls = {name: sorted(wall for wall, _ in costs) for name, costs in took.items()}
    base = statistics.median(next(iter(walls.values())))
    print(f"{'':42}{'p50 ms':>8}{'p95 ms':>8}{'CPU ms':>8}{'ratio':>7}{'more ms':>9}")
    for name, wall in walls.items():
        p50, p95 = statistics.median(wall), wall[min(len(wall) - 1, int(0.95 * len(wall)))]
        cpu = statistics.median(cost for _, cost in took[name])
        print(f"{name:42}{1e3 * p50:8.0f}{1e3 * p95:8.0f}{1e3 * cpu:8.0f}{p50 / base:7.2f}{1e3 * (p50 - base):9.0f}")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
