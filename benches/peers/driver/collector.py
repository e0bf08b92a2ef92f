"""Takes HAProxy's log lines from its ring over TCP into a file. usage: collector.py PORT FILE"""
import socket, sys

with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener, open(sys.argv[2], "ab", buffering=0) as log:
    while True:
        connection, _ = listener.accept()
        while lines := connection.recv(1 << 18):
            log.write(lines)
