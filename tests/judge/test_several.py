"""The word on a commit of several models, from the words on each."""

from types import SimpleNamespace

import pytest

from pushforward.gate.verdict import Verdict
from pushforward.judge import question, several
from pushforward.report.note import Context


def judged(**words):
    found = {}
    for name, word in words.items():
        touched = ("dvc.yaml",) if word.endswith("!") else ()
        verdict = Verdict(word.rstrip("!"), f"why {name}", "superior", "logloss", {}, touched=touched)
        found[name] = several.Judged(verdict, Context(), "minor")
    return found


@pytest.mark.parametrize(
    ("words", "overall"),
    [
        ({"a": "promote", "b": "identical"}, "a: promote"),
        ({"a": "identical", "b": "promote"}, "b: promote"),
        ({"a": "promote", "b": "hold"}, "b: hold"),
        ({"a": "unknown", "b": "hold", "c": "invalid"}, "c: invalid"),
        ({"a": "measured", "b": "identical"}, "a: measured"),
        # what is identical and changes the judge does not land by itself, whatever the other is
        ({"a": "promote", "b": "identical!"}, "b: identical"),
    ],
    ids=str,
)
def test_the_commit_is_called_by_the_worst_and_lands_where_each_may(words, overall):
    found = several.together(judged(**words))
    name, word = overall.split(": ")
    assert found.verdict.verdict == word
    assert found.verdict.reason == f"{name}: why {name}"
    assert len(found.context.remarks) == len(words)
    assert found.context.remarks[0].startswith("a: ")


def test_a_model_that_the_push_has_taken_out_is_asked_nothing(monkeypatch):
    told = {"judge": ["a", "b"], "both": ["a", "b", "c"], "less": ["b"], "none": ["z"]}

    def revision(_, commit):
        models = dict.fromkeys(told[commit])
        project = SimpleNamespace(models=models)
        return SimpleNamespace(settings=SimpleNamespace(project=project, several=len(models) > 1))

    monkeypatch.setattr(question, "Revision", revision)
    asked = {
        name: question.models_of(None, SimpleNamespace(subject=name), "judge") for name in ("both", "less", "none")
    }
    assert asked == {"both": ["a", "b"], "less": ["b"], "none": ["a", "b"]}
    assert question.models_of(None, SimpleNamespace(subject="both"), "less") == [], "a judge of one model asks one"
