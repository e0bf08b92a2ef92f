"""Runs ClickHouse's own HTTP server over real MergeTree tables, out of the shared library that the chDB package holds.

Usage: clickhouse_server.py LIBRARY CONFIG PORT. Data is kept in the folder `data`, below the working folder.
The library's C entry takes the command line of `clickhouse local`; its query starts the listener and then waits.
SIGTERM ends the process at once: acknowledged inserts are in the operating system's hands by then.
"""

import ctypes
import os
import sys

QUERY = (
    "SYSTEM START LISTEN HTTP;"
    "SELECT sleepEachRow(1) FROM numbers(1000000000)"
    " SETTINGS function_sleep_max_microseconds_per_block = 0, max_block_size = 1 FORMAT Null"
)


class Result(ctypes.Structure):
    """chDB's `local_result_v2`."""

    _fields_ = [
        ("buffer", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("vector", ctypes.c_void_p),
        ("elapsed", ctypes.c_double),
        ("rows_read", ctypes.c_uint64),
        ("bytes_read", ctypes.c_uint64),
        ("error", ctypes.c_char_p),
    ]


def main() -> int:
    library, config, port = sys.argv[1:]
    run = ctypes.CDLL(library).query_stable_v2
    run.restype = ctypes.POINTER(Result)
    arguments = ["clickhouse", "--config-file", config, "--path", os.path.abspath("data")]
    arguments += ["--http_port", port, "--listen_host", "127.0.0.1", "--query", QUERY]
    result = run(len(arguments), (ctypes.c_char_p * len(arguments))(*map(os.fsencode, arguments)))
    error = result.contents.error if result else None
    print(error.decode(errors="replace") if error else "ClickHouse has ended", file=sys.stderr)
    return 1


sys.exit(main())
