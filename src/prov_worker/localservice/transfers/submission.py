"""What is submitted to Transfer, checked (https://docs.globus.org/api/transfer/task_submit/)."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

from prov_worker.localservice.transfers.errors import TransferError
from prov_worker.localservice.transfers.records import TRANSFER

#: Names of fields in the retired action provider.
_OLD = {
    "source_endpoint_id": "source_endpoint",
    "destination_endpoint_id": "destination_endpoint",
    "transfer_items": "DATA",
    "endpoint_id": "endpoint",
    "items": "DATA",
}
_FLAGS = {
    TRANSFER: {
        "verify_checksum": True,
        "preserve_timestamp": False,
        "encrypt_data": False,
        "skip_source_errors": False,
        "fail_on_quota_errors": False,
        "delete_destination_extra": False,
    },
    "DELETE": {"recursive": False, "ignore_missing": False, "interpret_globs": False},
}
_NOTIFY = ("notify_on_succeeded", "notify_on_failed", "notify_on_inactive")
#: Of a task without one, and the longest (same page, "deadline").
_DEADLINE_S = 86_400.0
_LABEL = re.compile(r"(?!\s)[^\r\n]{0,128}(?<!\s)\Z")
_CHECKSUMS = {"MD5": "md5", "SHA1": "sha1", "SHA256": "sha256", "SHA512": "sha512"}


def bad(message: str, code: str = "ClientError.BadRequest") -> TransferError:
    """Return the refusal of a request."""
    return TransferError(400, code, message)


def checked(body: Mapping[str, Any], kind: str, now: float) -> tuple[dict[str, Any], float]:
    """Return a submission with all that is not given, and its deadline.

    Raises:
        TransferError: 400; names the field.
    """
    given = {_OLD.get(key, key): value for key, value in body.items() if value is not None}
    ends = ("source_endpoint", "destination_endpoint") if kind == TRANSFER else ("endpoint",)
    content: dict[str, Any] = {}
    for key in ends:
        if not isinstance(given.get(key), str):
            raise bad(f"{key}: expected the id of a collection")
        content[key] = given[key].lower()
    for key, default in {**_FLAGS[kind], **dict.fromkeys(_NOTIFY, True)}.items():
        content[key] = given.get(key, default)
        if not isinstance(content[key], bool):
            raise bad(f"{key}: expected true or false")
    content["label"] = label_of(given.get("label"))
    items = given.get("DATA")
    if not isinstance(items, list):
        raise bad("DATA: expected a list of items")
    if not items:
        name = "A transfer" if kind == TRANSFER else "A delete"
        raise bad(f"{name} requires at least one item", f"ClientError.BadRequest.No{kind.title()}Items")
    if kind == TRANSFER:
        level = given.get("sync_level")
        if level is not None and (isinstance(level, bool) or level not in (0, 1, 2, 3)):
            raise bad(f"sync_level: {level!r}: expected 0, 1, 2 or 3")
        links = given.get("recursive_symlinks", "ignore")
        if links not in ("ignore", "keep"):
            raise bad("recursive_symlinks: expected ignore or keep; copy is not there in this rehearsal")
        content |= {"sync_level": level, "recursive_symlinks": links, "filter_rules": _rules(given.get("filter_rules"))}
        content["DATA"] = [_transfer_item(item, number) for number, item in enumerate(items)]
    else:
        content["DATA"] = [_delete_item(item, number) for number, item in enumerate(items)]
    return content, deadline_of(given.get("deadline"), now)


def label_of(label: Any) -> str | None:
    """Return a label.

    Raises:
        TransferError: 400.
    """
    if label is not None and (not isinstance(label, str) or not _LABEL.match(label)):
        raise bad("label: expected a text of 128 characters at most, without line breaks and spaces at its ends")
    return label or None


def deadline_of(text: Any, now: float) -> float:
    """Return a deadline in seconds since the epoch; a day from now if none is given.

    Raises:
        TransferError: 400.
    """
    if text is None:
        return now + _DEADLINE_S
    try:
        moment = datetime.datetime.fromisoformat(str(text).strip().replace("Z", "+00:00"))
    except ValueError:
        raise bad(f"deadline: {str(text)[:80]!r}: expected a time, such as 2017-10-12 12:33:54+00:00") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.timezone.utc)
    if moment.timestamp() <= now:
        raise bad("deadline: it has passed")
    return moment.timestamp()


def _rules(rules: Any) -> list[dict[str, Any]]:
    if rules is None:
        return []
    if not isinstance(rules, list) or not all(isinstance(rule, Mapping) for rule in rules):
        raise bad("filter_rules: expected a list of rules")
    for number, rule in enumerate(rules):
        where, name = f"filter_rules[{number}]", rule.get("name")
        if not isinstance(name, str) or not name or any(character in name for character in "/\0\r\n"):
            raise bad(f"{where}.name: expected a pattern of names without /")
        if rule.get("method", "exclude") not in ("include", "exclude"):
            raise bad(f"{where}.method: expected include or exclude")
        if rule.get("type") not in (None, "file", "dir"):
            raise bad(f"{where}.type: expected file or dir")
    return [{"method": rule.get("method", "exclude"), "name": rule["name"], "type": rule.get("type")} for rule in rules]


def _mapping(item: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(item, Mapping):
        raise bad(f"{where}: expected an object")
    return item


def _path(item: Mapping[str, Any], key: str, where: str) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value:
        raise bad(f"{where}.{key}: expected a path")
    return value


def _transfer_item(item: Any, number: int) -> dict[str, Any]:
    where = f"DATA[{number}]"
    item = _mapping(item, where)
    if item.get("DATA_TYPE", "transfer_item") != "transfer_item":
        raise bad(f"{where}.DATA_TYPE: {item['DATA_TYPE']!r} is not there in this rehearsal; transfer_item is")
    recursive = item.get("recursive")
    if recursive is not None and not isinstance(recursive, bool):
        raise bad(f"{where}.recursive: expected true or false")
    checksum, algorithm = item.get("external_checksum"), str(item.get("checksum_algorithm") or "MD5").upper()
    if checksum is not None:
        if recursive:
            raise bad(f"{where}.external_checksum: a directory has none")
        if not isinstance(checksum, str):
            raise bad(f"{where}.external_checksum: expected a text")
        if algorithm not in _CHECKSUMS:
            raise bad(f"{where}.checksum_algorithm: expected one of {', '.join(_CHECKSUMS)}")
    paths = {key: _path(item, key, where) for key in ("source_path", "destination_path")}
    more = {} if checksum is None else {"checksum": checksum.lower(), "algorithm": _CHECKSUMS[algorithm]}
    return {**paths, "recursive": recursive, **more}


def _delete_item(item: Any, number: int) -> dict[str, Any]:
    where = f"DATA[{number}]"
    return {"path": _path(_mapping({"path": item} if isinstance(item, str) else item, where), "path", where)}
