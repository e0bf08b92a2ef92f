"""Which shapes there are, what has to stand for each, and in which order they run."""
import os

from driver import latency, propagation, shapes, tables
from driver.bench import say
from driver.servers import Caddy, Edge, HAProxy, KernelLimit, Nginx

# What is measured with all servers standing, then what starts servers of its own.
STANDING = {
    "kept_alive": shapes.kept_alive,
    "tls_kept_alive": shapes.tls_kept_alive,
    "http2": shapes.http2,
    "new_connections": shapes.new_connections,
    "new_tls_full": shapes.new_tls_full,
    "new_tls_resumed": shapes.new_tls_resumed,
    "new_tls_hybrid": shapes.new_tls_hybrid,
    "latency": latency.latency,
    "latency_disturbed": latency.latency_disturbed,
}
ALONE = {
    "idle_connections": tables.idle_connections,
    "table": tables.table,
    "propagation": propagation.propagation,
}
SHAPES = STANDING | ALONE


def run(bench, names, keep):
    bench.seed(bench.tags)
    bench.write_codes()
    bench.write_certificate()
    standing = [name for name in names if name in STANDING]
    if standing:
        measure_standing(bench, standing, keep)
    for name in names:
        if name in ALONE:
            measure(bench, name, [], keep)


def measure_standing(bench, names, keep):
    servers = []
    try:
        say("starting the servers")
        for server in (Edge, Nginx, HAProxy, Caddy, KernelLimit, lambda bench: KernelLimit(bench, closing=True)):
            servers.append(server(bench))
            say(f"{servers[-1].name} stands")
        for name in names:
            measure(bench, name, servers, keep)
    finally:
        for server in servers:
            server.stop()


def measure(bench, name, servers, keep):
    load = os.getloadavg()[0]
    keep(name, SHAPES[name](bench, servers) | {"load_before": load})
