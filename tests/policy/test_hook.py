"""The pre-receive hook: branches, their files, and what happens where a rule cannot be checked. Pushed by real git."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests import policy_server
from tests.policy_server import ANN, BOB, CHAIN, DAN, EVE, OLD, ZERO, Server, same_as_golden

from pushforward.git.server import START
from pushforward.server import installation

pytestmark = pytest.mark.whole

ESC = "\x1b"


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Server:
    made = policy_server.made_once(policy_server.make, tmp_path_factory.mktemp("policy"))
    main = made.git("rev-parse", "refs/heads/main")
    made.taken(f"{main}:refs/tags/v1", f"{main}:refs/heads/topic/one", f"{main}:refs/heads/Readme")
    return made


@pytest.fixture
def server(template, tmp_path) -> Server:
    return policy_server.copy(template, tmp_path / "server")


def main_of(server):
    return server.git("rev-parse", "refs/heads/main")


# Names.

NAMES = {
    "shell": "refs/heads/x;$(touch${IFS}PWNED)",
    "option": "refs/heads/-rf",
    "option-long": "refs/heads/--help",
    "head": "refs/heads/HEAD",
    "head-small": "refs/heads/head",
    "branch-of-branches": "refs/heads/refs/heads/main",
    "branch-of-tags": "refs/heads/refs/tags/toy@v3.0.0",
    "branch-like-version": "refs/heads/toy@v1.0.0",
    "branch-like-commit": "refs/heads/" + "0123456789" * 4,
    "branch-like-tag": "refs/heads/v1",
    "tag-like-branch": "refs/tags/topic/one",
    "other-case": "refs/heads/readme",
    "other-case-tag": "refs/tags/V1",
    "folder-of-branch": "refs/heads/topic",
    "branch-as-folder": "refs/heads/main/next",
    "deep": "refs/heads/" + "/".join("a" * 150),
    "deep-and-short": "refs/heads/" + "/".join("a" * 19),
    "long": "refs/heads/" + "a" * 260,
    "notes": "refs/notes/commits",
    "notes-of-reports": "refs/notes/pushforward",
    "run": "refs/pushforward/run/x",
    "verdict": "refs/pushforward/verdict/x",
    "trust": "refs/pushforward/trust",
    "chain": CHAIN,
    "pull": "refs/pull/1/head",
    "foo": "refs/foo/bar",
    "tag-without-s": "refs/tag/x",
    "replace": "refs/replace/" + "0123456789" * 4,
    "stash": "refs/stash",
}


@pytest.mark.parametrize("case", NAMES)
def test_a_name_that_may_not_be_is_refused_with_the_whole_push(template, case):
    template.refused(f"name-{case}", "main:refs/heads/fine", f"main:{NAMES[case]}")
    assert not list(template.folder.rglob("PWNED"))


RAW = {
    "parent": "refs/heads/a/../b",
    "parent-tag": "refs/tags/a/../b",
    "double-slash": "refs/heads/a//b",
    "lock": "refs/heads/a.lock",
    "hidden": "refs/heads/a/.b",
    "dot-at-the-end": "refs/heads/a.",
    "reflog": "refs/tags/a@{0}",
    "escape": f"refs/heads/a{ESC}[31mred",
    "not-utf8": "refs/heads/a\udcff",
    "no-ref": "main",
}


@pytest.mark.parametrize("case", RAW)
def test_a_name_that_no_client_sends_is_refused_before_any_ref_moves(template, case):
    before, main = template.snapshot(), main_of(template)
    said = template.send((ZERO, main, "refs/heads/fine"), (ZERO, main, RAW[case]))
    template.check_refused(f"raw-{case}", said, before)


def test_a_ref_named_twice_is_refused(template):
    before, main = template.snapshot(), main_of(template)
    update = (ZERO, main, "refs/heads/fine")
    template.check_refused("raw-twice", template.send(update, update), before)


def test_names_of_one_push_are_held_against_each_other(template):
    template.refused("name-in-one-push", "main:refs/heads/same", "main:refs/tags/same")
    template.refused("name-case-in-one-push", "main:refs/heads/Mixed", "main:refs/heads/mixed")
    template.refused("name-folder-in-one-push", "main:refs/heads/deep", "main:refs/heads/deep/er")


def test_many_refusals_take_ten_lines(template):
    template.refused("many", *(f"main:refs/heads/-{letter}" for letter in "abcdefghij"))


def test_a_push_of_too_many_refs_is_refused(template):
    before, main = template.snapshot(), main_of(template)
    said = template.send(*((ZERO, main, f"refs/tags/t{number}") for number in range(5_000)))
    template.check_refused("too-many-refs", said, before)


def test_branches_and_ordinary_tags_are_taken_moved_and_deleted(server):
    next_one = server.follow(main_of(server), {"README.md": b"more\n"})
    server.taken("main:refs/heads/feature/a_b-c.1", "main:refs/tags/v1.0", "main:refs/heads/Feature2")
    server.taken(f"+{next_one}:refs/heads/feature/a_b-c.1", f"+{next_one}:refs/tags/v1.0")
    server.taken(":refs/heads/feature/a_b-c.1", ":refs/tags/v1.0", f"{next_one}:refs/heads/main")
    assert "feature" not in server.snapshot()[0]


def test_a_branch_with_a_bad_name_from_before_can_go(server):
    server.git("update-ref", "refs/heads/toy@v1.0.0", main_of(server), where=server.bare)
    server.taken(":refs/heads/toy@v1.0.0")


# The default branch.


def test_main_only_moves_forward_and_stays(template):
    root = main_of(template)
    other = template.commit(template.tree({"a": b"two"}, root), root)
    rewritten = template.commit(template.tree({"a": b"b"}, root))
    template.refused("main-deleted", ":refs/heads/main")
    template.refused("main-rewritten", f"+{rewritten}:refs/heads/main")
    fork = policy_server.copy(template, template.folder.parent / "fork")
    fork.taken(f"{other}:refs/heads/main")
    fork.refused("main-forced-back", f"+{root}:refs/heads/main")


def test_a_history_of_its_own_does_not_get_into_main(template):
    main = main_of(template)
    orphan = template.commit(template.tree({"a": b"b"}))
    merged = template.commit(template.tree({"a": b"b"}, main), main, orphan)
    template.refused("main-unrelated", f"{merged}:refs/heads/main")
    template.refused("main-orphan", f"+{orphan}:refs/heads/main")


def test_a_commit_of_any_date_is_taken(server):
    tip = main_of(server)
    for date in ("@0 +0000", "@4294967296 -1200", "@1800000000 +1400"):
        tip = server.commit(server.tree({"when": date.encode()}, tip), tip, date=date)
        server.taken(f"{tip}:refs/heads/main")


def test_who_comes_second_is_told_that_main_has_moved(server):
    root = main_of(server)
    mine, theirs = (server.follow(root, {"README.md": who}) for who in (b"mine", b"theirs"))
    server.taken(f"{mine}:refs/heads/main", f"{theirs}:refs/heads/theirs")
    before = server.snapshot()
    server.check_refused("main-moved", server.send((root, theirs, "refs/heads/main")), before)


def test_of_racing_pushes_to_main_one_lands(server):
    root = main_of(server)
    tips = [server.follow(root, {"README.md": b"%d" % number}) for number in range(3)]
    said = []
    racers = [
        threading.Thread(target=lambda tip=tip: said.append(server.push("--quiet", f"{tip}:refs/heads/main")))
        for tip in tips
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sum(one.taken for one in said) == 1, said
    lost = [one.text for one in said if not one.taken]
    assert all(re.search(r"moved meanwhile|cannot lock ref|only moves forward|fetch first", text) for text in lost)


# Files.


def odd(server, name, mode="100644", under=""):
    """A commit on main with one odd entry, in the root or in a folder of its own."""
    blob = server.blob(b"x")
    rows = [(mode, name, main_of(server) if mode == "160000" else blob)]
    entries = {under: ("040000", server.raw_tree(rows))} if under else {}
    main = main_of(server)
    if under:
        flat = server.git("ls-tree", main).splitlines()
        rows = [(line.split()[0], line.split("\t")[1].encode(), line.split()[2]) for line in flat]
        rows.append(("40000", under.encode(), entries[under][1]))
    else:
        rows += [
            (line.split()[0], line.split("\t")[1].encode(), line.split()[2])
            for line in server.git("ls-tree", main).splitlines()
        ]
    return server.commit(server.raw_tree(rows), main)


ENTRIES = {
    "submodule": (b"lib", "160000", ""),
    "gitmodules": (b".gitmodules", "100644", ""),
    "gitmodules-below": (b".GitModules", "100644", "sub"),
    "line-break": (b"a\nb", "100644", ""),
    "escape": (b"a\x1b[31m", "100644", "sub"),
    "not-utf8": (b"caf\xe9", "100644", ""),
    "bidi": ("a\u202etxt.py".encode(), "100644", ""),
    "workflow-link": (b"evil.yml", "120000", ".github/workflows"),
    "workflows-link": (b"workflows", "120000", ".github"),
    "github-link": (b".github", "120000", ""),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_a_file_that_surprises_is_refused(template, case):
    name, mode, under = ENTRIES[case]
    if under.startswith(".github"):
        path = f"{under}/{name.decode()}"
        base = template.tree({".github/workflows/train.yml": ("", "")} if case == "workflows-link" else {}, "main")
        commit = template.commit(template.tree({path: (mode, template.blob(b"../../x"))}, base), main_of(template))
    elif case == "github-link":
        base = template.tree({".github/workflows/train.yml": ("", "")}, "main")
        commit = template.commit(template.tree({".github": (mode, template.blob(b"x"))}, base), main_of(template))
    else:
        commit = odd(template, name, mode, under)
    template.refused(f"file-{case}", "main:refs/heads/fine", f"{commit}:refs/heads/odd")


BROKEN = {
    "git": b".git",
    "git-in-capitals": b".GIT",
    "git-short": b"git~1",
    "git-apple": ".g\u200cit".encode(),
    "git-stream": b".git::$INDEX_ALLOCATION",
    "git-blank": b".git ",
    "parent": b"..",
    "here": b".",
    "slash": b"a/b",
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_tree_that_git_itself_must_not_check_out_is_refused(template, case):
    said = template.refused(f"tree-{case}", f"{odd(template, BROKEN[case], under='sub')}:refs/heads/odd")
    assert "fsck" in said or "object" in said or "refused" in said


def test_a_tree_with_a_name_twice_is_refused(template):
    main, blob = main_of(template), template.blob(b"x")
    twice = template.raw_tree([("100644", b"a", blob), ("100644", b"a", blob)])
    template.refused("tree-twice", f"{template.commit(twice, main)}:refs/heads/odd")


@pytest.mark.parametrize(
    "case", ["git", "git-in-capitals", "git-short", "git-apple", "git-stream", "git-blank", "parent"]
)
def test_the_policy_refuses_such_a_tree_where_git_does_not_look(server, case):
    server.git("config", "receive.fsckObjects", "false", where=server.bare)
    server.refused(f"unchecked-{case}", f"{odd(server, BROKEN[case], under='sub')}:refs/heads/odd")


def test_more_files_than_the_limit_are_refused(template):
    """One small pack of nested trees: a few thousand files more than the limit in a work tree."""
    tree = template.raw_tree([("100644", b"%d" % number, template.blob(b"x")) for number in range(100)])
    for many in (100, 11):
        tree = template.raw_tree([("40000", b"%03d" % number, tree) for number in range(many)])
    template.refused("files-too-many", f"{template.commit(tree, main_of(template))}:refs/heads/odd")


def test_folders_without_files_count_too(template):
    tree = template.raw_tree([])
    for many in (100, 100, 10):
        tree = template.raw_tree([("40000", b"%03d" % number, tree) for number in range(many)])
    template.refused("folders-too-many", f"{template.commit(tree, main_of(template))}:refs/heads/odd")


def test_ordinary_files_of_all_scripts_are_taken(server):
    names = ["data/été.csv", "Übung/ß.txt", "src/نیم‌فاصله.py", "docs/👩‍💻.md", "a b/c'd.txt", ".gitignore", ".github/x"]
    tip = server.follow(main_of(server), dict.fromkeys(names, b"x"))
    link = server.commit(server.tree({"docs/link": ("120000", server.blob(b"README.md"))}, tip), tip)
    server.taken(f"{link}:refs/heads/main")


def test_a_branch_names_a_commit(template):
    before = template.snapshot()
    tree = template.git("rev-parse", "main^{tree}")
    said = template.send((ZERO, main_of(template), "refs/heads/fine"), (ZERO, tree, "refs/heads/tree"))
    template.check_refused("branch-of-tree", said, before)


def test_a_commit_of_megabytes_of_words_is_refused(template):
    main = main_of(template)
    words = template.folder.parent / "words"
    words.write_text("word " * (4 << 20))
    commit = template.git("commit-tree", "main^{tree}", "-p", main, "-F", str(words))
    template.refused("commit-too-large", f"{commit}:refs/heads/wordy")


# --protect-main


@pytest.mark.ml_test_score("Model 1")
def test_a_protected_main_takes_only_what_has_passed(server):
    server.configure(protect=True)
    main = main_of(server)
    model = server.follow(main, {"src/toy/pipeline.py": b"two\n"})
    words = server.follow(main, {"README.md": b"more\n", "src/toys.py": b"not of the pipeline"})
    server.refused("protect", f"{model}:refs/heads/main")
    server.taken(f"{model}:refs/heads/topic/two")
    server.taken(f"{words}:refs/heads/main")
    merged = server.commit(server.tree({"src/toy/pipeline.py": b"two\n", "params.yaml": b"new\n"}, words), words, model)
    server.refused("protect-two", f"{merged}:refs/heads/main")
    tree = server.git("rev-parse", f"{merged}^{{tree}}")
    server.git("update-ref", f"refs/pushforward/passed/{tree}", main, where=server.bare)
    server.taken(f"{merged}:refs/heads/main")


def protected(server):
    """A change of the model that has passed nowhere, on a server that protects main."""
    server.configure(protect=True)
    return server.follow(main_of(server), {"src/toy/pipeline.py": b"two\n"})


def test_a_protected_main_takes_what_a_person_signs_in_and_nothing_after_it(server):
    model = protected(server)
    signed = server.sign_in(model)
    server.taken(f"{signed}:refs/heads/main")
    server.taken(f"{server.follow(signed, {'README.md': b'more'})}:refs/heads/main")
    next_one = server.follow(main_of(server), {"src/toy/pipeline.py": b"three\n"})
    assert not server.push(f"{next_one}:refs/heads/main").taken
    assert not server.push(f"{server.follow(signed, {'params.yaml': b'x'})}:refs/heads/main").taken


def test_the_commands_of_the_refusal_bring_a_change_in(server):
    """As they are typed, by somebody who may now."""
    model = protected(server)
    said = server.push(f"{model}:refs/heads/main").text
    command = re.search(r"git commit -S --allow-empty -m 'Pushforward-Override: WHY'", said)
    assert command is not None, said
    server.git("update-ref", "refs/heads/main", model)
    for name, value in {"gpg.format": "ssh", "user.signingkey": f"{server.key(DAN)}.pub"}.items():
        server.git("config", name, value)
    words = command[0].split(" -m ")
    server.git(*words[0].split()[1:], "-m", words[1].strip("'"), GIT_COMMITTER_EMAIL=DAN, GIT_COMMITTER_DATE="")
    server.taken("refs/heads/main")


def test_a_signed_merge_brings_its_branch_in(server):
    model = protected(server)
    words = server.follow(main_of(server), {"README.md": b"more\n"})
    server.taken(f"{words}:refs/heads/main", f"{model}:refs/heads/topic/two")
    tree = server.tree({"src/toy/pipeline.py": b"two\n"}, words)
    merge = server.commit(tree, words, model)
    server.refused("protect-merge", f"{merge}:refs/heads/main")
    server.taken(
        f"{server.sign_in(merge, 'Merge topic/two' + chr(10) * 2 + 'Pushforward-Override: a bug')}:refs/heads/main"
    )


UNSIGNED_IN = {
    "unsigned": {"key": None},
    "who-may-not": {"who": ANN},
    "who-may-another-thing": {"who": BOB},
    "revoked": {"who": OLD},
    "unknown": {"who": EVE},
    "of-another": {"who": DAN, "key": BOB},
    "in-anothers-name": {"who": BOB, "key": DAN},
    "pgp": {"sign": lambda _: b"-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"},
    "without-a-reason": {"why": "Pushforward-Override: "},
    "in-passing": {"why": "About Pushforward-Override: and who may"},
}


@pytest.mark.parametrize("case", UNSIGNED_IN)
def test_a_word_that_does_not_hold_brings_nothing_in(server, case):
    signed = server.sign_in(protected(server), **UNSIGNED_IN[case])
    server.refused(f"protect-override-{case}", f"{signed}:refs/heads/main")


def test_a_word_holds_for_the_content_that_was_signed(server):
    model = protected(server)
    other = server.git("rev-parse", f"{server.follow(model, {'params.yaml': b'x'})}^{{tree}}")
    changed = server.sign_in(model, tree=other, sign=lambda text: server.sign(text.replace(other.encode(), b"0"), DAN))
    server.refused("protect-override-changed", f"{changed}:refs/heads/main")
    for_a_file = server.sign_in(model, sign=lambda text: server.sign(text, DAN, "pushforward"))
    server.refused("protect-override-for-a-file", f"{for_a_file}:refs/heads/main")


def test_a_protected_main_takes_its_first_commit(server):
    server.configure(protect=True)
    server.git("update-ref", "-d", "refs/heads/main", where=server.bare)
    server.taken("main:refs/heads/main")


def test_where_nothing_says_what_is_read_everything_is(server):
    server.configure(protect=True)
    server.know(reads=[])
    words = server.follow(main_of(server), {"README.md": b"more\n"})
    server.refused("protect-unknown", f"{words}:refs/heads/main")


# A push leaves all or nothing.


@pytest.mark.slow
def test_refused_pushes_leave_nothing_behind(template):
    count = template.git("count-objects", "-v", where=template.bare)
    before = template.snapshot()
    commit = template.follow(main_of(template), {"large": os.urandom(2 << 20)})
    for _ in range(20):
        assert not template.push(f"{commit}:refs/heads/fine", f"{commit}:refs/heads/HEAD").taken
    assert template.snapshot() == before
    assert template.git("count-objects", "-v", where=template.bare) == count
    assert not list(template.bare.rglob("*incoming*"))


@pytest.mark.parametrize("option", ["--atomic", "--no-atomic"])
def test_one_bad_ref_keeps_all_others_from_moving(template, option):
    before = template.snapshot()
    tip = template.follow(main_of(template), {"README.md": b"more\n"})
    said = template.push(option, f"{tip}:refs/heads/main", "main:refs/tags/fine", "main:refs/heads/-bad")
    assert not said.taken
    assert template.snapshot() == before


def test_a_pack_over_the_limit_is_refused_by_git(server):
    server.git("config", "receive.maxInputSize", "100000", where=server.bare)
    server.git("config", "receive.unpackLimit", "1", where=server.bare)
    commit = server.follow(main_of(server), {"large": os.urandom(200_000)})
    server.refused("pack-too-large", f"{commit}:refs/heads/large")


# What cannot be checked is refused.


def break_registry(server):
    (server.bare / "pushforward" / "registry.json").write_text('{"model": ')
    return "main:refs/tags/toy@v9.0.0!"


def old_registry(server):
    server.know(environments=["staging"])
    made = server.tag("toy#staging#1", main_of(server))
    return f"{made}:refs/tags/toy#staging#1"


def lose_server(server):
    (server.bare / "pushforward" / "server.json").unlink()
    return f"{server.follow(main_of(server), {'README.md': b'x'})}:refs/heads/main"


def lose_signers(server):
    server.signers.unlink()
    made = server.tag("toy#production#1", main_of(server))
    return f"{made}:refs/tags/toy#production#1"


def break_signers(server):
    server.signers.write_text(f"{ANN} ssh-ed25519 AAAA\n")
    made = server.tag("toy#production#1", main_of(server))
    return f"{made}:refs/tags/toy#production#1"


def wildcard_signers(server):
    server.signers.write_text(server.signers.read_text().replace(ANN, "*@example.org"))
    made = server.tag("toy#production#1", main_of(server))
    return f"{made}:refs/tags/toy#production#1"


def open_signers(server):
    server.signers.chmod(0o666)
    made = server.tag("toy#production#1", main_of(server))
    return f"{made}:refs/tags/toy#production#1"


def open_folder(server):
    (server.bare / "pushforward").chmod(0o777)
    made = server.tag("toy#production#1", main_of(server))
    return f"{made}:refs/tags/toy#production#1"


@pytest.mark.parametrize(
    "breaking",
    [
        break_registry,
        old_registry,
        lose_server,
        lose_signers,
        break_signers,
        wildcard_signers,
        open_signers,
        open_folder,
    ],
)
def test_a_rule_that_cannot_be_checked_refuses(server, breaking):
    server.refused(f"closed-{breaking.__name__.replace('_', '-')}", breaking(server), "main:refs/heads/fine")


@pytest.mark.parametrize("tool", ["git", "ssh-keygen"])
def test_without_a_tool_the_push_is_refused(server, tool, tmp_path):
    (tmp_path / "bin").mkdir()
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    if tool != "git":
        (tmp_path / "bin" / "git").symlink_to(real)
    hook = server.bare / "hooks" / "pre-receive"
    first = f"#!/bin/sh\nexport PATH={tmp_path / 'bin'} GIT_EXEC_PATH=/nowhere\n"
    hook.write_text(hook.read_text().replace("#!/bin/sh\n", first, 1))
    made = server.tag("toy#production#1", main_of(server))
    before = server.snapshot()
    said = server.push(f"{made}:refs/tags/toy#production#1")
    server.check_refused(f"without-{tool}", said, before)


def test_a_full_disk_refuses(server):
    """No file can grow while the hook runs."""
    hook = server.bare / "hooks" / "pre-receive"
    hook.write_text(hook.read_text().replace("#!/bin/sh\n", "#!/bin/sh\nulimit -f 0\n", 1))
    made = server.tag("toy#production#1", main_of(server))
    server.refused("closed-full", f"{made}:refs/tags/toy#production#1")


def hook_of(server, text):
    hook = server.bare / "hooks" / "pre-receive"
    hook.unlink()
    hook.write_text(text)
    hook.chmod(0o755)


@pytest.mark.parametrize(
    "text",
    [
        "#!/bin/sh\nkill -9 $$\n",
        "#!/bin/sh\nexec /nowhere/python -I -S policy.py\n",
        "#!/nowhere/python\n",
    ],
)
def test_a_hook_that_cannot_run_moves_nothing(server, text):
    hook_of(server, text)
    before = server.snapshot()
    assert not server.push("main:refs/heads/fine").taken
    assert server.snapshot() == before


def test_a_policy_that_is_killed_while_it_thinks_moves_nothing(server, tmp_path):
    """The hook is stopped where it waits for git, and killed there."""
    (tmp_path / "bin").mkdir()
    slow = tmp_path / "bin" / "git"
    slow.write_text(f"#!/bin/sh\necho $PPID > {tmp_path}/pid.new && mv {tmp_path}/pid.new {tmp_path}/pid\nsleep 60\n")
    slow.chmod(0o755)
    hook = server.bare / "hooks" / "pre-receive"
    first = f'#!/bin/sh\nexport PATH={tmp_path / "bin"}:"$PATH"\n'
    hook.write_text(hook.read_text().replace("#!/bin/sh\n", first, 1))
    before, said = server.snapshot(), []
    pusher = threading.Thread(target=lambda: said.append(server.push("main:refs/heads/fine")))
    pusher.start()
    while not (tmp_path / "pid").exists():
        pusher.join(0.01)
        assert pusher.is_alive(), said  # or it never came to git
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    pusher.join(30)
    assert said, "the push still waits"
    assert not said[0].taken
    assert server.snapshot() == before


def test_git_takes_a_push_where_the_hook_may_not_be_executed_and_check_says_so(server):
    hook = server.bare / "hooks" / "pre-receive"
    hook.chmod(0o644)
    assert "was ignored because it's not set as executable" in server.push("main:refs/heads/-bad").text
    found = {finding.name: finding for finding in installation.server(server.bare)}["pre-receive"]
    assert not found.ok
    assert "not executable" in found.found


def test_an_unreadable_config_of_git_moves_nothing(server):
    (server.bare / "config").write_text("[")
    before = sorted((server.bare / "refs").rglob("*"))
    assert not server.push("main:refs/heads/fine").taken
    assert sorted((server.bare / "refs").rglob("*")) == before


def test_an_error_is_one_calm_line_without_what_a_terminal_obeys(server):
    (server.bare / "pushforward" / "registry.json").unlink()
    made = server.tag("toy#production#1", main_of(server))
    said = server.push(f"{made}:refs/tags/toy#production#1")
    same_as_golden("closed-no-registry", said.golden())
    assert "Traceback" not in said.text


# What it starts with.

SOURCE = Path(__file__).parent.parent.parent / "src"


def started(code: str) -> list[str]:
    """What is loaded that is not of the standard library, once `code` has run as the hook starts."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"{code}; print(*sys.modules)", str(SOURCE)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [name for name in done.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names]


BEGUN = START.replace("sys.exit(main())", "main()")
SHARED = {
    "pushforward.errors",
    "pushforward.git",
    "pushforward.git.kept",
    "pushforward.git.refs",
    "pushforward.registry",
    "pushforward.registry.grammar",
    "pushforward.registry.ssh",
}


def test_a_damaged_copy_of_the_tool_is_told_in_one_calm_line(server):
    copy = server.bare / "pushforward" / "lib" / "pushforward"
    (copy / "policy" / "names.py").unlink()
    shutil.rmtree(copy / "policy" / "__pycache__")
    said = server.refused("closed-damaged-copy", "main:refs/heads/fine")
    assert "Traceback" not in said


def test_the_hook_needs_nothing_but_the_standard_library_and_what_stands_on_it():
    everything = ", ".join(f"pushforward.policy.{path.stem}" for path in (SOURCE / "pushforward/policy").glob("[a-z]*"))
    assert BEGUN != START
    found = set(started(f"{BEGUN}; import {everything}")) - {"__main__", "pushforward"}
    assert {name for name in found if not name.startswith("pushforward.policy")} == SHARED


def test_a_push_of_a_branch_waits_for_no_rule_of_tags():
    found = started(BEGUN)
    assert "pushforward.policy.branches" in found
    assert not {f"pushforward.policy.{name}" for name in ("tags", "signature", "override")} & set(found)
    assert "pushforward.registry" not in found
