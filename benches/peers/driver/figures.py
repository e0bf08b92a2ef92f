"""The figures that are to be reached, and how each follows from what was measured."""
import statistics


class Figure:
    """A row of the table. `of(shape)` gives the edge's value and what it is compared with, or None where that was not measured. `must` and
    `aim` bound the quotient of the two, or the value itself where there is no other; from above, or, with `least`, from below. Within
    `allowance` of the other the figure is reached whatever the quotient."""

    def __init__(self, name, shape, of, must, aim, unit="µs", allowance=None, least=False):
        self.name, self.shape, self.of, self.must, self.aim = name, shape, of, must, aim
        self.unit, self.allowance, self.least = unit, allowance, least

    def judge(self, shapes):
        """(edge's value, other's, what is compared with must and aim, verdict), or None."""
        found = self.of(shapes[self.shape]) if self.shape in shapes else None
        if not found:
            return None
        value, other = found
        compared = value if other is None else value / other
        within = lambda bound: compared >= bound if self.least else compared <= bound
        close = self.allowance is not None and value - other <= self.allowance
        return value, other, compared, "aim reached" if within(self.aim) else "reached" if within(self.must) or close else "missed"


def median(samples, key):
    return statistics.median(sample[key] for sample in samples)


def between(one, other, key="cpu_us"):
    """Medians of one kind of sample and of another."""
    def of(shape):
        samples = shape["samples"]
        if one in samples and other in samples:
            return median(samples[one], key), median(samples[other], key)
    return of


def table(tags, kind, key):
    """Of the table with so many tags."""
    def of(shape):
        samples = shape["sizes"].get(str(tags), {}).get(kind)
        return samples and (median(samples, key), None)
    return of


def idle(how):
    def of(shape):
        found = shape["bytes"].get("edge", {}).get(how)
        return None if found is None else (found / 1000, None)
    return of


def propagation(shape):
    """Only where no edge disagreed with what wait=edges had said."""
    return None if shape["disagreements"] else (shape["ms"]["p99"], None)


def latencies():
    for quantile in ("p50", "p99", "p99.9"):
        yield Figure(f"latency at half of nginx's saturation, open loop: {quantile}, against nginx", "latency", between("edge", "nginx", quantile), 1.0, 0.8, "ms", 0.2)
    for name, words in (("edits", "while 1,000 tags a second change"), ("fold", "while the base of 1 M folds"), ("Kafka away", "while Kafka is away")):
        yield Figure(f"p99.9 at that rate {words}, against quiet", "latency_disturbed", between(name, "quiet", "p99.9"), 1.5, 1.1, "ms", 1.0)


FIGURES = [
    Figure("kept-alive HTTP/1.1, 64 connections: CPU per request, against nginx", "kept_alive", between("edge", "nginx"), 0.80, 0.70),
    Figure("kept-alive HTTP/1.1, 64 connections: CPU per request, against the kernel limit", "kept_alive", between("edge", "kernel limit"), 1.45, 1.25),
    Figure("the same over TLS 1.3, against nginx", "tls_kept_alive", between("edge", "nginx"), 0.85, 0.70),
    Figure("HTTP/2 over TLS, 10 streams, against nginx", "http2", between("edge", "nginx"), 1.0, 0.8),
    Figure("new TCP connection for each request, against nginx", "new_connections", between("edge", "nginx"), 1.2, 0.95),
    Figure("new TLS 1.3 connection for each request, full handshake, X25519, against nginx", "new_tls_full", between("edge", "nginx"), 0.75, 0.60),
    Figure("the same, resumed by ticket, against nginx", "new_tls_resumed", between("edge", "nginx"), 0.70, 0.57),
    Figure("the same, full, X25519MLKEM768, against nginx's X25519", "new_tls_hybrid", between("edge", "nginx"), 0.85, 0.75),
    Figure("a rule on every tag, kept-alive: CPU per request, against none", "rule_on_every_tag", between("edge with rules", "edge"), 1.10, 1.05),
    *latencies(),
    Figure("anonymous memory with 1 M tags of 80-byte destinations", "table", table(1_000_000, "from_kafka", "memory_mb"), 150, 135, "MB"),
    Figure("anonymous memory with 10 M tags", "table", table(10_000_000, "from_kafka", "memory_mb"), 1350, 1200, "MB"),
    Figure("memory of an idle kept-alive connection", "idle_connections", idle("plain"), 5, 2, "KB"),
    Figure("memory of an idle kept-alive TLS connection", "idle_connections", idle("tls"), 18, 12, "KB"),
    Figure("start from a snapshot of 1 M tags", "table", table(1_000_000, "from_snapshot", "seconds"), 1.5, 0.7, "s"),
    Figure("start from a snapshot of 10 M tags", "table", table(10_000_000, "from_snapshot", "seconds"), 12, 6, "s"),
    Figure("start from Kafka, 1 M tags: tags a second", "table", table(1_000_000, "from_kafka", "tags_per_second"), 300_000, 600_000, "", least=True),
    Figure("start from Kafka, 10 M tags: tags a second", "table", table(10_000_000, "from_kafka", "tags_per_second"), 300_000, 600_000, "", least=True),
    Figure("edit to served on every one of 3 edges, p99; wait=edges agrees with clients that ask", "propagation", propagation, 100, 40, "ms"),
]
