"""Which shapes there are, what has to stand for each, and in which order they run."""
import os, time, traceback

from driver import latency, propagation, rules, shapes, tables
from driver.bench import say
from driver.process import Failed
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
    "rule_on_every_tag": rules.rule_on_every_tag,
    "idle_connections": tables.idle_connections,
    "table": tables.table,
    "propagation": propagation.propagation,
}
SHAPES = STANDING | ALONE


def run(bench, names, keep):
    """Measures what is named; `keep` takes each result. Returns the failures: one spoils its own shape, not the others."""
    bench.seed(bench.tags)
    bench.write_codes()
    bench.write_certificate()
    servers, failures = [], []
    try:
        if any(name in STANDING for name in names):
            say("starting the servers")
            for server in (Edge, Nginx, HAProxy, Caddy, KernelLimit, lambda bench: KernelLimit(bench, closing=True)):
                servers.append(server(bench))
                say(f"{servers[-1].name} stands")
        for name in sorted(names, key=list(SHAPES).index):
            if name in ALONE:
                stop(servers)
            load, began = os.getloadavg()[0], time.monotonic()
            try:
                measured = SHAPES[name](bench, servers)
            except Exception as failed:
                # Whatever goes wrong is this shape's own.
                if not isinstance(failed, Failed):
                    traceback.print_exc()
                say(f"{name}: FAILED: {failed}")
                failures.append(f"{name}: {failed}")
                keep(name, None)
            else:
                took = time.monotonic() - began
                keep(name, measured | {"load_before": load, "took": round(took, 1)})
                say(f"{name} took {took:.0f} s")
    finally:
        stop(servers)
    return failures


def stop(servers):
    while servers:
        servers.pop().stop()
