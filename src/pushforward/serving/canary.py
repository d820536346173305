"""Canary: what came of the rows that it and the version in use were both asked, looked at again and again.

`serve` runs it where there are a log and `monitor.outcomes`. A look is taken only when there are a fifth more outcomes
than at the last one; how many there were is kept beside the log, so that a server that starts anew spends on.
"""

import asyncio
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from pushforward import durable
from pushforward.errors import PushforwardError
from pushforward.gate import loss as losses
from pushforward.judge import score
from pushforward.monitoring import live, outcomes
from pushforward.monitoring import tables as read
from pushforward.serving import program
from pushforward.serving.follow import Follower
from pushforward.serving.live import Running
from pushforward.serving.shares import worse
from pushforward.settings import COMMAND

ASKED_SECONDS = 3600.0  # what the command needs has to be fetched
MORE = 1.2
ASKING = "asking"  # the server's own name of what it asked both; that of a request may be one for all of a client's


@dataclass
class Outcomes:
    """Looks at a canary as long as there is one. `say` hears of what keeps it from looking."""

    follower: Follower
    log: Path
    say: Callable[[str], None]
    _silent: str = ""

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(self.follower.serve.look_seconds)
            arms, told = self.follower.live.arms, self.follower.told
            main, canary = arms.get("main"), arms.get("canary")
            if main is None or canary is None or told is None or not told.outcomes or main.name == canary.name:
                continue
            try:
                why = await self._look(main, canary)
            except (PushforwardError, OSError) as failed:
                words = str(failed).partition("\n")[0]
                if words != self._silent:
                    self.say(f"outcomes of the canary cannot be looked at: {words}")
                self._silent = words
                continue
            if why and arms.get("main") is main and arms.get("canary") is canary:  # neither has gone meanwhile
                self.follower.take_back(why)

    async def _look(self, main: Running, canary: Running) -> str:
        """Why outcomes show that the canary is worse, or ""; they are asked for by a program of its own."""
        if main.prepared.rules.gate.metric == COMMAND:
            return ""  # a loss of the project's own is of tables that it writes itself
        uses = self.follower.uses
        with tempfile.TemporaryDirectory(prefix="pushforward-outcomes-") as folder:
            out = Path(folder, "outcomes.parquet")
            words = (uses.root, uses.model, self.follower.cache, out)
            await program.ask("asking", *words, seconds=ASKED_SECONDS)
            return await asyncio.to_thread(look, self.log, main, canary, out)


def look(log: Path, main: Running, canary: Running, out: Path) -> str:
    """Why the outcomes that were written to `out` show that the canary is worse than the version in use, or "".

    Raises `TableError`, and spends no look, where they are none that the loss can be taken of.
    """
    rules = main.prepared.rules
    contract = rules.contract
    told = read.outcomes(out, contract.key, contract.label, contract.classes)
    pairs = paired(log, main, canary).join(outcomes.known(told, datetime.now(UTC)), on=outcomes.KEY)
    number, before = _looks(log, canary)
    if pairs.height < max(2, MORE * before):
        return ""
    y = pairs[outcomes.LABEL].to_numpy()
    loss = losses.of(rules.gate, len(contract.classes))
    both = (contract.predicted, tuple(f"canary.{name}" for name in contract.predicted))
    for columns in both:
        if wrong := live.unfit(pairs, loss, columns):
            raise read.TableError(wrong, "edit the command monitor.outcomes of pushforward.yaml")
    if loss.label_problem(y):  # one class only so far
        return ""
    durable.write(_file(log, canary), json.dumps({"looks": number + 1, "pairs": pairs.height}) + "\n")
    other, mine = (score.matrix(pairs, columns) for columns in both)
    days = pairs[outcomes.TIME].dt.date().cast(pl.String).to_numpy().astype(str)
    return worse(y, other, mine, days, loss, look=number + 1)


def paired(log: Path, main: Running, canary: Running) -> pl.DataFrame:
    """What both have answered to the same questions, each once: predictions, and the canary's under `canary.…`."""
    columns = main.served.predicted
    ours = (ASKING, outcomes.KEY, outcomes.TIME, *columns)
    each = [
        read.answers(log, one.name, columns, probability=False, also=(ASKING,)).select(ours) for one in (main, canary)
    ]
    timed = main.served.time is not None and canary.served.time is not None
    # Without a time of its own a row has that of its answer, which is another one of each; of the asking there is one.
    same = (outcomes.KEY, outcomes.TIME if timed else ASKING)
    other, mine = (one.unique(same, keep="last", maintain_order=True) for one in each)
    named = {name: f"canary.{name}" for name in columns}
    return other.join(mine.select(*same, *columns).rename(named), on=same, maintain_order="left")


def _looks(log: Path, canary: Running) -> tuple[int, int]:
    """How many looks there were, and how many pairs the last one had."""
    path = _file(log, canary)
    if not path.is_file():
        return 0, 0
    told = json.loads(path.read_bytes())
    return int(told["looks"]), int(told["pairs"])


def _file(log: Path, canary: Running) -> Path:
    return log / f"looks-{canary.served.digest[:12]}.json"
