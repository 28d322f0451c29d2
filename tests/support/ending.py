"""Plugin of pytest: programs end with the module of their test, and are named; no test outlives its limit.

Nor does a network of a folder's own: the tests after it in the same process would reach nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.programs import MARKER, Census, Programs, Watchdog, end, marked

CENSUS = pytest.StashKey[Census]()
WATCHDOG = pytest.StashKey[Watchdog]()
SAY = pytest.StashKey[Callable[[str], None]]()
NETWORK = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # as in the background of a shell, and then in all that tests start
        signal.signal(signal.SIGINT, signal.default_int_handler)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    run = uuid.uuid4().hex if worker == "main" else os.environ[MARKER].split("/")[0]
    config.stash[CENSUS] = Census(run, worker)
    config.stash[NETWORK] = network()

    def say(text: str) -> None:
        capture: Any = config.pluginmanager.getplugin("capturemanager")
        if capture is not None:
            capture.suspend_global_capture(in_=True)
        os.write(2, f"\n{text}\n".encode())

    config.stash[SAY] = say
    config.stash[WATCHDOG] = Watchdog(config.stash[CENSUS], say)


def network() -> str:
    """Return the name of the network namespace that the thread of the tests is in; empty if the kernel has none."""
    try:
        return os.readlink("/proc/thread-self/ns/net")
    except OSError:
        return ""


def pytest_sessionstart(session: pytest.Session) -> None:
    factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]
    session.config.stash[CENSUS].look_in(factory.getbasetemp())


def pytest_unconfigure(config: pytest.Config) -> None:
    """End programs of the session's fixtures, and of processes of pytest-xdist that were killed."""
    run, worker, *_ = os.environ[MARKER].split("/")
    end(marked(f"{run}/" if worker == "main" else f"{run}/{worker}/"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    item.config.stash[CENSUS].begin(item.nodeid.split("::")[0], item.nodeid)
    limit_s = limit_of(item)
    if limit_s is not None:
        item.config.stash[WATCHDOG].begin(item.nodeid, limit_s)
    try:
        return (yield)
    finally:
        item.config.stash[WATCHDOG].end()


def limit_of(item: pytest.Item) -> float | None:
    """Seconds that pytest-timeout gives a test; None without a limit."""
    marker = item.get_closest_marker("timeout")
    value: Any = None
    if marker is not None:
        value = marker.args[0] if marker.args else marker.kwargs.get("timeout")
    if value is None:
        value = item.config.getoption("timeout", None)
    if value is None:
        value = item.config.getini("timeout")
    return float(value) if value and float(value) > 0 else None


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Iterator[None]:
    census = request.config.stash[CENSUS]
    if fixturedef.scope == "function":
        return (yield)
    before = os.environ[MARKER]  # of the fixture that asked for this one, or of the test
    census.mark(fixturedef.scope)
    try:
        return (yield)
    finally:
        os.environ[MARKER] = before
        if fixturedef.scope in ("session", "package"):
            census.tolerate()


def shares_programs(item: pytest.Item) -> bool:
    """Whether a test has a fixture of its module: what it starts again belongs to the tests after it too."""
    return bool({"class", "module", "package"} & scopes(item))


def scopes(item: pytest.Item) -> set[str]:
    """Scopes of the fixtures of a test."""
    fixtures = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]
    return {fixture.scope for name in fixtures for fixture in fixtures[name]}


@contextlib.contextmanager
def interruptible(item: pytest.Item) -> Iterator[None]:
    watchdog = item.config.stash[WATCHDOG]
    watchdog.active = True
    try:
        yield
    finally:
        watchdog.active = False


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    with interruptible(item):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with interruptible(item):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    left: list[str] = []
    try:
        with interruptible(item):
            return (yield)
    finally:
        if item.get_closest_marker("faults") and not shares_programs(item):
            # Who kills the parent of a program means to leave it behind.
            item.config.stash[CENSUS].end_test()
        # After the last test of a module in a row nothing of it may run, but for what its folder shares.
        shared = nextitem is not None and nextitem.path.parent == item.path.parent and "package" in scopes(item)
        if not shared and (nextitem is None or nextitem.path != item.path):
            left = item.config.stash[CENSUS].leave_module()
        if left:
            # They are ended already; what a loaded machine is slow to end is no fault of the test.
            item.config.stash[SAY]("\n".join([f"{item.nodeid.split('::')[0]} left programs behind:", *left]))
        leaves = nextitem is None or nextitem.path.parent != item.path.parent
        if leaves and network() != item.config.stash[NETWORK]:
            pytest.fail(f"{item.path.parent} leaves the tests after it in a network of its own", pytrace=False)


@pytest.fixture
def programs() -> Iterator[Programs]:
    """Start programs that end with the test."""
    started = Programs()
    yield started
    started.end()
