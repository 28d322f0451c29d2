"""`run query --live`: filters and SQL over the tables of a stream, which are only read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prov_worker.errors import InputError
from prov_worker.stream.lane import Lane
from prov_worker.stream.live import LiveDatabase, LiveFilters
from prov_worker.stream_url import StreamUrl
from support.commands import run_python
from support.databases import all_closed
from support.events import Story


@pytest.fixture
def address(tmp_path: Path) -> str:
    story = Story(tmp_path / "crates")
    story.tell(2, function="fit_all", host="n1", cpu_s=2.0)
    story.tell(1, function="fitXall", host="n2", cpu_s=9.0, error="no Memory", failure_kind="exception")
    story.log.add("task.started", "t", {
        "task_id": "t", "attempt": 1, "start": "2026-11-29T12:00:00.000000000Z", "function": "run", "host": "n1",
        "status": "running",
    })  # fmt: skip
    story.log.flush()
    lane = Lane(str(story.directory), StreamUrl(f"sqlite:{tmp_path / 'live %41.sqlite'}"))
    lane.step()
    lane.close()
    story.close()
    return lane.url.text


def count(address: str, filters: LiveFilters) -> int:
    with LiveDatabase(address) as database:
        return len(list(database.ask(filters).rows))


def test_filters(address: str) -> None:
    from datetime import datetime, timezone

    noon = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
    assert count(address, LiveFilters()) == 4
    assert count(address, LiveFilters(status="running")) == 1
    assert count(address, LiveFilters(names=[(("function",), ["fit_all"])])) == 2
    assert count(address, LiveFilters(names=[(("function",), ["fit*"]), (("host",), ["n?"])])) == 3
    assert count(address, LiveFilters(bounds={"cpu_s": (3.0, None)})) == 1
    assert count(address, LiveFilters(since=noon)) == 1
    assert count(address, LiveFilters(until=noon)) == 3
    assert count(address, LiveFilters(error="MEMORY")) == 1


def test_the_command(address: str) -> None:
    def query(*arguments: str) -> tuple[int, str, str]:
        done = run_python("-m", "prov_worker", "run", "query", "--live", address, *arguments)
        return done.returncode, done.stdout, done.stderr

    code, out, err = query("--running", "--json")
    assert (code, err) == (0, "")
    assert [row["function"] for row in json.loads(out)] == ["run"]
    code, out, _ = query("--columns", "function,cpu_s", "--sort=-cpu_s", "--limit", "1", "--csv")
    assert (code, out) == (0, "function,cpu_s\nfitXall,9.0\n")
    code, out, err = query("--user", "me")
    assert (code, "--user does not go with --live" in err) == (2, True)


@pytest.mark.parametrize(
    "query, part",
    [
        ("DELETE FROM task", "not authorized"),
        ("ATTACH '/tmp/never.sqlite' AS x", "not authorized"),
        ("PRAGMA writable_schema = 1", "not authorized"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("SELEC", "syntax error"),
    ],
)
def test_it_is_only_read(address: str, query: str, part: str) -> None:
    with LiveDatabase(address) as database, pytest.raises(InputError, match=part):
        database.sql(query)


@pytest.mark.parametrize(
    "text, part",
    [
        ("sqlite:/none/x", "no such database"),
        ("jsonl:x", "jsonl answers no questions"),
        ("postgresql://a:b@h/", "has a password in it"),
        ("ftp://x", "^--live: expected sqlite:PATH or postgresql://HOST/DATABASE; unknown scheme 'ftp'$"),
        ("live.sqlite", "^--live: expected sqlite:PATH or postgresql://HOST/DATABASE; there is no scheme$"),
    ],
)
def test_what_is_no_database(text: str, part: str) -> None:
    with pytest.raises(InputError, match=part):
        LiveDatabase(text)


def test_a_file_without_tables(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with all_closed(), pytest.raises(InputError, match="no such table"):
        LiveDatabase(f"sqlite:{tmp_path / 'empty'}")


def test_columns_are_checked(address: str) -> None:
    with LiveDatabase(address) as database:
        with pytest.raises(InputError, match=r"no column 'strat_time'; did you mean 'start_time'\?$"):
            database.ask(LiveFilters(), (), ("strat_time",), None)
        with pytest.raises(InputError, match="no column 'x'"):
            database.ask(LiveFilters(), ["x"])
        assert database.sql("SELECT count(*) AS n FROM event").columns == ["n"]
