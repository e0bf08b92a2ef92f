"""What a table of tags costs in memory, how long an edge takes to have it, and what an idle connection costs."""
import json, shutil

from driver.bench import say
from driver.process import Failed, wait
from driver.servers import Edge, Nginx

MB, CONNECTIONS, FEW = 1e6, 10_000, 1_000


def table(bench, _):
    """Memory and start with one and with ten million tags: from Kafka, then from a snapshot."""
    sizes = {}
    for tags in (bench.tags, bench.a.many_tags):
        # Topics of their own: what other shapes change would have to be read as well.
        prefix = f"table-{tags}."
        bench.seed(tags, prefix)
        sizes[str(tags)] = starts(bench, tags, prefix)
    return {"sizes": sizes}


def starts(bench, tags, prefix):
    found = {"from_kafka": [], "from_snapshot": []}
    data = f"edge-{tags}"
    for number in range(bench.a.rounds):
        for kind in found:
            if kind == "from_kafka":
                shutil.rmtree(bench.folder / data, ignore_errors=True)
            edge = Edge(bench, prefix, data)
            try:
                held = edge.metrics()["tagwire_edge_tags"]
                if held != tags:
                    raise Failed(f"the edge holds {held:.0f} of {tags} tags")
                edge.verify(tags)
                settled(edge)
                sample = {"seconds": edge.started_in, "tags_per_second": tags / edge.started_in, "memory_mb": edge.anonymous_memory() / MB, "peak_mb": edge.peak_memory / MB}
            finally:
                edge.stop()  # it writes its snapshot now at the latest
            found[kind].append(sample)
            say(f"{tags:,} tags {kind.replace('_', ' ')}: {sample['seconds']:.2f} s, {sample['tags_per_second']:,.0f} a second, {sample['memory_mb']:.0f} MB, {sample['peak_mb']:.0f} MB at most")
            if not edge.wrote_snapshot():
                raise Failed("the edge left no snapshot behind")
    return found


def settled(edge, within=20):
    """Until its anonymous memory no longer changes."""
    last = [0, 1]
    def same():
        last.append(edge.anonymous_memory())
        return last[-1] == last[-2] == last[-3]
    try:
        wait("memory to settle", same, within, every=0.5)
    except Failed:
        pass  # an edge that writes down what it holds from time to time: what it has now counts


def idle_connections(bench, _):
    """Anonymous memory of a kept-alive connection that has had one answer, over 10,000 of them, plain and TLS."""
    # Few tags: what building a large table has left free in the heap would take connections in without growing.
    bench.seed(FEW, "few.")
    bench.write_codes(FEW, "few.")
    samples = {}
    for make in (lambda: Edge(bench, "few.", "edge-idle"), lambda: Nginx(bench, "few.")):
        server = make()
        try:
            server.verify(FEW)
            samples[server.name] = {}
            for port in ("plain", "tls"):
                if port in server.ports:
                    samples[server.name][port] = each_connection(bench, server, port)
                    say(f"{server.name}, {port}: {samples[server.name][port]:.0f} bytes a connection")
        finally:
            server.stop()
    return {"bytes": samples, "connections": CONNECTIONS}


def each_connection(bench, server, port):
    settled(server)
    before = server.anonymous_memory()
    secure = ["--certificate", bench.folder / "certificate.pem"] if port == "tls" else []
    clients = bench.spawn("idle", f"127.0.0.1:{server.ports[port]}", "--connections", CONNECTIONS, "--tags", FEW, *secure, stdin=-1)
    try:
        opened = clients.stdout.readline()
        if not opened or json.loads(opened)["connections"] != CONNECTIONS:
            raise Failed(f"{server.name}: not all connections could be opened")
        settled(server)
        return (server.anonymous_memory() - before) / CONNECTIONS
    finally:
        clients.stdin.close()
        clients.wait(timeout=60)
