"""packed: a bundle is served where no repository is; a byte, a commit or a key that is another one is refused."""

import hashlib
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from tests.serving.shelf import PREDICT, Shelf
from tests.serving.test_serve import Server

from pushforward.commands.cli import main
from pushforward.errors import DATA, POLICY, USAGE, PushforwardError
from pushforward.release.bundle import SUMS, bundle
from pushforward.serving import packed

pytestmark = pytest.mark.whole

SCORED = 'pl.col("x") + told / 1000'


@pytest.fixture
def out(hub):
    """The bundle of a version that gives 0.25, by its predictor and by its score command."""
    shelf = Shelf(hub)
    assert SCORED in PREDICT
    hub.write("predict.py", PREDICT.replace(SCORED, "pl.lit(0.25)"))
    return bundled(shelf)


def bundled(shelf, told='{"p": 0.25}', p=lambda _: 0.25):
    shelf.use(shelf.add(told, p))
    made = shelf.hub.folder / "out"
    bundle(shelf.hub.clone, "v1.0.0", made, say=lambda _: None)
    return made


def signers(hub):
    return hub.bare / "pushforward" / "allowed_signers"


def prepare(folder, out, who=None):
    home = folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    return packed.prepare(out, who, home)


def change(out, name, content, *, sums=True):
    """Put something else into a file of a bundle, and into its sums."""
    before = hashlib.sha256((out / name).read_bytes()).hexdigest()
    (out / name).write_bytes(content)
    if sums:
        told = (out / SUMS).read_text()
        assert f"{before}  {name}\n" in told
        (out / SUMS).write_text(told.replace(before, hashlib.sha256(content).hexdigest()))


def test_it_is_verified_asked_and_says_whose_it_is(hub, out):
    found = prepare(hub.folder, out, signers(hub))
    assert found.said == "toy@v1.0.0 is signed by pushforward@localhost"
    made = found.prepared
    assert made.parity == "it loads, and gives its 8 golden rows to the last bit"
    assert (made.version, made.commit) == ("toy@v1.0.0", hub.git(hub.bare, "rev-parse", "toy@v1.0.0^{commit}"))
    assert made.served.digest == hub.record("toy@v1.0.0")["model"]
    assert Path(made.checkout).is_relative_to(hub.folder / "home")


def test_without_signers_it_says_that_only_sums_were_checked(hub, out):
    assert prepare(hub.folder, out).said == packed.UNSIGNED
    assert "only sums were checked" in packed.UNSIGNED


def test_one_that_answers_by_its_score_command_is_asked_too(hub):
    out = bundled(Shelf(hub, serve=False), "{}", lambda x: x + 3 / 1000)
    assert "8 golden rows to the last bit" in prepare(hub.folder, out).prepared.parity


def copied(out, name):
    """The bundle once more, to be spoilt."""
    other = out.parent / "other" / name.replace("/", "-")
    shutil.copytree(out, other)
    return other


def test_a_byte_that_is_another_one_is_refused_by_the_files_name(hub, out):
    for name in ("model/model.json", "code/src/served.py", "golden/rows.parquet", "README.md"):
        other = copied(out, name)
        change(other, name, (out / name).read_bytes() + b" ", sums=False)
        with pytest.raises(PushforwardError, match=rf"^{name} is not the file that SHA256SUMS lists") as failed:
            prepare(hub.folder, other)
        assert failed.value.exit_code == DATA
        (other / name).unlink()
        with pytest.raises(PushforwardError, match=rf"^{name} is missing in the bundle"):
            prepare(hub.folder, other)


def test_what_the_tag_does_not_name_is_refused_though_the_sums_were_made_anew(hub, out):
    for name, why, code in (
        ("code/src/served.py", "^the files in code/ are not the tree of commit.txt", DATA),
        ("commit.txt", "^commit.txt is not the commit that tag.txt names", DATA),
        ("model/model.json", "^hop model: the model's file model/model.json", DATA),
        ("golden.json", "^hop entry: the SHA-256 of golden.json", POLICY),
        ("provenance.json", "^hop entry: the SHA-256 of provenance.json", POLICY),
    ):
        other = copied(out, name)
        change(other, name, (out / name).read_bytes() + b" ")
        with pytest.raises(PushforwardError, match=why) as failed:
            prepare(hub.folder, other)
        assert failed.value.exit_code == code, name


def test_a_tag_that_says_something_else_than_was_signed_is_refused(hub, out):
    text = (out / "tag.txt").read_bytes()
    assert b'"number": 1' in text or b'"number":1' in text
    change(out, "tag.txt", text.replace(b'"number": 1', b'"number": 2').replace(b'"number":1', b'"number":2'))
    with pytest.raises(PushforwardError, match=r"^hop tag: ") as failed:
        prepare(hub.folder, out, signers(hub))
    assert failed.value.exit_code == POLICY


def test_a_version_that_nobody_trusted_has_signed_is_refused(hub, out):
    others = hub.folder / "others"
    others.write_text(
        "".join(
            line for line in signers(hub).read_text().splitlines(keepends=True) if "pushforward@localhost" not in line
        )
    )
    with pytest.raises(PushforwardError, match=r"^hop tag: .*nobody trusts its key"):
        prepare(hub.folder, out, others)


def test_golden_rows_of_another_model_are_refused(hub, out):
    import polars as pl

    rows = pl.read_parquet(out / "golden" / "rows.parquet")
    assert sorted(rows["id"]) == [f"r{n}" for n in range(1, 9)], "the golden ones alone"
    before = (out / "golden" / "rows.parquet").read_bytes()
    for other, why in (
        (rows.head(3), "the holdout has no row '"),
        (rows.head(0), "the holdout has no row 'r1'"),
        (rows.with_columns(id="x" + rows["id"]), "the holdout has no row 'r1'"),
        (rows.rename({"id": "name"}), "the rows have no column id"),
    ):
        other.write_parquet(hub.folder / "other.parquet")
        change(out, "golden/rows.parquet", (hub.folder / "other.parquet").read_bytes())
        with pytest.raises(PushforwardError, match=rf"^hop golden: {why}") as failed:
            prepare(hub.folder, out)
        assert failed.value.exit_code == DATA
        change(out, "golden/rows.parquet", before)


def test_without_golden_rows_it_is_loaded_and_says_that_nothing_was_compared(hub, out):
    shutil.rmtree(out / "golden")
    sums = (out / "SHA256SUMS").read_text().splitlines(keepends=True)
    (out / "SHA256SUMS").write_text("".join(line for line in sums if "  golden/" not in line))
    assert prepare(hub.folder, out).prepared.parity == packed.UNASKED


def test_a_file_that_is_not_listed_is_not_loaded(hub, out):
    (out / "code" / "src" / "sitecustomize.py").write_text("raise SystemExit('it is loaded')")
    made = prepare(hub.folder, out).prepared
    assert not (Path(made.checkout) / "src" / "sitecustomize.py").exists()


def test_a_file_of_the_model_that_is_missing_is_named(hub, out):
    sums = (out / SUMS).read_text().splitlines(keepends=True)
    (out / SUMS).write_text("".join(line for line in sums if "  model/model.json" not in line))
    with pytest.raises(PushforwardError, match=r"^hop model: .*model/model\.json") as failed:
        prepare(hub.folder, out)
    assert failed.value.exit_code == DATA


@pytest.mark.parametrize(
    ("path", "subjects", "inside"),
    [
        ("model.json", ["model.json"], "model.json"),
        ("models/toy.json", ["models/toy.json"], "toy.json"),
        ("models/toy", ["models/toy/a.json", "models/toy/b/c.json"], "b/c.json"),
    ],
)
def test_of_a_models_folder_nothing_lands_among_the_code_but_what_was_signed(tmp_path, path, subjects, inside):
    held, code = tmp_path / "bundle", tmp_path / "bundle" / "code"
    (code / "src").mkdir(parents=True)
    (code / "src" / "served.py").write_text("what the tag names")
    for name in (inside, "src/served.py", "src/sitecustomize.py", "other.json"):
        (held / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (held / "model" / name).write_text("what nobody signed" if name != inside else "the model")
    of = SimpleNamespace(statement=SimpleNamespace(subjects=dict.fromkeys(subjects, "")))
    of.rules = SimpleNamespace(model_path=path)
    packed._place_model(of, held, code)
    found = {one.relative_to(code).as_posix(): one.read_text() for one in code.rglob("*") if one.is_file()}
    assert found == {
        "src/served.py": "what the tag names",
        next(n for n in subjects if n.endswith(inside)): "the model",
    }


def test_what_is_no_bundle_is_said(hub):
    with pytest.raises(PushforwardError, match="it is no bundle") as failed:
        prepare(hub.folder, hub.clone)
    assert failed.value.exit_code == USAGE


def test_it_answers_over_http_as_it_was_judged(hub, out):
    one = Server(hub, "--bundle", str(out), "--signers", str(signers(hub)), "--log", str(hub.folder / "log"))
    try:
        one.answers("v1.0.0")
        assert one.ask("v2/health/ready")[0] == 200
        status, reply = one.predict()
        assert (status, reply["version"], reply["predictions"]) == (200, "toy@v1.0.0", {"p": [0.25]})
        assert "toy@v1.0.0 is signed by pushforward@localhost" in one.text()
        asked = r"toy@v1\.0\.0: it loads, and .* to the last bit; a row takes [\d.,]+ ms, [\d,]+ MiB of memory\n"
        assert re.search(asked, one.text())
        assert one.end() == 0
        assert list((hub.folder / "log").glob("*/*.parquet"))
    finally:
        one.process.kill()
        one.process.wait()
        one.said.close()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--check"], "--signers and --check are for --bundle DIR"),
        (["production", "--bundle", "."], "a bundle is one version: give --bundle DIR, or what to follow"),
        (["--model", "toy", "--bundle", "."], "a bundle is one version: give --bundle DIR, or what to follow"),
    ],
)
def test_what_would_be_passed_over_in_silence_is_refused(words, why):
    done = CliRunner().invoke(main, ["serve", *words])
    assert done.exit_code == USAGE
    assert why in done.output
