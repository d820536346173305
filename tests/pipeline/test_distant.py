"""A store at S3 that answers late: nothing of a run waits for one object after the other, and nothing is sent twice."""

import hashlib
import re
import shutil

import pytest
from tests.bucket import CONFIG, bucket

from pushforward.errors import PushforwardError
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline.storage import own_options

pytestmark = pytest.mark.whole

FOLDERS = 4
LATE_SECONDS = 0.05
STAGE = """\
  s{n}:
    cmd: mkdir -p o{n} && echo {n}a >o{n}/a && echo {n}b >o{n}/b
    deps: [x]
    outs: [o{n}]
"""


@pytest.fixture
def place():
    with bucket(LATE_SECONDS) as made:
        yield made


@pytest.fixture
def project(repository, place):
    """Stages with a folder of two files each, and their store in the bucket."""
    (repository / ".dvc").mkdir()
    (repository / ".dvc" / "config").write_text(CONFIG.format(url=place.url))
    login = "['remote \"store\"']\n    access_key_id = ann\n    secret_access_key = 'se#cret'\n"
    (repository / ".dvc" / "config.local").write_text(login)
    (repository / "dvc.yaml").write_text("stages:\n" + "".join(STAGE.format(n=n) for n in range(FOLDERS)))
    (repository / "x").write_text("one\n")
    (repository / ".gitignore").write_text("o*\n")
    return repository


def run(project):
    return pipeline.reproduce(project, pull=True, push=True, say=lambda *_: None)


def data(paths):
    return [path for path in paths if "/files/md5/" in path]


def forget(project):
    """A machine that has made nothing yet."""
    shutil.rmtree(project / ".dvc" / "cache")
    for n in range(FOLDERS):
        shutil.rmtree(project / f"o{n}")


def test_objects_are_sent_and_read_back_side_by_side_and_only_once(project, place):
    assert run(project).pushed == FOLDERS * (2 + 1 + 1)  # files, their list, and what the run cache remembers
    sent = data(place.of("PUT"))
    assert len(sent) == len(set(sent)) == FOLDERS * 3
    assert [path.endswith(".dir") for path in sent] == [False] * FOLDERS * 2 + [True] * FOLDERS
    assert set(sent) <= set(place.of("GET"))
    assert place.most_of("PUT") > 3
    assert place.most_of("GET") > 3

    place.forget()
    (project / "x").write_text("two\n")  # every stage runs, and makes what it made
    done = run(project)
    assert ([stage.outcome for stage in done.stages], done.pushed) == (["ran"] * FOLDERS, FOLDERS)
    assert data(place.of("PUT")) == data(place.of("GET")) == []  # all is there: it is not sent, and not read either
    assert len(place.of("PUT")) == 1 + FOLDERS

    place.forget()
    forget(project)
    run(project)  # by the lock, as a new server does: nothing has changed, so of data nothing but lists is fetched
    assert {path.endswith(".dir") for path in data(place.of("GET"))} == {True}


def test_what_a_run_needs_is_fetched_side_by_side_and_of_the_run_cache_only_its_own(project, place):
    run(project)
    forget(project)
    (project / "dvc.lock").unlink()
    place.forget()
    assert {stage.outcome for stage in run(project).stages} == {"restored"}
    entries = [path for path in place.of("GET") if "/runs/" in path]
    assert len(entries) == FOLDERS

    forget(project)
    place.forget()
    lists = re.findall(r"[0-9a-f]{32}\.dir", (project / "dvc.lock").read_text())
    assert pipeline.stock(project, [*lists, "0" * 32], say=print) == FOLDERS * 3
    assert place.most_of("GET") > 3
    place.forget()
    pipeline.fetch(project, "o1", say=print)
    assert (project / "o1" / "b").read_text() == "1b\n"
    assert place.asked == []

    spoilt = hashlib.md5(b"1b\n").hexdigest()
    place.put(f"dvc/files/md5/{spoilt[:2]}/{spoilt[2:]}", b"2b\n")
    shutil.rmtree(project / ".dvc" / "cache")
    assert pipeline.stock(project, lists, say=print) == FOLDERS * 3 - 1, "what is spoilt is not kept"
    assert not (project / ".dvc" / "cache" / "files" / "md5" / spoilt[:2] / spoilt[2:]).exists()


def test_objects_that_the_store_takes_and_does_not_keep_stop_the_run(project, place):
    place.loses = True
    with pytest.raises(PushforwardError, match=rf"lacks or spoils {FOLDERS * 3} of the objects"):
        run(project)


def test_a_login_of_the_clone_alone_is_known_apart(project):
    assert own_options(project) == {"access_key_id": "ann", "secret_access_key": "se#cret"}
