"""The parts of the road, in the order in which a scan travels. Each returns what becomes its entry in scans.json."""
from driver.bench import say
from driver.process import Failed, wait
from road.catching_up import catching_up
from road.cluster import PREFIX
from road.sight import live, visible

# Scans a second: as the other parts have them, and as many as one core of an edge answers at half of what it can.
RATES = (10_000, 50_000)
# One at a time, as a worker thread does them.
APPENDS_A_SECOND, APPENDS = 50_000, 200_000
SHIPPING_SECONDS = 7


def append(cluster, a):
    """Append on the request thread, with encoding and the visitor's hash, on tmpfs: 50,000 a second, one at a time."""
    samples = []
    for number in range(a.rounds):
        samples.append(cluster.run([cluster.costs, "append", "--rate", APPENDS_A_SECOND, "--scans", APPENDS], 120))
        say(f"append, round {number + 1}: {samples[-1]['append_ns']} ns, the clock alone {samples[-1]['clock_ns']} ns")
    return {"samples": samples}


def shipper(cluster, a):
    """Shipper and librdkafka: CPU of their threads in a process that does nothing else but append, for two writers."""
    return at_each_rate(cluster, a, "shipper", lambda rate: ship(cluster, "shipper.", rate))


def sink(cluster, a):
    """A sink over real ClickHouse: CPU of its process, for scans whose tags and User-Agents are as uneven as in life, with cities looked up."""
    def measure(rate):
        stored, (user, system) = cluster.stored(), cluster.sink.cpu()
        shipped = ship(cluster, PREFIX, rate)
        wait("every scan to be stored", lambda: cluster.stored() >= stored + shipped["scans"], 120, every=0.1)
        user_after, system_after = cluster.sink.cpu()
        rows = cluster.stored() - stored
        if rows != shipped["scans"]:
            raise Failed(f"{shipped['scans']} scans were shipped and {rows:.0f} stored")
        cluster.others += rows
        parts = {"user_us": (user_after - user) * 1e6 / rows, "system_us": (system_after - system) * 1e6 / rows}
        return {"cpu_us": sum(parts.values()), **parts, "scans": rows, "scans_per_batch": shipped["scans_per_batch"], "per_second": shipped["per_second"]}
    return at_each_rate(cluster, a, "sink", measure)


def at_each_rate(cluster, a, name, measure):
    """Rounds with each rate in turn, after one that does not count: Kafka's and ClickHouse's compilers and caches have their time then."""
    cluster.start()
    measure(RATES[-1])
    samples = {str(rate): [] for rate in RATES}
    for number in range(a.rounds):
        for rate in RATES:
            samples[str(rate)].append(measure(rate))
            say(f"{name}, round {number + 1}, {rate:,} a second: {samples[str(rate)][-1]}")
    return {"samples": samples}


def ship(cluster, prefix, rate):
    return cluster.run([cluster.costs, "ship", "--brokers", cluster.brokers, "--prefix", prefix, "--rate", rate, "--seconds", SHIPPING_SECONDS], 180)


PARTS = {"append": append, "shipper": shipper, "sink": sink, "visible": visible, "live": live, "catching_up": catching_up}
# What is measured there is the program beside this one, whatever tagwire runs.
OF_SCAN_COSTS = {"append", "shipper"}
