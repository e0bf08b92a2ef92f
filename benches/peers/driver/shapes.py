"""The shapes of load that are compared by CPU per request. Each takes the bench and the servers that stand."""
from driver.process import Failed
from driver.rounds import cpu_per_request, interleaved


def kept_alive(bench, servers):
    """HTTP/1.1 on 64 connections that stay open, as behind a load balancer."""
    return compare(bench, "kept alive", "plain", servers, lambda port: bench.wrk(port, bench.a.seconds))


def tls_kept_alive(bench, servers):
    """The same over TLS 1.3."""
    return compare(bench, "TLS kept alive", "tls", servers, lambda port: bench.wrk(port, bench.a.seconds, tls=True))


def http2(bench, servers):
    """HTTP/2 over TLS, 10 streams at a time on each of 64 connections."""
    return compare(bench, "HTTP/2", "h2", servers, lambda port: bench.h2load(port, bench.a.seconds))


def new_connections(bench, servers):
    """A TCP connection for each request; servers are not woken before the request is there."""
    return compare(bench, "new connections", "deferred", servers, lambda port: bench.wrk(port, bench.a.seconds, connection="close", connections=32))


def new_tls_full(bench, servers):
    """A TLS 1.3 connection for each request: full handshake, P-256 certificate, X25519, no tickets."""
    return handshakes(bench, "new TLS, full", "new_tls_no_tickets", servers)


def new_tls_resumed(bench, servers):
    """A TLS 1.3 connection for each request, resumed by a ticket, with a new one each time."""
    return handshakes(bench, "new TLS, resumed", "new_tls", servers, resume=True)


def new_tls_hybrid(bench, servers):
    """As the full handshake, with X25519MLKEM768 where the server has it."""
    return handshakes(bench, "new TLS, X25519MLKEM768", "new_tls_no_tickets", servers, hybrid=True)


def handshakes(bench, name, port, servers, resume=False, hybrid=False):
    def load(server):
        group = "x25519mlkem768" if hybrid and server.has_hybrid else "x25519"
        def connect(port):
            seen = bench.client_program("connect", f"127.0.0.1:{port}", "--seconds", bench.a.seconds, "--tags", bench.tags, "--certificate", bench.folder / "certificate.pem", "--group", group, *(["--resume"] if resume else []))
            if seen["group"].lower() != group:
                raise Failed(f"{server.name} agreed on {seen['group']} instead of {group}")
            return seen
        return connect
    measure = lambda server: cpu_per_request(bench, server, port, load(server))
    return {"samples": interleaved(bench, name, speaking(port, servers), measure)}


def compare(bench, name, port, servers, load):
    measure = lambda server: cpu_per_request(bench, server, port, load)
    return {"samples": interleaved(bench, name, speaking(port, servers), measure)}


def speaking(port, servers):
    return [server for server in servers if port in server.ports]
