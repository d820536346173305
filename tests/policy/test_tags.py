"""The pre-receive hook: versions, environments, deprecations. Every way to forge one, pushed by real git."""

import hashlib
import io
import json
import re
import shutil
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import policy_server
from tests.policy_server import ANN, BOB, CHAIN, CI, DAN, EVE, OLD, ZERO, Promotion, Released, lock_of, sha256

from pushforward.git import kept
from pushforward.git.repository import Repository
from pushforward.policy.lock import outs
from pushforward.policy.refusal import PolicyError
from pushforward.registry import tags as registry

pytestmark = pytest.mark.whole

DAY = 24 * 3600


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Released:
    return policy_server.made_once(policy_server.release, tmp_path_factory.mktemp("tags"))


@pytest.fixture
def released(template, tmp_path) -> Released:
    return Released(policy_server.copy(template.server, tmp_path / "server"), template.commits)


# What is honest is taken.


def test_a_promotion_moves_version_use_and_chain_in_one_push(released):
    promotion = released.promotion()
    said = promotion.push(promotion.use("staging", 3))
    assert said.taken, said.text
    refs = released.server.snapshot()[0]
    assert "refs/tags/toy@v1.2.0" in refs
    assert "refs/tags/toy#staging#3" in refs
    released.server.git("fetch", "-q", str(released.server.bare), f"+{CHAIN}:{CHAIN}")
    folders = released.server.git("ls-tree", "--name-only", f"{CHAIN}:versions").split()
    assert folders == ["toy@v1.0.0", "toy@v1.1.0", "toy@v1.2.0"]


@pytest.mark.parametrize("name", ["toy@v1.1.1", "toy@v2.0.0"])
def test_a_version_is_the_next_major_minor_or_patch(released, name):
    said = released.promotion(name=name).push()
    assert said.taken, said.text


def test_a_version_may_name_the_lock_commit_of_what_passed(released):
    commits = released.commits
    lock = released.server.git("cat-file", "blob", f"{commits['L']}:dvc.lock")
    released.server.verdict(commits["C"], lock.encode() + b"\n\n")
    said = released.promotion(target=commits["L"]).push()
    assert said.taken, said.text


FOUND = b'{"auc": 0.75}'


def found_by(released, path, content=FOUND, **files):
    """The promotion of a lock commit of C whose lock names `content` at `path`, and which has `files`."""
    server, commits = released.server, released.commits
    out = f"    - path: {path}\n      hash: md5\n      md5: {hashlib.md5(content).hexdigest()}\n      size: 13\n"
    lock = lock_of(server, "C") + out.encode()
    server.verdict(commits["C"], lock)
    target = server.follow(commits["C"], {"dvc.lock": lock, path: FOUND} | files)
    return released.promotion(target=target)


@pytest.mark.parametrize("path", ["metrics.json", "eval/deep/auc.toml", "src/found.csv"])
def test_a_lock_commit_holds_what_git_keeps_of_the_run_by_its_lock(released, path):
    said = found_by(released, path).push()
    assert said.taken, said.text


@pytest.mark.parametrize(
    ("path", "content", "files", "named"),
    [
        ("src/toy/pipeline.py", FOUND, {}, "src/toy/pipeline.py"),
        ("params.yaml", FOUND, {}, "params.yaml"),
        ("metrics.json", b"another", {}, "metrics.json"),
        ("metrics.json", FOUND, {"other.json": FOUND}, "other.json"),
        ("eval/auc.json", FOUND, {"eval/a.py": FOUND}, "eval/a.py"),
    ],
    ids=["code", "parameters", "other content", "not in the lock", "code beside it"],
)
def test_a_lock_commit_with_anything_else_is_refused(released, path, content, files, named):
    said = found_by(released, path, content, **files).push()
    assert not said.taken
    assert f"the lock commit changes {named} too" in said.text


def test_main_and_its_version_may_come_in_one_push(released):
    """Where the verdict is there already: of a merge that was judged before it was pushed."""
    tip = released.server.follow(released.commits["E"], {"dvc.lock": lock_of(released.server, "F")})
    released.server.taken(f"{tip}:refs/heads/waiting")
    released.server.verdict(tip, lock_of(released.server, "F"))
    said = released.promotion(target=tip, commit=tip).push(f"{tip}:refs/heads/main")
    assert said.taken, said.text


def test_a_person_releases_rolls_back_and_deprecates_with_git_alone(released):
    """`git tag -s`, as anybody would type it."""
    server, commits = released.server, released.commits
    config = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={server.key(ANN)}.pub")
    now = {"GIT_COMMITTER_DATE": f"{int(time.time())} +0100", "GIT_COMMITTER_EMAIL": ANN}
    promotion = released.promotion()
    assert promotion.push().taken
    back = json.dumps({"schema": 2, "older": True, "reason": "it was slow"})
    for number, target, words in ((3, "C", "because"), (4, "B", f"back\n\n{back}")):
        name = f"toy#production#{number}"
        server.git(*config, "tag", "-s", "-m", words, name, commits[target], **now)
        server.taken(f"refs/tags/{name}")
    record = json.dumps({"schema": 2, "version": "toy@v1.2.0", "reason": "it was slow", "by": ANN})
    server.git(*config, "tag", "-s", "-m", f"slow\n\n{record}", "toy@v1.2.0!", commits["C"], **now)
    server.taken("refs/tags/toy@v1.2.0!")
    server.git("-c", f"gpg.ssh.allowedSignersFile={server.signers}", "verify-tag", "toy@v1.2.0!")


def test_a_person_rolls_an_automatic_environment_back(released):
    server = released.server
    record = {"schema": 2, "version": "toy@v1.1.0", "reason": "again", "by": BOB}
    server.taken(released.use("staging", 3, "B", record, who=BOB))


OLDER = [
    None,
    {"schema": 2, "version": "toy@v1.1.0", "previous": "toy@v1.2.0", "reason": "released", "by": ANN},
    {"schema": 2, "older": True},
    {"schema": 2, "older": True, "reason": " "},
    {"schema": 2, "older": 1, "reason": "calm"},
    {"schema": 2, "older": "true", "reason": "calm"},
    {"schema": 2, "older": True, "reason": ["calm"]},
]


@pytest.mark.parametrize("record", OLDER)
def test_an_older_version_is_taken_only_with_a_word_and_a_reason(released, record):
    server, promotion = released.server, released.promotion()
    assert promotion.push().taken
    server.taken(released.use("production", 3, "C", {"schema": 2, "version": "toy@v1.2.0"}))
    said = server.refused("tag-older", released.use("production", 4, "B", record))
    assert "production holds toy@v1.2.0, and toy@v1.1.0 is older" in said


def test_what_is_in_use_is_found_where_its_tag_says_nothing(released):
    """By the commit, whatever the record of the tag before claims, or none."""
    server, promotion = released.server, released.promotion()
    assert promotion.push().taken
    server.taken(released.use("production", 3, "C"))
    said = server.refused("tag-older", released.use("production", 4, "B"))
    assert "production holds toy@v1.2.0, and toy@v1.1.0 is older" in said
    server.taken(released.use("production", 4, "B", {"schema": 2, "older": True, "reason": "calm"}))
    server.taken(released.use("production", 5, "C"))


def test_a_version_comes_into_use_and_another_is_deprecated_in_one_push(released):
    server, commits = released.server, released.commits
    promotion = released.promotion()
    assert promotion.push(promotion.use("staging", 3)).taken
    use = released.use("production", 3, "C", {"schema": 2, "version": "toy@v1.2.0"})
    end = server.tag("toy@v1.1.0!", commits["B"], {"schema": 2, "version": "toy@v1.1.0", "reason": "old", "by": ANN})
    server.taken("--atomic", use, f"{end}:refs/tags/toy@v1.1.0!")


# Names.

GRAMMAR = [
    "toy@v99999999999999999999.0.0",
    "toy@vX",
    "toy@v01.0.0",
    "toy@v1.02.0",
    "toy@v1.2",
    "toy@5.0.0",
    "@v1.0.0",
    "#production#1",
    "toy#production#0",
    "toy#production#01",
    "toy#production#99999999999999999999",
    "toy#production",
    "toy#production!#3",
    "toy@deprecated",
    "toy@v1.1.0!!",
    "toy@v1.1.0-rc1",
    "toy@v1.1.0!deprecate",
    "toy#production!",
    "toy#production!#0",
    "Toy@v1.2.0",
    "sub=toy@v1.2.0",
    "x/toy@v1.2.0",
    "toy@v1.2.0/x",
]


@pytest.mark.parametrize("name", GRAMMAR)
def test_a_name_outside_the_grammar_is_refused(template, name):
    made = template.server.tag(name, template.commits["C"])
    golden = f"grammar-{''.join(letter if letter.isalnum() or letter in '.-' else '_' for letter in name)}"
    template.server.refused(golden, f"{template.commits['E']}:refs/heads/fine", f"{made}:refs/tags/{name}")


def test_another_model_and_an_unknown_environment_are_refused(template):
    for golden, name in {
        "name-model": "boy@v1.2.0",
        "name-model-use": "boy#production#1",
        "name-environment": "toy#prod#1",
        "name-environment-any": "toy#any#1",
    }.items():
        template.server.refused(golden, f"{template.server.tag(name, template.commits['C'])}:refs/tags/{name}")


# Tags of others.

FOREIGN = [
    "pkg@1.2.3",
    "pkg@1.2.3-rc.1+build.5",
    "v2.0#rc",
    "libs/io@0.1.0",
    "toys@1.2.3",
    "boy@5.0.0",
    "pkg#production",
    "release@2026-11-28",
    "a@b@c",
    "pkg@version-2",
]


def test_tags_of_others_are_taken_moved_and_deleted(released):
    """As `git push --tags` of a repository with packages of its own brings them."""
    server, commits = released.server, released.commits
    for name in FOREIGN:
        server.git("update-ref", f"refs/tags/{name}", commits["E"])
    server.taken("--tags")
    server.taken(f"+{commits['D']}:refs/tags/pkg@1.2.3", ":refs/tags/v2.0#rc")
    assert registry.fold("toy", Repository(server.bare).refs("refs/tags")).problems == ()


CONFUSABLE = {
    "version-of-another": "pkg@v1.2.3",
    "version-of-another-in-capitals": "Pkg@V1.2",
    "version-of-a-folder": "libs/pkg@v1.2.3",
    "use-of-another": "pkg#production#1",
    "end-of-another": "pkg#production!#1",
    "ours-by-number": "toy@1.2.0",
    "ours-in-capitals": "TOY@1.2.0",
    "ours-with-a-zero": "t0y@1.2.0",
    "ours-with-a-dash": "to-y@1.2.0",
    "ours-in-a-folder": "models/toy@1.2.0",
    "ours-in-use": "toy#production",
    "without-a-name": "@1.2.0",
    "cyrillic": "t\u043ey@1.2.0",
    "cyrillic-version": "t\u043ey@v1.2.0",
    "wide": "toy\uff20v1.2.0",
    "blank": "toy\u200b@v1.2.0",
}


@pytest.mark.parametrize("case", CONFUSABLE)
def test_a_tag_that_could_be_taken_for_the_registrys_is_refused(template, case):
    server, name = template.server, CONFUSABLE[case]
    lightweight = f"{template.commits['E']}:refs/tags/{name}"
    server.refused(f"confusable-{case}", lightweight, f"{template.commits['E']}:refs/tags/pkg@1.0.0")
    signed = server.tag(name, template.commits["E"])
    assert not server.push(f"{signed}:refs/tags/{name}", token=True).taken


def test_all_but_the_tag_that_is_refused_are_pushed_as_the_refusal_says(released):
    server = released.server
    for name in ("pkg@v1.2.3", "pkg@v1.2.4", "lib@1.2.3"):
        server.git("update-ref", f"refs/tags/{name}", released.commits["E"])
    said = server.push("--tags")
    assert not said.taken
    command = re.search(r"next: git push local ('.*?') ('.*?'), to push all others", said.text)
    assert command is not None, said.text
    server.taken(*(spec.strip("'") for spec in command.groups()))
    assert "lib@1.2.3" in server.snapshot()[0]
    assert "pkg@v" not in server.snapshot()[0]


def test_the_names_of_a_model_that_was_renamed_stay_the_registrys(released):
    server = released.server
    server.know(model="boat")
    server.refused("renamed-use", released.use("production", 3, "B"))
    for number, name in enumerate(("toy@1.2.0", "boat@1.2.0", "TOY#x")):
        assert not server.push(f"{released.commits['E']}:refs/tags/{name}").taken, number
    server.taken(f"{released.commits['E']}:refs/tags/pkg@1.2.3")


# Environments that hold nothing any more.


def emptied(released, environment="production", counter=3, commit="B", record=None, **options):
    """The spec of the tag that takes v1.1.0 out of production."""
    said = {"schema": 2, "version": "toy@v1.1.0", "previous": "toy@v1.1.0", "reason": "bad", "by": ANN}
    name = f"toy#{environment}!#{counter}"
    made = released.server.tag(name, released.commits[commit], said if record is None else record, **options)
    return f"{made}:refs/tags/{name}"


def test_an_environment_is_emptied_and_filled_again(released):
    server = released.server
    server.taken(emptied(released))
    assert not server.push(released.use("production", 3, "B")).taken
    record = {"schema": 2, "version": "toy@v1.1.0", "reason": "bad", "by": ANN}
    end = server.tag("toy@v1.1.0!", released.commits["B"], record)
    assert "staging uses toy@v1.1.0" in server.push(f"{end}:refs/tags/toy@v1.1.0!").text
    server.taken(emptied(released, "staging", who=BOB))
    server.taken(f"{end}:refs/tags/toy@v1.1.0!")
    promotion = released.promotion()
    assert promotion.push(promotion.use("staging", 4)).taken
    server.taken(released.use("production", 4, "C", {"schema": 2, "version": "toy@v1.2.0", "previous": None}))
    known = registry.fold("toy", Repository(server.bare).refs("refs/tags"))
    assert known.problems == ()
    assert {name: str(known.in_use(name).version) for name in known.environments} == dict.fromkeys(
        ("production", "staging"), "v1.2.0"
    )


def test_an_environment_that_the_settings_do_not_name_any_more_is_emptied_and_nothing_else(released):
    server = released.server
    server.taken(released.use("canary", 1, "B", who=BOB))
    server.know(environments={"staging": "auto", "production": "manual"})
    server.refused("environment-gone", released.use("canary", 2, "B", who=BOB))
    server.taken(emptied(released, "canary", 2, who=BOB))


EMPTIED = {
    "of-nothing": {"environment": "canary", "counter": 1, "who": BOB},
    "of-no-environment": {"environment": "prod", "counter": 1},
    "wrong-number": {"counter": 4},
    "of-another-version": {"commit": "A"},
    "of-another-record": {"record": {"schema": 2, "version": "toy@v1.0.0", "reason": "bad"}},
    "without-a-record": {"record": {"schema": 2}},
    "without-a-reason": {"record": {"schema": 2, "version": "toy@v1.1.0", "reason": " "}},
    "by-another-key": {"who": BOB},
    "by-the-service": {"who": CI},
    "by-the-service-where-it-fills": {"environment": "staging", "who": CI},
    "by-who-may-main": {"who": DAN},
    "unsigned": {"key": None},
}


@pytest.mark.parametrize("case", EMPTIED)
def test_a_forged_emptying_is_refused(template, case):
    template.server.refused(f"emptied-{case}", emptied(template, **EMPTIED[case]))


def test_one_push_does_not_fill_and_empty_under_one_number(template):
    specs = (template.use("production", 3, "B"), emptied(template))
    for order in (specs, specs[::-1]):
        said = template.server.push(*order)
        assert not said.taken
        assert said.text.count("one push fills or empties an environment once") == 2


def test_who_may_main_may_not_deprecate(template):
    template.server.refused("deprecation-by-who-may-main", end_of(template, who=DAN))


# Append-only.


def test_a_registry_tag_never_moves_and_never_goes(released):
    server = released.server
    again = server.tag("toy@v1.1.0", released.commits["C"], who=CI)
    server.refused("move-version", f"+{again}:refs/tags/toy@v1.1.0", token=True)
    server.refused("delete-version", ":refs/tags/toy@v1.1.0", token=True)
    server.refused("delete-use", ":refs/tags/toy#production#2")
    server.refused("delete-deprecation", ":refs/tags/toy@v1.0.0!")
    server.git("pack-refs", "--all", where=server.bare)
    server.refused("move-version", f"+{again}:refs/tags/toy@v1.1.0", token=True)
    server.refused("other-case-version", f"{again}:refs/tags/TOY@v1.1.0", token=True)


def test_a_lie_about_what_was_there_does_not_help(template):
    """A client may claim that a tag is new, or that it was something else."""
    before, commits = template.server.snapshot(), template.commits
    forged = {
        "claim-new": (ZERO, commits["A"], "refs/tags/toy@v1.1.0"),
        "claim-other": (commits["A"], commits["A"], "refs/tags/toy@v1.1.0"),
        "claim-gone": (ZERO, ZERO, "refs/tags/toy@v8.0.0"),
    }
    for golden, update in forged.items():
        template.server.check_refused(golden, template.server.send(update), before)


def test_an_old_promotion_cannot_be_pushed_again(template):
    server = template.server
    old = server.git("for-each-ref", "--format=%(objectname)", "refs/tags/toy#production#1", where=server.bare)
    server.git("fetch", "-q", str(server.bare), "refs/tags/*:refs/tags/*")
    server.refused("replay-under-another-number", f"{old}:refs/tags/toy#production#3")
    version = server.git("for-each-ref", "--format=%(objectname)", "refs/tags/toy@v1.0.0", where=server.bare)
    server.refused("replay-version", f"{version}:refs/tags/toy@v9.9.9", token=True)


# Tag objects.


def tag_of(template, name="toy#production#3", **options):
    return f"{template.server.tag(name, template.commits['B'], **options)}:refs/tags/{name}"


def lightweight(template):
    return f"{template.commits['B']}:refs/tags/toy#production#3"


def of_a_blob(template):
    blob = template.server.blob(b"x")
    return f"{template.server.tag('toy#production#3', blob, kind='blob')}:refs/tags/toy#production#3"


def of_a_tree(template):
    tree = template.server.git("rev-parse", f"{template.commits['B']}^{{tree}}")
    return f"{template.server.tag('toy#production#3', tree, kind='tree')}:refs/tags/toy#production#3"


def of_a_tag(template):
    inner = template.server.tag("toy#production#3", template.commits["B"])
    return f"{template.server.tag('toy#production#3', inner, kind='tag')}:refs/tags/toy#production#3"


def of_another_name(template):
    return f"{template.server.tag('toy#production#4', template.commits['B'])}:refs/tags/toy#production#3"


def of_2099(template):
    return tag_of(template, when=4_070_908_800)


def of_1970(template):
    return tag_of(template, when=0)


def of_yesterday(template):
    return tag_of(template, when=time.time() - DAY)


def unsigned(template):
    return tag_of(template, key=None)


def pgp_signed(template):
    armor = b"-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"
    return tag_of(template, sign=lambda content: armor)


def signed_twice(template):
    def sign(content):
        first = template.server.sign(content, ANN)
        return first + template.server.sign(content + first, EVE)

    return tag_of(template, sign=sign)


def signed_and_more(template):
    return tag_of(template, sign=lambda content: template.server.sign(content, ANN) + b"more\n")


def signed_before_a_change(template):
    return tag_of(template, sign=lambda content: template.server.sign(content.replace(b"Because", b"Perhaps"), ANN))


def signed_for_a_file(template):
    return tag_of(template, sign=lambda content: template.server.sign(content, ANN, "pushforward"))


def damaged_signature(template):
    armor = b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAQ==\n-----END SSH SIGNATURE-----\n"
    return tag_of(template, sign=lambda content: armor)


def unknown_key(template):
    return tag_of(template, who=EVE)


def spoofed_tagger(template):
    return tag_of(template, who=ANN, key=BOB)


def unknown_key_and_spoofed_tagger(template):
    return tag_of(template, who=ANN, key=EVE)


def revoked_key(template):
    return tag_of(template, who=OLD)


def revoked_key_and_dated_back(template):
    return tag_of(template, who=OLD, when=1_500_000_000)


def key_of_another_environment(template):
    return tag_of(template, who=BOB)


def key_of_versions(template):
    return tag_of(template, who=CI)


def key_of_versions_in_a_manual_one(template):
    return tag_of(template, name="toy#canary#1", who=CI)


def escape_in_the_message(template):
    return tag_of(template, line="\x1b[2Jnothing to see")


def two_records(template):
    record = {"schema": 2, "version": "toy@v1.1.0"}
    return tag_of(template, line=json.dumps(record | {"version": "toy@v1.0.0"}), record=record)


def record_of_another_schema(template):
    return tag_of(template, record={"schema": 1, "version": "toy@v1.1.0"})


def record_with_a_key_twice(template):
    return tag_of(template, line='{"schema":2,"version":"toy@v1.0.0","version":"toy@v1.1.0"}')


def more_head_lines(template):
    lines = f"object {template.commits['B']}\ntype commit\ntag toy#production#3\nx y\n"
    made = lines + f"tagger A <{ANN}> {int(time.time())} +0000\n\nx\n"
    content = made.encode() + template.server.sign(made.encode(), ANN)
    name = template.server.git("hash-object", "-w", "-t", "tag", "--literally", "--stdin", stdin=content)
    return f"{name}:refs/tags/toy#production#3"


def wrong_number(template):
    return tag_of(template, name="toy#production#4")


def used_number(template):
    return "+" + tag_of(template, name="toy#production#2")


def no_version(template):
    return f"{template.server.tag('toy#production#3', template.commits['E'])}:refs/tags/toy#production#3"


def another_version(template):
    return tag_of(template, record={"schema": 2, "version": "toy@v1.0.0"})


def version_that_is_none(template):
    return tag_of(template, record={"schema": 2, "version": "toy@v7.0.0"})


def version_that_is_no_text(template):
    return tag_of(template, record={"schema": 2, "version": ["toy@v1.1.0"]})


def deprecated_version(template):
    record = {"schema": 2, "version": "toy@v1.0.0"}
    return f"{template.server.tag('toy#production#3', template.commits['A'], record)}:refs/tags/toy#production#3"


def deprecated_version_without_a_record(template):
    return f"{template.server.tag('toy#production#3', template.commits['A'])}:refs/tags/toy#production#3"


FORGED = [
    lightweight,
    of_a_blob,
    of_a_tree,
    of_a_tag,
    of_another_name,
    of_2099,
    of_1970,
    of_yesterday,
    unsigned,
    pgp_signed,
    signed_twice,
    signed_and_more,
    signed_before_a_change,
    signed_for_a_file,
    damaged_signature,
    unknown_key,
    spoofed_tagger,
    unknown_key_and_spoofed_tagger,
    revoked_key,
    revoked_key_and_dated_back,
    key_of_another_environment,
    key_of_versions,
    key_of_versions_in_a_manual_one,
    escape_in_the_message,
    two_records,
    record_of_another_schema,
    record_with_a_key_twice,
    more_head_lines,
    wrong_number,
    used_number,
    no_version,
    another_version,
    version_that_is_none,
    version_that_is_no_text,
    deprecated_version,
    deprecated_version_without_a_record,
]


@pytest.mark.parametrize("forge", FORGED, ids=lambda forge: forge.__name__)
def test_a_forged_use_is_refused_with_the_whole_push(template, forge):
    golden = f"use-{forge.__name__.replace('_', '-')}"
    template.server.refused(golden, f"{template.commits['E']}:refs/heads/fine", forge(template))


def test_a_run_too_pushes_no_use_that_is_not_annotated(template):
    template.server.refused("use-lightweight-by-a-run", lightweight(template), token=True)


def test_the_environment_of_another_key_holds_for_its_owner(template):
    """The other side of the refusals above: the same tags by those who may."""
    server = policy_server.copy(template.server, template.server.folder.parent / "owners")
    server.taken(Released(server, template.commits).use("canary", 1, "B", who=BOB))


# Deprecations.


def end_of(template, version="toy@v1.1.0", commit="B", record=None, **options):
    record = {"schema": 2, "version": version, "reason": "why", "by": ANN} if record is None else record
    made = template.server.tag(f"{version}!", template.commits[commit], record, **options)
    return f"+{made}:refs/tags/{version}!"


ENDS = {
    "in-use": {},
    "of-no-version": {"version": "toy@v7.0.0"},
    "of-another-commit": {"commit": "C"},
    "without-a-reason": {"record": {"schema": 2, "version": "toy@v1.1.0", "reason": " ", "by": ANN}},
    "without-a-record": {"record": {"schema": 2}},
    "of-another-record": {"record": {"schema": 2, "version": "toy@v1.0.0", "reason": "why"}},
    "by-the-service": {"who": CI},
    "unsigned": {"key": None},
    "again": {"version": "toy@v1.0.0", "commit": "A"},
}


@pytest.mark.parametrize("case", ENDS)
def test_a_forged_deprecation_is_refused(template, case):
    template.server.refused(f"deprecation-{case}", end_of(template, **ENDS[case]))


# Versions.


def v_by_hand(template, promotion):
    return [promotion.specs()[0]]


def v_without_chain(template, promotion):
    return promotion.specs()[:1]


def v_unsigned(template, promotion):
    promotion.options = {"key": None}


def v_by_a_person(template, promotion):
    promotion.who = ANN


def v_of_the_service_by_a_person(template, promotion):
    promotion.options = {"key": ANN}


def v_dated_2099(template, promotion):
    promotion.options = {"when": 4_070_908_800}


def v_without_a_record(template, promotion):
    promotion.record = None


def v_skips_a_number(template, promotion):
    promotion.name = "toy@v1.3.0"


def v_goes_back(template, promotion):
    promotion.name = "toy@v1.0.1"


def v_of_another_number(template, promotion):
    promotion.record["number"] = 2


def v_after_another(template, promotion):
    promotion.record["previous"] = "toy@v1.0.0"


def v_of_no_commit(template, promotion):
    promotion.record["commit"] = "1" * 40


def v_of_a_short_commit(template, promotion):
    promotion.record["commit"] = template.commits["C"][:12]


def v_off_main(template, promotion):
    promotion.target = promotion.record["commit"] = template.commits["D"]


def v_without_a_verdict(template, promotion):
    promotion.target = promotion.record["commit"] = template.commits["E"]


def v_of_another_target(template, promotion):
    promotion.target = template.commits["E"]


def v_of_a_child_that_changes_more(template, promotion):
    promotion.target = template.server.follow(template.commits["C"], {"dvc.lock": b"x", "src/toy/pipeline.py": b"evil"})


def v_of_a_grandchild(template, promotion):
    child = template.server.follow(template.commits["C"], {"dvc.lock": b"x"})
    promotion.target = template.server.follow(child, {"dvc.lock": b"y"})


def v_of_a_child_with_a_link_for_a_lock(template, promotion):
    tree = template.server.tree({"dvc.lock": ("120000", template.server.blob(b"README.md"))}, template.commits["C"])
    promotion.target = template.server.commit(tree, template.commits["C"])


def v_of_a_merge(template, promotion):
    tree = template.server.tree({"dvc.lock": b"x"}, template.commits["C"])
    promotion.target = template.server.commit(tree, template.commits["C"], template.commits["D"])


def v_of_another_verdict(template, promotion):
    promotion.record["verdict"] = sha256(b"another")


def v_of_another_model(template, promotion):
    promotion.record["model"] = sha256(b"another")


def v_of_other_data(template, promotion):
    promotion.record["data"] = sha256(b"another")


def v_of_other_params(template, promotion):
    promotion.record["params"] = sha256(b"another")


def v_of_another_environment(template, promotion):
    promotion.record["environment"] = sha256(b"another")


def v_of_another_look(template, promotion):
    promotion.record["ledger"] = "6" * 40


def v_of_another_lock(template, promotion):
    promotion.record["lock"] = sha256(b"another")


def v_of_a_lock_that_was_not_judged(template, promotion):
    promotion.target = template.commits["L"]
    lock = template.server.git("cat-file", "blob", f"{promotion.target}:dvc.lock") + "\n\n"
    promotion.record["lock"] = sha256(lock.encode())


def v_with_more_in_the_chain(template, promotion):
    promotion.beside = {"versions/toy@v1.0.0/card.md": b"better than it was"}


def v_with_a_file_in_the_chain(template, promotion):
    promotion.beside = {"README.md": b"x"}


def v_with_a_strange_file(template, promotion):
    promotion.entry = {"model.pkl": b"x"}


def v_with_a_link(template, promotion):
    promotion.entry = {"card.md": ("120000", template.server.blob(b"/etc/passwd"))}


def v_with_another_verdict(template, promotion):
    promotion.entry = {"verdict.json": promotion.verdict + b" "}


def v_with_another_provenance(template, promotion):
    promotion.entry = {"provenance.json": b"{}"}


def v_with_a_signature_in_its_text(template, promotion):
    promotion.record["pushforward"] = "-----BEGIN SSH SIGNATURE-----"


def v_with_other_golden_rows(template, promotion):
    promotion.entry = {"golden.json": b"{}"}


def v_with_another_card(template, promotion):
    promotion.entry = {"card.md": b"# card \n"}


def v_without_provenance(template, promotion):
    promotion.entry = {"provenance.json": ("100644", "")}


def v_with_provenance_of_a_person(template, promotion):
    promotion.signature = template.server.sign(promotion.provenance, ANN, "pushforward")


def v_with_provenance_signed_as_a_tag(template, promotion):
    promotion.signature = template.server.sign(promotion.provenance, CI, "git")


def v_with_unsigned_provenance(template, promotion):
    promotion.signature = b""


def v_on_an_old_chain(template, promotion):
    server = template.server
    server.git("fetch", "-q", str(server.bare), f"+{CHAIN}:{CHAIN}")
    promotion.parents = (server.git("rev-parse", f"{CHAIN}~1"),)
    return [f"+{spec}" for spec in promotion.specs()]


def v_on_a_chain_of_its_own(template, promotion):
    promotion.parents = ()
    return [f"+{spec}" for spec in promotion.specs()]


def v_by_two_commits(template, promotion):
    tag, chain = promotion.specs()
    made = chain.partition(":")[0]
    return [tag, f"{template.server.commit(f'{made}^{{tree}}', made)}:{CHAIN}"]


def v_that_clears_the_chain(template, promotion):
    server = template.server
    tip = server.git("for-each-ref", "--format=%(objectname)", CHAIN, where=server.bare)
    made = server.commit(server.tree({f"versions/{promotion.name}/verdict.json": promotion.verdict}), tip)
    return [promotion.specs()[0], f"{made}:{CHAIN}"]


def v_twice(template, promotion):
    other = template.promotion(name="toy@v2.0.0")
    return [*promotion.specs(), other.specs()[0]]


VERSIONS = [
    v_without_chain,
    v_unsigned,
    v_by_a_person,
    v_of_the_service_by_a_person,
    v_dated_2099,
    v_without_a_record,
    v_skips_a_number,
    v_goes_back,
    v_of_another_number,
    v_after_another,
    v_of_no_commit,
    v_of_a_short_commit,
    v_off_main,
    v_without_a_verdict,
    v_of_another_target,
    v_of_a_child_that_changes_more,
    v_of_a_grandchild,
    v_of_a_child_with_a_link_for_a_lock,
    v_of_a_merge,
    v_of_another_verdict,
    v_of_another_model,
    v_of_other_data,
    v_of_other_params,
    v_of_another_environment,
    v_of_another_look,
    v_of_another_lock,
    v_of_a_lock_that_was_not_judged,
    v_with_more_in_the_chain,
    v_with_a_file_in_the_chain,
    v_with_a_strange_file,
    v_with_a_link,
    v_with_another_verdict,
    v_with_another_provenance,
    v_with_a_signature_in_its_text,
    v_with_other_golden_rows,
    v_with_another_card,
    v_without_provenance,
    v_with_provenance_of_a_person,
    v_with_provenance_signed_as_a_tag,
    v_with_unsigned_provenance,
    v_on_an_old_chain,
    v_on_a_chain_of_its_own,
    v_by_two_commits,
    v_that_clears_the_chain,
    v_twice,
]


@pytest.mark.parametrize("forge", VERSIONS, ids=lambda forge: forge.__name__[2:])
def test_a_forged_version_is_refused_with_the_whole_push(template, forge):
    """By a run of the server that went wrong, or that somebody took over: it has the token, and may be any key."""
    promotion = template.promotion()
    specs = forge(template, promotion) or promotion.specs()
    golden = f"version-{forge.__name__[2:].replace('_', '-')}"
    template.server.refused(golden, f"{template.commits['E']}:refs/heads/fine", *specs, token=True)


def test_a_version_is_not_made_by_hand(template):
    promotion = template.promotion()
    promotion.who = ANN
    template.server.refused("version-by-hand", promotion.specs()[0])
    template.server.refused("version-by-hand-with-chain", *promotion.specs())


VERDICTS = {
    "hold": {"verdict": "hold"},
    "of-a-pull-request": {"event": "pull_request"},
    "of-another-commit": {"commit": "1" * 40},
    "without-digests": {"digests": {}},
}


@pytest.mark.parametrize("case", VERDICTS)
def test_a_verdict_that_does_not_promote_makes_no_version(released, case):
    commit = released.commits["C"]
    promotion = released.promotion()
    released.server.verdict(commit, lock_of(released.server, "C"), **VERDICTS[case])
    promotion.verdict = released.server.verdict_of(commit)
    promotion.record["verdict"] = sha256(promotion.verdict)
    promotion.refused(f"verdict-{case}")


def test_main_and_its_version_in_one_push_need_a_verdict(template):
    tip = template.server.follow(template.commits["E"], {"dvc.lock": lock_of(template.server, "F")})
    promotion = template.promotion()
    promotion.target = promotion.record["commit"] = tip
    template.server.refused("version-with-main", f"{tip}:refs/heads/main", *promotion.specs(), token=True)


def test_the_first_version_is_1_0_0(tmp_path):
    server = policy_server.made_once(policy_server.make, tmp_path)
    main = server.git("rev-parse", "refs/heads/main")
    server.verdict(main, lock_of(server, "A"))
    Promotion(server, "toy@v0.1.0", main, main, 1, None).refused("version-first")
    said = Promotion(server, "toy@v1.0.0", main, main, 1, None).push()
    assert said.taken, said.text


def test_the_chain_only_grows_even_for_a_run(template):
    server = template.server
    server.git("fetch", "-q", str(server.bare), f"+{CHAIN}:{CHAIN}")
    tip = server.git("rev-parse", CHAIN)
    server.refused("chain-deleted", f":{CHAIN}", token=True)
    server.refused("chain-back", f"+{tip}~1:{CHAIN}", token=True)
    server.refused("chain-alone", f"{server.commit(f'{tip}^{{tree}}', tip)}:{CHAIN}", token=True)


def test_a_wrong_token_is_none(template):
    promotion = template.promotion()
    template.server.refused("token-wrong", *promotion.specs(), PUSHFORWARD_TOKEN="0" * 64)


# The store.


def objects_of(released, name):
    lock = released.server.run("git", "-C", str(released.server.clone), "cat-file", "blob", f"{name}:dvc.lock").stdout
    return {out.path: out for out in outs(lock)}


def place(released, md5):
    return released.server.store / "files" / "md5" / md5[:2] / md5[2:]


def lose_file(released, outs):
    place(released, outs["data/rows.parquet"].md5).unlink()


def cut_file(released, outs):
    place(released, outs["data/rows.parquet"].md5).write_bytes(b"")


def lose_folder(released, outs):
    place(released, outs["model"].md5).unlink()


def lose_member(released, outs):
    members = json.loads(place(released, outs["model"].md5).read_bytes())
    place(released, members[0]["md5"]).unlink()


def cut_member(released, outs):
    members = json.loads(place(released, outs["model"].md5).read_bytes())
    place(released, members[0]["md5"]).write_bytes(b"")


def change_folder(released, outs):
    place(released, outs["model"].md5).write_text("[]")


def lose_store(released, outs):
    shutil.rmtree(released.server.store)


@pytest.mark.parametrize("lose", [lose_file, cut_file, lose_folder, lose_member, cut_member, change_folder, lose_store])
def test_a_version_whose_data_is_not_in_the_store_is_refused(released, lose):
    lose(released, objects_of(released, released.commits["C"]))
    released.promotion().refused(f"store-{lose.__name__.replace('_', '-')}")


def test_a_folder_whose_list_names_no_objects_is_refused(released):
    server = released.server
    md5 = server.keep(json.dumps([{"md5": "../../../x", "relpath": "a"}]).encode())
    listing = place(released, md5)
    listing.rename(listing.with_name(f"{listing.name}.dir"))
    out = f"    - path: model\n      hash: md5\n      md5: {md5}.dir\n"
    lock = f"schema: '2.0'\nstages:\n  train:\n    cmd: x\n    outs:\n{out}".encode()
    tip = server.follow(released.commits["E"], {"dvc.lock": lock})
    server.taken(f"{tip}:refs/heads/main")
    server.verdict(tip, lock)
    released.promotion(target=tip, commit=tip).refused("store-strange-list")


def test_a_store_elsewhere_is_not_looked_at(released):
    released.server.configure(store="")
    shutil.rmtree(released.server.store)
    said = released.promotion().push()
    assert said.taken, said.text


LOCKS = {
    "flow": b"{schema: '2.0', stages: {train: {cmd: x, outs: [{path: model, md5: 0123456789abcdef}]}}}\n",
    "conflict": b"schema: '2.0'\nstages:\n<<<<<<< HEAD\n  train:\n    cmd: x\n",
    "anchor": b"schema: '2.0'\nstages:\n  train:\n    cmd: x\n    outs: &a\n    - path: model\n",
    "alias": b"schema: '2.0'\nstages:\n  train: *a\n",
    "tab": b"schema: '2.0'\nstages:\n\ttrain:\n",
    "two-documents": b"schema: '2.0'\nstages:\n  train:\n    cmd: x\n---\nstages:\n",
    "no-md5": b"schema: '2.0'\nstages:\n  train:\n    cmd: x\n    outs:\n    - path: model\n      size: 3\n",
    "outside": b"schema: '2.0'\nstages:\n  train:\n    cmd: x\n    outs:\n    - path: ../model\n      hash: md5\n"
    b"      md5: 0123456789abcdef0123456789abcdef\n",
    "folded": b"schema: '2.0'\nstages:\n  train:\n    cmd: x\n    outs:\n    - path: a long\n        name\n",
    "not-utf8": b"schema: '2.0'\nstages:\n  \xff:\n    cmd: x\n",
    "key-twice": b"schema: '2.0'\nstages:\n  t:\n    cmd: x\n    outs:\n    - path: m\n      md5: x\n      md5: y\n",
}


@pytest.mark.parametrize("case", LOCKS)
def test_a_lock_that_dvc_did_not_write_is_refused(released, case):
    server = released.server
    tip = server.follow(released.commits["E"], {"dvc.lock": LOCKS[case]})
    server.taken(f"{tip}:refs/heads/main")
    server.verdict(tip, LOCKS[case])
    released.promotion(target=tip, commit=tip).refused(f"lock-{case}")


TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=60)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OUT = st.fixed_dictionaries(
    {"path": TEXT, "hash": st.just("md5"), "md5": st.from_regex(r"\A[0-9a-f]{32}(\.dir)?\Z"), "size": st.integers(0)},
    optional={"nfiles": st.integers(0), "isexec": st.just(True)},
)
STAGE = st.fixed_dictionaries(
    {"cmd": TEXT | st.lists(TEXT, min_size=1, max_size=3) | TEXT.map(lambda text: f"{text}\n    outs:\n{text}")},
    optional={
        "deps": st.lists(OUT, min_size=1, max_size=2),
        "params": st.dictionaries(TEXT, st.dictionaries(TEXT, ANY, min_size=1, max_size=2), min_size=1, max_size=2),
        "outs": st.lists(OUT, min_size=1, max_size=3),
    },
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(TEXT, STAGE, min_size=1, max_size=3))
def test_a_lock_as_dvc_writes_it_is_read_as_yaml_or_not_at_all(stages):
    """Whatever stands in commands, parameters and names: the outs are those of a real parser, or there is a refusal."""
    from dvc.utils.serialize import dumps_yaml
    from ruamel.yaml import YAML

    text = dumps_yaml({"schema": "2.0", "stages": stages})
    tree = YAML(typ="safe").load(io.StringIO(text))
    wanted = [(out["path"], out["md5"]) for stage in tree["stages"].values() for out in stage.get("outs", [])]
    try:
        found = [(out.path, out.md5) for out in outs(text.encode())]
    except PolicyError:
        return
    assert found == wanted


def test_the_locks_of_a_plain_project_are_all_read(template):
    """The refusals above are for strange names only."""
    from dvc.utils.serialize import dumps_yaml

    one = {"hash": "md5", "md5": "0" * 32, "size": 3}
    paths = ["data/a b.csv", "model", "été.csv", "it's", 'a "quoted" one', "2020-01", "x: y", "#1", "1e5", "-", "a,b"]
    stages = {
        "train@2020-01": {
            "cmd": ["python -m x " + "word " * 40, "echo 'a: b'\necho c\n"],
            "params": {"params.yaml": {"a": [], "b": {}, "c": None, "d": 1.5, "e": ["x", {"y": "z\n- path: q\n"}]}},
            "outs": [{"path": path, **one} for path in paths],
        }
    }
    text = dumps_yaml({"schema": "2.0", "stages": stages})
    assert [out.path for out in outs(text.encode())] == paths


# Races.


def test_of_racing_uses_one_wins_and_the_other_is_refused(released):
    server = released.server
    specs = [released.use("production", 3, "B", line=f"Because of {number}") for number in range(4)]
    said = []
    racers = [threading.Thread(target=lambda spec=spec: said.append(server.push(spec))) for spec in specs]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sum(one.taken for one in said) == 1, [one.text for one in said]
    lost = [one.text for one in said if not one.taken]
    assert all("already exists" in text or "cannot lock ref" in text for text in lost), lost


def test_of_racing_promotions_one_wins_whatever_they_are_called(released):
    server = released.server
    pushes = [released.promotion(name=name).specs() for name in ("toy@v1.1.1", "toy@v1.2.0", "toy@v2.0.0")]
    said = []
    racers = [
        threading.Thread(target=lambda specs=specs: said.append(server.push("--atomic", *specs, token=True)))
        for specs in pushes
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sum(one.taken for one in said) == 1, [one.text for one in said]
    assert server.snapshot()[0].count("refs/tags/toy@v") == 4  # two before, their deprecation, the winner


def test_who_comes_second_hears_of_the_next_number(released):
    mine, theirs = released.promotion(), released.promotion(name="toy@v2.0.0")
    specs = theirs.specs()
    assert mine.push().taken
    released.server.refused("race-version", "--force", "--atomic", *specs, token=True)
    use = released.use("production", 3, "B")
    other = released.use("production", 3, "C")
    released.server.taken(use)
    released.server.refused("race-use", f"+{other}")


# Locks of a dvc.yaml below the root.


def below(released, lock=None, **files):
    """A version of C whose commit has a second lock, as the judge has seen it; nothing is pushed yet."""
    server, commit = released.server, released.commits["C"]
    own = server.git("cat-file", "blob", f"{commit}:dvc.lock").encode() + b"\n"
    locks = {"dvc.lock": own, "models/a/dvc.lock": lock_of(server, "below")}
    digests = {part: sha256(part.encode()) for part in ("model", "manifest", "data", "params", "environment")}
    digest = kept.digest(locks, "dvc.lock")
    server.verdict(commit, b"", digests=digests | {"lock": digest})
    found = {"models/a/dvc.lock": lock or locks["models/a/dvc.lock"], "models/a/metrics/metrics.json": b"{}"}
    changes = {"dvc.lock": own} | found | {name.replace("__", "/"): content for name, content in files.items()}
    promotion = released.promotion(target=server.follow(commit, changes))
    promotion.record |= {"lock": digest, "locks": sorted(locks)}
    return promotion


def test_a_version_may_have_a_lock_below_the_root(released):
    said = below(released).push()
    assert said.taken, said.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"locks": ["dvc.lock"]}, "the lock commit changes models/a/dvc.lock too"),
        (
            {"locks": ["dvc.lock", "models/a/dvc.lock", "models/b/dvc.lock"]},
            "its record names models/b/dvc.lock, which is no lock of it",
        ),
        ({"locks": ["dvc.lock", "dvc.lock"]}, "dvc.lock, which is no lock of it"),
        ({"locks": ["dvc.lock", "../dvc.lock"]}, "../dvc.lock, which is no lock of it"),
        ({"locks": ["dvc.lock", "src/toy/pipeline.py"]}, "src/toy/pipeline.py, which is no lock of it"),
        ({"locks": ["dvc.lock", 1]}, "1, which is no lock of it"),
        ({"locks": []}, "its record names no locks"),
        ({"locks": "dvc.lock"}, "its record names no locks"),
        ({"lock": "0" * 64}, "is not the one in its record"),
    ],
    ids=str,
)
def test_a_record_that_says_other_locks_than_were_judged_is_refused(released, changes, words):
    promotion = below(released)
    promotion.record |= changes
    said = promotion.push()
    assert not said.taken
    assert words in " ".join(said.text.replace("remote:", "").split())


def test_a_lock_below_the_root_is_the_one_that_was_judged_and_all_that_it_names_is_there(released):
    other = below(released, lock_of(released.server, "another"))
    said = other.push()
    assert not said.taken
    assert "is not the one in its record" in said.text
    code = below(released, models__a__train=b"x").push()
    assert "the lock commit changes models/a/train too" in " ".join(code.text.replace("remote:", "").split())
    honest = below(released)
    for path in (released.server.store / "files" / "md5").rglob("*"):
        if path.is_file() and path.read_bytes() == b"rows below":
            path.unlink()
    said = honest.push()
    assert not said.taken
    assert "models/a/data/rows.parquet is not in the store" in " ".join(said.text.replace("remote:", "").split())


# Several models in one repository.


def of_both(released, *judged):
    """The next version of toy and the first of boat, of one commit on which the judge has passed those `judged`."""
    server, commit = released.server, released.commits["C"]
    toy, boat, ship = (
        released.promotion(),
        *(released.promotion(name=f"{name}@v1.0.0", number=1, previous=None) for name in ("boat", "ship")),
    )
    made = server.commit(
        server.tree({f"{name}.json": toy.verdict for name in judged}, where=server.bare), where=server.bare
    )
    server.git("update-ref", f"refs/pushforward/verdict/{commit}", made, where=server.bare)
    server.know(model="boat", models=["boat", "toy"], environments={"staging": "auto", "production": "manual"})
    return toy, boat, ship


def test_each_of_several_models_has_its_own_numbers_uses_and_verdict(released):
    toy, boat, ship = of_both(released, "toy", "boat")
    said = toy.push(toy.use("staging", 3))
    assert said.taken, said.text
    boat.server.git("fetch", "-q", str(boat.server.bare), f"+{CHAIN}:{CHAIN}")
    said = boat.push(boat.use("staging", 1).replace("toy#", "boat#"))
    assert not said.taken, "a use is of the model that its tag is called after"
    said = boat.push()
    assert said.taken, said.text
    said = ship.push()
    assert not said.taken
    assert "the model here is boat or toy" in said.text


def test_what_passed_of_another_model_makes_no_version(released):
    _, boat, _ = of_both(released, "toy")
    said = boat.push()
    assert not said.taken
    assert "no passing verdict" in said.text
