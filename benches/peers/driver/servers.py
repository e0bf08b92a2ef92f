"""The servers that are compared, set up to do the same work: look one of a million codes up, answer 302, record the scan."""
import http.client, pathlib, random, signal, ssl, urllib.request

from driver import configs
from driver.process import Failed, Process, answers, free_ports, wait
from driver.scan import HOST, PHONE, code, destination


class Server(Process):
    """Ports by what comes there: plain or deferred, tls or new_tls or new_tls_no_tickets, h2."""
    records = False
    has_hybrid = False

    def recorded(self):
        """How many scans have been recorded, for good."""
        return None

    def settle(self):
        """Waits until all that was answered has been recorded."""

    def verify(self, tags, samples=100, how="plain"):
        """Asks for random codes, and for one that does not exist."""
        connection = self.connection(how)
        for number in random.sample(range(tags), samples):
            status, location = ask(connection, code(number))
            if (status, location) != (302, destination(number)):
                raise Failed(f"{self.name}: {code(number)} was answered {status} {location}")
        if self.records:
            status, location = ask(connection, "unknown")
            if status != 404:
                raise Failed(f"{self.name}: an unknown code was answered {status} {location}")
        connection.close()


    def connection(self, how):
        port = self.ports[how]
        if how in ("plain", "deferred"):
            return http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        only = ssl.create_default_context(cafile=self.bench.folder / "certificate.pem")
        only.check_hostname = False
        return http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=only)


def ask(connection, code):
    connection.request("GET", f"/q/{code}", headers={"Host": HOST} | dict(header.split(": ", 1) for header in PHONE))
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers.get("Location")


class Edge(Server):
    records = True
    has_hybrid = True

    def __init__(self, bench, prefix="peers.", data="edge", ready_within=600, name="edge"):
        self.bench = bench
        self.ports = dict(zip(["plain", "tls", "metrics"], free_ports(3)))
        self.ports["deferred"] = self.ports["plain"]
        self.ports |= dict.fromkeys(["new_tls", "new_tls_no_tickets", "h2"], self.ports["tls"])
        self.hot = bench.memory / f"{data}-scans"
        self.data = bench.folder / data
        config = bench.folder / f"{data}.toml"
        config.write_text(configs.edge(self, bench, prefix))
        super().__init__(name, [bench.binary, "edge", "--config", config], bench.folder, bench.server_core)
        self.peak_memory = 0
        self.started_in = wait("the edge to be ready", self.is_ready, ready_within, every=0.01)

    def is_ready(self):
        self.check()
        self.peak_memory = max(self.peak_memory, self.anonymous_memory())
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.ports['metrics']}/readyz", timeout=5).status == 200
        except OSError:
            return False

    def metrics(self):
        """Sums by name, over all labels."""
        sums = {}
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.ports['metrics']}/metrics", timeout=20).read().decode()
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name = line.split("{")[0].split(" ")[0]
                sums[name] = sums.get(name, 0) + float(line.rsplit(" ", 1)[1])
        return sums

    def recorded(self):
        return self.metrics()["tagwire_edge_scans_acknowledged_total"]

    def settle(self):
        def delivered():
            now = self.metrics()
            if now["tagwire_edge_scans_dropped_total"]:
                raise Failed(f"the edge dropped {now['tagwire_edge_scans_dropped_total']:.0f} scans")
            return now["tagwire_edge_scans_acknowledged_total"] == now["tagwire_edge_scans_accepted_total"]
        wait("every scan to be acknowledged by Kafka", delivered, 300, every=0.1)

    def folds(self):
        return self.metrics()["tagwire_edge_table_folds_total"]

    def is_abreast(self):
        """Waits until every change in Kafka has been applied: twice, as what was written a moment ago may not have been heard of."""
        lag = [1]
        def none_left():
            lag.append(self.metrics()["tagwire_edge_journal_lag_seconds"])
            return lag[-2:] == [0, 0]
        wait("the edge to have applied all changes", none_left, 120, every=0.3)

    def wrote_snapshot(self):
        return any(self.data.glob("*snapshot*"))


class Nginx(Server):
    records = True

    def __init__(self, bench, prefix=""):
        self.bench, self.codes = bench, bench.folder / (prefix + configs.CODES)
        names = ["plain", "deferred", "tls", "new_tls", "new_tls_no_tickets", "h2"]
        self.ports = dict(zip(names, free_ports(len(names))))
        self.access_log = bench.memory / "nginx-scans.log"
        self.counted = 0
        config = bench.folder / "nginx.conf"
        config.write_text(configs.nginx(self, bench))
        super().__init__("nginx", ["nginx", "-c", config], bench.folder, bench.server_core)
        wait("nginx to listen", self.is_listening, 300)

    def is_listening(self):
        self.check()
        return answers(self.ports["plain"])

    def recorded(self):
        """Lines in the log, which is emptied when they have been counted: it lies in memory."""
        with open(self.access_log, "r+b") as log:
            while chunk := log.read(1 << 20):
                self.counted += chunk.count(b"\n")
            log.truncate(0)
        return self.counted

    def settle(self):
        size = [-1, -1]
        def written():
            size.append(self.access_log.stat().st_size)
            return size[-1] == size[-2]
        # Buffers are written when full and each second; a worker that has nothing to do is past both.
        wait("nginx to write its log", written, 30, every=1.1)


class HAProxy(Server):
    records = True

    def __init__(self, bench):
        self.ports = dict(zip(["plain", "deferred", "log"], free_ports(3)))
        self.access_log = bench.memory / "haproxy-scans.log"
        self.collector = Process("haproxy-log", ["python3", pathlib.Path(__file__).parent / "collector.py", self.ports["log"], self.access_log], bench.folder, bench.client_core)
        wait("the log's collector to listen", lambda: answers(self.ports["log"]))
        config = bench.folder / "haproxy.cfg"
        config.write_text(configs.haproxy(self, bench))
        self.counted = 0
        super().__init__("haproxy", ["haproxy", "-db", "-f", config], bench.folder, bench.server_core)
        wait("HAProxy to listen", self.is_listening, 120)

    is_listening, recorded, settle = Nginx.is_listening, Nginx.recorded, Nginx.settle

    def stop(self, how=signal.SIGTERM):
        super().stop(signal.SIGINT)
        self.collector.stop()


class Caddy(Server):
    records = False  # it does, but knows no codes: see configs.caddy

    def __init__(self, bench):
        self.ports = dict(zip(["plain"], free_ports(1)))
        self.ports["deferred"] = self.ports["plain"]
        self.access_log = bench.memory / "caddy-scans.log"
        self.counted = 0
        config = bench.folder / "Caddyfile"
        config.write_text(configs.caddy(self))
        environment = {"XDG_DATA_HOME": str(bench.folder / "caddy"), "XDG_CONFIG_HOME": str(bench.folder / "caddy")}
        super().__init__("caddy", ["caddy", "run", "--adapter", "caddyfile", "--config", config], bench.folder, bench.server_core, env=environment)
        wait("Caddy to listen", self.is_listening)

    is_listening, recorded, settle = Nginx.is_listening, Nginx.recorded, Nginx.settle


class KernelLimit(Server):
    """Always the answer for the first tag."""

    def __init__(self, bench, closing=False):
        port, = free_ports(1)
        self.ports = {"deferred" if closing else "plain": port}
        program = bench.folder / "kernel_limit"
        super().__init__("kernel limit", [program, port, *(["close"] if closing else [])], bench.folder, bench.server_core)
        wait("the kernel limit's server to listen", lambda: answers(port))

    def verify(self, tags, samples=1, how="plain"):
        if ask(self.connection(how), code(0)) != (302, destination(0)):
            raise Failed("the kernel limit's server gives another answer than the others")
