"""Latency by a schedule of requests, at half of what nginx can do: beside nginx, and while something else happens."""
import contextlib, itertools, json

from driver.bench import say
from driver.process import Failed
from driver.rounds import interleaved

VERSIONS = itertools.count(2)
# How many changed tags the table folds into a new base (table::Table::FOLD_AT), and how many of them come before the requests do.
FOLD_AT, BEFORE_FOLD = 65_536, 60_000


def latency(bench, servers):
    """Open loop at half of nginx's saturation: edge, nginx and the kernel limit."""
    rate = half_of_saturation(bench, servers)
    chosen = [server for server in servers if server.name in ("edge", "nginx", "kernel limit") and "plain" in server.ports]
    return {"rate": rate, "samples": interleaved(bench, "latency", chosen, lambda server: scheduled(bench, server, rate))}


def latency_disturbed(bench, servers):
    """The edge at that rate while 1,000 tags a second change, while the base folds, while Kafka is away, and quiet."""
    edge = next(server for server in servers if server.name == "edge")
    rate = half_of_saturation(bench, servers)
    disturbances = {"quiet": quiet, "edits": edits, "fold": fold, "Kafka away": kafka_away}
    samples = {name: [] for name in disturbances}
    edge.next_changed = 0
    with bench.in_idle_time():
        for number in range(bench.a.rounds):
            for name, disturbance in disturbances.items():
                sample = disturbed(bench, edge, rate, disturbance)
                samples[name].append(sample)
                say(f"{name}, round {number + 1}: p50={sample['p50']:.3f} p99={sample['p99']:.3f} p99.9={sample['p99.9']:.3f} ms, client {sample['client_late_p99.9']:.3f} ms late")
        edge.settle()
    return {"rate": rate, "samples": samples}


def disturbed(bench, edge, rate, disturbance, tries=3):
    """Measures again where the disturbance did not come in time, as on two cores it has to wait for its turn; whatever was measured then."""
    edge.settle()
    edge.is_abreast()
    try:
        with disturbance(bench, edge):
            return scheduled(bench, edge, rate, settle=False)
    except NotDisturbed as failed:
        if tries == 1:
            raise
        say(f"measured again: {failed}")
        return disturbed(bench, edge, rate, disturbance, tries - 1)


class NotDisturbed(Failed):
    """What was to happen while requests were answered has not."""


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
    seen = bench.client_program("schedule", f"127.0.0.1:{server.ports['plain']}", "--rate", rate, "--seconds", seconds(bench), "--tags", tags, punctual=True)
    if settle:
        server.settle()
        server.recorded()
    return {key: float(value) for key, value in seen["ms"].items()} | {"client_late_p99.9": seen["client_late_ms"]["p99.9"]}


# Each disturbance says by itself if not that it has happened while requests were answered.


@contextlib.contextmanager
def quiet(bench, edge):
    yield


@contextlib.contextmanager
def edits(bench, edge):
    """1,000 tags a second change for as long as the requests come."""
    rate, folds = 1_000, edge.folds()
    with editing(bench, rate, count=rate * (seconds(bench) - 1), first=edge.next_changed, after=1) as report:
        yield
    per_second = report["edits"] / report["seconds"]
    if per_second < 0.9 * rate:
        raise NotDisturbed(f"{per_second:.0f} tags a second were changed instead of {rate}")
    edge.is_abreast()
    if edge.folds() != folds:
        raise NotDisturbed("the base was folded while only edits were to be measured")


@contextlib.contextmanager
def fold(bench, edge):
    """Nearly as many changes as the overlay holds, then the rest of them, and with these the fold, among the requests."""
    first = edge.next_changed
    # What the overlay holds when this is over is among the next ones that change: else they would be too many too soon.
    edge.next_changed += BEFORE_FOLD
    with editing(bench, rate=20_000, count=BEFORE_FOLD, first=first):
        pass
    edge.is_abreast()
    folds = edge.folds()
    with editing(bench, rate=10_000, count=FOLD_AT - BEFORE_FOLD + 4_000, first=first + BEFORE_FOLD, after=1.5):
        yield
        if edge.folds() != folds + 1:
            raise NotDisturbed(f"the base was folded {edge.folds() - folds:.0f} times instead of once while requests came")


@contextlib.contextmanager
def kafka_away(bench, edge):
    bench.kafka("kill")
    try:
        yield
        waiting = edge.metrics()["tagwire_edge_scans_waiting"]
    finally:
        bench.kafka("start")
    if not waiting:
        raise NotDisturbed("no scan waited for Kafka, which was away")


@contextlib.contextmanager
def editing(bench, rate, count, first=0, after=0):
    """Changes `count` tags from the `first` on, once the block has run for `after` seconds; yields what becomes the editor's report."""
    report = {}
    what = ["--rate", rate, "--first", first, "--count", count, "--after", after, "--version", next(VERSIONS)]
    editor = bench.spawn("edit", "--brokers", bench.brokers, "--prefix", "peers.", "--tags", bench.tags, *what)
    try:
        if "ready" not in editor.stdout.readline():
            raise Failed("the editor could not begin")
        yield report
        last = editor.stdout.readline()
        if editor.wait(timeout=120) or not last:
            raise Failed("changing tags failed")
        report |= json.loads(last)
    finally:
        editor.kill()
        editor.wait()
