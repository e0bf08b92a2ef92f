"""Latency by a schedule of requests, at half of what nginx can do: beside nginx, and while something else happens."""
import contextlib, itertools

from driver.bench import say
from driver.process import Failed
from driver.rounds import interleaved

VERSIONS = itertools.count(2)


def latency(bench, servers):
    """Open loop at half of nginx's saturation: edge, nginx and the kernel limit."""
    rate = half_of_saturation(bench, servers)
    chosen = [server for server in servers if server.name in ("edge", "nginx", "kernel limit") and "plain" in server.ports]
    return {"rate": rate, "samples": interleaved(bench, "latency", chosen, lambda server: scheduled(bench, server, rate))}


def latency_disturbed(bench, servers):
    """The edge at that rate while 1,000 tags a second change, while the base folds, while Kafka is away, and quiet."""
    edge = next(server for server in servers if server.name == "edge")
    rate = half_of_saturation(bench, servers)
    samples = {"quiet": [], "edits": [], "fold": [], "Kafka away": []}
    disturbances = {"quiet": contextlib.nullcontext, "edits": lambda: edits(bench), "fold": lambda: fold(bench), "Kafka away": lambda: kafka_away(bench)}
    for number in range(bench.a.rounds):
        for name, disturbance in disturbances.items():
            with disturbance():
                sample = scheduled(bench, edge, rate, settle=False)
            edge.settle()
            samples[name].append(sample)
            say(f"{name}, round {number + 1}: p50={sample['p50']:.3f} p99={sample['p99']:.3f} p99.9={sample['p99.9']:.3f} ms")
    return {"rate": rate, "samples": samples}


def half_of_saturation(bench, servers):
    nginx = next(server for server in servers if server.name == "nginx")
    seen = bench.wrk(nginx.ports["plain"], bench.a.seconds)
    nginx.settle()
    nginx.recorded()
    return round(seen["requests"] / seen["seconds"] / 2)


def seconds(bench):
    return 2 * bench.a.seconds + 1


def scheduled(bench, server, rate, settle=True):
    tags = 1 if server.name == "kernel limit" else bench.tags
    seen = bench.client_program("schedule", f"127.0.0.1:{server.ports['plain']}", "--rate", rate, "--seconds", seconds(bench), "--tags", tags)
    if settle:
        server.settle()
        server.recorded()
    return {key: float(value) for key, value in seen["ms"].items()} | {"client_late_p99.9": seen["client_late_ms"]["p99.9"]}


@contextlib.contextmanager
def edits(bench):
    """1,000 tags a second change for as long as the requests come."""
    with edit(bench, rate=1_000, count=1_000 * (seconds(bench) + 1)):
        yield


@contextlib.contextmanager
def fold(bench):
    """More changes than the overlay holds before the base is built anew, within the first seconds."""
    with edit(bench, rate=40_000, count=bench.tags // 50 + 70_000):
        yield


@contextlib.contextmanager
def edit(bench, rate, count):
    command = [bench.client, "edit", "--brokers", bench.brokers, "--prefix", "peers.", "--tags", bench.tags, "--rate", rate, "--count", count, "--version", next(VERSIONS)]
    editor = bench.spawn(["nice", "-n", "5", *command])
    try:
        yield
        if editor.wait(timeout=120):
            raise Failed("changing tags failed")
    finally:
        editor.kill()


@contextlib.contextmanager
def kafka_away(bench):
    bench.kafka("kill")
    try:
        yield
    finally:
        bench.kafka("start")
