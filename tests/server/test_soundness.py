"""What a server holds, damaged in many ways: what the doctor finds, and that the command it gives mends it."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.team import make_clone

from pushforward.commands.cli import main
from pushforward.errors import PushforwardError
from pushforward.git.refs import NOTES, REGISTRY, RUNS, TRUST, VERDICTS
from pushforward.git.repository import Repository
from pushforward.git.server import Server, followable
from pushforward.pipeline import environment
from pushforward.pipeline.store import Store
from pushforward.registry import authority, signers, ssh
from pushforward.registry import tags as registry
from pushforward.release.verify import verify
from pushforward.report import notes
from pushforward.server import check, installation, soundness, trial, vouched
from pushforward.server import init as init_module
from pushforward.server.init import init

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def kept(three):
    """A server with three versions, whose verdicts have their reports and whose store knows it."""
    for _ in mended(three):
        pass
    assert problems(three) == {}
    return three


def mended(hub, clone=None):
    from pushforward.server import mend

    return list(mend.server(hub.bare, clone))


def looked(hub, clone=None, *, whole=True):
    repository, made = Repository(hub.bare), Server.load(hub.bare)
    yield from soundness.refs(repository)
    if not any(soundness.damaged(repository)):  # else git may follow none of them
        yield from vouched.refs(repository)
    yield from soundness.store(made, clone, whole=whole, say=lambda _: None)
    yield from soundness.signatures(repository, hub.bare / "pushforward" / "allowed_signers")
    yield from soundness.clock(repository)
    yield from soundness.form(repository)


def problems(hub, clone=None, **options):
    return {finding.name: finding for finding in looked(hub, clone, **options) if not finding.ok}


def typed(finding, folder):
    """Type the command of a finding, with the tool at hand."""
    tool = folder / "bin" / "pushforward"
    tool.parent.mkdir(exist_ok=True)
    source = f'#!/bin/sh\nPYTHONPATH={ROOT / "src"} exec {sys.executable} -m pushforward "$@"\n'
    tool.write_text(source)
    tool.chmod(0o755)
    env = os.environ | {"PATH": f"{tool.parent}:{os.environ['PATH']}"}
    return subprocess.run(["sh", "-c", finding.mend], cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_reports_that_are_gone_are_made_again_from_their_verdicts(three):
    assert problems(three)["refs"].found == f"{NOTES}: the reports are gone, and verdicts are there"
    told = mended(three)
    assert f"{NOTES} is begun anew" in told
    assert f"{NOTES}: 3 reports are made again from their verdicts" in told
    repository = Repository(three.bare)
    commits = [ref.name.removeprefix(VERDICTS) for ref in repository.refs(VERDICTS)]
    assert sorted(notes.kept(repository)) == sorted(commits)
    assert all("log loss falls" in notes.read(repository, commit)[0].text.casefold() for commit in commits)


def packed(hub, line):
    hub.git(hub.bare, "pack-refs", "--all")
    with (hub.bare / "packed-refs").open("a") as file:
        file.write(line)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("deadbeef\n", "'deadbeef' names no object"),
        ("", "'' names no object"),
        ("0" * 39 + "g\n", "names no object"),
        ("1" * 40 + "\n", "111111111 is not there, or lacks something"),
        ("ref: refs/nowhere\n", "'ref: refs/nowhere' names no object"),
        (b"\xff\x00\xfe", "names no object"),
        (None, "its file is gone"),
    ],
)
def test_a_damaged_ref_of_reports_is_found_and_the_command_mends_it(kept, text, why):
    path = kept.bare / NOTES
    before = path.read_text()
    path.unlink()
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = problems(kept)["refs"]
    assert found.found.startswith(f"{NOTES}: ")
    assert why in found.found
    assert found.mend == f"pushforward check --mend --bare {kept.bare}"
    CliRunner().invoke(main, [*shlex.split(found.mend)[1:], "--quick"], catch_exceptions=False)
    assert problems(kept) == {}
    assert path.read_text() == before
    kept.git(kept.clone, "fetch", "-q", "origin", "+refs/notes/*:refs/notes/*")
    left = [path for path in (kept.bare / "pushforward" / "aside").rglob("pushforward") if path.is_file()]
    assert len(left) == (text is not None), "what was there is kept"


def test_whoever_reads_a_ref_while_it_is_mended_never_finds_it_gone(kept, monkeypatch):
    from pushforward.server import mend

    aside, replace, seen = mend._aside, Path.replace, []
    path = kept.bare / NOTES

    def copied(made, place, **how):
        found = aside(made, place, **how)
        seen.append((place, path.exists()))
        return found

    def moved(fresh, place):
        if place == path:
            seen.append((fresh, path.exists()))
        return replace(fresh, place)

    monkeypatch.setattr(mend, "_aside", copied)
    monkeypatch.setattr(Path, "replace", moved)
    path.write_text("deadbeef\n")
    mended(kept)
    assert seen == [(path, True), (path.with_name(f"{path.name}.lock"), True)]
    assert problems(kept) == {}


@pytest.mark.parametrize("ref", [REGISTRY, "refs/tags/toy@v1.1.0", "refs/heads/main", "verdict"])
def test_any_ref_that_was_cut_off_is_put_back_to_what_it_was_at_last(kept, ref):
    repository = Repository(kept.bare)
    name = repository.refs(VERDICTS)[0].name if ref == "verdict" else ref
    before = repository.git("rev-parse", name).text
    if not (kept.bare / "logs" / name).is_file():
        kept.git(kept.bare, "update-ref", "--create-reflog", name, before)
        (kept.bare / "logs" / name).parent.mkdir(parents=True, exist_ok=True)
        (kept.bare / "logs" / name).write_text(f"{'0' * 40} {before} a <a@b> 1 +0000\tpush\n")
    (kept.bare / name).write_text(before[:20])
    assert problems(kept)["refs"].found == f"{name}: '{before[:20]}' names no object"
    assert any(line.startswith(f"{name} is at {before[:9]} again") for line in mended(kept))
    assert repository.git("rev-parse", name).text == before


def test_a_server_that_init_made_keeps_the_history_of_every_ref_that_is_pushed(tmp_path, git):
    bare = tmp_path / "bare.git"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(bare))
    Server(str(bare), sys.executable, "", "s", "bare").folder.mkdir()
    init_module._configure(Repository(bare))
    source = tmp_path / "source"
    git(tmp_path, "init", "-q", "-b", "main", str(source))
    git(source, "commit", "-q", "--allow-empty", "-m", "Begin")
    names = ["refs/heads/main", "refs/tags/toy@v1.0.0", "refs/tags/toy#staging#1", REGISTRY, f"{VERDICTS}1", NOTES]
    git(source, "push", "-q", str(bare), *(f"HEAD:{name}" for name in names if not name.startswith(VERDICTS)))
    git(bare, "fetch", "-q", str(source), f"HEAD:{VERDICTS}1")
    git(bare, "pack-refs", "--all")
    (bare / "packed-refs").unlink()
    found = {damage.ref: damage.newest for damage in soundness.damaged(Repository(bare))}
    assert found == dict.fromkeys(names, True)


def test_a_ref_without_a_history_is_fetched_from_a_clone_for_the_policy_takes_no_version(kept):
    name = "refs/tags/toy@v1.1.0"
    before = kept.git(kept.bare, "rev-parse", name)
    kept.git(kept.clone, "fetch", "-q", "--tags", "origin")
    (kept.bare / "logs" / name).unlink(missing_ok=True)
    (kept.bare / name).write_text("deadbeef\n")
    (found,) = problems_of_refs(kept)
    command, _, rest = found.mend.partition(", where PLACE is ")
    assert rest.startswith("a clone that has it; or ")
    subprocess.run(["sh", "-c", command.replace("PLACE", str(kept.clone))], check=True)
    assert kept.git(kept.bare, "rev-parse", name) == before
    assert problems(kept) == {}


@pytest.mark.parametrize("how", ["loose", "packed", "deleted"])
def test_the_head_of_a_pull_request_is_no_damage_whatever_became_of_its_branch(kept, how):
    kept.git(kept.bare, "config", "core.logAllRefUpdates", "always")
    kept.git(kept.bare, "update-ref", "refs/heads/idea", "refs/heads/main")
    kept.git(kept.bare, "symbolic-ref", "refs/pull/1/head", "refs/heads/idea")
    if how == "packed":
        kept.git(kept.bare, "pack-refs", "--all")
    if how == "deleted":
        kept.git(kept.bare, "update-ref", "-d", "refs/heads/idea")
    assert problems_of_refs(kept) == []


@pytest.mark.parametrize("moved", [False, True])
def test_the_head_of_a_pull_request_that_is_lost_is_its_branch_again(kept, moved):
    kept.git(kept.bare, "config", "core.logAllRefUpdates", "always")
    kept.git(kept.bare, "update-ref", "--create-reflog", "refs/heads/other", "refs/heads/main^")
    kept.git(kept.bare, "update-ref", "--create-reflog", "refs/heads/idea", "refs/heads/main")
    for number, name in ((1, "idea"), (2, "other")):
        kept.git(kept.bare, "symbolic-ref", f"refs/pull/{number}/head", f"refs/heads/{name}")
    if moved:
        kept.git(kept.bare, "update-ref", "refs/heads/other", "refs/heads/main")
    shutil.rmtree(kept.bare / "refs" / "pull")
    mended(kept)
    for number, name in ((1, "idea"), (2, "other")):
        assert kept.git(kept.bare, "symbolic-ref", f"refs/pull/{number}/head") == f"refs/heads/{name}"
    assert problems(kept) == {}


def test_an_object_that_a_ref_needs_comes_from_a_clone_and_the_ref_stays(kept):
    kept.git(kept.clone, "fetch", "-q", "origin")
    oid = kept.git(kept.clone, "rev-parse", "origin/main:params.yaml")
    (kept.bare / "objects" / oid[:2] / oid[2:]).unlink()
    assert {found.mend for found in problems_of_refs(kept) if found.found.startswith("refs/heads/main")} <= {
        f"pushforward check --mend --bare {kept.bare}, in a clone that has it",
        f"pushforward check --mend --bare {kept.bare}",
    }
    mended(kept, kept.clone)
    assert problems_of_refs(kept) == []


def test_a_file_of_refs_with_a_line_that_is_none_is_mended_and_the_ref_is_back(kept):
    packed(kept, "garb\x00age\n")
    found = problems_of_refs(kept)
    assert len(found) == 1
    assert "names no ref, and git reads none of the others" in found[0].found
    assert any("is without 1 line that names no ref" in line for line in mended(kept))
    assert problems(kept) == {}


@pytest.mark.parametrize("at", ["in a name", "after a name", "in an object", "above what a tag names"])
def test_a_file_of_refs_that_is_cut_off_is_found_and_the_command_brings_all_back(kept, at):
    kept.git(kept.bare, "config", "core.logAllRefUpdates", "always")
    for name, oid in every_ref(kept).items():
        log = kept.bare / "logs" / name
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"{'0' * 40} {oid} a <a@b> 1 +0000\tpush\n")
    before = every_ref(kept)
    kept.git(kept.bare, "pack-refs", "--all")
    path = kept.bare / "packed-refs"
    lines = path.read_text().split("\n")
    last = next(number for number, line in enumerate(lines) if line.startswith("^"))
    whole, cut = "\n".join(lines[: last - 1]), lines[last - 1]
    if at == "above what a tag names":
        path.write_text("\n".join([whole, cut[:20], *lines[last:]]))
    else:
        path.write_text("\n".join([whole, {"in a name": cut[:-3], "after a name": cut, "in an object": cut[:9]}[at]]))
    (found,) = {found.mend for found in problems_of_refs(kept)}
    assert found == f"pushforward check --mend --bare {kept.bare}"
    with pytest.raises(PushforwardError, match="git cannot follow the refs") as refused:
        followable(Repository(kept.bare))
    assert refused.value.next == found
    mended(kept)
    assert every_ref(kept) == before
    assert mended(kept) == [], "it takes one call"
    assert any((kept.bare / "pushforward" / "aside").rglob("packed-refs")), "what was there is kept"


def every_ref(hub):
    return dict(reversed(line.split()) for line in hub.git(hub.bare, "show-ref").splitlines())


@pytest.mark.parametrize("name", ["refs", "objects"])
@pytest.mark.parametrize("instead", ["nothing", "a file"])
def test_a_folder_without_which_git_takes_the_server_for_none_is_made_again(kept, tmp_path, name, instead):
    kept.git(kept.clone, "fetch", "-q", "--tags", "origin", "+refs/pushforward/*:refs/pushforward/*")
    kept.git(kept.clone, "fetch", "-q", "origin", "+refs/notes/*:refs/notes/*")
    for ref, oid in every_ref(kept).items():
        log = kept.bare / "logs" / ref
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"{'0' * 40} {oid} a <a@b> 1 +0000\tpush\n")
    before = every_ref(kept)
    shutil.move(kept.bare / name, tmp_path / "lost")
    if instead == "a file":
        (kept.bare / name).write_text("x\n")
    (found,) = [found for found in check.everything(kept.clone, kept.bare) if found.name == "server"]
    assert not found.ok
    assert found.found == f"{kept.bare} has lost its folder {name}, and git takes it for no repository"
    assert found.mend == f"pushforward check --mend --bare {kept.bare}"
    mended(kept, kept.clone)
    assert every_ref(kept) == before
    assert problems(kept) == {}
    assert all(finding.ok for finding in soundness.git_objects(Repository(kept.bare)))


@pytest.mark.parametrize("ref", ["refs/tags/toy@v1.1.0", "refs/tags/toy#staging#1"])
def test_the_object_of_a_tag_that_is_gone_comes_from_a_clone_by_the_command_and_stops_nothing_else(kept, ref):
    kept.git(kept.clone, "fetch", "-q", "--tags", "origin")
    oid = kept.git(kept.bare, "rev-parse", ref)
    (kept.bare / "objects" / oid[:2] / oid[2:]).unlink()
    kept.git(kept.bare, "update-ref", "-d", TRUST)
    found = next(found for found in problems_of_refs(kept) if ref in found.found)
    assert found.mend == f"pushforward check --mend --bare {kept.bare}, in a clone that has it"
    told = mended(kept)
    assert any(line.startswith(f"{TRUST} says what ") for line in told), "the rest is mended all the same"
    assert any(line.startswith("cannot look through the store: ") for line in told)
    assert any(line.startswith(f"tag {oid[:9]} is written again from ") for line in mended(kept, kept.clone))
    assert problems(kept) == {}


def test_a_pack_that_was_deleted_is_brought_back_from_a_clone_by_one_call(kept):
    kept.git(kept.clone, "fetch", "-q", "--tags", "origin", "+refs/pushforward/*:refs/pushforward/*")
    kept.git(kept.clone, "fetch", "-q", "origin", "+refs/notes/*:refs/notes/*")
    kept.git(kept.bare, "repack", "-q", "-a", "-d")
    for path in (kept.bare / "objects" / "pack").iterdir():
        path.unlink()
    mended(kept, kept.clone)
    assert all(finding.ok for finding in soundness.git_objects(Repository(kept.bare)))
    assert problems(kept) == {}
    assert mended(kept, kept.clone) == []


@pytest.mark.parametrize("how", ["garbage", "its object is gone", "deleted", "of another time"])
def test_who_may_sign_is_published_again_by_one_call(kept, how):
    path, file = kept.bare / TRUST, kept.bare / "pushforward" / ssh.FILE
    tip = kept.git(kept.bare, "rev-parse", TRUST)
    (kept.bare / "logs" / TRUST).unlink(missing_ok=True)
    if how == "garbage":
        path.write_text("deadbeef\n")
    elif how == "its object is gone":
        (kept.bare / "objects" / tip[:2] / tip[2:]).unlink()
    elif how == "deleted":
        kept.git(kept.bare, "update-ref", "-d", TRUST)
    else:
        kept.git(kept.bare, "update-ref", TRUST, "refs/heads/main")
    key = signers.private_key(kept.bare)
    key.parent.mkdir(mode=0o700)
    shutil.copy(kept.keys["pushforward@localhost"], key)
    found = next(found for found in installation._keys(kept.bare) if not found.ok)
    assert found.found == f"{TRUST} is not what {file} says"
    assert found.mend == f"pushforward check --mend --bare {kept.bare}"
    assert any(line.startswith(f"{TRUST} says what ") for line in mended(kept))
    assert Repository(kept.bare).read(TRUST, ssh.FILE) == file.read_bytes()
    assert problems(kept) == {}
    assert mended(kept) == []


def test_verdicts_and_runs_of_versions_that_are_gone_are_found_and_made_again_as_they_were(kept):
    def verdicts():
        refs = [ref for ref in every_ref(kept) if ref.startswith(VERDICTS)]
        return {ref: kept.git(kept.bare, "rev-parse", f"{ref}:verdict.json") for ref in refs}

    before, judged = every_ref(kept), verdicts()
    gone = [ref for ref in before if ref.startswith((VERDICTS, RUNS))]
    assert (len(gone), len(judged)) == (6, 3)
    for ref in gone:
        kept.git(kept.bare, "update-ref", "-d", ref)
    found = problems(kept)["verdicts"]
    assert found.found.endswith(" and 3 more: gone, and toy@v1.0.0 came of it")
    assert found.mend == f"pushforward check --mend --bare {kept.bare}"
    mended(kept)
    after = every_ref(kept)
    assert {ref: after[ref] for ref in after if ref not in judged} == {
        ref: before[ref] for ref in before if ref not in judged
    }, "the same commits"
    assert verdicts() == judged, "the same bytes; what was noted beside them has served its time with the version"
    assert problems(kept) == {}


def test_a_verdict_is_not_made_of_what_the_tag_does_not_vouch_for(kept):
    repository = Repository(kept.bare)
    (ref, *_) = (ref.name for ref in repository.refs(VERDICTS))
    tree = repository.write_tree(REGISTRY, {"versions/toy@v1.0.0/verdict.json": b"{}"}, index=kept.bare / "x.index")
    forged = repository.write_commit(tree, [], "Forge\n", date="1 +0000")
    kept.git(kept.bare, "update-ref", REGISTRY, forged)
    commit = record_of(kept, "toy@v1.0.0")["commit"]
    kept.git(kept.bare, "update-ref", "-d", f"{VERDICTS}{commit}")
    assert not any(f"{VERDICTS}{commit}" in line for line in mended(kept))
    assert ref


def record_of(hub, name):
    return registry.record(hub.git(hub.bare, "cat-file", "tag", f"refs/tags/{name}"))


def problems_of_refs(hub):
    return [finding for finding in soundness.refs(Repository(hub.bare)) if not finding.ok]


def test_going_back_to_something_older_is_for_a_person_to_choose(kept):
    repository = Repository(kept.bare)
    tip, before = (repository.git("rev-parse", name).text for name in (REGISTRY, f"{REGISTRY}^"))
    log = kept.bare / "logs" / REGISTRY
    log.parent.mkdir(parents=True, exist_ok=True)
    line = "a <a@b> 1 +0000\tpush\n"
    log.write_text(f"{'0' * 40} {before} {line}{before} {tip} {line}")
    (kept.bare / "objects" / tip[:2] / tip[2:]).unlink()
    (found,) = problems_of_refs(kept)
    assert found.found == f"{REGISTRY}: {tip[:9]} is not there, or lacks something"
    back, _, rest = found.mend.partition("; to lose nothing: ")
    assert back.endswith(f"update-ref {REGISTRY} {before}, and what came after it is lost")
    assert rest.startswith("cp -a BACKUP/objects/. ")
    assert rest.endswith(f"BACKUP being a backup of the server, then pushforward check --mend --bare {kept.bare}")
    assert not any(REGISTRY in line for line in mended(kept))
    subprocess.run(["sh", "-c", found.mend.partition(", and")[0]], check=True)
    assert problems_of_refs(kept) == []


def test_a_pack_that_git_cannot_read_is_found_and_a_backup_mends_it(kept, tmp_path):
    kept.git(kept.bare, "repack", "-q", "-a", "-d")
    backup = tmp_path / "BACKUP"
    shutil.copytree(kept.bare, backup)
    (pack,) = (kept.bare / "objects" / "pack").glob("*.pack")
    pack.chmod(0o644)
    content = bytearray(pack.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 60] = bytes(60)
    pack.write_bytes(content)
    (found,) = soundness.git_objects(Repository(kept.bare))
    assert not found.ok
    shutil.copytree(backup / "objects", kept.bare / "objects", dirs_exist_ok=True)
    assert all(finding.ok for finding in soundness.git_objects(Repository(kept.bare)))


def test_an_object_of_git_that_is_spoiled_is_found_and_written_again_from_a_clone(kept, tmp_path):
    repository = Repository(kept.bare)
    kept.git(kept.clone, "fetch", "-q", "origin")
    oid = kept.git(kept.clone, "rev-parse", "HEAD:params.yaml")
    path = kept.bare / "objects" / oid[:2] / oid[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:10] + b"xxxx" + path.read_bytes()[14:])
    (found,) = soundness.git_objects(repository)
    assert (found.ok, oid[:9] in found.found) == (False, True)
    assert any(
        line.startswith(f"blob {oid[:9]} is written again from {kept.clone}") for line in mended(kept, kept.clone)
    )
    assert all(finding.ok for finding in soundness.git_objects(repository))


def model_of(hub, version):
    return next(
        part for part in soundness.parts(Repository(hub.bare)) if part.version == version and "json" in part.path
    )


@pytest.mark.parametrize("how", ["missing", "spoiled", "a link"])
def test_an_object_that_the_store_has_lost_is_copied_from_where_it_is_whole(kept, how):
    part = model_of(kept, "toy@v1.0.0")
    path, cache = Store(kept.store).file(part.oid), Store(kept.bare / "pushforward" / "cache").file(part.oid)
    content = path.read_bytes()
    cache.parent.mkdir(parents=True)
    cache.write_bytes(content)
    path.unlink()
    if how == "spoiled":
        path.write_bytes(content + b" ")
    elif how == "a link":
        path.symlink_to(cache)
    assert problems(kept, whole=False).keys() == (set() if how == "spoiled" else {"versions"})
    found = problems(kept)["versions"]
    why = "spoiled" if how == "spoiled" else "missing"
    assert (
        found.found == f"{part.path} of {part.version} is {why} in {kept.store} ({part.oid[:12]}); good copies are here"
    )
    done = CliRunner().invoke(main, [*shlex.split(found.mend)[1:], "--quick"], catch_exceptions=False)
    assert (
        f"mended   {part.path} of {part.version} was {why} in {kept.store}, and is copied from {cache}" in done.stdout
    )
    assert problems(kept) == {}
    assert path.read_bytes() == content
    assert not path.is_symlink()
    aside = list((kept.bare / "pushforward" / "aside").rglob(path.name)) if how != "missing" else [cache]
    assert len(aside) == 1


def test_a_copy_that_is_spoiled_itself_is_none(kept):
    part = model_of(kept, "toy@v1.2.0")
    cache = Store(kept.bare / "pushforward" / "cache").file(part.oid)
    cache.parent.mkdir(parents=True)
    cache.write_bytes(b"other")
    Store(kept.store).file(part.oid).unlink()
    found = problems(kept)["versions"]
    assert found.found.endswith(", and no copy is here")
    assert f"git worktree add ../again {part.version} && " in found.mend
    assert not any(part.path in line for line in mended(kept))


def test_a_file_of_the_right_md5_and_another_sha256_is_spoiled(kept):
    part = model_of(kept, "toy@v1.0.0")
    other = soundness.Part(part.oid, part.version, part.path, "0" * 64)
    (found,) = soundness.lost([other], Store(kept.store), [], whole=True)
    assert found.why == "spoiled"
    assert soundness.lost([part], Store(kept.store), [], whole=True) == []


def test_a_store_that_was_moved_is_filled_again_from_the_one_of_the_clone(kept):
    empty = kept.folder / "elsewhere"
    empty.mkdir()
    (kept.bare / "pushforward" / "server.json").write_text(
        (kept.bare / "pushforward" / "server.json").read_text().replace(str(kept.store), str(empty))
    )
    found = problems(kept, kept.clone)
    assert set(found) == {"claim", "versions"}
    assert "and 6 more; good copies are here" in found["versions"].found
    assert len(mended(kept, kept.clone)) == 8
    assert problems(kept) == {}


def test_versions_that_no_key_vouches_for_are_counted_and_the_key_is_trusted_again(kept, tmp_path):
    bare = kept.bare
    signers.publish(bare, "Publish")
    file = bare / "pushforward" / "allowed_signers"
    ours, anns = file.read_text().splitlines()
    file.write_text(f"{anns}\n")
    signers.publish(bare, "Lose a key")
    found = problems(kept)["signatures"]
    assert found.found.startswith(
        "no trusted key vouches for 6 of 9 registry tags: toy#staging#1: nobody trusts its key "
    )
    done = typed(found, tmp_path)
    assert done.returncode == 0, done.stderr
    assert problems(kept) == {}
    assert {one.line() for one in ssh.read(file.read_text())} == {ours, anns}


@pytest.mark.parametrize("way", ["a clone", "what was lost"])
def test_a_registry_that_is_gone_is_found_and_both_ways_back_work(kept, way):
    bare, clone = Path(kept.bare), Path(kept.clone)
    tip = kept.git(bare, "rev-parse", REGISTRY).strip()
    kept.git(clone, "fetch", "-q", str(bare), f"+{REGISTRY}:{REGISTRY}")
    kept.git(bare, "update-ref", "-d", REGISTRY)
    found = problems(kept)["refs"]
    assert found.found == f"{REGISTRY}: the registry is gone, and versions are there"
    first, _, second = found.mend.partition(", where PLACE is a backup that has it; or ")
    if way == "a clone":
        command = first.replace("PLACE", str(clone))
    else:
        look, _, back = second.partition(", then ")
        assert f"dangling commit {tip}" in typed_here(look, clone).stdout
        command = back.replace("COMMIT", tip)
    typed_here(command, clone)
    assert kept.git(bare, "rev-parse", REGISTRY).strip() == tip
    assert problems(kept) == {}


def test_a_default_branch_that_was_deleted_is_not_one_that_was_never_pushed(kept):
    kept.git(kept.bare, "update-ref", "-d", "refs/heads/main")
    found = {finding.name: finding for finding in installation.server(Path(kept.bare)) if not finding.ok}
    assert found["HEAD"].found == "refs/heads/main is not there"
    with pytest.raises(PushforwardError, match="has tags, and no branch any more"), authority.of(Path(kept.bare)):
        pass


def test_a_clone_of_another_s_server_without_its_tags_is_found(kept, git):
    clone = kept.folder / "tagless"
    git(kept.folder, "clone", "-q", "--no-tags", f"file://{kept.bare}", str(clone))
    assert [found.name for found in check.everything(clone) if found.name in {"server", "tags"}] == ["server", "tags"]
    (found,) = [found for found in check.everything(clone) if found.name == "tags"]
    assert not found.ok
    assert "not in this clone" in found.found
    typed_here(found.mend, clone)
    (found,) = [found for found in check.everything(clone) if found.name == "tags"]
    assert found.ok


def test_a_tag_that_was_never_signed_can_go(kept, tmp_path):
    kept.git(kept.bare, "tag", "toy@v9.9.9", "main")
    kept.git(kept.bare, "tag", "-a", "-m", "forged", "toy#staging#7", "main")
    for name in ("toy#staging#7", "toy@v9.9.9"):
        found = problems(kept)["signatures"]
        assert f"registry tags: {name}: it is " in found.found
        assert typed(found, tmp_path).returncode == 0
    assert problems(kept) == {}


def test_a_key_that_the_server_never_trusted_is_not_offered(kept):
    file = kept.bare / "pushforward" / "allowed_signers"
    file.write_text(f"{file.read_text().splitlines()[1]}\n")
    kept.git(kept.bare, "update-ref", "-d", TRUST)
    signers.publish(kept.bare, "Begin again")
    assert "pushforward trust" not in problems(kept)["signatures"].mend


def test_a_commit_of_the_future_is_found(kept):
    ahead = f"{int(time.time()) + 7200} +0000"
    made = Repository(kept.bare).write_commit(
        f"{kept.git(kept.bare, 'rev-parse', 'main')}^{{tree}}", [], "x\n", date=ahead
    )
    kept.git(kept.bare, "update-ref", "refs/heads/later", made)
    assert problems(kept)["clock"].found.startswith("refs/heads/later is dated 120 minutes from now: ")


# A clone, and what it is pushed from.


@pytest.fixture
def clone(tmp_path, git):
    folder = make_clone(tmp_path / "clone", git)
    shutil.copytree(ROOT / ".github", folder / ".github")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--amend", "--no-edit")
    return folder


def everything(root, bare=None):
    return {finding.name: finding for finding in check.everything(root, bare) if not finding.ok}


def typed_here(command, folder):
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_a_server_of_another_default_branch_runs_nothing_and_the_command_mends_it(clone, git):
    git(clone, "branch", "-m", "trunk")
    init(clone)
    git(clone, "push", "-q", "local", "trunk", PUSHFORWARD_RUN="none")
    found = everything(clone)["workflows"]
    named = "arrive.yml, judge.yml, monitor.yml, release.yml, train.yml, verify.yml"
    assert found.found == f"none of {named} runs for a push to trunk: they are for main"
    typed_here(found.mend.partition(" && git push")[0], clone)
    git(clone, "push", "-q", "local", "trunk", PUSHFORWARD_RUN="none")
    assert "workflows" not in everything(clone)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("runs-on: ubuntu-latest", "runs-on: [self-hosted, gpu]", "self-hosted"),
        ("runs-on: ubuntu-latest", "runs-on: ubuntu-latest\n    container: alpine", "container"),
        ("name: train\non:", "name: train\nxon:", "needs `on:`"),
    ],
)
def test_a_workflow_that_no_server_runs_is_found(clone, git, old, new, said):
    path = clone / ".github" / "workflows" / "train.yml"
    path.write_text(path.read_text().replace(old, new))
    git(clone, "commit", "-q", "-am", "Other")
    init(clone)
    git(clone, "push", "-q", "local", "main", PUSHFORWARD_RUN="none")
    assert said in everything(clone)["workflows"].found


def test_a_shallow_clone_is_told_so_and_the_command_mends_it(clone, git, tmp_path):
    bare = init(clone).bare
    git(clone, "commit", "-q", "--allow-empty", "-m", "Two")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{clone}", "shallow")
    git(tmp_path / "shallow", "remote", "add", "local", bare)
    assert "shallow update not allowed" in git(tmp_path / "shallow", "push", "local", "main", check=False)
    found = everything(tmp_path / "shallow")["clone"]
    assert found.found == "this clone is shallow: git refuses its first push ('shallow update not allowed')"
    typed_here(found.mend, tmp_path / "shallow")
    assert "clone" not in everything(tmp_path / "shallow")


def test_a_shallow_clone_of_the_server_itself_can_be_pushed_from(clone, git, tmp_path):
    init(clone)
    git(clone, "commit", "-q", "--allow-empty", "-m", "Two")
    git(clone, "push", "-q", "local", "main", PUSHFORWARD_RUN="none")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{clone}.git", "shallow")
    assert "clone" not in everything(tmp_path / "shallow")
    git(tmp_path / "shallow", "commit", "-q", "--allow-empty", "-m", "Three")
    git(tmp_path / "shallow", "push", "-q", "origin", "HEAD:more", PUSHFORWARD_RUN="none")


def test_a_clone_without_the_servers_tags_or_with_others_is_told_so(clone, git, tmp_path):
    made = init(clone)
    git(clone, "push", "-q", "local", "main", PUSHFORWARD_RUN="none")
    git(Path(made.bare), "tag", "-a", "-m", "x", "toy@v1.0.0", "main")
    git(tmp_path, "clone", "-q", "-o", "local", "--no-tags", made.bare, "other")
    other = tmp_path / "other"
    found = everything(other)["tags"]
    assert found.found == "toy@v1.0.0: not in this clone, which tells of what it has fetched"
    typed_here(found.mend, other)
    assert "tags" not in everything(other)
    git(other, "tag", "-f", "-a", "-m", "mine", "toy@v1.0.0", "HEAD")
    found = everything(other)["tags"]
    assert found.found.startswith("toy@v1.0.0: another here than on local, so git fetch fails")
    typed_here(found.mend, other)
    assert "tags" not in everything(other)


def test_a_repository_of_sha256_is_refused_and_the_command_makes_one_that_is_not(clone, git, tmp_path):
    shutil.rmtree(clone / ".git")
    git(clone, "init", "-q", "--object-format=sha256")
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "Begin")
    with pytest.raises(PushforwardError, match="objects named by SHA-256, which DVC cannot read") as refused:
        init(clone)
    found = everything(clone)["format"]
    assert (found.found, found.mend) == (refused.value.message, refused.value.next)
    typed_here(found.mend, clone)
    git(tmp_path / "again", "add", "-A")
    git(tmp_path / "again", "commit", "-q", "-m", "Begin")
    assert init(tmp_path / "again").bare == str(tmp_path / "again.git")


def test_a_repository_with_a_reftable_is_found(clone, git):
    git(clone, "config", "core.repositoryFormatVersion", "1")
    git(clone, "config", "extensions.refStorage", "reftable")
    (clone / ".git" / "reftable").mkdir()
    (found,) = soundness.form(Repository(clone))
    assert found.found == f"{clone} has refs in a reftable, which DVC cannot read"


def test_a_project_in_a_folder_of_a_repository_is_told_how_to_be_one(clone, git, tmp_path):
    outer = tmp_path / "mono"
    outer.mkdir()
    shutil.rmtree(clone / ".git")
    clone.rename(outer / "our model")
    git(outer, "init", "-q")
    git(outer, "add", "-A")
    git(outer, "commit", "-q", "-m", "Begin")
    with pytest.raises(PushforwardError) as refused:
        init(outer / "our model")
    said = (
        f"{outer / 'our model'} is a folder of the repository {outer}, and a project has to be a repository of its own"
    )
    assert refused.value.message == said
    typed_here(refused.value.next, outer / "our model")
    assert init(tmp_path / "mono-our model").bare == str(tmp_path / "mono-our model.git")


def test_the_doctor_looks_at_the_server_that_it_stands_in(clone, git, monkeypatch):
    made = init(clone)
    git(clone, "push", "-q", "local", "main", PUSHFORWARD_RUN="none")
    git(clone, "config", "--global", "safe.bareRepository", "explicit")
    for place in (Path(made.bare), Path(made.bare) / "hooks"):
        found = {finding.name: finding for finding in check.everything(place)}
        assert found["server"].found == made.bare
        assert found["self-test"].ok


def test_what_is_not_for_you_to_read_is_a_finding_and_no_crash(clone, monkeypatch):
    made = init(clone)

    def closed(_):
        raise PermissionError(13, "Permission denied", f"{made.bare}/pushforward/keys/ci")

    monkeypatch.setattr(installation, "_keys", closed)
    found = {finding.name: finding for finding in installation.server(Path(made.bare))}
    assert found["keys"].optional
    assert found["keys"].found == f"not looked at: {made.bare}/pushforward/keys/ci is not for you to read or write"
    assert found["keys"].mend == f"sudo -u {Path(made.bare).owner()} pushforward check --bare {made.bare}"


def test_hooks_settings_modes_copy_and_locks_are_mended_in_one_go(clone, git):
    made = init(clone)
    bare = Path(made.bare)
    (bare / "hooks" / "pre-receive").chmod(0o644)
    (bare / "hooks" / "post-receive").unlink()
    git(bare, "config", "core.hooksPath", "/nowhere")
    git(bare, "config", "core.fsync", "none")
    (made.folder / "lib" / "pushforward" / "gate" / "decision.py").write_text("# older\n")
    (made.folder / "keys" / "ci").chmod(0o644)
    lock = bare / "refs" / "heads" / "main.lock"
    lock.touch()
    os.utime(lock, (0, 0))
    done = CliRunner().invoke(main, ["check", "--quick", "--mend", "--bare", str(bare)], catch_exceptions=False)
    assert [line.split(" ", 1)[0] for line in done.output.splitlines()[:6]] == ["mended"] * 6, done.output
    assert {finding.name for finding in installation.server(bare) if not finding.ok} == set()
    again = CliRunner().invoke(main, ["check", "--quick", "--mend", "--bare", str(bare)], catch_exceptions=False)
    assert "mended" not in again.output


def test_a_server_that_was_moved_is_mended_where_it_is_and_a_copy_is_not(clone, tmp_path):
    made = init(clone)
    moved = Path(made.bare).rename(tmp_path / "moved.git")
    (moved / "hooks" / "pre-receive").unlink()
    copy = tmp_path / "copy.git"
    shutil.copytree(moved, copy, symlinks=True)
    assert mend_of(moved).exit_code == 0
    assert (moved / "hooks" / "pre-receive").is_file()
    assert json.loads((moved / "pushforward" / "server.json").read_text())["place"] == str(moved)
    refused = mend_of(copy)
    assert refused.exit_code == 5
    assert f"is a copy of the server {moved}" in refused.output
    assert not (copy / "hooks" / "pre-receive").exists()


def mend_of(bare):
    return CliRunner().invoke(main, ["check", "--quick", "--mend", "--bare", str(bare)], catch_exceptions=False)


# A whole run.


def run_of(team):
    head = Repository(team.bare).commit("HEAD")
    return next(trial.run(Server.load(team.bare), head, say=lambda _: None))


@pytest.mark.slow
def test_a_whole_run_is_tried_and_leaves_nothing_and_tells_what_stops_it(promoted, git):
    before = git(promoted.bare, "for-each-ref"), sorted(path.name for path in (promoted.bare / "pushforward").iterdir())
    found = run_of(promoted)
    assert found.ok, found.found
    assert found.found.startswith("a small project was trained, scored and judged in ")
    after = git(promoted.bare, "for-each-ref"), sorted(path.name for path in (promoted.bare / "pushforward").iterdir())
    assert after == before
    own = promoted.bare / "pushforward" / "lib" / "pushforward"
    (own / "actions" / "log.py").write_text("raise ImportError('cut off')\n")
    found = run_of(promoted)
    assert (found.ok, "cut off" in found.found) == (False, True), found.found
    assert "cut off" in (promoted.bare / "pushforward" / "trial.log").read_text()
    assert git(promoted.bare, "for-each-ref") == before[0]


def test_an_environment_that_is_not_built_is_not_tried(kept):
    kept.write("lock.txt", "polars==no-number\n")  # no installer takes it
    kept.write(environment.CARRIED, "")
    kept.git(kept.clone, "add", "-A")
    kept.git(kept.clone, "commit", "-q", "-m", "Lock")
    kept.git(kept.clone, "push", "-q", "origin", "HEAD:main")
    found = run_of(kept)
    assert (found.ok, found.optional) == (False, True)
    assert "is not built yet" in found.found


@pytest.mark.parametrize("how", ["--shared", "--reference"])
def test_a_repository_that_borrows_objects_is_told_so_and_the_command_makes_it_stand_alone(kept, tmp_path, how):
    copy = tmp_path / "a copy.git"
    words = ["--shared"] if how == "--shared" else ["--no-local", "--reference", str(kept.bare)]
    kept.git(tmp_path, "clone", "-q", "--bare", *words, str(kept.bare), str(copy))
    (found,) = soundness.borrowed(Repository(copy))
    assert found.found == f"{copy} needs the objects of {kept.bare}/objects: lost there, lost here"
    moved = kept.bare.rename(kept.bare.with_name("moved"))
    (gone,) = soundness.borrowed(Repository(copy))
    assert (gone.found, gone.optional) == (
        f"{copy} needs the objects of {kept.bare}/objects, which is not there",
        False,
    )
    moved.rename(kept.bare)
    subprocess.run(["sh", "-c", found.mend], check=True)
    kept.bare.rename(moved)
    assert list(soundness.borrowed(Repository(copy))) == []
    assert kept.git(copy, "fsck", "--no-dangling") == ""


def test_a_mirror_is_no_server_and_is_told_what_it_is(kept, tmp_path):
    mirror = tmp_path / "mirror.git"
    kept.git(tmp_path, "clone", "-q", "--mirror", str(kept.bare), str(mirror))
    with pytest.raises(
        PushforwardError, match="is a bare repository and no server: a mirror, or a backup of git"
    ) as why:
        verify(mirror, "v1.0.0", quick=True, say=print, progress=print)
    assert why.value.next.endswith(f"git clone -o local {mirror} ../again && cd ../again && pushforward init")
    (found,) = [found for found in check.everything(mirror) if found.name == "server"]
    assert (found.found, found.mend) == (why.value.message, why.value.next)
    assert not authority.is_mirror(Repository(kept.bare))
    assert not authority.is_mirror(Repository(kept.clone))
