"""Rounds: every server in turn, in another order each time, so that what else the machine does falls on all alike."""
from driver.bench import say
from driver.process import Failed


def interleaved(bench, name, servers, measure):
    """Measures every server once a round; the samples by server's name."""
    samples = {server.name: [] for server in servers}
    for number in range(bench.a.rounds):
        turn = number % len(servers)
        for server in servers[turn:] + servers[:turn]:
            sample = measure(server)
            samples[server.name].append(sample)
            shown = "  ".join(f"{key}={value:.2f}" for key, value in sample.items() if isinstance(value, float))
            say(f"{name}, round {number + 1}: {server.name:13} {shown}")
    return samples


def cpu_per_request(bench, server, port, load):
    """CPU of the server's process, all threads, from before the load until the last of its scans has been recorded for good: by Kafka's
    acknowledgement, or by the line in the log. `load` returns what the client saw."""
    server.verify(bench.tags, how=port)
    server.settle()
    recorded, (user, system) = server.recorded(), server.cpu()
    seen = load(server.ports[port])
    server.settle()
    user_after, system_after = server.cpu()
    requests = seen["requests"]
    if seen.get("errors") or not requests:
        raise Failed(f"{server.name}: {seen}")
    if recorded is not None:
        # What was under way when the client stopped has been recorded as well.
        scans = server.recorded() - recorded
        if not requests <= scans <= requests + 1_000:
            raise Failed(f"{server.name}: {requests} requests were answered and {scans:.0f} scans recorded")
        requests = scans
    server.check()
    microseconds = 1e6 / requests
    return {
        "cpu_us": (user_after - user + system_after - system) * microseconds,
        "user_us": (user_after - user) * microseconds, "system_us": (system_after - system) * microseconds,
        "per_second": requests / seen.get("seconds", bench.a.seconds), "requests": int(requests),
    }
