"""How soon a scan is seen: in the answer to a query, and in the stream of what comes in."""
import datetime, http.client, json, random, threading, time

from driver.bench import say
from driver.process import Failed
from driver.scan import HOST, PHONE
from road.cluster import CORES

PROBE = "probe"
# Between two scans that are looked for, and between two looks: what is measured is late by the latter at most, and by what an answer takes.
PROBE_EVERY, LOOK_EVERY = 0.2, 0.04
# Until load is what it is to be.
SETTLE = 5
# For the live stream beyond the load's time, and for what it says next.
PATIENCE, SILENCE = 60, 20


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
    return {"rate": a.rate, "cores": len(CORES), "quiet_seconds": quiet, "loaded_seconds": loaded, "load": seen}


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
    # From the beginning of a second in which there are no others.
    time.sleep(1 - time.time() % 1)
    begun, accepted = int(time.time()), cluster.edge.metrics()["tagwire_edge_scans_accepted_total"]
    load = cluster.load(a.rate, a.seconds)
    told, over = follow(cluster, load, begun + a.seconds + PATIENCE)
    seen = load.join()
    after_start = {second: (at - second, scans) for second, (at, scans) in told.items() if second >= begun}
    # Of seconds in which the whole load came.
    whole = [behind for second, (behind, _) in after_start.items() if begun + 1 <= second < over - 1]
    scans = cluster.edge.metrics()["tagwire_edge_scans_accepted_total"] - accepted
    told_scans = sum(scans for _, scans in after_start.values())
    say(f"live: {spread(whole)}, {told_scans:,} of {scans:,.0f} scans told")
    if told_scans > scans:
        raise Failed(f"{told_scans:,} scans were told, and {scans:,.0f} were there")
    cluster.settle()
    return {"rate": a.rate, "cores": len(CORES), "told_seconds": spread(whole), "told": told_scans, "scans": scans, "load": seen}


def follow(cluster, load, deadline):
    """What the stream tells until it has told the second in which the load was over: by second, when that was and how many scans; and which that one is."""
    connection = cluster.admin.connect(timeout=SILENCE)
    connection.request("GET", "/api/v1/analytics/live", headers=cluster.admin.headers())
    stream = connection.getresponse()
    if stream.status != 200:
        raise Failed(f"the live stream: {stream.status} {stream.read()[:500]!r}")
    # The last seconds come together, those that are over; then one by one.
    told, newest, over = {}, None, None
    try:
        while over is None or newest is None or newest < over:
            if time.time() > deadline:
                raise Failed(f"the live stream is {f'at {timestamp(newest)}' if newest else 'without a second'}, {PATIENCE} s after the load was to be over")
            line = stream.readline()
            if not line:
                raise Failed("the live stream has ended")
            if over is None and load.is_over():
                over = int(time.time())
            if not line.startswith(b"data: "):
                continue
            point = json.loads(line.removeprefix(b"data: "))
            if "start" not in point:
                raise Failed(f"the live stream: {point}")
            second = int(datetime.datetime.fromisoformat(point["start"]).timestamp())
            if newest is not None and second != newest + 1:
                raise Failed(f"the live stream tells {point['start']} after {timestamp(newest)}")
            newest, told[second] = second, (time.time(), point["scans"])
    except TimeoutError as silent:
        raise Failed(f"the live stream has said nothing for {SILENCE} s") from silent
    finally:
        connection.close()
    return told, over


def spread(values):
    values = sorted(values)
    at = lambda quantile: round(values[min(len(values) - 1, int(quantile * len(values)))], 3)
    return {"count": len(values), "p50": at(0.5), "p99": at(0.99), "max": round(values[-1], 3)}


def timestamp(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat().replace("+00:00", "Z")
