"""Each sink with its real server: away, killed, full, with a wrong password; nothing is lost, and nothing hangs."""

from __future__ import annotations

import gc
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest

from prov_worker.errors import InputError, MissingExtraError
from prov_worker.processes import host_name
from prov_worker.stream.lane import Lane
from prov_worker.stream.live import LiveDatabase, LiveFilters
from prov_worker.stream.sender import Sender
from prov_worker.stream.sink import AwayError, RefusedError, make_sink
from prov_worker.stream.tables import CLOCK_TABLE, VERSION_TABLE
from prov_worker.stream_url import StreamUrl, stream_urls
from support.certificates import Authority
from support.commands import run_python
from support.crate_dir import wait_until
from support.event_servers import PASSWORD, EventServer, KafkaServer, PostgresqlServer, RabbitServer, RedisServer
from support.events import Story

SERVERS: dict[str, Callable[[Path, Authority | None], EventServer]] = {
    "redis": RedisServer,
    "postgresql": lambda _, authority: PostgresqlServer(authority),
    "kafka": lambda _, authority: KafkaServer(authority),
    "amqp": RabbitServer,
}
#: A RabbitMQ takes ten seconds to start, and pika leaves sockets of earlier attempts to the collector of garbage.
RABBIT = [pytest.mark.long, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]
KINDS = ["redis", "postgresql", "kafka", pytest.param("amqp", marks=RABBIT)]
EXTRAS = {"redis": "redis", "postgresql": "psycopg", "kafka": "confluent_kafka", "amqp": "pika"}


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventServer]:
    yield from serving(request.param, tmp_path, monkeypatch, None)


@pytest.fixture
def secure(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventServer]:
    """A server with TLS, whose certificate is of an authority of the test."""
    yield from serving(request.param, tmp_path, monkeypatch, Authority(tmp_path / "authority"))


def serving(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: Authority | None
) -> Iterator[EventServer]:
    module = importlib.import_module(f"prov_worker.stream.sinks.{kind}")
    monkeypatch.setattr(module, "TIMEOUT_S", 2.0)
    monkeypatch.setenv("PROV_WORKER_STREAM_PASSWORD_1", PASSWORD)
    (tmp_path / "server").mkdir(mode=0o700)
    server = SERVERS[kind](tmp_path / "server", authority)
    try:
        server.start()
        yield server
    finally:
        server.close()
        if kind == "amqp":
            gc.collect()  # what pika leaves is this test's, whose marks know it


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


FILLED = ["redis", pytest.param("postgresql", marks=pytest.mark.long), "kafka", pytest.param("amqp", marks=RABBIT)]


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
    secret.write_text(f"{PASSWORD}\n")
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


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("server", KINDS, indirect=True)
def test_killed_full_and_away_for_a_minute_in_one_run(server: EventServer, story: Story) -> None:
    """With one sender, as an agent has it: it says what is wrong once, and once that it has passed."""
    sayings: list[str] = []
    sender = Sender(
        str(story.crates), stream_urls([server.url]), lambda text, *values: sayings.append(text % values), strict=True
    )
    stream = sender.streams[0]

    def everything_comes(problems: int) -> None:
        wait_until(lambda: stream.lane.waiting() == 0, lambda: f"all events: {stream.problem} {sayings}")
        wait_until(lambda: not stream.problem, lambda: str(sayings))
        assert set(server.ids()) == told_ids(story)
        assert sum("takes events again" in text for text in sayings) == problems, sayings

    story.tell(50)
    sender.start()
    try:
        everything_comes(0)
        server.kill()
        story.tell(50)
        wait_until(lambda: stream.problem, "a word on the server that is gone")
        server.start()
        everything_comes(1)
        server.fill()
        story.tell(50)
        wait_until(lambda: stream.problem, "a word on the server that is full")
        server.make_room()
        everything_comes(2)
        server.kill()
        until, count = time.monotonic() + 60, 0
        while time.monotonic() < until:
            story.tell(1)
            count += 1
            time.sleep(0.5)
        assert stream.problem
        assert stream.lane.waiting() >= 3 * count
        server.start()
        everything_comes(3)
    finally:
        sender.end(30.0)
    assert not stream.is_alive
    assert all(PASSWORD not in text for text in sayings)
    if isinstance(server, PostgresqlServer):
        assert len(server.ids()) == len(told_ids(story))
        assert server.query("SELECT DISTINCT status FROM task") == [("completed",)]


def with_parameters(url: str, **changes: str) -> StreamUrl:
    """Return an address with other parameters; an empty one is left out."""
    parts = urlsplit(url)
    query = {key: value for key, value in {**dict(parse_qsl(parts.query)), **changes}.items() if value}
    return stream_urls([urlunsplit(parts._replace(query=urlencode(query)))])[0]


@pytest.mark.parametrize("secure", KINDS, indirect=True)
def test_with_tls_both_sides_are_who_they_say(secure: EventServer, story: Story, tmp_path: Path) -> None:
    story.tell(1)
    ca = "sslrootcert" if isinstance(secure, PostgresqlServer) else "ca"
    stranger = Authority(tmp_path / "stranger")
    wrong = {"system": "", "another": str(stranger.path)}
    if isinstance(secure, PostgresqlServer):
        del wrong["system"]  # for which libpq looks in the home directory
    for path in wrong.values():
        lane = Lane(str(story.directory), with_parameters(secure.url, **{ca: path}))
        with pytest.raises(RefusedError, match=r"(?i)certificate.verify.failed"):
            lane.step()
        lane.close()
    if not isinstance(secure, PostgresqlServer):  # the others ask who the client is
        certificate, key = stranger.client
        for pair in ({"cert": "", "key": ""}, {"cert": str(certificate), "key": str(key)}):
            lane = Lane(str(story.directory), with_parameters(secure.url, **pair))
            with pytest.raises((AwayError, RefusedError)):
                lane.step()
            lane.close()
    lane = Lane(str(story.directory), StreamUrl(secure.url))
    assert lane.step() == 3
    lane.close()
    assert set(secure.ids()) == told_ids(story)


@pytest.mark.parametrize("secure", ["kafka"], indirect=True)
def test_a_wrong_login_at_kafka_is_said_and_not_shown(
    secure: KafkaServer, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.tell(1)
    monkeypatch.setenv("PROV_WORKER_STREAM_PASSWORD_1", "wrong-and-secret")
    lane = Lane(str(story.directory), StreamUrl(secure.url))
    with pytest.raises(RefusedError) as problem:
        lane.step()
    lane.close()
    assert "wrong-and-secret" not in str(problem.value)
    assert secure.refused > 0


@pytest.mark.parametrize("server", ["redis", "postgresql"], indirect=True)
def test_the_servers_clock_is_compared_with_this_nodes(server: EventServer, story: Story) -> None:
    story.tell(1)
    lane = Lane(str(story.directory), stream_urls([server.url])[0])
    lane.step()
    lane.close()
    if isinstance(server, PostgresqlServer):
        ((host, offset_s, within_s),) = server.query(f"SELECT host, offset_s, within_s FROM {CLOCK_TABLE}")
    else:
        assert isinstance(server, RedisServer)
        ((host, note),) = server.clocks().items()
        offset_s, within_s = note["offset_s"], note["within_s"]
    assert host == host_name()
    assert 0 < within_s < 60
    assert abs(offset_s) <= within_s + 1e-3  # it is the same machine


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_a_table_without_the_latest_columns_gets_them(server: PostgresqlServer, story: Story) -> None:
    story.tell(1)
    lane = Lane(str(story.directory), stream_urls([server.url])[0])
    lane.step()
    lane.close()
    server.query(f"ALTER TABLE task DROP COLUMN gpu_percent; DROP TABLE {CLOCK_TABLE}")
    odd = story.tell(1, error="a\0b \ud800", gpu_percent=64.0, usage={"cpu_s": float("nan")})[0]
    assert lane.step() == 3
    lane.close()
    assert server.query(f"SELECT error, gpu_percent, usage FROM task WHERE task_id = '{odd}'") == [
        ("a\ufffdb \ufffd", 64.0, {"cpu_s": None})
    ]


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
        ("amqp://host/?ca=/x", "ca: for TLS, which this address is without; begin it with amqps://"),
        ("amqps://host/?ca=/none", r"ca \(/none\): No such file"),
        ("redis://host/?key=/x", "begin it with rediss://"),
        ("rediss://host/?ca=/etc/passwd", "holds no certificate"),
        ("rediss://host/?cert=/x", "cert and key go together"),
        ("rediss://host/?cert=/x&key=/etc/passwd", "/etc/passwd: is open to others"),
        ("kafka://host/t?ca=/x", "add tls=1"),
        ("kafka://host/t?tls=yes", "tls: expected 0 or 1, got 'yes'"),
        ("kafka://host/t?mechanism=PLAIN", "for a user, which this address has none of"),
        ("kafka://me@host/t?mechanism=GSSAPI", "expected one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512; got 'GSSAPI'"),
        ("postgresql://host/x?colour=red", "colour"),
        ("postgresql://host/x?sslmode=full", "sslmode: expected one of disable, .*; got 'full'"),
        ("postgresql://host/x?sslrootcert=/none", "sslrootcert: /none: no such file"),
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
