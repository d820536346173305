"""A registry of GTO's that is there before the server: kept, told, never judged by, and numbers go on after it."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests import policy_server
from tests.policy_server import ANN, Promotion, Released, lock_of
from tests.team import make_clone

from pushforward.commands.cli import main
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.registry import authority, transaction
from pushforward.registry import tags as registry
from pushforward.server import check, foreign, gc, installation, pending, soundness
from pushforward.server.init import init

pytestmark = pytest.mark.whole

MARKS = "refs/pushforward/foreign/"
# What a team has done with GTO, by its own hand.
HISTORY = """
import sys
from gto import api
folder = sys.argv[1]
api.register(folder, "toy", "HEAD~2", "v1.0.0")
api.assign(folder, "toy", "production", version="v1.0.0")
api.register(folder, "toy", "HEAD~1", "v1.2.0")
api.assign(folder, "toy", "production", version="v1.2.0")
api.assign(folder, "toy", "staging", version="v1.0.0")
api.register(folder, "toy", "HEAD", "v1.1.0")
api.deregister(folder, "toy", version="v1.1.0")
api.register(folder, "models:toy", "HEAD~2", "v0.3.0")
api.deprecate(folder, "old", ref="HEAD~2", force=True)
"""
TAGS = {
    "models=toy@v0.3.0",
    "old@deprecated#1",
    "toy#production#1",
    "toy#production#2",
    "toy#staging#3",
    "toy@v1.0.0",
    "toy@v1.1.0",
    "toy@v1.1.0!",
    "toy@v1.2.0",
}
TOLD = (
    "foreign  9 tags in GTO's form, kept: not judged here, not signed; numbers go on after toy@v1.2.0; "
    "in use until a version is: production: toy@v1.2.0, staging: toy@v1.0.0"
)


def register(folder: Path, git) -> None:
    for number in range(2):
        git(folder, "commit", "-q", "--allow-empty", "-m", f"Train {number}")
    done = subprocess.run([sys.executable, "-c", HISTORY, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    git(folder, "tag", "v7", "HEAD")  # nobody's registry


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    from tests.once import made_once

    def make(folder: Path) -> None:
        def git(where, *args):
            subprocess.run(["git", "-C", str(where), *args], check=True, capture_output=True)

        register(make_clone(folder / "clone", git), git)

    return made_once(tmp_path_factory, "gto", make)


@pytest.fixture
def clone(template, tmp_path):
    shutil.copytree(template / "clone", tmp_path / "clone", symlinks=True)
    return tmp_path / "clone"


def tags(git, folder, place="refs/tags/"):
    listed = git(folder, "for-each-ref", "--format=%(refname) %(objectname)", place).splitlines()
    return {name.removeprefix(place): oid for name, oid in (line.split() for line in listed)}


def made(clone) -> tuple[Repository, list[str]]:
    said: list[str] = []
    return init(clone, say=said.append).repository, said


def test_init_takes_over_what_gto_has_left_and_tells_it(clone, git):
    bare, said = made(clone)
    mine = tags(git, clone)
    assert set(mine) == TAGS | {"v7"}
    for place in (tags(git, bare.path), tags(git, bare.path, MARKS), tags(git, clone, MARKS)):
        assert place == {name: mine[name] for name in TAGS}
    assert said == [TOLD]


def test_a_second_init_says_and_changes_nothing_of_it(clone, git):
    bare, _ = made(clone)
    before = git(bare.path, "for-each-ref")
    assert made(clone)[1] == []
    assert git(bare.path, "for-each-ref") == before


def test_a_clone_that_has_the_tags_fetches_and_pushes_them_without_a_clash(clone, git):
    bare, _ = made(clone)
    said = git(clone, "fetch", "local", "--tags", check=False) + git(clone, "push", "--tags", "local", check=False)
    assert "clobber" not in said
    assert "rejected" not in said
    assert "refused" not in said
    assert set(tags(git, bare.path)) == TAGS | {"v7"}


def test_a_tag_that_is_light_is_kept_too(tmp_path, git):
    clone = make_clone(tmp_path / "clone", git)
    git(clone, "tag", "toy@v2.0.0")
    bare, said = made(clone)
    assert "numbers go on after toy@v2.0.0" in said[0]
    known = registry.fold("toy", bare.refs(*registry.PLACES))
    assert (known.versions, known.problems, str(known.next_version("minor"))) == ((), (), "v2.1.0")


def test_what_another_server_of_ours_has_signed_is_not_foreign(tmp_path, git):
    """It says in a record what it means, and the doctor tells whose it is."""
    server = policy_server.make(tmp_path)
    record = {"schema": 2, "version": "toy@v1.0.0"}
    tip = server.git("rev-parse", "main")
    for name, said in {"toy@v1.0.0": record, "toy#staging#1": record, "toy#canary#1": None}.items():
        server.git("update-ref", f"refs/tags/{name}", server.tag(name, tip, said))
    assert foreign.compare(Repository(server.clone), {}) == foreign.Tags((), ())
    server.git("update-ref", "refs/tags/toy@v1.1.0", server.tag("toy@v1.1.0", tip))
    assert set(foreign.compare(Repository(server.clone), {}).absent) == {"toy@v1.1.0", "toy#canary#1"}


def test_tags_that_cannot_be_fetched_leave_nothing_half_done(clone, git, tmp_path):
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{clone}", "cut")
    shutil.rmtree(tmp_path / "cut" / ".dvc", ignore_errors=True)
    shutil.copytree(clone / ".dvc", tmp_path / "cut" / ".dvc")
    with pytest.raises(PushforwardError) as refused:
        init(tmp_path / "cut")
    assert "cannot be taken over, and without them numbers would begin anew" in refused.value.message
    assert "git fetch --unshallow; then pushforward init" in refused.value.next
    assert git(tmp_path / "cut.git", "for-each-ref", "refs/tags", MARKS) == ""


# A server on which versions are made.


@pytest.fixture
def served(tmp_path):
    """A server that nobody has promoted on, whose project has a registry of GTO's; main has passed."""
    server = policy_server.make(tmp_path)
    tip = server.git("rev-parse", "main")
    for name in ("toy@v1.0.0", "toy@v1.2.0", "toy#production#2", "toy#staging#3"):
        server.git("tag", "-a", "-m", "Registering", name, tip)
    init(server.clone)
    (server.bare / "hooks" / "post-receive").unlink()
    server.know()
    server.trust()
    server.verdict(tip, server.run("git", "-C", str(server.clone), "cat-file", "blob", "main:dvc.lock").stdout)
    return Released(server, {"A": tip})


def first(served, name="toy@v1.3.0", **changes) -> Promotion:
    tip = served.commits["A"]
    return Promotion(
        served.server, **({"name": name, "target": tip, "commit": tip, "number": 1, "previous": None} | changes)
    )


@pytest.mark.parametrize("name", ["toy@v1.3.0", "toy@v2.0.0", "toy@v1.2.1"])
def test_the_first_version_goes_on_after_gtos_and_counters_too(served, name):
    promotion = first(served, name)
    said = promotion.push(promotion.use("staging", 4))
    assert said.taken, said.text
    known = registry.fold("toy", Repository(served.server.bare).refs(*registry.PLACES))
    assert [one.name for one in known.versions] == [name]
    assert known.in_use("staging").name == name
    assert known.foreign_environments == {"production": "toy@v1.2.0"}
    assert known.problems == ()
    staged = served.use("production", 3, "A", {"schema": 2, "version": name, "by": ANN})
    served.server.taken(staged)


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("number", lambda promotion: setattr(promotion, "name", "toy@v1.0.1")),
        ("begins-anew", lambda promotion: setattr(promotion, "name", "toy@v1.4.0")),
        ("previous", lambda promotion: promotion.record.update(previous="toy@v1.2.0")),
        ("place", lambda promotion: promotion.record.update(number=3)),
    ],
)
def test_a_first_version_that_does_not_go_on_is_refused(served, case, change):
    promotion = first(served)
    change(promotion)
    promotion.refused(f"foreign-{case}")


@pytest.mark.parametrize("counter", [1, 4])
def test_a_use_that_does_not_go_on_after_gtos_is_refused(served, counter):
    assert first(served).push().taken
    use = served.use("production", counter, "A", {"schema": 2, "version": "toy@v1.3.0", "by": ANN})
    assert not served.server.push(use).taken


@pytest.mark.parametrize(
    ("case", "record"),
    [("use-by-name", {"schema": 2, "version": "toy@v1.2.0", "reason": "x"}), ("use-by-commit", None)],
)
def test_nobody_puts_a_foreign_version_to_use(served, case, record):
    served.server.refused(f"foreign-{case}", served.use("production", 3, "A", record))


def test_nobody_empties_or_deprecates_what_only_gto_has_filled(served):
    server, tip = served.server, served.commits["A"]
    record = {"schema": 2, "version": "toy@v1.2.0", "reason": "x"}
    for name in ("toy#production!#3", "toy@v1.2.0!"):
        server.refused(
            f"foreign-{'empty' if '#' in name else 'deprecate'}", f"{server.tag(name, tip, record)}:refs/tags/{name}"
        )


def test_a_foreign_tag_never_moves_and_never_goes(served):
    server = served.server
    other = server.tag("toy@v1.2.0", served.commits["A"])
    for golden, specs in {
        "moved": ("--force", f"{other}:refs/tags/toy@v1.2.0"),
        "gone": (":refs/tags/toy@v1.2.0",),
    }.items():
        server.refused(f"foreign-{golden}", *specs)


@pytest.mark.parametrize("token", [False, True])
def test_nobody_marks_a_tag_as_foreign_by_a_push(served, token):
    assert first(served).push().taken
    served.server.git("fetch", "-q", str(served.server.bare), "refs/tags/*:refs/tags/*")
    served.server.refused(
        f"foreign-mark{'-by-a-run' if token else ''}", f"refs/tags/toy@v1.3.0:{MARKS}toy@v1.3.0", token=token
    )


@pytest.mark.parametrize(
    "name",
    ["toy@v1.3.0", "toy#production#3", "toy#production!#3", "toy@v1.2.0!", "toy@deprecated", "models=toy@v1.3.0"],
)
def test_what_gto_makes_later_is_refused_with_what_to_do(served, name):
    server = served.server
    server.git("tag", "-a", "-m", "Registering", name, served.commits["A"])
    golden = name.replace("#", "-").replace("@", "-").replace("!", "-not").replace("=", "-")
    said = server.refused(f"foreign-later-{golden}", f"refs/tags/{name}")
    assert f"git tag -d '{name}'" in said
    server.refused(f"foreign-later-{golden}", "--tags")


# What is not to notice them.


def test_an_import_starts_no_run_and_the_doctor_finds_nothing_wrong(served, git):
    server = served.server
    made = init(server.clone)
    assert [job for job in pending.find(made).jobs if job.event == "tag"] == []
    repository = Repository(server.bare)
    assert "registry is gone" not in " ".join(one.found for one in soundness.refs(repository))
    assert [one.found for one in soundness.signatures(repository, server.signers)] == [
        "a trusted key vouches for each of 0 registry tags"
    ]
    (found,) = foreign.refs(repository)
    assert (found.ok, found.found) == (
        True,
        "4 tags in GTO's form, from before this server: not judged here, not signed",
    )
    assert soundness.parts(repository) == []


def test_the_doctor_tells_a_foreign_tag_that_is_another_or_gone(served, git):
    server = served.server
    marks = tags(git, server.bare, MARKS)
    git(server.bare, "update-ref", "refs/tags/toy@v1.2.0", server.git("rev-parse", "main"))
    git(server.bare, "update-ref", "-d", "refs/tags/toy@v1.0.0")
    found = list(foreign.refs(Repository(server.bare)))
    assert [one.found for one in found] == [
        "toy@v1.0.0 was taken over, and is gone",
        "toy@v1.2.0 is not what was taken over",
    ]
    for one in found:
        subprocess.run(one.mend, shell=True, check=True)
    assert [one.ok for one in foreign.refs(Repository(server.bare))] == [True]
    assert {name: oid for name, oid in tags(git, server.bare).items() if name in marks} == marks


def told(clone):
    local = next(iter([check.remote.of(Repository(clone))]))
    return {one.name: one for one in check.clone(Repository(clone), local)}


def test_the_doctor_tells_a_clone_whose_foreign_tag_is_another(served, git):
    clone = served.server.clone
    assert told(clone)["tags"].found == "those of the server"
    git(clone, "tag", "-f", "-a", "-m", "again", "toy@v1.2.0", "main")
    found = told(clone)["tags"]
    assert found.found.startswith("toy@v1.2.0: another here than on local")
    assert found.mend == "git fetch local --tags --force"


def test_the_doctor_tells_what_gto_has_made_since_and_init_takes_it_over(served, git):
    clone = served.server.clone
    git(clone, "tag", "-a", "-m", "Registering", "toy@v1.5.0", "main")
    found = told(clone)["foreign"]
    assert found.found == "toy@v1.5.0: in GTO's form, and not on local, which may give their numbers again"
    assert found.mend == "pushforward init, which keeps them there"
    said = made(clone)[1]
    assert said[0].startswith(
        "foreign  1 tag in GTO's form, kept: not judged here, not signed; numbers go on after toy@v1.5.0"
    )
    assert told(clone)["tags"].found == "those of the server"


def test_a_number_that_the_server_has_given_stays_its_own(served, git):
    """GTO's tag of the same name is told as a clash, and its others are taken over."""
    server = served.server
    assert first(served).push().taken
    ours = tags(git, server.bare)["toy@v1.3.0"]
    for name in ("toy@v1.3.0", "toy@v1.4.0"):
        git(server.clone, "tag", "-f", "-a", "-m", "Registering", name, "main")
    said = made(server.clone)[1]
    assert [line.partition(" ")[0] for line in said] == ["foreign", "clash"]
    assert said[1] == (
        "clash    toy@v1.3.0: another here than on the server, whose own stay; its tags instead of these: "
        "git fetch local --tags --force"
    )
    assert tags(git, server.bare)["toy@v1.3.0"] == ours
    known = registry.fold("toy", Repository(server.bare).refs(*registry.PLACES))
    assert [one.name for one in known.versions] == ["toy@v1.3.0"]
    assert str(known.next_version("minor")) == "v1.5.0"


def test_what_a_clone_looks_at_has_the_marks(served, git, tmp_path):
    """Also a clone that has fetched nothing but branches and tags."""
    git(tmp_path, "clone", "-q", "-o", "local", str(served.server.bare), "other")
    seen = transaction.look(Repository(tmp_path / "other"), "local", "toy")
    assert (seen.known.versions, seen.known.problems) == ((), ())
    assert str(seen.known.next_version("minor", seen.taken)) == "v1.3.0"
    assert seen.known.next_counter("production", seen.taken) == 3


def test_a_mirror_and_a_copy_of_the_server_keep_them(served, git, tmp_path):
    git(tmp_path, "clone", "-q", "--mirror", str(served.server.bare), "mirror.git")
    assert next(foreign.refs(Repository(tmp_path / "mirror.git"))).ok
    shutil.move(served.server.bare, tmp_path / "moved.git")
    git(served.server.clone, "remote", "set-url", "local", str(tmp_path / "moved.git"))
    assert told(served.server.clone)["tags"].found == "those of the server"


def test_a_forge_says_of_no_tag_that_it_is_foreign(served, git, tmp_path):
    """Anybody who may push there could mark the champion so."""
    git(tmp_path, "clone", "-q", "--mirror", str(served.server.bare), "forge.git")
    git(tmp_path, "clone", "-q", str(tmp_path / "forge.git"), "other")
    seen = transaction.look_believed(Repository(tmp_path / "other"), "origin", "toy", {}, served.server.signers)
    assert seen.known.foreign == ()
    assert len(seen.known.problems) == 4


# What people are told.


def show(clone, monkeypatch, *args):
    monkeypatch.chdir(clone)
    done = CliRunner().invoke(main, ["show", *args])
    assert done.exit_code == 0, done.output
    return done.output


def test_show_tells_what_gto_has_in_use_until_a_version_is(served, monkeypatch, git):
    clone = served.server.clone
    lines = show(clone, monkeypatch).splitlines()
    assert lines[:4] == [
        "toy",
        "  production   toy@v1.2.0  foreign: not judged here, not signed",
        "  staging      toy@v1.2.0  foreign: not judged here, not signed",
        "  foreign      2 versions, the newest toy@v1.2.0: not judged here, not signed",
    ]
    found = json.loads(show(clone, monkeypatch, "--json"))
    assert (found["versions"], found["environments"], found["problems"]) == ([], {}, [])
    assert found["foreign"] == {
        "versions": ["toy@v1.0.0", "toy@v1.2.0"],
        "uses": {"production": "toy@v1.2.0", "staging": "toy@v1.2.0"},
    }
    promotion = first(served)
    assert promotion.push(promotion.use("staging", 4)).taken
    git(clone, "fetch", "-q", "local")
    found = json.loads(show(clone, monkeypatch, "--json"))
    assert (found["versions"], found["environments"]) == (["toy@v1.3.0"], {"staging": "toy@v1.3.0"})
    assert found["foreign"]["uses"] == {"production": "toy@v1.2.0"}


def test_a_clone_reads_the_marks_of_its_server_and_without_them_believes_no_tag_of_gtos(
    served, git, tmp_path, monkeypatch
):
    bare, other = served.server.bare, tmp_path / "other"
    git(tmp_path, "clone", "-q", "-o", "local", str(bare), "other")
    assert json.loads(show(other, monkeypatch, "--json"))["problems"] == []
    bare.rename(away := bare.with_name("away.git"))  # its server is elsewhere, and the clone never had the marks
    found = json.loads(show(other, monkeypatch, "--json"))
    assert (found["versions"], found["environments"]) == ([], {})
    assert found["problems"] == [
        f"{name}: it has no signature and no record; it does not count"
        for name in ("toy@v1.0.0", "toy@v1.2.0", "toy#production#2", "toy#staging#3")
    ]
    assert found["lacks"].startswith("local cannot be asked, so what it has beside this is not known; next: git ")
    away.rename(bare)
    git(other, "fetch", "-q", "local", f"+{MARKS}*:{MARKS}*")
    bare.rename(away)
    assert json.loads(show(other, monkeypatch, "--json"))["problems"] == []


@pytest.mark.parametrize("name", ["v1.2.0", "toy@v1.2.0"])
def test_nobody_verifies_a_foreign_version(served, monkeypatch, name):
    monkeypatch.chdir(served.server.clone)
    done = CliRunner().invoke(main, ["verify", name, "--quick"])
    assert done.exit_code == 2
    assert "toy@v1.2.0 is foreign: not judged here, not signed" in done.output


def test_verify_tells_what_gto_has_in_use(served, monkeypatch):
    monkeypatch.chdir(served.server.clone)
    done = CliRunner().invoke(main, ["verify", "--in-use", "production", "--quick"])
    assert (done.exit_code, done.output) == (
        0,
        "production holds no version yet; until one is put there: toy@v1.2.0, foreign: not judged here, not signed\n",
    )
    found = json.loads(CliRunner().invoke(main, ["verify", "--in-use", "production", "--json"]).output)
    assert found == {"version": "", "ok": True, "hops": [], "foreign": "toy@v1.2.0"}


def test_gc_keeps_what_foreign_versions_name_and_stops_at_none_of_them(served, tmp_path):
    """What GTO's versions were made of may never have been in the store: that is no reason to keep all else."""
    server = served.server
    lost = f"  x:\n    cmd: x\n    outs:\n    - path: m\n      hash: md5\n      md5: {'a' * 32}.dir\n"
    tip = server.follow(served.commits["A"], {"dvc.lock": lock_of(server, "B") + lost.encode()})
    server.git("tag", "-a", "-m", "Registering", "toy@v1.2.1", tip)
    init(server.clone)
    plan = gc.collect(server.clone, dry_run=True, deprecated=False, say=lambda _: None)
    assert plan.needs.versions == 0
    assert hashlib.md5(b"booster B").hexdigest() in {name.removesuffix(".dir") for name in plan.needs.names}


def test_nothing_but_foreign_tags_is_a_server_that_nobody_has_pushed_to(clone, git):
    server = Path(made(clone)[0].path)
    found = {one.name: one for one in installation.server(server)}
    assert (found["HEAD"].ok, found["HEAD"].found) == (True, "refs/heads/main, not pushed yet")
    with pytest.raises(PushforwardError, match="nothing was pushed to"), authority.of(clone):
        pass
    git(server, "tag", "other", "toy@v1.0.0")
    with pytest.raises(PushforwardError, match="has tags, and no branch any more"), authority.of(clone):
        pass
