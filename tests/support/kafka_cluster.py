"""librdkafka's mock cluster as a program: speaks Kafka on ports of its own, and holds its messages in memory.

It prints its port, and takes a line per wish from standard input: ``full`` (no disk takes a message) and ``room``;
it ends with that input. Python's package has no calls for the mock cluster, so the library in it is called.
https://github.com/confluentinc/librdkafka/blob/master/src/rdkafka_mock.h
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_PRODUCER = 0
_PRODUCE = 0
#: RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR: what a broker says whose disk is full.
_STORAGE_ERROR = 56
#: More than are produced while it is full.
_ERRORS = 10_000


def library() -> ctypes.CDLL:
    """Return the librdkafka that the package brings."""
    import confluent_kafka

    (path,) = Path(confluent_kafka.__file__).parent.with_name("confluent_kafka.libs").glob("librdkafka-*.so*")
    loaded = ctypes.CDLL(str(path))
    for name, result, arguments in (
        ("rd_kafka_new", ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]),
        ("rd_kafka_mock_cluster_new", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_int]),
        ("rd_kafka_mock_cluster_bootstraps", ctypes.c_char_p, [ctypes.c_void_p]),
        ("rd_kafka_mock_clear_request_errors", None, [ctypes.c_void_p, ctypes.c_int16]),
        (
            "rd_kafka_mock_push_request_errors_array",
            None,
            [ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)],
        ),
    ):
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def main() -> None:
    """Serve until standard input ends."""
    kafka = library()
    problem = ctypes.create_string_buffer(512)
    client = kafka.rd_kafka_new(_PRODUCER, None, problem, len(problem))
    if not client:
        sys.exit(problem.value.decode())
    cluster = kafka.rd_kafka_mock_cluster_new(client, 1)
    print(kafka.rd_kafka_mock_cluster_bootstraps(cluster).decode().rpartition(":")[2], flush=True)
    for line in sys.stdin:
        if line == "full\n":
            errors = (ctypes.c_int * _ERRORS)(*[_STORAGE_ERROR] * _ERRORS)
            kafka.rd_kafka_mock_push_request_errors_array(cluster, _PRODUCE, _ERRORS, errors)
        elif line == "room\n":
            kafka.rd_kafka_mock_clear_request_errors(cluster, _PRODUCE)
        print("done", flush=True)


if __name__ == "__main__":
    main()
