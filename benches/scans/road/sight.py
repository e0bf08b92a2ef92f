"""How soon a scan is seen: in the answer to a query, and in the stream of what comes in."""
import datetime, http.client, json, random, threading, time

from driver.bench import say
from driver.process import Failed
from driver.scan import HOST, PHONE

PROBE = "probe"
# Between two scans that are looked for, and between two looks: what is measured is late by the latter at most, and by what an answer takes.
PROBE_EVERY, LOOK_EVERY = 0.2, 0.04
# Until load is what it is to be.
SETTLE = 5


def visible(cluster, a):
    """A scan until a query has it: one client scans a tag of its own, another asks the API how many scans it has. Quiet, and at the rate."""
    cluster.start()
    connection = cluster.admin.connect()
    cluster.admin.ask(connection, "POST", "/tags?wait=edges", {"code": PROBE, "destination": "https://example.com/"})
    quiet = look(cluster, a.seconds)
    say(f"visible, quiet: {quiet}")
    cluster.settle()
    load = cluster.load(a.rate, SETTLE + a.seconds + 3)
    time.sleep(SETTLE)
    loaded = look(cluster, a.seconds)
    if load.is_over():
        raise Failed("the load ended before the scans that were looked for did")
    seen = load.join()
    say(f"visible, at {a.rate:,} a second: {loaded}")
    cluster.settle()
    return {"rate": a.rate, "quiet_seconds": quiet, "loaded_seconds": loaded, "load": seen}


def look(cluster, seconds):
    """Seconds from the request of a scan until the answer that counts it."""
    since = timestamp(time.time())
    sent, seen, over = [], [], threading.Event()
    asking = cluster.admin.connect()
    path = f"/analytics/scans?code={PROBE}&from={since}"

    def scan():
        connection = http.client.HTTPConnection("127.0.0.1", cluster.edge.ports["plain"], timeout=20)
        end = time.monotonic() + seconds
        headers = {"Host": HOST} | dict(header.split(": ", 1) for header in PHONE)
        while time.monotonic() < end:
            time.sleep(PROBE_EVERY * random.uniform(0.5, 1.5))
            now = time.monotonic()
            connection.request("GET", f"/{PROBE}", headers=headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 302:
                sent.append(now)
        over.set()

    scanning = threading.Thread(target=scan, daemon=True)
    scanning.start()
    deadline = time.monotonic() + seconds + 60
    while not over.is_set() or len(seen) < len(sent):
        if time.monotonic() > deadline:
            raise Failed(f"{len(sent) - len(seen)} of {len(sent)} scans were never seen")
        total = cluster.admin.ask(asking, "GET", path)["total"]
        now = time.monotonic()
        # One client on one connection: scans are stored in the order in which they were made.
        seen.extend(now - at for at in sent[len(seen):total])
        time.sleep(LOOK_EVERY)
    return spread(seen)


def live(cluster, a):
    """The workspace's stream of server-sent events at the rate: how long after its beginning a second is told, and whether all of its scans are."""
    cluster.start()
    cluster.settle()
    accepted = cluster.edge.metrics()["tagwire_edge_scans_accepted_total"]
    load = cluster.load(a.rate, a.seconds)
    started = time.time()
    told, connection = {}, cluster.admin.connect(timeout=20)
    connection.request("GET", "/api/v1/analytics/live", headers=cluster.admin.headers())
    stream = connection.getresponse()
    if stream.status != 200:
        raise Failed(f"the live stream: {stream.status} {stream.read()[:500]!r}")
    # The first seconds come together, those that are over; then one by one.
    while (begun := int(started)) not in told or max(told) < begun + a.seconds + 2:
        line = stream.readline().decode().strip()
        if line.startswith("data: "):
            point = json.loads(line.removeprefix("data: "))
            if "start" not in point:
                raise Failed(f"the live stream: {point}")
            second = datetime.datetime.fromisoformat(point["start"]).timestamp()
            told[int(second)] = (time.time(), point["scans"])
    connection.close()
    seen = load.join()
    after_start = {second: (at - second, scans) for second, (at, scans) in told.items() if second >= begun}
    # Of seconds in which the whole load came.
    whole = [behind for second, (behind, _) in after_start.items() if begun + 1 <= second < begun + a.seconds - 1]
    scans = cluster.edge.metrics()["tagwire_edge_scans_accepted_total"] - accepted
    told_scans = sum(scans for _, scans in after_start.values())
    say(f"live: {spread(whole)}, {told_scans:,} of {scans:,.0f} scans told")
    cluster.settle()
    return {"rate": a.rate, "told_seconds": spread(whole), "told": told_scans, "scans": scans, "load": seen}


def spread(values):
    values = sorted(values)
    at = lambda quantile: round(values[min(len(values) - 1, int(quantile * len(values)))], 3)
    return {"count": len(values), "p50": at(0.5), "p99": at(0.99), "max": round(values[-1], 3)}


def timestamp(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat().replace("+00:00", "Z")
