"""What `pushforward init` makes of a clone: pushed to by real git, renewed, refused where it cannot be."""

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.team import CONFIG, SETTINGS, make_clone

from pushforward.commands.cli import main
from pushforward.errors import PushforwardError
from pushforward.git.environment import SERVICE_EMAIL
from pushforward.git.refs import TRUST
from pushforward.git.repository import Repository
from pushforward.git.server import Server, unshared
from pushforward.registry import signers, ssh
from pushforward.server import check, installation
from pushforward.server import init as servers
from pushforward.server.init import init

pytestmark = pytest.mark.whole

SOURCE = Path(__file__).parent.parent.parent / "src" / "pushforward"


@pytest.fixture
def clone(tmp_path, git):
    return make_clone(tmp_path / "clone", git)


def snapshot(bare):
    """Everything of a server that another init could change, without compiled files."""
    return {
        str(path.relative_to(bare)): (path.stat().st_mode, path.read_bytes())
        for path in sorted(bare.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }


def refusal(clone, **options):
    with pytest.raises(PushforwardError) as refused:
        init(clone, **options)
    return refused.value


def test_a_clone_gets_a_bare_repository_a_store_and_a_remote(clone, git):
    server = init(clone)
    bare = clone.parent / "clone.git"
    assert (Path(server.bare), Path(server.store)) == (bare, clone.parent / "store")
    assert git(bare, "rev-parse", "--is-bare-repository") == "true"
    assert (clone.parent / "store").is_dir()
    assert git(clone, "remote", "get-url", "local") == str(bare)
    assert server.default_branch == "main"
    for name in ("pre-receive", "post-receive"):
        assert os.access(bare / "hooks" / name, os.X_OK)
    assert Server.load(bare) == server


def test_a_second_init_changes_nothing(clone, git):
    first = init(clone)
    bare = Path(first.bare)
    git(bare, "update-ref", "refs/heads/main", git(bare, "commit-tree", "-m", "x", git(bare, "mktree")))
    git(bare, "config", "user.note", "mine")
    config, before = (clone / ".git" / "config").read_text(), snapshot(bare)
    assert init(clone) == first
    assert snapshot(bare) == before
    assert (clone / ".git" / "config").read_text() == config


def test_the_token_is_for_the_server_alone_and_stays(clone):
    token = Path(init(clone).bare) / "pushforward" / "token"
    first = token.read_text()
    assert len(first.strip()) == 64
    assert token.stat().st_mode & 0o077 == 0
    init(clone)
    assert token.read_text() == first


def test_a_hook_that_somebody_spoiled_is_made_again(clone):
    hook = Path(init(clone).bare) / "hooks" / "pre-receive"
    text = hook.read_text()
    hook.write_text("#!/bin/sh\nexit 0\n")
    hook.chmod(0o644)
    init(clone)
    assert hook.read_text() == text
    assert os.access(hook, os.X_OK)


def test_reports_and_versions_come_along_with_every_fetch(clone, git):
    init(clone)
    init(clone)
    specs = git(clone, "config", "--get-all", "remote.local.fetch").splitlines()
    notes = "+refs/notes/pushforward*:refs/notes/pushforward*"
    marks = "+refs/pushforward/foreign/*:refs/pushforward/foreign/*"
    assert specs == ["+refs/heads/*:refs/remotes/local/*", notes, "refs/tags/*:refs/tags/*", marks]
    git(clone, "fetch", "-q", "local")


@pytest.mark.parametrize("branch", ["main", "trunk"])
def test_the_branch_at_hand_becomes_the_default_and_stays_it(clone, git, branch):
    git(clone, "branch", "-m", branch)
    assert init(clone).default_branch == branch
    git(clone, "checkout", "-q", "-b", "idea")
    assert init(clone).default_branch == branch


@pytest.mark.parametrize("known", ["main", "master", "of origin"])
def test_on_a_topic_branch_the_default_is_what_adopt_says_it_is(clone, git, known):
    if known == "of origin":
        git(clone, "update-ref", "refs/remotes/origin/trunk", "HEAD")
        git(clone, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
    else:
        git(clone, "branch", "-m", known)
    git(clone, "checkout", "-q", "-b", "adopt")
    assert init(clone).default_branch == {"of origin": "trunk"}.get(known, known)


def test_without_a_branch_it_is_refused(clone, git):
    git(clone, "checkout", "-q", "--detach")
    git(clone, "branch", "-q", "-D", "main")
    refused = refusal(clone)
    assert "no branch is checked out" in refused.message
    assert refused.next == "git switch main"
    assert not (clone.parent / "clone.git").exists()


def test_the_clone_of_a_colleague_joins_the_server(clone, git, tmp_path):
    server = init(clone)
    git(clone, "push", "-q", "local", "main", PUSHFORWARD_RUN="none")
    git(tmp_path, "clone", "-q", server.bare, "colleague")
    before = snapshot(Path(server.bare))
    assert init(tmp_path / "colleague") == server
    assert git(tmp_path / "colleague", "remote", "get-url", "local") == server.bare
    assert snapshot(Path(server.bare)) == before
    assert not (tmp_path / "colleague.git").exists()


def test_settings_that_cannot_be_read_make_nothing(clone):
    (clone / "pushforward.yaml").write_text(SETTINGS.replace("window: 2", "windw: 2"))
    assert "unknown key 'gate.windw'" in refusal(clone).message
    assert sorted(path.name for path in clone.parent.iterdir()) == ["clone", "home"]


def test_outside_a_repository_it_says_how_to_make_one(tmp_path):
    refused = refusal(tmp_path)
    assert "is not a git repository" in refused.message
    assert refused.next.startswith("git init")


def test_settings_in_the_old_form_are_refused_with_what_moves_them(clone):
    (clone / "pushforward.yaml").unlink()
    (clone / "params.yaml").write_text("model: {name: toy, path: model, score: s, holdout: h}\ngate: {window: 2}\n")
    refused = refusal(clone)
    assert refused.message.startswith("params.yaml has model, gate of pushforward, which are in pushforward.yaml")
    assert refused.next == "pushforward adopt --update, which moves them"


def test_without_settings_it_is_refused(clone):
    (clone / "pushforward.yaml").unlink()
    assert "has no pushforward.yaml" in refusal(clone).message


@pytest.mark.parametrize("text", [None, "", "[core]\n    remote = store\n", CONFIG.replace("remote = store", "x = y")])
def test_without_a_default_dvc_remote_it_is_refused(clone, text):
    (clone / ".dvc" / "config").unlink()
    if text is not None:
        (clone / ".dvc" / "config").write_text(text)
    refused = refusal(clone)
    assert "names no default remote" in refused.message
    assert refused.next == "dvc remote add -d store ../clone.dvc"


def test_a_remote_called_local_that_is_something_else_is_left_alone(clone, git):
    git(clone, "remote", "add", "local", "/somewhere/else.git")
    refused = refusal(clone)
    assert "already is /somewhere/else.git" in refused.message
    assert refused.next == "git remote rename local other"
    assert not (clone.parent / "clone.git").exists()


def test_it_works_from_a_folder_inside_the_clone(clone):
    (clone / "src").mkdir()
    assert init(clone / "src").bare == str(clone.parent / "clone.git")


def test_the_bare_repository_may_lie_elsewhere(clone, tmp_path, git, monkeypatch):
    (tmp_path / "hub").mkdir()
    monkeypatch.chdir(clone)
    server = init(clone, bare=Path("../hub/team.git"))
    assert server.bare == str(tmp_path / "hub" / "team.git")
    assert server.name == "hub/team"
    assert git(clone, "remote", "get-url", "local") == server.bare


@pytest.mark.parametrize("url", ["s3://bucket/path", pytest.param("https://example.org/a%20b")])
def test_a_store_that_is_no_folder_of_this_machine_is_not_made(clone, url):
    (clone / ".dvc" / "config").write_text(CONFIG.replace("../../store", url))
    before = sorted(clone.parent.iterdir())
    server = init(clone)
    assert server.store in {"", "."}
    assert sorted(clone.parent.iterdir()) == sorted([*before, clone.parent / "clone.git"])


def test_names_with_blanks_and_quotes_work(tmp_path, git):
    clone = make_clone(tmp_path / "my 'best' \"idea\" {x} $HOME", git)
    init(clone)
    said = git(clone, "push", "local", "HEAD:refs/notes/mine", check=False)
    assert "this server writes it" in said
    assert git(clone, "ls-remote", "local").split()[1:] == ["refs/pushforward/trust"]


def test_hooks_of_the_user_do_not_switch_the_policy_off(clone, git, tmp_path):
    (tmp_path / "hooks").mkdir()
    git(clone, "config", "--global", "core.hooksPath", str(tmp_path / "hooks"))
    init(clone)
    assert "this server writes it" in git(clone, "push", "local", "HEAD:refs/notes/mine", check=False)


def test_the_policy_imports_nothing_that_a_pusher_or_a_shell_offers(clone, git, tmp_path, monkeypatch):
    bare = Path(init(clone).bare)
    for folder in (tmp_path / "evil", bare):
        folder.mkdir(exist_ok=True)
        for name in ("re.py", "subprocess.py", "sitecustomize.py", "usercustomize.py"):
            (folder / name).write_text("import os\nos._exit(0)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "evil"))
    monkeypatch.setenv("PYTHONHOME", str(tmp_path / "evil"))
    assert "this server writes it" in git(clone, "push", "local", "HEAD:refs/notes/mine", check=False)
    text = (bare / "hooks" / "pre-receive").read_text()
    (starts,) = (line for line in text.splitlines() if "import sys" in line)
    assert '"$python" -I -S -c ' in starts
    assert f" known={shlex.quote(sys.executable)}\n" in text


def test_an_edit_in_the_clone_reaches_the_server_with_the_next_init(clone):
    package = clone / "src" / "pushforward"
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    edited = package / "policy" / "hook.py"

    def make():
        code = "from pathlib import Path; from pushforward.server.init import init; init(Path.cwd())"
        env = os.environ | {"PYTHONPATH": str(clone / "src")}
        subprocess.run([sys.executable, "-c", code], cwd=clone, env=env, check=True, capture_output=True)

    make()
    copy = clone.parent / "clone.git" / "pushforward" / "lib" / "pushforward"
    before = edited.read_text()
    edited.write_text(before + "# edited\n")
    (package / "fresh.py").touch()
    assert (copy / "policy" / "hook.py").read_text() == before
    make()
    assert (copy / "policy" / "hook.py").read_text() == before + "# edited\n"
    assert (copy / "fresh.py").exists()
    assert not list(copy.parent.parent.glob("lib.*")), "nothing of the change-over stays"


def test_a_server_is_written_down_whole(clone):
    server = init(clone, trust=True)
    path = Path(server.bare) / "pushforward" / "server.json"
    assert json.loads(path.read_text())["trust"] is True
    assert not path.with_suffix(".new").exists()


def make_key(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path.with_name(path.name + ".pub").read_text().strip()


def signs_with(git, folder, key):
    git(folder, "config", "gpg.format", "ssh")
    git(folder, "config", "user.signingkey", str(key))


def said(clone, monkeypatch, *args):
    monkeypatch.chdir(clone)
    done = CliRunner().invoke(main, ["init", *args])
    return done.output + done.stderr


def signers_of(bare):
    return [one.principal for one in ssh.read((Path(bare) / "pushforward" / "allowed_signers").read_text())]


def test_a_server_has_a_key_of_its_own_and_publishes_who_may_sign(clone, git):
    bare = Path(init(clone).bare)
    assert signers_of(bare) == [SERVICE_EMAIL]
    assert signers.private_key(bare).is_file()
    line = (bare / "pushforward" / "allowed_signers").read_text().strip()
    assert git(bare, "show", "refs/pushforward/trust:allowed_signers") == line
    git(clone, "fetch", "-q", "local", f"{TRUST}:{TRUST}")
    assert git(clone, "show", f"{TRUST}:allowed_signers") == line


def test_whoever_makes_the_server_may_sign_where_git_knows_their_key(clone, git, tmp_path, monkeypatch):
    key = make_key(tmp_path / "keys" / "mine")
    for given in (f"key::{key}", tmp_path / "keys" / "mine.pub", tmp_path / "keys" / "mine"):
        signs_with(git, clone, given)
        assert "you      ann@example.org may sign for every environment\n" in said(clone, monkeypatch)
    assert signers_of(clone.parent / "clone.git") == [SERVICE_EMAIL, "ann@example.org"]
    assert "PRIVATE" not in (clone.parent / "clone.git" / "pushforward" / "allowed_signers").read_text()


def test_where_git_knows_no_key_the_card_says_what_to_type(clone, git, tmp_path, monkeypatch):
    card = said(clone, monkeypatch)
    assert "you      may push, and cannot sign yet: git does not know which ssh key you sign with\n" in card
    Path("~/.ssh").expanduser().mkdir()
    typed = card.split("cannot sign yet")[1].splitlines()[1].strip()
    assert typed.endswith("pushforward trust ~/.ssh/id_ed25519.pub")
    subprocess.run(
        ["sh", "-c", typed.replace("ed25519 &&", "ed25519 -q -N '' -f ~/.ssh/id_ed25519 &&", 1)],
        cwd=clone,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        check=True,
        capture_output=True,
    )
    assert signers_of(clone.parent / "clone.git") == [SERVICE_EMAIL, "ann@example.org"]
    assert "you      ann@example.org may sign" in said(clone, monkeypatch)


def test_a_key_that_was_revoked_stays_revoked_when_the_server_is_renewed(clone, git, tmp_path, monkeypatch):
    signs_with(git, clone, f"key::{make_key(tmp_path / 'keys' / 'mine')}")
    said(clone, monkeypatch)
    bare = clone.parent / "clone.git"
    signers.revoke(signers.place_of(clone), signers.mine(Repository(clone)))
    assert "(revoked " in said(clone, monkeypatch)
    assert signers_of(bare) == [SERVICE_EMAIL, "ann@example.org"]


def test_a_colleague_who_joins_may_push_and_has_to_be_trusted_to_sign(clone, git, tmp_path, monkeypatch):
    server = init(clone)
    git(clone, "push", "-q", "local", "main", PUSHFORWARD_RUN="none")
    git(tmp_path, "clone", "-q", server.bare, "colleague")
    colleague = tmp_path / "colleague"
    key = tmp_path / "keys" / "bob"
    make_key(key)
    signs_with(git, colleague, f"{key}.pub")
    git(colleague, "config", "user.email", "bob@example.org")
    card = said(colleague, monkeypatch)
    assert "cannot sign yet: nobody trusts your key here yet\n         pushforward trust KEY.pub" in card
    assert signers_of(server.bare) == [SERVICE_EMAIL]
    assert CliRunner().invoke(main, ["trust", f"{key}.pub"]).exit_code == 0
    assert signers_of(server.bare) == [SERVICE_EMAIL, "bob@example.org"]


def test_who_may_sign_and_the_servers_key_survive_a_renewal(clone, git, tmp_path):
    bare = Path(init(clone).bare)
    place = signers.place_of(clone)
    signers.add(place, " ".join(make_key(tmp_path / "keys" / "bob").split()[:2]), "bob@example.org", ["staging"])
    before = snapshot(bare)
    init(clone)
    assert snapshot(bare) == before


def test_what_pushers_need_not_see_is_hidden_but_for_the_registry(clone, git):
    bare = Path(init(clone).bare)
    wanted = ["refs/pushforward", "!refs/pushforward/registry"]
    assert git(bare, "config", "--get-all", "receive.hideRefs").splitlines() == wanted
    for spoiled in ([], ["refs/pushforward"], [*reversed(wanted)], ["refs", *wanted]):
        git(bare, "config", "--unset-all", "receive.hideRefs")
        for value in spoiled:
            git(bare, "config", "--add", "receive.hideRefs", value)
        init(clone)
        assert git(bare, "config", "--get-all", "receive.hideRefs").splitlines() == wanted
    token = (bare / "pushforward" / "token").read_text().strip()
    for ref, taken in (("refs/pushforward/registry", True), ("refs/pushforward/run/x", False)):
        pushed = git(clone, "push", "local", f"HEAD:{ref}", check=False, PUSHFORWARD_TOKEN=token, PUSHFORWARD_RUN="x")
        assert ("deny updating a hidden ref" not in pushed) == taken


def test_main_is_protected_until_somebody_says_otherwise(clone, monkeypatch):
    def protect():
        return json.loads((clone.parent / "clone.git" / "pushforward" / "server.json").read_text())["protect"]

    init(clone)
    assert not protect()
    assert "protect  main takes only what has a passing verdict\n" in said(clone, monkeypatch, "--protect-main")
    assert "protect  main" in said(clone, monkeypatch)
    assert protect()
    path = clone.parent / "clone.git" / "pushforward" / "server.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"of": "another version"}))
    init(clone)
    assert protect()
    said(clone, monkeypatch, "--no-protect-main")
    assert not protect()


def test_the_policy_is_told_the_environments_and_what_the_pipeline_reads(clone):
    server = init(clone)
    path = Path(server.bare) / "pushforward" / "registry.json"
    environments = {"staging": "auto", "production": "manual"}
    assert json.loads(path.read_text()) == {"model": "toy", "environments": environments, "reads": []}
    server.know(["toy"], environments, ["src/train.py"])
    init(clone)
    assert json.loads(path.read_text())["reads"] == ["src/train.py"], "what is known stays"
    server.know(["toy"], {"production": "manual"}, iter(["a", "b"]))
    assert json.loads(path.read_text()) == {
        "model": "toy",
        "environments": {"production": "manual"},
        "reads": ["a", "b"],
    }


def test_without_ssh_keygen_nothing_is_made(clone, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(shutil.which("git"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    refused = refusal(clone)
    assert "ssh-keygen is not installed, and versions are signed with it" in refused.message
    assert refused.next == "apt-get install openssh-client"
    assert not (clone.parent / "clone.git").exists()


@pytest.fixture
def distant(clone, git, tmp_path):
    """A clone whose `local` is a server on "another machine": git reaches it through a stand-in for ssh."""
    bare = init(clone).bare
    git(clone, "push", "-q", "local", "main", PUSHFORWARD_RUN="none")
    program = tmp_path / "ssh"
    program.write_text('#!/bin/sh\nwhile [ "$1" != hub ]; do shift; done\nshift\nexec sh -c "$*"\n')
    program.chmod(0o755)
    git(tmp_path, "config", "--global", "core.sshCommand", str(program))
    git(tmp_path, "config", "--global", "ssh.variant", "simple")
    git(tmp_path, "clone", "-q", "-o", "local", f"hub:{bare}", "distant")
    return tmp_path / "distant"


def test_a_clone_of_a_server_elsewhere_joins_it_and_is_told_what_runs_where(distant, clone, git, monkeypatch):
    before = snapshot(clone.parent / "clone.git")
    card = said(distant, monkeypatch)
    url = f"hub:{clone.parent / 'clone.git'}"
    assert f"server   {url}, on another machine: it runs and keeps everything there\n" in card
    assert f"check    ssh hub 'pushforward check --bare {clone.parent / 'clone.git'}'\n" in card
    assert "trust - --as EMAIL --bare" in card
    assert "+refs/notes/pushforward*:refs/notes/pushforward*" in git(
        distant, "config", "--get-all", "remote.local.fetch"
    )
    assert snapshot(clone.parent / "clone.git") == before
    assert not (distant.parent / "distant.git").exists()


def test_a_remote_elsewhere_that_is_no_server_is_refused(distant, clone, git):
    git(clone.parent / "clone.git", "update-ref", "-d", TRUST)
    with pytest.raises(PushforwardError, match="no server of pushforward answers there") as refused:
        servers.join(distant)
    assert refused.value.next.startswith("ssh hub 'pushforward check --bare ")


def test_a_folder_that_is_no_server_says_so(tmp_path):
    with pytest.raises(PushforwardError, match="is not a server") as refused:
        Server.load(tmp_path)
    assert refused.value.next == "pushforward init"


def test_what_was_pushed_is_remembered_even_where_the_hooks_never_ran(clone, git):
    bare = Path(init(clone).bare)
    git(clone, "push", "-q", "--receive-pack=git -c core.hooksPath=/dev/null receive-pack", "local", "main")
    head = git(clone, "rev-parse", "HEAD")
    assert [after for _, after in Repository(bare).reflog("refs/heads/main")] == [head]


def test_a_fetch_that_prunes_keeps_the_tags_of_this_clone(clone, git):
    git(clone, "config", "--global", "fetch.prune", "true")
    init(clone)
    git(clone, "tag", "mine")
    git(clone, "push", "-q", "local", "main", PUSHFORWARD_RUN="none")
    git(clone, "fetch", "-q", "local")
    assert git(clone, "tag") == "mine"
    git(clone, "config", "remote.local.prune", "true")
    init(clone)
    assert git(clone, "config", "remote.local.prune") == "true", "whoever has said so has it so"


def test_a_shared_server_whose_settings_are_lost_is_told_so_and_the_command_shares_it_again(clone, git, tmp_path):
    bare = Path(init(clone).bare)
    git(bare, "config", "core.sharedRepository", "group")
    for name in ("objects", "refs"):
        (bare / name).chmod(0o2775)
    assert unshared(Repository(bare)) == ""
    (bare / "config").rename(bare / "config.damaged")
    said = []
    init(clone, say=said.append)
    (told,) = [line for line in said if line.startswith("lost ")]
    assert told.startswith(
        "lost     core.sharedRepository: it is not set, and the folders of the server are for their "
    )
    command = told.partition("; to share it again: ")[2]
    (found,) = [found for found in installation.server(bare) if found.name == "core.sharedrepository"]
    assert (found.ok, found.optional, found.mend) == (False, True, command)
    subprocess.run(["sh", "-c", command.partition(" && ")[0]], check=True)
    assert command.partition(" && ")[2] == "pushforward init"
    said.clear()
    init(clone, say=said.append)
    assert said == []
    assert [found for found in installation.server(bare) if found.name == "core.sharedrepository"] == []


def test_a_server_that_was_never_shared_is_not_called_so(clone):
    said = []
    bare = Path(init(clone, say=said.append).bare)
    (bare / "config").unlink()
    init(clone, say=said.append)
    assert said == []


@pytest.mark.parametrize("name", ["refs", "objects"])
def test_a_server_without_a_folder_is_refused_with_the_command_that_mends_it(clone, name):
    bare = Path(init(clone).bare)
    shutil.rmtree(bare / name)
    told = refusal(clone)
    assert told.message == f"{bare} has lost its folder {name}, and git takes it for no repository"
    assert told.next == f"pushforward check --mend --bare {bare}"
    list(check.mend(clone, bare))
    init(clone)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pushforward", "folder"),
        ("pushforward/keys", "folder"),
        ("pushforward/runs", "folder"),
        ("pushforward/locks", "folder"),
        ("pushforward/lib", "folder"),
        ("hooks", "folder"),
        ("pushforward/token", "file"),
        ("pushforward/server.json", "file"),
        ("pushforward/registry.json", "file"),
        ("pushforward/allowed_signers", "file"),
        ("packed-refs", "file"),
    ],
)
def test_a_file_for_a_folder_and_a_folder_for_a_file_are_told_and_the_commands_mend_it(clone, name, kind):
    bare = Path(init(clone).bare)
    path = bare / name
    if path.exists():
        shutil.move(path, clone.parent / "lost")
    path.write_text("x\n") if kind == "folder" else path.mkdir()
    told = refusal(clone)
    assert told.message == f"{path} is no {kind}, and has to be one"
    assert told.next == f"pushforward check --mend --bare {bare}, which keeps it aside"
    (found,) = [found for found in installation.server(bare) if not found.ok]
    assert (found.found, found.mend) == (told.message, told.next)
    mending = check.mend(clone, bare)
    assert next(mending).startswith(f"{path} was no {kind}; what was there is kept in {bare}/")
    with contextlib.suppress(PushforwardError):  # of which nothing is left that says that it is a server
        list(mending)
    init(clone)
    assert [found for found in installation.server(bare) if not found.ok] == []


def test_a_folder_that_is_no_server_has_nothing_in_a_wrong_place(tmp_path):
    place = tmp_path / "mine"
    (place / "config").mkdir(parents=True)
    (place / "logs").write_text("mine\n")
    with pytest.raises(PushforwardError, match="is not a server of pushforward"):
        list(check.mend(place, place))
    assert sorted(path.name for path in place.iterdir()) == ["config", "logs"]


def test_a_sparse_checkout_without_dvcs_settings_says_so_and_the_command_mends_it(clone, git):
    git(clone, "sparse-checkout", "set", "--cone")
    with pytest.raises(PushforwardError, match=r"this sparse checkout leaves out \.dvc/config") as refused:
        init(clone)
    git(clone, *refused.value.next.split()[1:])
    assert init(clone).bare
