"""Routes without a broker: who may, what is refused, and how it is said."""

from __future__ import annotations

import contextlib
import http.client
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from web_client import ALICE, BOB, BODY_LIMIT, TASK_LIMIT, Web

from prov_worker.localservice import messages
from prov_worker.localservice.identities import Identity
from prov_worker.localservice.records import Endpoint, Incoming, NewTask, Pulse, Result, Submission, UserEndpoint

ENDPOINT = str(uuid.uuid4())
USER_ENDPOINT = str(uuid.uuid4())
GROUP = str(uuid.uuid4())
TASK = str(uuid.uuid4())
FUNCTION_BODY = {"function_name": "add", "function_code": "5\n01\nx\n"}


@pytest.fixture
def filled(web: Web) -> Web:
    """Alice has an endpoint, a function, and a task that is done."""
    storage = web.service.storage
    registration = {"endpoint_name": "ep", "metadata": {"endpoint_config": "a: b\n"}}
    storage.save_endpoint(Endpoint(ENDPOINT, ALICE.client_id, "ep", time.time(), registration))
    storage.save_user_endpoint(UserEndpoint(USER_ENDPOINT, ENDPOINT, ALICE.client_id, {}, {}))
    status, content, _ = web.ask("POST", "/v3/functions", FUNCTION_BODY, headers=web.bearer(ALICE))
    assert status == 200
    storage.add_tasks(
        [NewTask(TASK, content["function_uuid"], "p")],
        Submission(owner=ALICE.client_id, user_endpoint=USER_ENDPOINT, group=GROUP, queue=False),
        now=time.time(),
    )
    body = messages.failure(TASK, "X", "no luck")
    storage.apply(
        Incoming(
            results=[Result(TASK, ALICE.client_id, USER_ENDPOINT, True, body)],
            pulses={(ALICE.client_id, ENDPOINT): Pulse(time.time(), 5.0, {"heartbeat_period": 5})},
        ),
        now=time.time(),
    )
    return web


def test_login(web: Web) -> None:
    scope = "https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all"
    form = f"grant_type=client_credentials&scope={scope}+openid+{scope}".encode()
    headers = web.basic(ALICE)
    status, content, answered = web.ask("POST", "/v2/oauth2/token", headers=headers, raw=form)
    assert (status, answered["cache-control"]) == (200, "no-store")
    assert (content["resource_server"], content["scope"]) == ("funcx_service", scope)
    (other,) = content["other_tokens"]
    assert (other["resource_server"], other["scope"]) == ("auth.globus.org", "openid")
    status, content, _ = web.ask(
        "GET", "/v2/oauth2/userinfo", headers={"Authorization": f"Bearer {other['access_token']}"}
    )
    assert status == 200
    assert [each["sub"] for each in content["identity_set"]] == [ALICE.client_id]


def test_a_wrong_secret_is_told_nothing(web: Web) -> None:
    form = b"grant_type=client_credentials&scope=openid"
    answers = [
        web.ask("POST", "/v2/oauth2/token", headers=headers, raw=form)
        for headers in (
            web.basic(ALICE, "wrong"),
            web.basic(Identity(str(uuid.uuid4()), "whoever he is")),
            {},
            {"Authorization": "Basic !!!"},
        )
    ]
    assert [status for status, _, _ in answers] == [401] * 4
    assert answers[0][1] == answers[1][1]
    assert answers[0][2]["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    "form, error",
    [
        (b"", "unsupported_grant_type"),
        (b"grant_type=password&scope=x", "unsupported_grant_type"),
        (b"grant_type=client_credentials", "invalid_scope"),
        (b"\xff\xfe", "invalid_request"),
        (b"a=b&" * 100, "invalid_request"),
    ],
)
def test_what_is_no_token_request(web: Web, form: bytes, error: str) -> None:
    status, content, _ = web.ask("POST", "/v2/oauth2/token", headers=web.basic(ALICE), raw=form)
    assert (status, content["error"]) == (400, error)


def test_a_token_is_for_one_server(web: Web) -> None:
    compute, auth = web.bearer(ALICE), web.bearer(ALICE, "openid")
    assert web.ask("GET", "/v2/endpoints", headers=compute)[0] == 200
    assert web.ask("GET", "/v2/endpoints", headers=auth)[0] == 401
    assert web.ask("GET", "/v2/oauth2/userinfo", headers=compute)[0] == 401


def test_a_token_survives_a_restart_and_a_revoked_one_does_not_come_back(start: Callable[[], Web]) -> None:
    web = start()
    kept, given_back = web.bearer(ALICE), web.bearer(ALICE)
    token = given_back["Authorization"].split()[1]
    for who in (BOB, ALICE):  # Bob cannot revoke it, and learns nothing
        status, content, _ = web.ask(
            "POST", "/v2/oauth2/token/revoke", headers=web.basic(who), raw=f"token={token}".encode()
        )
        assert (status, content) == (200, {"active": False})
        assert web.ask("GET", "/v2/endpoints", headers=given_back)[0] == (200 if who is BOB else 401)
    web = start()
    assert web.ask("GET", "/v2/endpoints", headers=kept)[0] == 200
    assert web.ask("GET", "/v2/endpoints", headers=given_back)[0] == 401


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x.y"}, {"Authorization": "Basic eA=="}])
def test_every_route_wants_a_token_but_those_for_monitors(web: Web, headers: dict[str, str]) -> None:
    description = web.ask("GET", "/openapi.json")[1]
    free = {"/v2/version", "/health", "/metrics"}
    refusals = 0
    for path, methods in description["paths"].items():
        for method in methods:
            if path in free:
                continue
            status, content, _ = web.ask(
                method.upper(), path.replace("{", "").replace("}", ""), headers=headers, raw=b"{}"
            )
            # A path that is not a UUID, or a body of the wrong form, may be told first: it says nothing of anyone's.
            assert status in (401, 422), (method, path, content)
            refusals += status == 401
            identifier = str(uuid.uuid4())
            for name in ("endpoint_id", "function_id", "task_id", "group_id"):
                path = path.replace("{" + name + "}", identifier)
            assert web.ask(method.upper(), path, headers=headers)[0] in (401, 422)
    assert refusals >= 5


def test_reading_ones_own(filled: Web) -> None:
    headers = filled.bearer(ALICE)
    status, content, _ = filled.ask("GET", f"/v2/endpoints/{ENDPOINT}", headers=headers)
    assert (status, content["endpoint_config"], content["status"]) == (200, "a: b\n", "online")
    assert filled.ask("GET", f"/v2/endpoints/{ENDPOINT}/status", headers=headers)[1]["status"] == "online"
    assert [each["uuid"] for each in filled.ask("GET", "/v2/endpoints", headers=headers)[1]] == [ENDPOINT]
    status, content, _ = filled.ask("GET", f"/v2/tasks/{TASK}", headers=headers)
    assert (status, content["status"], content["exception"], content["details"]) == (200, "failed", "no luck", None)
    assert "result" not in content
    status, content, _ = filled.ask("POST", "/v2/batch_status", {"task_ids": [TASK, GROUP]}, headers=headers)
    assert (status, list(content["results"])) == (200, [TASK])


def test_nobody_reads_or_changes_anothers(filled: Web) -> None:
    function = filled.service.storage.tasks([TASK], ALICE.client_id)[TASK].function
    headers = filled.bearer(BOB)
    registration = {"endpoint_name": "mine now"}
    submission = {"tasks": {function: ["x"]}}
    requests: list[tuple[str, str, Any]] = [
        ("GET", f"/v2/endpoints/{ENDPOINT}", None),
        ("GET", f"/v2/endpoints/{ENDPOINT}/status", None),
        ("GET", f"/v2/endpoints/{USER_ENDPOINT}/status", None),
        ("GET", f"/v3/endpoints/{ENDPOINT}/allowed_functions", None),
        ("PUT", f"/v3/endpoints/{ENDPOINT}", registration),
        ("DELETE", f"/v2/endpoints/{ENDPOINT}", None),
        ("POST", f"/v3/endpoints/{ENDPOINT}/lock", None),
        ("POST", f"/v3/endpoints/{ENDPOINT}/submit", submission),
        ("GET", f"/v2/functions/{function}", None),
        ("DELETE", f"/v2/functions/{function}", None),
        ("GET", f"/v2/tasks/{TASK}", None),
        ("GET", f"/v2/taskgroup/{GROUP}", None),
    ]
    for method, path, content in requests:
        status, answer, _ = filled.ask(method, path, content, headers=headers)
        assert status == 404, (method, path, answer)
        if method == "PUT":
            continue  # one that does not exist is made, and waits for the broker
        # The same words as for what does not exist.
        unknown = str(uuid.uuid4())
        identifier = next(each for each in path.split("/") if len(each) == 36)
        status, same, _ = filled.ask(method, path.replace(identifier, unknown), content, headers=headers)
        assert str(same).replace(unknown, identifier) == str(answer)
    assert filled.ask("GET", "/v2/endpoints", headers=headers)[1] == []
    assert filled.ask("POST", "/v2/batch_status", {"task_ids": [TASK]}, headers=headers)[1]["results"] == {}
    endpoint = filled.service.storage.endpoint(ENDPOINT)
    assert endpoint is not None
    assert (endpoint.name, endpoint.locked) == ("ep", False)


def test_public_functions_are_for_everyone_to_read_and_their_owner_to_delete(web: Web) -> None:
    _, content, _ = web.ask("POST", "/v3/functions", {**FUNCTION_BODY, "public": True}, headers=web.bearer(ALICE))
    path = f"/v2/functions/{content['function_uuid']}"
    assert web.ask("GET", path, headers=web.bearer(BOB))[0] == 200
    assert web.ask("DELETE", path, headers=web.bearer(BOB))[0] == 404
    assert web.ask("DELETE", path, headers=web.bearer(ALICE))[0] == 200
    assert web.ask("GET", path, headers=web.bearer(ALICE))[0] == 404


def test_functions_that_an_endpoint_does_not_allow(filled: Web) -> None:
    function = filled.service.storage.tasks([TASK], ALICE.client_id)[TASK].function
    registration = {"endpoint_name": "ep", "allowed_functions": [GROUP]}
    filled.service.storage.save_endpoint(Endpoint(ENDPOINT, ALICE.client_id, "ep", 1.0, registration))
    headers = filled.bearer(ALICE)
    status, content, _ = filled.ask(
        "POST", f"/v3/endpoints/{ENDPOINT}/submit", {"tasks": {function: ["x"]}}, headers=headers
    )
    assert (status, content["errors"][0]["code"]) == (403, "FUNCTION_NOT_PERMITTED")
    content = filled.ask("GET", f"/v3/endpoints/{ENDPOINT}/allowed_functions", headers=headers)[1]
    assert (content["restricted"], content["functions"]) == (True, [GROUP])


@pytest.mark.parametrize(
    "raw, status",
    [
        (b"", 422),
        (b"{", 400),
        (b"null", 422),
        (b"[]", 422),
        (b"\xff\xfe", 400),
        (b'{"function_name": "a", "function_code": NaN}', 400),
        (b'{"function_name": "a", "function_code": "\\ud800"}', 400),
        (b'{"function_name": "a", "function_code": "x", "meta": {"x": 1e999}}', 400),
        (b'{"function_name": "a", "function_code": "x", "meta": {"x": ' + b"9" * 5000 + b"}}", 400),
        (b"[" * 50_000, 400),
        (b'{"function_name": "a", "function_code": "x", "serialized": 1}', 422),
        (b'{"function_name": "", "function_code": "x"}', 422),
        (b'{"function_name": "a", "function_code": "x\\u0000y"}', 200),
        (b'{"function_name": "a", "function_code": "\\ud83d\\ude00"}', 200),
    ],
)
def test_bodies(web: Web, raw: bytes, status: int) -> None:
    headers = {**web.bearer(ALICE), "Content-Type": "application/json"}
    answered, content, _ = web.ask("POST", "/v3/functions", headers=headers, raw=raw)
    assert answered == status, content
    if status != 200:
        assert content["reason"]
        assert content["http_status_code"] == status
        assert "Traceback" not in str(content)


def test_large_bodies(web: Web) -> None:
    headers = {**web.bearer(ALICE), "Content-Type": "application/json"}
    body = {"function_name": "a", "function_code": "x" * BODY_LIMIT}
    status, content, _ = web.ask("POST", "/v3/functions", body, headers=headers)
    assert (status, content["errors"][0]["code"]) == (413, "PAYLOAD_TOO_LARGE")

    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=90)) as connection:
        connection.putrequest("POST", "/v3/functions")
        for name, value in {**headers, "Transfer-Encoding": "chunked"}.items():
            connection.putheader(name, value)
        connection.endheaders()
        # No more than the first byte too many, and no end: or else the connection ends before the answer is read.
        connection.send(b"%x\r\n" % (BODY_LIMIT + 1) + b"x" * (BODY_LIMIT + 1) + b"\r\n")
        answer = connection.getresponse()
        assert (answer.status, b"no more are taken" in answer.read()) == (413, True)


def test_many_tasks(filled: Web) -> None:
    function = filled.service.storage.tasks([TASK], ALICE.client_id)[TASK].function
    submission = {"tasks": {function: ["x"] * (TASK_LIMIT + 1)}}
    path = f"/v3/endpoints/{ENDPOINT}/submit"
    status, content, _ = filled.ask("POST", path, submission, headers=filled.bearer(ALICE))
    assert (status, f"at most {TASK_LIMIT}" in content["reason"]) == (413, True)


def test_unknown_paths_and_methods(web: Web) -> None:
    assert web.ask("GET", "/v2/nothing")[0] == 404
    status, content, headers = web.ask("PATCH", f"/v2/endpoints/{ENDPOINT}")
    assert (status, headers["allow"]) == (405, "DELETE, GET")
    assert "PATCH" in content["reason"]


def test_health_without_a_broker(web: Web) -> None:
    status, content, _ = web.ask("GET", "/health")
    assert (status, content["broker"], content["storage"]) == (503, "down", "up")


def test_metrics(filled: Web) -> None:
    status, text, headers = filled.ask("GET", "/metrics")
    assert (status, headers["content-type"].split(";")[0]) == (200, "text/plain")
    from prometheus_client.parser import text_string_to_metric_families

    families = {family.name: family for family in text_string_to_metric_families(text)}
    values = {(each.name, *each.labels.values()): each.value for family in families.values() for each in family.samples}
    assert values["prov_service_tasks", "failed"] == 1
    assert values["prov_service_endpoints", "online"] == 1
    assert values["prov_service_broker_up",] == 0
    assert values["prov_service_start_commands_total",] == 0
    assert values["prov_service_start_time_seconds",] == pytest.approx(filled.service.started, abs=1e-3)
    assert values["prov_service_requests_total", "POST", "/v3/functions", "200"] == 1
    labels = {family.name: [list(each.labels) for each in family.samples][:1] for family in families.values()}
    assert labels["prov_service_requests"] == [["method", "route", "status"]]
    assert {family.type for family in families.values()} == {"counter", "gauge"}
    assert not [name for name in families if name.endswith("_created")]
    for secret in (ALICE.client_secret, ALICE.client_id, ENDPOINT, TASK):
        assert secret not in text


def test_an_error_of_our_own_shows_no_trace(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cannot be provoked from outside: the storage is made to raise."""

    def broken(_owner: str) -> list[Endpoint]:
        raise RuntimeError("the innermost secret")

    headers = web.bearer(ALICE)
    monkeypatch.setattr(web.service.storage, "endpoints", broken)
    status, content, _ = web.ask("GET", "/v2/endpoints", headers=headers)
    assert (status, "secret" in str(content), "Traceback" in str(content)) == (500, False, False)


def test_status_page(filled: Web) -> None:
    status, _, headers = filled.ask("GET", "/")
    assert (status, headers["www-authenticate"].split()[0]) == (401, "Basic")
    assert filled.ask("GET", "/", headers=filled.basic(ALICE, "wrong"))[0] == 401
    status, page, headers = filled.ask("GET", "/", headers=filled.basic(ALICE))
    assert status == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "Alice &lt;&amp;&gt;" in page
    assert ENDPOINT in page
    assert TASK in page
    page = filled.ask("GET", "/", headers=filled.basic(BOB))[1]
    assert ENDPOINT not in page
    assert TASK not in page
    assert "None yet" in page
