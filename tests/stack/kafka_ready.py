"""Asks Kafka for its metadata and succeeds when a broker answers with itself. Usage: kafka_ready.py HOST:PORT[,HOST:PORT...]"""

import socket
import struct
import sys

METADATA, VERSION, CORRELATION = 3, 4, 1


def answers(host: str, port: int) -> bool:
    client = b"tagwire-tests"
    # Header v1, then Metadata v4: an empty list of topics, and no topics made by asking.
    request = struct.pack(">hhih", METADATA, VERSION, CORRELATION, len(client)) + client + struct.pack(">i?", 0, False)
    with socket.create_connection((host, port), timeout=2) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as reply:
            (size,) = struct.unpack(">i", reply.read(4))
            correlation, _throttle, brokers = struct.unpack(">iii", reply.read(size)[:12])
    return correlation == CORRELATION and brokers > 0


def main() -> int:
    for server in sys.argv[1].split(","):
        host, _, port = server.rpartition(":")
        try:
            if answers(host.strip("[] "), int(port)):
                return 0
        except (OSError, struct.error) as error:
            print(f"{server}: {error}", file=sys.stderr)
    return 1


sys.exit(main())
