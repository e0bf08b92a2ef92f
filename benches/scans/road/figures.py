"""The figures that are to be reached, and how each follows from what was measured."""
import statistics


class Figure:
    """A row of the table. `of(parts, dashboard)` gives what was measured, words about it, and if need be whether it is reached (True) or missed
    (False) whatever it is. `must` and `aim` bound it from above or, with `least`, from below. `name` may be a function of the parts."""

    def __init__(self, name, of, must, aim, unit, least=False):
        self.named = name if callable(name) else lambda _: name
        self.of, self.must, self.aim, self.unit, self.least = of, must, aim, unit, least

    def judge(self, parts, dashboard):
        """(measured, words, verdict), or None."""
        try:
            value, words, whatever = (*self.of(parts, dashboard), None)[:3]
        except (KeyError, TypeError):
            return None  # not measured
        within = lambda bound: value >= bound if self.least else value <= bound
        if whatever is False:
            return value, words, "missed"
        return value, words, "aim reached" if within(self.aim) else "reached" if within(self.must) or whatever else "missed"


def under_load(before, part, after):
    """A row's name, with the rate and the cores at which it was measured."""
    def named(parts):
        at = f"at {parts[part]['rate']:,} scans a second on {parts[part]['cores']} cores" if part in parts else "under load"
        return f"{before} {at}{after}"
    return named


def median(samples, *path):
    def value(sample):
        for name in path:
            sample = sample[name]
        return sample
    return statistics.median(map(value, samples))


def append(quantile):
    def of(parts, _):
        samples = parts["append"]["samples"]
        clock = median(samples, "clock_ns", "p50")
        return median(samples, "append_ns", quantile) - clock, f"at {median(samples, 'rate'):,.0f} a second, without the clock's own {clock:.0f} ns"
    return of


def cpu(part, each, beside=""):
    """At the higher rate; at the lower one beside it."""
    def of(parts, _):
        by_rate = sorted(parts[part]["samples"].items(), key=lambda item: int(item[0]))
        shown = lambda rate, samples: f"{each(samples):.2f} µs at {int(rate):,} a second in batches of {median(samples, 'scans_per_batch'):.0f}"
        return each(by_rate[-1][1]), "; ".join(shown(*one) for one in by_rate) + beside
    return of


def shipping(samples):
    return statistics.median(sample["cpu_us"]["shipper"] + sample["cpu_us"]["librdkafka"] for sample in samples)


def visible(when):
    def of(parts, _):
        found = parts["visible"][f"{when}_seconds"]
        return found["p99"], f"p50 {found['p50']} s, over {found['count']} scans" + (f" among {parts['visible']['rate']:,} others a second" if when == "loaded" else "")
    return of


def live(parts, _):
    """Missed, however soon they came, if scans were not told."""
    part = parts["live"]
    words = f"from a second's beginning, the latest of {part['told_seconds']['count']}; {part['told']:,} of {part['scans']:,.0f} scans were told"
    return part["told_seconds"]["max"], words, None if part["told"] == part["scans"] else False


def stored(_, dashboard):
    """All that is in the table, other workspaces' scans too."""
    shape = dashboard["shapes"]["clickhouse"]
    rows = shape["rows"]["scans"]
    return shape["bytes"]["scans"] / rows, f"over {rows:,} scans, all columns and the projections"


def answers(shape, kind):
    def of(_, dashboard):
        found = dashboard["shapes"][shape]
        answered = found["answers_ms"][kind]["all"]
        return answered["p99"], f"p50 {answered['p50']} ms, {answered['count']} questions over {found['scans']:,} scans"
    return of


def pace(parts, _):
    part = parts["catching_up"]
    samples = part["samples"]["catching up"]
    delivered, kept = median(samples, "delivered_per_second"), median(samples, "stored_per_second")
    return min(delivered, kept) / part["rate"], f"{median(samples, 'waited'):,.0f} scans waited, {part['rate']:,} more came a second: {delivered:,.0f} a second into Kafka, {kept:,.0f} a second into ClickHouse"


def redirects(parts, _):
    samples = parts["catching_up"]["samples"]
    quiet, then = median(samples["quiet"], "p99"), median(samples["catching up"], "p99")
    return then / quiet, f"{then:.3f} ms, quiet {quiet:.3f} ms", True if then - quiet <= 1 else None


FIGURES = [
    Figure("append on the request thread with encoding and visitor hash, tmpfs, p50", append("p50"), 150, 80, "ns"),
    Figure("the same, p99.9", append("p99.9"), 1_000, 400, "ns"),
    Figure("shipper and librdkafka into Kafka, CPU a scan", cpu("shipper", shipping), 1.0, 0.3, "µs"),
    Figure("sink's own CPU a scan, enriched, into ClickHouse", cpu("sink", lambda samples: median(samples, "cpu_us")), 4.0, 2.0, "µs"),
    Figure("scan to visible in a query, quiet, p99", visible("quiet"), 1.0, 0.5, "s"),
    Figure(under_load("the same", "visible", ", p99"), visible("loaded"), 3.0, 1.5, "s"),
    Figure(under_load("live, server-sent events", "live", ": how far behind"), live, 3.0, 3.0, "s"),
    Figure("stored in ClickHouse, raw, a scan", stored, 40, 28, "bytes"),
    Figure("dashboard in ClickHouse, from rollups, p99", answers("clickhouse", "rollups"), 200, 50, "ms"),
    Figure("dashboard in ClickHouse, any raw filter over a day, p99", answers("clickhouse", "scans"), 2_000, 1_000, "ms"),
    Figure("dashboard in SQLite, from rollups, p99", answers("sqlite", "rollups"), 500, 200, "ms"),
    Figure("catching up after an outage, while serving: times the live rate", pace, 5.0, 10.0, "", least=True),
    Figure("redirects meanwhile, p99 against quiet (1.2 or +1 ms)", redirects, 1.2, 1.2, ""),
]
