"""Which workflow judges, which follow, and which can never start; and inputs as GitHub holds them."""

import json

import pytest

from pushforward.actions import chain, inputs, workflow
from pushforward.errors import PushforwardError

STEPS = "{runs-on: ubuntu-latest, steps: [%s]}"


def flow(file, on, step="{run: echo}", job="one"):
    return workflow.load(f"{file}.yml", f"name: {file}\non: {on}\njobs: {{{job}: {STEPS % step}}}\n")


def after(*names):
    return f"{{workflow_run: {{workflows: [{', '.join(names)}]}}}}"


GATE = "{run: pushforward gate}"
TRAIN = flow("train", "push")


@pytest.mark.parametrize(
    ("flows", "found"),
    [
        ([flow("judge", after("train"), job="judge"), flow("notify", after("train"))], ["judge"]),
        ([flow("zebra", after("train"), GATE), flow("judge", after("train"), job="judge")], ["zebra"]),
        ([flow("a", after("train"), "{run: pushforward gate --plan}"), flow("b", after("train"), GATE)], ["b"]),
        ([flow("a", "push", GATE)], []),  # what follows nothing is what is judged
        (
            [flow("a", after("train"), "{uses: actions/upload-artifact@%s, with: {name: verdict}}" % ("0" * 40))],
            ["a"],
        ),
    ],
)
def test_who_hands_over_a_verdict_judges(flows, found):
    assert [one.name for one in chain.judges([TRAIN, *flows])] == found


def runs(script):
    return f"{{run: {json.dumps(script)}}}"


READS = '{run: "cat \\"$PUSHFORWARD_ARTIFACTS/verdict/report.txt\\""}'


@pytest.mark.parametrize(
    "script",
    [
        'cat "$PUSHFORWARD_ARTIFACTS/verdict/report.txt"',
        "cp -r $PUSHFORWARD_ARTIFACTS/verdict here",
        "python tell.py <$PUSHFORWARD_ARTIFACTS/verdict/verdict.json >told.txt",
        "# after pushforward gate\necho done",
        "make all  # as pushforward gate does",
        "echo 'it waits for pushforward gate' && make",
        'printf "%s; pushforward gate\\n" "$NAME"',
        "pushforward gate \\\n  --plan",
    ],
)
@pytest.mark.parametrize("source", ["train", "judge"])
def test_who_only_mentions_or_reads_a_verdict_judges_nothing(script, source):
    found = [flow("judge", after("train"), GATE), flow("tell", after(source), runs(script))]
    assert [one.name for one in chain.judges([TRAIN, *found])] == ["judge"]
    assert chain.line([TRAIN, *found]) == {"train", "judge"}
    assert chain.judges([TRAIN, found[1]]) == []


@pytest.mark.parametrize(
    "script",
    [
        'mkdir -p "$PUSHFORWARD_ARTIFACTS/verdict" && cd "$_"',
        "echo '{}' >\"${PUSHFORWARD_ARTIFACTS}/verdict/verdict.json\"",
        'cp -r out "$PUSHFORWARD_ARTIFACTS/verdict"\necho done',
        "python judge.py | tee $PUSHFORWARD_ARTIFACTS/verdict/report.txt",
        "echo on && .venv/bin/pushforward gate --json",
        '"$VENV/bin/pushforward" gate  # at last',
        "pushforward gate --plan && pushforward gate",
    ],
)
def test_who_writes_a_verdict_or_runs_the_gate_judges_under_any_name(script):
    found = [flow("zebra", after("train"), runs(script)), flow("tell", after("zebra"), READS)]
    assert [one.name for one in chain.judges([TRAIN, *found])] == ["zebra"]
    assert chain.handing(found[0]) == ["one"]


def test_what_follows_a_judge_judges_nothing():
    again = "{uses: actions/upload-artifact@%s, with: {name: verdict}}" % ("0" * 40)
    found = [flow("keep", after("judge"), again), flow("judge", after("train"), GATE)]
    assert [one.name for one in chain.judges([TRAIN, *found])] == ["judge"]


def test_what_has_to_end_before_a_file_does():
    found = [flow("lint", "push"), flow("scan", after("lint")), flow("other", "push")]
    assert chain.before([TRAIN, *found], ["scan.yml", "gone.yml"]) == {"lint.yml", "scan.yml"}


def test_a_line_goes_back_from_the_judge_to_what_starts_it():
    flows = [TRAIN, flow("lint", "push"), flow("pack", after("train")), flow("judge", after("pack"), GATE)]
    assert chain.line(flows) == {"train", "pack", "judge"}
    assert chain.levels(flows) == {"train": 0, "lint": 0, "pack": 1, "judge": 2}


def why(*flows, there=None, branch="main"):
    found = chain.never([TRAIN, *flows], lambda: there or {}, branch=branch, own_tags=["toy@v", "toy#staging#"])
    return [(one.file, one.event, one.why.partition(";")[0], one.whole) for one in found]


@pytest.mark.parametrize(
    ("on", "told"),
    [
        ("issues", ["nothing like it happens to a plain repository"]),
        ("pull_request_target", ["nobody has a fork here"]),
        ("{pull_request: {types: [closed]}}", ["a branch here is opened and pushed to, and nothing else"]),
        ("{pull_request: {branches: [release]}}", ["a branch here is a pull request into main, and into no other"]),
        (
            "{push: {tags: ['toy@v*']}}",
            ["tags such as toy@v* are made by the server, and what it makes starts nothing"],
        ),
        ("{push: {tags: ['toy@v*', 'v*']}}", []),
        ("{push: {tags: ['toy#production#*']}}", []),
        ("{push: {tags: ['toy@v*'], branches: [main]}}", []),
        ("{workflow_run: {workflows: [nope]}}", ["nothing here that starts is called nope"]),
        ("{workflow_run: {workflows: [check]}}", ["check (check.yml) is not run here"]),
        ("{workflow_run: {workflows: [self]}}", ["nothing here that starts is called self"]),
        ("{workflow_run: {workflows: [nope, train]}}", []),
        ("{workflow_run: {workflows: [train], types: [requested]}}", ["followers are told of an end alone here"]),
        ("{workflow_run: {workflows: [train], types: [requested, completed]}}", []),
        ("workflow_call", []),
        ("{schedule: [{cron: '0 0 * * *'}]}", []),
    ],
)
def test_what_can_never_start_is_told(on, told):
    assert why(flow("self", on), there={"check": "check.yml"}) == [
        ("self.yml", next(iter(flow("self", on).on)), one, True) for one in told
    ]


def test_of_a_file_that_something_starts_the_rest_is_told_too():
    assert why(flow("both", "[push, issues]")) == [
        ("both.yml", "issues", "nothing like it happens to a plain repository", False)
    ]


def test_three_follow_one_another_and_no_fourth():
    flows = [flow(name, after(before)) for before, name in zip(["train", "a", "b", "c"], "abcd", strict=True)]
    assert [one[0] for one in why(*flows)] == ["d.yml"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: x\non:\n  push:\n  issues:\n", 4),
        ("name: push\non: [pull_request, push]\n", 2),
        ('"on":\n  # push\n  pull_request_target: {}\n  pull_request: {}\n', 4),
        ("jobs: {}\n", 1),
    ],
)
def test_the_line_of_an_event(text, line):
    event = {4: "issues" if "issues" in text else "pull_request", 2: "push", 1: "push"}[line]
    assert chain.line_of(text, event) == line


DECLARED = """{workflow_dispatch: {inputs: {
  month: {required: true}, kind: {type: choice, options: [a, 2], default: a}, dry: {type: boolean},
  count: {type: number, default: 3}, free: {}}}}"""


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"month": "1"}, {"month": "1", "kind": "a", "dry": "false", "count": "3", "free": ""}),
        ({"month": "x=y", "kind": "2", "dry": "true", "count": "-1.5e3", "free": "a b"}, None),
    ],
)
def test_inputs_are_given_or_by_default(given, found):
    told = inputs.dispatched(flow("a", DECLARED), given)
    assert told == (found or given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "input month is required"),
        ({"month": ""}, "input month is required"),
        ({"month": "1", "kind": "b"}, "input kind is one of a, 2, not 'b'"),
        ({"month": "1", "dry": "True"}, "input dry is a boolean, not 'True'"),
        ({"month": "1", "count": "1_000"}, "input count is a number, not '1_000'"),
        ({"month": "1", "Kind": "a"}, "it has no input Kind; it has month, kind, dry, count, free"),
        ({"month": "1" * 70_000}, "its inputs have more than 65,535 characters"),
    ],
)
def test_an_input_that_github_would_refuse_is_refused(given, said):
    with pytest.raises(PushforwardError, match=r"a\.yml: ") as refused:
        inputs.dispatched(flow("a", DECLARED), given)
    assert said in refused.value.message


@pytest.mark.parametrize(
    ("texts", "said"),
    [(["a"], "'a' is not name=value"), (["=a"], "is not name=value"), (["a=1", "a=2"], "a is given twice")],
)
def test_a_field_is_a_name_and_a_value(texts, said):
    with pytest.raises(PushforwardError, match=said):
        inputs.parse(texts)
    assert inputs.parse(["a=b=c", "d="]) == {"a": "b=c", "d": ""}


def test_a_payload_is_a_small_object():
    assert inputs.payload("t", "") == {}
    assert inputs.payload("t", '{"a": [1]}') == {"a": [1]}
    wrong = ("[]", "{", str({}.fromkeys(range(11))), '{"a": NaN}', '{"a": [-Infinity]}')
    for kind, text in (("", "{}"), ("t" * 101, "{}"), *(("t", one) for one in wrong)):
        with pytest.raises(PushforwardError):
            inputs.payload(kind, text)
    with pytest.raises(PushforwardError, match="at most 10 properties"):
        inputs.payload("t", "{{{}}}".format(", ".join(f'"{at}": 1' for at in range(11))))
    assert inputs.hears(flow("a", "{repository_dispatch: {types: t}}"), "t")
    assert inputs.hears(flow("a", "repository_dispatch"), "t")
    assert not inputs.hears(flow("a", "{repository_dispatch: {types: [u]}}"), "t")
    assert not inputs.hears(flow("a", "{repository_dispatch: {types: {t: u}}}"), "t")
