"""All roles, each a process of its own, over real Kafka and ClickHouse. Stands on what benches/peers stands on."""
import argparse, http.client, json, pathlib, shutil, subprocess, urllib.request

from driver import bench as stand
from driver.bench import Bench, say
from driver.process import Failed, Process, free_ports, wait
from driver.scan import HOST
from driver.servers import Edge, Server

PREFIX = "road."
# All that runs shares them.
CORES = ("0", "1")
# The least of a load's rate that has to come: what is seen of fewer scans is not what was asked for.
KEPT = 0.99


class Cluster(Bench):
    """Begins without any process. `start` begins them all on both cores; with `apart` the edge has one core, its client the other, before all else there,
    and everything behind the edge has what either leaves (SCHED_IDLE), as if it ran elsewhere."""

    def __init__(self, a):
        super().__init__(argparse.Namespace(**vars(a), server_core=",".join(CORES), client_core=",".join(CORES)))
        self.apart = self.clickhouse = None
        # Rows of the sink that are not the edge's scans.
        self.others = 0
        self.loads = []

    def build(self):
        super().build()
        self.costs = self.client.with_name("scan_costs")

    def start(self, apart=False):
        if self.apart == apart:
            return
        self.end()
        self.apart, self.others = apart, 0
        self.server_core, self.client_core = CORES if apart else (",".join(CORES), ",".join(CORES))
        self.may_be_first = apart and subprocess.run(["chrt", "-f", "10", "true"], capture_output=True).returncode == 0
        self.beside_client, self.kafka_group_nice = ["taskset", "-c", ",".join(CORES)], 0
        self.start_kafka()
        self.stack("clickhouse", "start")
        self.clickhouse = f"http://127.0.0.1:{(self.folder / 'clickhouse' / 'port').read_text().strip()}"
        self.seed(self.tags, PREFIX)
        if not (self.folder / "certificates").exists():
            self.write_certificate()
        say("starting an admin, a sink and an edge")
        self.admin = Admin(self)
        self.sink = Sink(self)
        self.edge = Edge(self, PREFIX, f"edge-{'apart' if apart else 'together'}")
        self.edge.verify(self.tags)
        # The scans by which the edge was verified belong to no part.
        self.settle()
        if apart:
            self.stand_back()

    def stand_back(self):
        """Now that they have started. Threads that they still make inherit it."""
        servers = [int((self.folder / name / "pid").read_text()) for name in ("kafka", "clickhouse")]
        for pid in servers:
            # Each is a session of its own: where sessions share a core as groups, what is set for a process counts only within its group.
            group = pathlib.Path("/proc", str(pid), "autogroup")
            if group.exists():
                group.write_text("19")
        for pid in (*servers, self.admin.pid, self.sink.pid):
            subprocess.run(["chrt", "--all-tasks", "--idle", "--pid", "0", str(pid)], check=True)

    def stack(self, what, how):
        subprocess.run([*self.beside_client, stand.ROOT / "tests/stack" / what, how, self.folder], check=True)

    def kafka_pid(self):
        return int((self.folder / "kafka" / "pid").read_text())

    def end(self):
        """Ends all processes, and forgets what they kept: the next start has a journal and a store of its own."""
        for load in self.loads:
            load.stop()
        self.loads.clear()
        for process in Process.started:
            process.stop()
        for name in ("clickhouse", "kafka"):
            if (self.folder / name).exists():
                self.stack(name, "stop")
                shutil.rmtree(self.folder / name)
        for role in ("admin", "sink"):
            shutil.rmtree(self.folder / role, ignore_errors=True)

    def stop(self):
        self.end()
        super().stop()

    def settle(self):
        """Waits until all that the edge has answered is stored, and nothing twice."""
        self.edge.settle()
        accepted = self.edge.metrics()["tagwire_edge_scans_accepted_total"]
        wait("every scan to be stored", lambda: self.stored() >= accepted, 300, every=0.1)
        if self.stored() > accepted:
            raise Failed(f"{accepted:.0f} scans were accepted and {self.stored():.0f} stored")

    def stored(self):
        """How many of the edge's scans."""
        return self.sink.metrics()["tagwire_sink_rows_total"] - self.others

    def load(self, rate, seconds):
        """Scans at a rate meanwhile; `join` it."""
        self.loads.append(Load(self, rate, seconds))
        return self.loads[-1]

    def versions(self):
        found = {"rustc": stand.first(["rustc", "--version"], r"rustc ([\d.]+)"), "Kafka": stand.kafka_version()}
        if self.clickhouse:
            found["ClickHouse"] = urllib.request.urlopen(f"{self.clickhouse}/?query=SELECT%20version()", timeout=20).read().decode().strip()
        return found


class Load:
    def __init__(self, cluster, rate, seconds):
        command = [cluster.client, "schedule", f"127.0.0.1:{cluster.edge.ports['plain']}", "--rate", rate, "--seconds", seconds, "--tags", cluster.tags]
        first = ["chrt", "-f", "10"] if cluster.may_be_first else []
        self.process = subprocess.Popen(["taskset", "-c", cluster.client_core, *first, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.rate, self.seconds = rate, seconds

    def is_over(self):
        return self.process.poll() is not None

    def join(self):
        """What the client saw, if the scans came at the rate."""
        out, error = self.process.communicate(timeout=self.seconds + 60)
        if self.process.returncode:
            raise Failed(f"the client of the redirects: {error.strip()[:1000]}")
        seen = json.loads(out.strip().splitlines()[-1])
        if seen["per_second"] < KEPT * self.rate:
            raise Failed(f"{self.rate:,} scans a second were to come for {self.seconds} s, and {seen['per_second']:,.0f} a second were answered")
        return seen

    def stop(self):
        if not self.is_over():
            self.process.kill()
            self.process.communicate()


class Role(Server):
    """A role other than the edge."""

    def __init__(self, cluster, role):
        self.ports = dict(zip(["metrics", "listen"], free_ports(2)))
        self.data, self.peak_memory = cluster.folder / role, 0
        self.data.mkdir()
        keys = {"NODE__ID": role, "METRICS__LISTEN": f"127.0.0.1:{self.ports['metrics']}", "KAFKA__BROKERS": cluster.brokers, "KAFKA__PREFIX": PREFIX,
                "CLICKHOUSE__URL": cluster.clickhouse, "LOG__FORMAT": "text"} | self.settings()
        super().__init__(role, [cluster.binary, role], self.data, ",".join(CORES), {f"TAGWIRE_{key}": str(value) for key, value in keys.items()})
        wait(f"the {role} to be ready", self.is_ready, 120)

    metrics, is_ready = Edge.metrics, Edge.is_ready


class Sink(Role):
    def __init__(self, cluster):
        super().__init__(cluster, "sink")

    def settings(self):
        return {"GEOIP__FILE": geoip()}


class Admin(Role):
    def __init__(self, cluster):
        super().__init__(cluster, "admin")
        self.key = (self.data / "data" / "admin.key").read_text().strip()

    def settings(self):
        return {"NODE__DATA_DIR": self.data / "data", "NODE__PUBLIC_URL": f"http://{HOST}", "ADMIN__LISTEN": f"127.0.0.1:{self.ports['listen']}", "ADMIN__REQUESTS_PER_SECOND": 0}

    def connect(self, timeout=60):
        return http.client.HTTPConnection("127.0.0.1", self.ports["listen"], timeout=timeout)

    def headers(self):
        return {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}

    def ask(self, connection, method, path, body=None):
        connection.request(method, f"/api/v1{path}", body and json.dumps(body), self.headers())
        answer = connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 201):
            raise Failed(f"{method} {path}: {answer.status} {text[:500]!r}")
        return json.loads(text)


def geoip():
    """The cities that the tests use."""
    done = subprocess.run(["bash", "-c", 'source tests/stack/places.sh && echo "$geoip_city"'], cwd=stand.ROOT, capture_output=True, text=True, check=True)
    return pathlib.Path(done.stdout.strip())
