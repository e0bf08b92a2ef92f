"""After an outage of Kafka, with the redirects going on: how fast what waits is delivered and stored, and what that does to the redirects."""
import os, signal, threading, time

from driver.bench import say
from driver.process import Failed

# Seconds for which a client measures redirects, of which the first does not count: quiet, and again and again while what waits is caught up with.
QUIET, AT_A_TIME = 8, 4
PATIENCE = 180


def catching_up(cluster, a):
    """Kafka hangs for a while (SIGSTOP) and goes on, while the edge answers at the rate: until all that waited is stored."""
    cluster.start(apart=True)
    # One that does not count: Kafka's compiler has its time then.
    cluster.load(a.rate, QUIET).join()
    samples = {"quiet": [], "catching up": []}
    for number in range(a.rounds):
        cluster.settle()
        samples["quiet"].append(latency(cluster.load(a.rate, QUIET).join()))
        cluster.settle()
        samples["catching up"].append(outage(cluster, a))
        for name, of in samples.items():
            say(f"catching up, round {number + 1}, {name}: {of[-1]}")
    cluster.settle()
    return {"rate": a.rate, "outage_seconds": a.outage, "samples": samples}


def outage(cluster, a):
    os.kill(cluster.kafka_pid(), signal.SIGSTOP)
    try:
        cluster.load(a.rate, a.outage).join()
        waiting = cluster.edge.metrics()["tagwire_edge_scans_waiting"]
        if waiting < a.rate * a.outage / 2:
            raise Failed(f"only {waiting:.0f} scans waited for Kafka, which was away for {a.outage} s")
        load = cluster.load(a.rate, AT_A_TIME)
        time.sleep(1)
    finally:
        os.kill(cluster.kafka_pid(), signal.SIGCONT)
    way = Way(cluster, a.rate)
    redirects = [latency(load.join())]
    while not way.is_done():
        redirects.append(latency(cluster.load(a.rate, AT_A_TIME).join()))
    # The worst of those times, lest what came after hides what was.
    return {key: max(seen[key] for seen in redirects) for key in redirects[0]} | {"waited": waiting} | way.figures()


class Way:
    """Looks how far what waited has come, from now on."""

    def __init__(self, cluster, rate):
        self.cluster, self.rate, self.failed = cluster, rate, None
        # (scans a second, seconds) until all but half a second's scans had come there.
        self.found = {"delivered": None, "stored": None}
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self):
        try:
            began, before = time.monotonic(), self.numbers()
            while not all(self.found.values()):
                time.sleep(0.05)
                now, passed = self.numbers(), time.monotonic() - began
                if passed > PATIENCE:
                    raise Failed(f"what waited is not stored after {PATIENCE} s: {now}")
                for where in self.found:
                    if not self.found[where] and now["accepted"] - now[where] <= self.rate / 2:
                        self.found[where] = ((now[where] - before[where]) / passed, passed)
        except Exception as failed:  # whatever it is belongs to who waits for it
            self.failed = failed

    def numbers(self):
        stored, edge = self.cluster.stored(), self.cluster.edge.metrics()
        return {"accepted": edge["tagwire_edge_scans_accepted_total"], "delivered": edge["tagwire_edge_scans_acknowledged_total"], "stored": stored}

    def is_done(self):
        return not self.thread.is_alive()

    def figures(self):
        if self.failed:
            raise self.failed
        return {f"{where}_{name}": value for where, found in self.found.items() for name, value in zip(("per_second", "seconds"), found)}


def latency(seen):
    return {key: float(value) for key, value in seen["ms"].items()} | {"client_late_p99": seen["client_late_ms"]["p99"]}
