"""`pushforward dispatch`: Judge what was pushed and has no verdict yet, as the hook does after a push; run what is due
by a schedule.
"""

from pathlib import Path

import click

from pushforward.commands import common
from pushforward.errors import TOOL, PushforwardError

DISPATCH_SECONDS = 10.0  # a dispatcher that stands by becomes the one at work within it, or there is much to do
CRON = """Example: pushforward dispatch

\b
Runs that were lost start again at the next push. So that none has to wait for one, and for workflows with
`on: schedule`, have it called every few minutes, by cron:
  */5 * * * *  cd /srv/flights && .venv/bin/pushforward dispatch --bare /srv/flights.git >>/tmp/dispatch.log 2>&1

\b
or by systemd (~/.config/systemd/user/dispatch.service, and dispatch.timer; systemctl --user enable --now
dispatch.timer):
  [Service]
  Type=oneshot
  ExecStart=/srv/flights/.venv/bin/pushforward dispatch --bare /srv/flights.git
  KillMode=process
  [Timer]
  OnCalendar=*:0/5
  Persistent=true
  [Install]
  WantedBy=timers.target
"""


@click.command(epilog=CRON)
@common.BARE
@common.JSON
def dispatch(bare: Path | None, as_json: bool) -> None:
    """Judge what was pushed and has no verdict yet, as the hook does after a push; run what is due by a schedule."""
    from pushforward.server import runs
    from pushforward.server.dispatch import work

    server = common.owned(common.server(bare))
    ended = work(server, say=common.progress(as_json, ""), patience=DISPATCH_SECONDS, at_once=True)
    blocked = "" if ended is None else runs.queue(server)["blocked"]
    if as_json and not blocked:
        common.show({"busy": ended is None, "judged": [run.record() for run in ended or ()]})
    if ended is None or (as_json and not blocked):
        return
    again = sum(not run.final for run in ended)
    told = f"{len(ended)} judged" + (f", {again} not final" if again else "") if ended else "nothing was waiting"
    click.echo(told, err=as_json)
    if blocked:
        raise PushforwardError(blocked, exit_code=TOOL)
