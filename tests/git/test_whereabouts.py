"""Servers that were moved, copied, restored, mirrored, half lost, shared: they work, mend themselves, or say no."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.team import CONFIG, SETTINGS, Team, make_clone

from pushforward.commands.cli import main
from pushforward.errors import PushforwardError
from pushforward.git import whereabouts
from pushforward.git.environment import SERVICE_EMAIL
from pushforward.git.refs import TRUST
from pushforward.git.repository import Repository
from pushforward.git.server import Server, write_hooks
from pushforward.judge import seal
from pushforward.registry import signers, ssh, trust
from pushforward.server import check, installation
from pushforward.server import post_receive as receive
from pushforward.server.init import init

pytestmark = pytest.mark.whole

FORGED = ("HEAD:refs/tags/toy@v9.9.9", "HEAD:refs/tags/toy#production#7")
STRANGER = 5


@pytest.fixture
def clone(tmp_path: Path, git: Callable[..., str]) -> Path:
    """A clone whose server has its default branch, in a folder of both and the store."""
    made = make_clone(tmp_path / "team" / "clone", git)
    init(made)
    git(made, "push", "-q", "local", "main", PUSHFORWARD_RUN="none")
    return made


def bare_of(clone: Path) -> Path:
    return clone.parent / "clone.git"


def known(bare: Path) -> dict[str, object]:
    """What the server says of itself."""
    return dict(json.loads((bare / "pushforward" / "server.json").read_text()))


def command(clone: Path, monkeypatch: pytest.MonkeyPatch, *args: str) -> Result:
    monkeypatch.chdir(clone)
    return CliRunner().invoke(main, list(args))


def refusal(of: Callable[[], object]) -> PushforwardError:
    with pytest.raises(PushforwardError) as refused:
        of()
    return refused.value


def refuses_forgery(git: Callable[..., str], clone: Path, url: Path | str) -> bool:
    said = git(clone, "push", str(url), *FORGED, check=False)
    return "it is not signed with an ssh key, as no tag of gto's is" in said and "[new tag]" not in said


# Moved.


def test_nothing_that_git_reads_or_runs_in_a_server_says_where_it_is(clone: Path) -> None:
    bare = bare_of(clone)
    for path in (bare / "config", bare / "hooks" / "pre-receive", bare / "hooks" / "post-receive"):
        assert str(bare) not in path.read_text(), path


@pytest.mark.parametrize("how", ["moved", "moved with all", "restored elsewhere", "by a link", "over a relative path"])
def test_a_server_somewhere_else_has_its_policy_still(clone: Path, git: Callable[..., str], how: str) -> None:
    bare, team = bare_of(clone), clone.parent
    url: Path | str = team / "other.git"
    if how == "moved":
        bare.rename(url)
    elif how == "moved with all":
        team.rename(team.with_name("crew"))
        clone, url = team.with_name("crew") / "clone", team.with_name("crew") / "clone.git"
    elif how == "restored elsewhere":
        shutil.copytree(bare, url, symlinks=True)
        shutil.rmtree(bare)
    elif how == "by a link":
        Path(url).symlink_to(bare)
    else:
        bare.rename(url)
        url = "../other.git"
    assert refuses_forgery(git, clone, url)
    assert git(clone, "push", "-q", str(url), "HEAD:refs/heads/idea", PUSHFORWARD_RUN="none") == ""


@pytest.mark.parametrize("words", [["runs"], ["gc"], ["dispatch"]])
def test_a_server_that_was_moved_writes_down_where_it_is_and_its_claim_follows(
    clone: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    bare, store = bare_of(clone), clone.parent / "store"
    moved = bare.rename(clone.parent / "other.git")
    server = Server.load(moved)
    assert (server.bare, server.was, server.store) == (str(moved), str(bare), str(store))
    git(clone, "remote", "set-url", "local", str(moved))
    monkeypatch.setattr("pushforward.server.dispatch.work", lambda *_, **__: [])
    found = command(clone, monkeypatch, *words)
    assert (found.exit_code, known(moved)["place"]) == (0, str(moved)), found.stderr
    assert list(whereabouts.claims(store)) == [moved]
    assert Server.load(moved).was == ""
    assert [finding for finding in installation.server(moved) if not finding.ok] == []


def test_the_store_that_was_moved_along_is_used_and_one_that_stayed_stays(clone: Path) -> None:
    team = clone.parent
    crew = team.rename(team.with_name("crew"))
    assert Server.load(crew / "clone.git").store == str(crew / "store")
    (crew / "hub").mkdir()
    Server.load(crew / "clone.git").settle()
    assert Server.load((crew / "clone.git").rename(crew / "hub" / "clone.git")).store == str(crew / "store")


def test_a_folder_that_only_lies_where_the_store_would_is_not_taken_for_it(clone: Path) -> None:
    moved = clone.parent.parent / "hub" / "clone.git"
    moved.parent.mkdir()
    bare_of(clone).rename(moved)
    (moved.parent / "store").mkdir()
    assert Server.load(moved).store == str(clone.parent / "store")


def test_an_interpreter_that_was_moved_along_is_found(clone: Path, git: Callable[..., str]) -> None:
    bare, team = bare_of(clone), clone.parent
    (team / "bin").mkdir()
    python = team / "bin" / "python"
    python.symlink_to(known(bare)["python"])  # type: ignore[arg-type]
    path = bare / "pushforward" / "server.json"
    path.write_text(json.dumps(known(bare) | {"python": str(python)}))
    write_hooks(Server.load(bare))
    crew = team.rename(team.with_name("crew"))
    assert refuses_forgery(git, crew / "clone", crew / "clone.git")
    assert Server.load(crew / "clone.git").python == str(crew / "bin" / "python")


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        ("python", "the server's Python is not there, or not for this user to run"),
        ("lib", "the server's copy of the tool is gone: pushforward/lib"),
        ("pushforward", "the server's copy of the tool is gone: pushforward/lib"),
    ],
)
def test_a_hook_without_what_it_needs_says_what_and_refuses(
    clone: Path, git: Callable[..., str], lost: str, told: str
) -> None:
    bare = bare_of(clone)
    if lost == "python":
        hook = bare / "hooks" / "pre-receive"
        lines = hook.read_text().splitlines()
        start = next(number for number, line in enumerate(lines) if "known=" in line)
        lines[start] = lines[start].partition("known=")[0] + "known='/no where/python'"
        lines[start + 2] = "true"
        hook.write_text("\n".join(lines) + "\n")
    else:
        shutil.rmtree(bare / "pushforward" / "lib" if lost == "lib" else bare / "pushforward")
    said = git(clone, "push", "local", "HEAD:refs/heads/idea", check=False)
    assert f"remote: pushforward: {told}" in said
    assert "next: make env, then pushforward init, in the clone that made the server" in said
    assert git(bare, "for-each-ref", "refs/heads/idea") == ""


# Copied.


@pytest.fixture
def copied(clone: Path) -> Path:
    """A copy of the server, beside it."""
    copy = clone.parent / "copy.git"
    shutil.copytree(bare_of(clone), copy, symlinks=True)
    return copy


def test_a_copy_beside_its_original_takes_nothing_and_names_it(
    clone: Path, copied: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = git(clone, "push", str(copied), "HEAD:refs/heads/idea", check=False)
    assert f"this server is a copy of {bare_of(clone)}, which is still there; it takes nothing in its name" in said
    assert f"git remote set-url local '{copied}' && pushforward init" in said
    for words in (("dispatch",), ("runs",)):
        done = command(clone, monkeypatch, *words, "--bare", str(copied))
        assert done.exit_code == 5
        assert f"{copied} is a copy of the server {bare_of(clone)}, which is still there" in done.stderr
    found = command(clone, monkeypatch, "check", "--bare", str(copied), "--json")
    broken = [finding["name"] for finding in json.loads(found.stdout) if not finding["ok"] and not finding["optional"]]
    assert broken == ["server"]
    assert git(clone, "push", "-q", "local", "HEAD:refs/heads/idea", PUSHFORWARD_RUN="none") == "", (
        "the original goes on"
    )


def test_init_makes_a_copy_a_server_of_its_own_and_leaves_the_original_alone(
    clone: Path, copied: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = known(bare_of(clone))
    git(clone, "remote", "set-url", "local", str(copied))
    card = command(clone, monkeypatch, "init")
    assert f"copy     of {bare_of(clone)}, which stays what it is; this is a server of its own" in card.stdout
    assert known(bare_of(clone)) == before
    assert known(copied)["id"] != before["id"]
    assert set(whereabouts.claims(clone.parent / "store")) == {copied, bare_of(clone)}, "both need what is there"
    assert refuses_forgery(git, clone, copied)
    assert git(clone, "push", "-q", "local", "HEAD:refs/heads/idea", PUSHFORWARD_RUN="none") == ""


def test_a_copy_of_all_has_the_copy_of_the_store(clone: Path, git: Callable[..., str]) -> None:
    team = clone.parent
    shutil.copytree(team, team.with_name("twin"), symlinks=True)
    twin = team.with_name("twin")
    git(twin / "clone", "remote", "set-url", "local", str(twin / "clone.git"))
    assert init(twin / "clone").store == str(twin / "store")
    assert list(whereabouts.claims(twin / "store")) == [twin / "clone.git"]
    assert list(whereabouts.claims(team / "store")) == [team / "clone.git"]


def test_a_copy_knows_its_original_where_that_has_been_moved_since(
    clone: Path, copied: Path, git: Callable[..., str]
) -> None:
    moved = bare_of(clone).rename(clone.parent / "moved.git")
    Server.load(moved).settle()
    assert f"{copied} is a copy of the server {moved}" in refusal(lambda: Server.load(copied)).message
    said = git(clone, "push", str(copied), "HEAD:refs/heads/idea", check=False)
    assert f"this server is a copy of {moved}" in said


def test_another_server_in_the_place_of_one_that_was_moved_is_no_original(clone: Path, git: Callable[..., str]) -> None:
    moved = bare_of(clone).rename(clone.parent / "moved.git")
    init(clone)
    assert Server.load(moved).was == str(bare_of(clone))
    assert refuses_forgery(git, clone, moved)


def test_an_original_that_cannot_be_read_counts_as_one(clone: Path, copied: Path, git: Callable[..., str]) -> None:
    (bare_of(clone) / "pushforward" / "server.json").write_text("{")
    assert "is a copy of" in refusal(lambda: Server.load(copied)).message
    assert "this server is a copy of" in git(clone, "push", str(copied), "HEAD:refs/heads/idea", check=False)


def test_a_mirror_has_no_policy_until_init_makes_it_a_server_with_all_that_its_refs_know(
    clone: Path, git: Callable[..., str], tmp_path: Path
) -> None:
    place = signers.place_of(clone)
    key = make_key(tmp_path / "keys" / "bob")
    signers.add(place, key, "bob@example.org", ["staging"])
    git(clone.parent, "clone", "-q", "--mirror", str(bare_of(clone)), "mirror.git")
    mirror = clone.parent / "mirror.git"
    git(clone, "remote", "set-url", "local", str(mirror))
    told: list[str] = []
    server = init(clone, say=told.append)
    assert server.bare == str(mirror)
    assert refuses_forgery(git, clone, mirror)
    assert ("bob@example.org", frozenset({"staging"})) in [(one.principal, one.may) for one in keys_of(mirror)]
    assert told[0] == "restored 2 keys, from refs/pushforward/trust"
    assert json.loads((mirror / "pushforward" / "registry.json").read_text())["model"] == "toy"


def test_an_older_backup_in_the_place_of_the_server_is_told_in_the_clone_with_what_mends_git_fetch(
    clone: Path, git: Callable[..., str]
) -> None:
    bare, backup = bare_of(clone), clone.parent / "backup.git"
    git(bare, "tag", "-a", "-m", "x", "toy@v1.0.0", "main")
    shutil.copytree(bare, backup, symlinks=True)
    # as a server has made it: with a record, and signed, though nobody asks here by whom
    git(bare, "tag", "-a", "-m", 'x\n\n{"schema": 2}\n-----BEGIN SSH SIGNATURE-----', "toy@v1.1.0", "main")
    git(clone, "fetch", "-q", "local")
    shutil.rmtree(bare)
    backup.rename(bare)
    assert Server.load(bare).was == ""
    git(bare, "tag", "-f", "-a", "-m", "another", "toy@v1.0.0", "main")
    assert "would clobber existing tag" in git(clone, "fetch", "local", check=False)
    found = [finding for finding in check.everything(clone) if finding.name == "tags"]
    assert [finding.found for finding in found] == [
        "toy@v1.0.0: another here than on local, so git fetch fails ('would clobber existing tag')",
        "toy@v1.1.0: not on local; it is an older backup, or they are another server's",
    ]
    for finding in found:
        subprocess.run(["sh", "-c", finding.mend], cwd=clone, check=True, capture_output=True)
    assert all(finding.ok for finding in check.everything(clone) if finding.name == "tags")
    git(clone, "fetch", "-q", "local")


# What init keeps.


def make_key(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    line = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(line, check=True, capture_output=True)
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


def keys_of(bare: Path) -> list[ssh.Signer]:
    return ssh.read((bare / "pushforward" / "allowed_signers").read_text())


def test_a_clone_elsewhere_does_not_take_the_store_away(
    clone: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = clone.parent / "bob" / "clone"
    git(clone.parent, "clone", "-q", "-o", "local", str(bare_of(clone)), str(bob))
    before = known(bare_of(clone))
    card = command(bob, monkeypatch, "init")
    store, other = clone.parent / "store", bob.parent / "store"
    assert f"kept     the store {store}, though .dvc/config here means {other}; to move it" in card.stdout
    assert f"store    {store}\n" in card.stdout
    assert known(bare_of(clone)) == before
    assert not other.exists()


def test_a_store_moves_by_name_and_takes_along_what_it_holds(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = clone.parent / "store", clone.parent / "other store"
    (store / "files" / "md5" / "ab").mkdir(parents=True)
    (store / "files" / "md5" / "ab" / ("c" * 30)).write_text("an object")
    (clone / ".dvc" / "config").write_text(CONFIG.replace("../../store", "../../other store"))
    assert init(clone).store == str(store)
    card = command(clone, monkeypatch, "init", "--move-store")
    assert f"moved    1 objects and entries of {store}" in card.stdout
    assert known(bare_of(clone))["store"] == str(other)
    assert (other / "files" / "md5" / "ab" / ("c" * 30)).read_text() == "an object"
    assert list(whereabouts.claims(other)) == [bare_of(clone)]


@pytest.mark.parametrize("how", ["worktree", "include"])
def test_a_setting_that_overrules_the_hooks_is_told_with_what_ends_it(
    clone: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The server's own config stays as it was, and still the policy is off."""
    bare, other = bare_of(clone), clone.parent / "other config"
    if how == "worktree":
        git(bare, "config", "extensions.worktreeConfig", "true")
        git(bare, "config", "--worktree", "core.hooksPath", "/dev/null")
        other = bare / "config.worktree"
    else:
        other.write_text("[core]\nhooksPath = /dev/null\n")
        git(bare, "config", "include.path", str(other))
    found = {finding.name: finding for finding in installation.server(bare) if not finding.ok}
    assert set(found) == {"core.hookspath", "self-test"}
    for words in (["init"], ["check", "--mend", "--quick"]):
        refused = command(clone, monkeypatch, *words)
        assert refused.exit_code == (2 if words == ["init"] else 6)
        told = f"{other} says core.hooksPath = /dev/null, which overrules what a server has to have: hooks\n"
        assert told in refused.stderr
    mend = refused.stderr.partition("  next: ")[2].partition(", then this again\n")[0]
    subprocess.run(["sh", "-c", mend], cwd=clone, check=True)
    assert command(clone, monkeypatch, "init").exit_code == 0
    assert [finding for finding in installation.server(bare) if not finding.ok] == []
    assert refuses_forgery(git, clone, bare)


def test_settings_that_git_cannot_read_are_one_finding_and_nothing_is_called_lost(
    clone: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = bare_of(clone)
    with (bare / "config").open("a") as config:
        config.write("garbage [\n")
    (found,) = [found for found in check.everything(clone) if not (found.ok or found.optional)]
    assert found.name == "server"
    assert found.found.startswith(f"git cannot read the settings of {bare}: fatal: bad config line ")
    for words in (["init"], ["check", "--mend", "--quick"]):
        assert f"pushforward: {found.found}\n  next: {found.mend}\n" in command(clone, monkeypatch, *words).stderr
    anew, _, _ = found.mend.partition(" && pushforward init, or edit that line")
    subprocess.run(["sh", "-c", anew], cwd=clone, check=True)
    assert command(clone, monkeypatch, "init").exit_code == 0
    assert [found for found in installation.server(bare) if not found.ok] == []
    assert refuses_forgery(git, clone, bare)


@pytest.mark.parametrize("text", [None, "{", "[]"])
@pytest.mark.parametrize("words", [["init"], ["check", "--mend", "--quick"]])
def test_names_that_the_policy_cannot_read_are_found_and_told_again(
    clone: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch, text: str | None, words: list[str]
) -> None:
    path = bare_of(clone) / "pushforward" / "registry.json"
    before = json.loads(path.read_text())["model"]
    path.unlink()
    if text is not None:
        path.write_text(text)
    assert "next: pushforward check" in git(clone, "push", "local", FORGED[0], check=False)
    assert [(found.name, found.mend) for found in installation.server(bare_of(clone)) if not found.ok] == [
        ("files", "pushforward init")
    ]
    command(clone, monkeypatch, *words)
    assert json.loads(path.read_text())["model"] == before
    assert [found for found in installation.server(bare_of(clone)) if not found.ok] == []


def test_a_server_without_its_head_is_one_finding(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = bare_of(clone)
    (bare / "HEAD").unlink()
    (found,) = [found for found in check.everything(clone) if not (found.ok or found.optional)]
    assert (found.name, "git takes the folder for no repository" in found.found) == ("HEAD", True)
    assert command(clone, monkeypatch, "init").exit_code == 0
    assert [found for found in installation.server(bare) if not found.ok] == []


def test_a_file_in_the_place_of_the_server_is_told_with_what_makes_room(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = bare_of(clone)
    shutil.rmtree(bare)
    bare.write_text("")
    refused = refusal(lambda: init(clone))
    assert refused.message == f"{bare} is a file, where the server has to be"
    subprocess.run(["sh", "-c", refused.next], cwd=clone, check=True)
    assert command(clone, monkeypatch, "init").exit_code == 0


def test_flags_that_were_lost_with_the_settings_are_told(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    init(clone, protect=True)
    (bare_of(clone) / "pushforward" / "server.json").write_text("{")
    card = command(clone, monkeypatch, "init")
    assert card.stdout.startswith(
        "lost     what only the folder knew: whether --protect-main or --trust-pushers was set\n"
    )
    assert known(bare_of(clone))["protect"] is False
    assert "what only the folder knew" not in command(clone, monkeypatch, "init").stdout


def test_a_store_that_is_missing_is_not_begun_anew_in_silence(clone: Path, git: Callable[..., str]) -> None:
    store, bare = clone.parent / "store", bare_of(clone)
    shutil.rmtree(store)
    assert init(clone).store == str(store), "nothing was ever kept there"
    shutil.rmtree(store)
    git(bare, "tag", "-a", "-m", "a version", "toy@v1.0.0", "main")
    refused = refusal(lambda: init(clone))
    assert refused.message == f"the server's store {store} is missing, and versions have their objects there"
    assert refused.next.endswith("pushforward init --move-store && pushforward check --mend")
    assert not store.exists()
    assert init(clone, move_store=True).store == str(store)
    assert list(whereabouts.claims(store)) == [bare]


def test_a_server_has_one_name_in_its_store_whatever_link_it_is_reached_by(
    clone: Path, git: Callable[..., str]
) -> None:
    store, bare = clone.parent / "store", bare_of(clone)
    link = clone.parent / "link.git"
    link.symlink_to(bare)
    git(clone, "remote", "set-url", "local", str(link))
    assert [found for found in check.holdings(link, clone, quick=True, say=str) if found.name == "claim"] == []
    assert init(clone).bare == str(link)
    assert list(whereabouts.claims(store)) == [bare]
    link.unlink()
    git(clone, "remote", "set-url", "local", str(bare))
    assert [found for found in check.holdings(bare, clone, quick=True, say=str) if found.name == "claim"] == []


def test_a_store_that_is_missing_is_not_replaced_by_another_folder(clone: Path) -> None:
    store = clone.parent / "store"
    (clone / ".dvc" / "config").write_text(CONFIG.replace("../../store", "../../other"))
    moved = store.rename(clone.parent / "hidden")
    refused = refusal(lambda: init(clone))
    assert refused.message == f"the server's store {store} is missing, and .dvc/config names {clone.parent / 'other'}"
    assert refused.next == f"put {store} back, or give it up: pushforward init --move-store"
    moved.rename(clone.parent / "other")
    assert init(clone).store == str(clone.parent / "other"), "it says that it is this server's"


def test_an_empty_folder_is_no_store_for_versions(clone: Path, git: Callable[..., str]) -> None:
    bare = bare_of(clone)
    git(bare, "update-ref", "refs/tags/toy@v1.0.0", "main")
    shutil.rmtree(bare / "pushforward")
    refused = refusal(lambda: init(clone))
    assert "has versions, and " in refused.message
    assert "holds none of their objects" in refused.message
    (clone.parent / "store" / "files").mkdir()
    assert init(clone).store == str(clone.parent / "store")


def test_flags_stay_until_somebody_says_otherwise(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flags() -> tuple[object, object]:
        return known(bare_of(clone))["trust"], known(bare_of(clone))["protect"]

    command(clone, monkeypatch, "init", "--trust-pushers", "--protect-main")
    assert flags() == (True, True)
    for words, found in (
        ((), (True, True)),
        (("--no-trust-pushers",), (False, True)),
        ((), (False, True)),
        (("--trust-pushers", "--no-protect-main"), (True, False)),
        ((), (True, False)),
    ):
        command(clone, monkeypatch, "init", *words)
        assert flags() == found, words


def test_secrets_and_name_stay_through_every_init(clone: Path, git: Callable[..., str]) -> None:
    bare = bare_of(clone)
    first = seal.key(bare)
    paths = [bare / "pushforward" / name for name in ("token", "seal", "keys/ci", "allowed_signers")]
    before = [path.read_bytes() for path in paths]
    moved = bare.rename(clone.parent / "other.git")
    git(clone, "remote", "set-url", "local", str(moved))
    init(clone)
    assert [(moved / path.relative_to(bare)).read_bytes() for path in paths] == before
    assert (seal.key(moved), known(moved)["name"]) == (first, "team/clone")


def test_whoever_comes_after_the_first_is_trusted_by_name_only(
    clone: Path, git: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def card(where: Path, who: str) -> str:
        for key, value in (("user.email", f"{who}@example.org"), ("gpg.format", "ssh")):
            git(where, "config", key, value)
        git(where, "config", "user.signingkey", f"key::{make_key(tmp_path / 'keys' / who)}")
        return command(where, monkeypatch, "init").stdout

    git(clone.parent, "clone", "-q", "-o", "local", str(bare_of(clone)), "bob")
    assert "you      ann@example.org may sign for every environment\n" in card(clone, "ann")
    before = keys_of(bare_of(clone))
    assert "cannot sign yet: nobody trusts your key here yet\n" in card(clone.parent / "bob", "bob")
    assert keys_of(bare_of(clone)) == before


def test_what_the_policy_knows_is_of_the_default_branch_not_of_the_clone_at_hand(
    clone: Path, git: Callable[..., str]
) -> None:
    path = bare_of(clone) / "pushforward" / "registry.json"
    before = path.read_text()
    (clone / "pushforward.yaml").write_text(SETTINGS.replace("  toy:", "  other:"))
    git(clone, "switch", "-q", "-c", "idea")
    init(clone)
    assert path.read_text() == before
    path.unlink()
    init(clone)
    assert json.loads(path.read_text())["model"] == "toy"


def test_trust_comes_back_from_the_ref_and_the_lost_key_is_ended_as_of_now(
    clone: Path, git: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare, place = bare_of(clone), signers.place_of(clone)
    signers.add(place, make_key(tmp_path / "keys" / "bob"), "bob@example.org", ["staging"])
    eve = make_key(tmp_path / "keys" / "eve")
    signers.add(place, eve, "eve@example.org")
    signers.revoke(place, eve)
    before = keys_of(bare)
    signature = trust.sign_file(b"a version", signers.private_key(bare))
    history = git(bare, "rev-parse", TRUST)
    shutil.rmtree(bare / "pushforward")
    card = command(clone, monkeypatch, "init")
    after = keys_of(bare)
    assert "restored 2 keys, from refs/pushforward/trust\nlost     what only the folder knew: " in card.stdout
    assert "signs from now on; what the one before has signed stays good\n" in card.stdout
    assert after[1:3] == before[1:3], "people's keys, revoked ones among them"
    assert [one.principal for one in after] == [SERVICE_EMAIL, "bob@example.org", "eve@example.org", SERVICE_EMAIL]
    ended = after[0].valid_before
    assert (after[0].key, bool(ended), after[3].valid_before) == (before[0].key, True, "")
    assert git(bare, "merge-base", "--is-ancestor", history, TRUST) == "", "the ref only grows"
    file = bare / "pushforward" / "allowed_signers"
    earlier = trust.verify_file(b"a version", signature, SERVICE_EMAIL, file, at=1_700_000_000)
    assert earlier.key == before[0].key
    with pytest.raises(PushforwardError, match="was revoked at"):
        trust.verify_file(b"a version", signature, SERVICE_EMAIL, file, at=4_000_000_000)


def test_a_new_key_is_made_by_name_only(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = bare_of(clone)
    first = signers.private_key(bare).read_text()
    command(clone, monkeypatch, "init")
    assert signers.private_key(bare).read_text() == first
    card = command(clone, monkeypatch, "init", "--new-key")
    assert signers.private_key(bare).read_text() != first
    assert "signs from now on" in card.stdout
    assert [bool(one.valid_before) for one in keys_of(bare)] == [True, False]


@pytest.mark.parametrize("sign", [":", "\n", "\x1b"])
def test_a_path_that_others_would_cut_is_refused_before_anything_is_made(
    tmp_path: Path, git: Callable[..., str], sign: str
) -> None:
    folder = make_clone(tmp_path / f"a{sign}b" / "clone", git)
    refused = refusal(lambda: init(folder))
    assert refused.message.startswith("the path of the server has ")
    assert [path.name for path in folder.parent.iterdir()] == ["clone"]
    assert git(folder, "remote") == ""


def test_a_server_below_a_path_of_blanks_quotes_and_braces_judges(second_version: Path) -> None:
    assert set(" '\"\t{}#é") < set(str(second_version))
    assert "toy@v1.1.0" in Team(second_version / "toy", second_version / "toy.git").tags()


# Of another version, and of another user.


@pytest.mark.parametrize(
    "change", [{"schema": 7}, {"trust": "yes"}, {"store": None}], ids=["more", "another kind", "nothing"]
)
def test_a_server_of_another_version_is_refused_in_words_by_every_command(
    clone: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    path = bare_of(clone) / "pushforward" / "server.json"
    path.write_text(json.dumps(known(bare_of(clone)) | change))
    for words in (["runs"], ["dispatch"], ["check"], ["verify", "v1.0.0"], ["gc"], ["release", "v1.0.0"]):
        done = command(clone, monkeypatch, *words)
        assert done.exit_code not in (0, 1), (words, done.output)
        assert isinstance(done.exception, SystemExit)
    said = git(clone, "push", "local", "HEAD:refs/heads/idea", check=False)
    told = (
        "the push is taken, but the server could not go on: pushforward/server.json is of another version, or cut off"
    )
    assert told in " ".join(line.removeprefix("remote: ").strip() for line in said.splitlines())
    assert str(path) not in said, "where a server lies is nothing to who pushes"
    assert "Traceback" not in said


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@pytest.fixture
def shared(clone: Path, git: Callable[..., str]) -> Path:
    """The server, for a group that a stranger is of."""
    bare = bare_of(clone)
    git(bare, "config", "core.sharedRepository", "group")
    mask = os.umask(0o077)
    init(clone)
    os.umask(mask)
    for path in (bare, *bare.rglob("*")):
        os.chown(path, -1, STRANGER, follow_symlinks=False)
    return bare


@needs_root
def test_what_the_policy_needs_is_readable_by_the_group_and_secrets_are_not(shared: Path) -> None:
    own = shared / "pushforward"
    for name in ("server.json", "registry.json", "lib/pushforward/policy/hook.py", "allowed_signers"):
        mode = (own / name).stat().st_mode
        assert mode & 0o040, name
        assert not mode & 0o022, name
    for name in ("token", "keys", "keys/ci"):
        assert not (own / name).stat().st_mode & 0o077, name
    assert (own / "deleted").stat().st_mode & 0o070 == 0o070


@needs_root
def test_a_pusher_who_is_not_the_owner_is_told_who_judges(
    shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    monkeypatch.setenv("GIT_DIR", str(shared))
    monkeypatch.setattr("sys.stdin", ["0" * 40 + " " + "1" * 40 + " refs/heads/idea\n"])
    assert receive.main() == 0
    assert capsys.readouterr().out == (
        "taken; root, whose server this is, judges it: with their next push, or by their timer\n"
        f"  next: pushforward dispatch --bare {shared}, as root\n"
    )
    assert not (shared / "pushforward" / "dispatch.log").exists(), "nothing was started"


def python_of_others() -> str:
    """A Python that somebody else may run, or a skipped test."""
    recent = "import sys; sys.exit(sys.version_info < (3, 11))"
    user = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"]
    for python in (sys.executable, "/usr/bin/python3"):
        words = [*user, "sh", "-c", '[ -x "$1" ] && exec "$1" -c "$2"', "sh", python, recent]
        if shutil.which("setpriv") and subprocess.run(words, capture_output=True, check=False).returncode == 0:
            return python
    pytest.skip("NOT TESTED HERE: there is no setpriv, or no Python that another user may run")


@needs_root
def test_somebody_of_the_group_pushes_and_deletes_a_branch(git: Callable[..., str]) -> None:
    python = python_of_others()
    with tempfile.TemporaryDirectory(dir="/tmp") as place:  # one that others may enter
        folder = Path(place)
        folder.chmod(0o755)
        clone = make_clone(folder / "clone", git)
        bare = Path(init(clone).bare)
        git(bare, "config", "core.sharedRepository", "group")
        git(clone, "push", "-q", "local", "main", PUSHFORWARD_RUN="none")
        os.chown(bare, -1, STRANGER)
        init(clone)
        roots = [bare / name for name in ("objects", "refs", "logs")]
        for path in (bare, *roots, *(path for root in roots for path in root.rglob("*"))):
            os.chown(path, -1, STRANGER)
            path.chmod(path.stat().st_mode | 0o060)
        for hook in ("pre-receive", "post-receive"):
            text = (bare / "hooks" / hook).read_text()
            (bare / "hooks" / hook).write_text(text.replace(f"known={sys.executable}", f"known={python}"))
        shutil.copytree(clone, folder / "bob")
        for path in (folder / "bob", *(folder / "bob").rglob("*")):
            os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
        stranger = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"]
        (folder / "home").mkdir()
        (folder / "home" / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")

        def push(spec: str) -> str:
            env = os.environ | {"HOME": f"{folder}/home"}
            words = [*stranger, "git", "-C", f"{folder}/bob", "push", "local", spec]
            return subprocess.run(words, capture_output=True, text=True, env=env, check=False).stderr

        said = push("main:refs/heads/idea")
        assert "taken; root, whose server this is, judges it: with their next push, or by their timer" in said
        assert git(bare, "rev-parse", "idea") == git(clone, "rev-parse", "main")
        assert "[deleted]" in push(":refs/heads/idea")
        assert "this server writes it" in push("main:refs/notes/mine")
        kept = list((bare / "pushforward" / "deleted").glob("*.json"))
        assert [path.stat().st_uid for path in kept] == [STRANGER], "and the owner's dispatcher may read it"


def test_the_owner_alone_runs_a_server_and_others_are_told_who_that_is(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare, owner = bare_of(clone), os.geteuid()
    assert whereabouts.owner_elsewhere(bare) == ""
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    name = whereabouts.owner_elsewhere(bare)
    done = command(clone, monkeypatch, "dispatch", "--bare", str(bare))
    assert (done.exit_code, f"the server {bare} is {name}'s, and so are its keys and runs" in done.stderr) == (5, True)
    before = known(bare)
    card = command(clone, monkeypatch, "init", "--trust-pushers")
    assert f"owner    {name}: what the server runs and keeps stays as it is\n" in card.stdout
    assert known(bare) == before
    found = {finding.name: finding for finding in installation.server(bare)}
    assert set(found) == {"server", "owner", "self-test"}
    assert found["owner"].found.startswith(f"{name}, whose dispatcher judges what you push")


def test_a_registry_file_that_is_damaged_is_refused_in_words(clone: Path) -> None:
    path = bare_of(clone) / "pushforward" / "registry.json"
    path.write_text("[")
    refused = refusal(lambda: signers.place_of(clone))
    assert (refused.message, refused.next) == (f"{path} is of another version, or cut off", "pushforward init")


def test_who_reads_a_server_where_it_is_sees_no_move(clone: Path) -> None:
    link = clone.parent.parent / "link"
    link.symlink_to(clone.parent)
    assert Server.load(link / "clone.git").was == ""
    assert Repository(Path(Server.load(link / "clone.git").bare)).resolve("main")
