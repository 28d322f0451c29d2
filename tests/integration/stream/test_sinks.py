"""Each sink with its real server: away, killed, full, with a wrong password; nothing is lost, and nothing hangs."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prov_worker.errors import InputError, MissingExtraError
from prov_worker.stream.lane import Lane
from prov_worker.stream.live import LiveDatabase, LiveFilters
from prov_worker.stream.sink import AwayError, RefusedError, make_sink
from prov_worker.stream.tables import VERSION_TABLE
from prov_worker.stream_url import StreamUrl, stream_urls
from support.commands import run_python
from support.event_servers import PASSWORD, EventServer, KafkaServer, PostgresqlServer, RabbitServer, RedisServer
from support.events import Story

SERVERS: dict[str, Callable[[Path], EventServer]] = {
    "redis": RedisServer,
    "postgresql": lambda _: PostgresqlServer(),
    "kafka": lambda _: KafkaServer(),
    "amqp": RabbitServer,
}
#: A RabbitMQ takes ten seconds to start, and pika leaves sockets of earlier attempts to the collector of garbage.
RABBIT = [pytest.mark.long, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]
KINDS = ["redis", "postgresql", "kafka", pytest.param("amqp", marks=RABBIT)]
EXTRAS = {"redis": "redis", "postgresql": "psycopg", "kafka": "confluent_kafka", "amqp": "pika"}


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventServer]:
    kind: str = request.param
    module = importlib.import_module(f"prov_worker.stream.sinks.{kind}")
    monkeypatch.setattr(module, "TIMEOUT_S", 2.0)
    monkeypatch.setenv("PROV_WORKER_STREAM_PASSWORD_1", "guest" if kind == "amqp" else PASSWORD)
    (tmp_path / "server").mkdir(mode=0o700)
    server = SERVERS[kind](tmp_path / "server")
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path / "crates")


def delivered(lane: Lane, limit_s: float = 60.0) -> int:
    """Send what is left to a server that may need a moment more; return how many events the last try sent."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            return lane.step()
        except AwayError:
            lane.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def told_ids(story: Story) -> set[str]:
    return {
        json.loads(line)["id"] for path in story.directory.glob("*.events") for line in path.read_bytes().splitlines()
    }


@pytest.mark.parametrize("server", KINDS, indirect=True)
def test_a_server_that_is_killed_gets_everything_once_it_is_back(server: EventServer, story: Story) -> None:
    story.tell(50)
    lane = Lane(str(story.directory), stream_urls([server.url])[0])
    assert lane.step() == 150
    assert sorted(server.ids()) == sorted(told_ids(story))
    server.kill()
    story.tell(50)
    for _ in range(2):
        with pytest.raises(AwayError) as problem:
            lane.step()
        assert PASSWORD not in str(problem.value)
        lane.close()
    assert lane.waiting() == 150
    server.start()
    story.tell(1)
    assert delivered(lane) == 153
    assert set(server.ids()) == told_ids(story)
    if isinstance(server, PostgresqlServer):
        assert len(server.ids()) == 303
        assert server.query("SELECT status, count(*), count(crate) FROM task GROUP BY 1") == [("completed", 101, 101)]
    lane.close()


FILLED = ["redis", pytest.param("postgresql", marks=pytest.mark.long), pytest.param("amqp", marks=RABBIT)]


@pytest.mark.parametrize("server", FILLED, indirect=True)
def test_a_server_that_is_full_holds_events_up_and_loses_none(server: EventServer, story: Story) -> None:
    story.tell(2)
    lane = Lane(str(story.directory), stream_urls([server.url])[0])
    lane.step()
    server.fill()
    story.tell(20)
    for _ in range(2):
        with pytest.raises(AwayError):
            lane.step()
        lane.close()
    server.make_room()
    assert delivered(lane) == 60
    assert set(server.ids()) == told_ids(story)
    lane.close()


@pytest.mark.parametrize("server", ["redis", "postgresql", pytest.param("amqp", marks=RABBIT)], indirect=True)
def test_a_wrong_password_is_said_and_not_shown(
    server: EventServer, story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.tell(1)
    monkeypatch.setenv("PROV_WORKER_STREAM_PASSWORD_1", "wrong-and-secret")
    lane = Lane(str(story.directory), stream_urls([server.url])[0])
    with pytest.raises(RefusedError) as problem:
        lane.step()
    assert "wrong-and-secret" not in str(problem.value)
    lane.close()
    monkeypatch.delenv("PROV_WORKER_STREAM_PASSWORD_1")
    secret = tmp_path / "secret"
    secret.write_text("guest\n" if isinstance(server, RabbitServer) else f"{PASSWORD}\n")
    secret.chmod(0o644)
    mark = "&" if "?" in server.url else "?"
    url = f"{server.url}{mark}password_file={secret}"
    done = run_python("-m", "prov_worker", "stream", story.crates, url, "--once")
    assert (done.returncode, "is open to others" in done.stderr) == (2, True)
    secret.chmod(0o600)
    done = run_python("-m", "prov_worker", "stream", story.crates, url, "--once", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["sinks"][0]["sent"] == 3
    assert set(server.ids()) == told_ids(story)


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_tables_of_another_version_are_left_alone(
    server: PostgresqlServer, story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.tell(1)
    passwords = tmp_path / "pgpass"  # which libpq reads by itself
    passwords.write_text(f"*:*:*:*:{PASSWORD}\n")
    passwords.chmod(0o600)
    monkeypatch.delenv("PROV_WORKER_STREAM_PASSWORD_1")
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    server.query("CREATE TABLE event (id text)")
    lane = Lane(str(story.directory), stream_urls([server.url])[0])
    with pytest.raises(RefusedError, match="prov: has a table task or event that is not of prov-worker"):
        lane.step()
    server.query("DROP TABLE event")
    assert lane.step() == 3
    lane.close()
    with LiveDatabase(server.url) as database:
        assert list(database.ask(LiveFilters(status="completed"), ["task_id", "crate"], limit=5).rows) == [
            (story.tasks[0], f"{story.tasks[0]}.crate")
        ]
        assert list(database.sql("SELECT count(*) FROM event WHERE type LIKE 'task.%'").rows) == [(2,)]
        for query in ("DELETE FROM task", "SELECT 1; SELECT 2"):
            with pytest.raises(InputError, match="read-only|multiple commands"), LiveDatabase(server.url) as another:
                another.sql(query)
    server.query(f"UPDATE {VERSION_TABLE} SET version = 7")
    story.tell(1)
    with pytest.raises(RefusedError, match="its tables are of version 7, this release writes version 1"):
        lane.step()
    lane.close()
    assert (lane.waiting(), len(server.ids())) == (3, 3)


@pytest.mark.parametrize("kind, package", EXTRAS.items())
def test_a_missing_extra_is_named(kind: str, package: str, story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        MissingExtraError, match=rf"events to {kind} need {package} .*pip install 'prov-worker\[{kind}\]'"
    ):
        make_sink(StreamUrl(f"{kind}://host/topic"))


@pytest.mark.parametrize(
    "url, part",
    [
        ("redis://host/0?maxlen=many", "maxlen: expected a number of entries, got 'many'"),
        ("redis://host/0?colour=red", "unknown parameter 'colour'"),
        ("kafka://host:9092", "expected kafka://HOST:PORT/TOPIC"),
        ("amqp://host/?queue=x", "unknown parameter 'queue'"),
    ],
)
def test_wrong_parameters_are_bad_input(url: str, part: str) -> None:
    with pytest.raises(InputError, match=part):
        make_sink(StreamUrl(url))


def test_nobody_listens(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    from support.event_servers import free_port

    story.tell(1)
    for kind in EXTRAS:
        module = importlib.import_module(f"prov_worker.stream.sinks.{kind}")
        monkeypatch.setattr(module, "TIMEOUT_S", 1.0)
        lane = Lane(str(story.directory), StreamUrl(f"{kind}://127.0.0.1:{free_port()}/prov"))
        with pytest.raises(AwayError):
            lane.step()
        lane.close()
        assert lane.waiting() == 3
