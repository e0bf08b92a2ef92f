"""What a run stands on: programs built, Kafka started and filled, folders, cores; and what ran where."""
import contextlib, json, os, pathlib, platform, re, shutil, subprocess, sys, tempfile, time

from driver import configs
from driver.process import Failed, Process
from driver.scan import HOST, PHONE, code

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
# Program, and the Debian package that has it.
NEEDED = {"nginx": "nginx", "haproxy": "haproxy", "caddy": "caddy", "wrk": "wrk", "h2load": "nghttp2-client", "gnuplot": "gnuplot-nox", "cc": "gcc", "java": "default-jre-headless", "openssl": "openssl", "taskset": "util-linux"}


def check_packages():
    missing = [package for program, package in NEEDED.items() if not shutil.which(program)]
    if missing:
        sys.exit(f"benches/peers/run: not installed, by Debian's package names: apt-get install --no-install-recommends {' '.join(missing)}")


class Bench:
    """A folder on disk, one in memory, a Kafka, and the release binaries. The servers share one core, clients and Kafka the other."""

    def __init__(self, a):
        self.a, self.tags = a, a.tags
        self.server_core, self.client_core = a.server_core, a.client_core
        self.stage = tempfile.TemporaryDirectory(prefix="tagwire-peers-")
        self.memory_stage = tempfile.TemporaryDirectory(prefix="tagwire-peers-", dir="/dev/shm")
        self.folder, self.memory = pathlib.Path(self.stage.name), pathlib.Path(self.memory_stage.name)
        os.chmod(self.folder, 0o755)
        os.chmod(self.memory, 0o755)
        self.brokers = None
        # At a lower priority than the client, so that a client's request is not late because Kafka has something to do.
        self.beside_client = ["taskset", "-c", str(self.client_core), "nice", "-n", "5"]
        self.kafka_group_nice = 5
        self.may_be_first = subprocess.run(["chrt", "-f", "10", "true"], capture_output=True).returncode == 0

    def build(self):
        folder = "release" if self.a.profile == "release" else self.a.profile
        target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / folder
        self.binary, self.client = self.a.binary or target / "tagwire", target / "peers"
        if not self.a.no_build:
            # The whole workspace, so that features and therefore dependencies are the same as in other builds of it.
            subprocess.run(["cargo", "build", "--profile", self.a.profile, "--locked", "--workspace"], cwd=ROOT, check=True)
        subprocess.run(["cc", "-O2", "-o", self.folder / "kernel_limit", HERE / "kernel_limit.c"], check=True)

    def start_kafka(self):
        say("starting Kafka")
        subprocess.run([ROOT / "tests/stack/install"], check=True, stdout=subprocess.DEVNULL)
        self.kafka("start")
        self.brokers = "127.0.0.1:" + (self.folder / "kafka" / "port").read_text().strip()

    def kafka(self, what):
        subprocess.run([*self.beside_client, ROOT / "tests/stack/kafka", what, self.folder], check=True)
        if what == "start":
            # It is a session of its own: where sessions share a core as groups, what is set for a process counts only within its group.
            group = pathlib.Path("/proc", (self.folder / "kafka" / "pid").read_text().strip(), "autogroup")
            if group.exists():
                group.write_text(str(self.kafka_group_nice))

    @contextlib.contextmanager
    def in_idle_time(self):
        """Kafka, and who writes to it, take what either core has left when neither client nor server has anything to do (SCHED_IDLE): the
        client's core alone has not enough left for a thousand edits a second."""
        self.kafka("stop")
        usual = self.beside_client, self.kafka_group_nice
        self.beside_client, self.kafka_group_nice = ["taskset", "-c", f"{self.server_core},{self.client_core}", "chrt", "--idle", "0"], 19
        self.kafka("start")
        try:
            yield
        finally:
            self.kafka("stop")
            self.beside_client, self.kafka_group_nice = usual
            self.kafka("start")

    def stop(self):
        for process in Process.started:
            process.stop()
        if (self.folder / "kafka").exists():
            self.kafka("stop")
        self.stage.cleanup()
        self.memory_stage.cleanup()

    def seed(self, tags, prefix="peers.", by_rule=False):
        """Fills a compacted topic of tags; returns the seconds that it took. `by_rule`: a rule of each tag leads where it does."""
        say(f"writing {tags:,} tags into Kafka")
        started = time.monotonic()
        subprocess.run([self.client, "seed", "--brokers", self.brokers, "--prefix", prefix, "--tags", str(tags), *(["--by-rule"] if by_rule else [])], check=True)
        return time.monotonic() - started

    def write_codes(self, tags=None, prefix=""):
        """The same codes as in Kafka, for nginx and HAProxy."""
        for name, lines in ((configs.CODES, configs.codes_for_nginx), ("haproxy.map", configs.codes_for_haproxy)):
            with open(self.folder / (prefix + name), "w") as file:
                lines(tags or self.tags, file.write)

    def write_certificate(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=qr.example.com", "-addext", "subjectAltName=DNS:qr.example.com",
                        "-keyout", self.folder / "key.pem", "-out", self.folder / "certificate.pem"], check=True, capture_output=True)
        (self.folder / "certificates").mkdir()
        shutil.copy(self.folder / "certificate.pem", self.folder / "certificates/default.crt")
        shutil.copy(self.folder / "key.pem", self.folder / "certificates/default.key")

    def wrk(self, port, seconds, connection="keep-alive", connections=64, tls=False):
        scheme = "https" if tls else "http"
        return self.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "-s", HERE / "scans.lua", f"{scheme}://127.0.0.1:{port}/", "--", str(self.tags), connection], seconds + 60)

    def h2load(self, port, seconds, connections=64, streams=10):
        uris = self.folder / "uris"
        if not uris.exists():
            step = max(1, self.tags // 20_000)
            uris.write_text("".join(f"https://{HOST}/q/{code(number * 7919 % self.tags)}\n" for number in range(0, self.tags, step)))
        headers = [option for header in PHONE for option in ("-H", header)]
        command = ["h2load", "-t1", f"-c{connections}", f"-m{streams}", "-D", str(seconds), "-i", uris, f"--connect-to=127.0.0.1:{port}", *headers]
        out = self.output(command, seconds + 60)
        counted = re.search(r"requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", out)
        redirects = re.search(r"status codes: \d+ 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out)
        if not counted or not redirects or "Application protocol: h2" not in out:
            raise Failed(f"h2load:\n{out}")
        done = int(counted[2])
        return {"requests": done, "errors": done - int(redirects[1]) + sum(int(counted[n]) for n in (4, 5, 6)), "seconds": seconds}

    def client_program(self, *arguments, punctual=False):
        """`punctual`: before all else on its core, where that is allowed, so that a server is not charged for what Kafka does there."""
        first = ["chrt", "-f", "10"] if punctual and self.may_be_first else []
        return self.run([*first, self.client, *arguments], 180)

    def run(self, command, timeout):
        """A client on its core; what it printed last, which is JSON."""
        return json.loads(self.output(command, timeout).strip().splitlines()[-1])

    def output(self, command, timeout):
        done = subprocess.run(["taskset", "-c", str(self.client_core), *map(str, command)], capture_output=True, text=True, timeout=timeout)
        if done.returncode:
            raise Failed(f"{command[0]} {command[1]}: {(done.stderr.strip() or done.stdout.strip())[:1000]}")
        return done.stdout

    def spawn(self, *arguments, **options):
        """The client's program, where and as Kafka runs."""
        return subprocess.Popen([*self.beside_client, self.client, *map(str, arguments)], stdout=subprocess.PIPE, text=True, **options)

    def machine(self):
        cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
        return {
            "cpu": cpu, "cores": os.cpu_count(), "kernel": platform.release(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30), "versions": self.versions(),
        }

    def versions(self):
        return {
            "rustc": first(["rustc", "--version"], r"rustc ([\d.]+)"), "Kafka": kafka_version(),
            "nginx": first(["nginx", "-v"], r"nginx/([\d.]+)"), "OpenSSL of nginx": first(["nginx", "-V"], r"running with OpenSSL ([\w.]+)") if "running with" in subprocess.run(["nginx", "-V"], capture_output=True, text=True).stderr else first(["nginx", "-V"], r"OpenSSL ([\w.]+)"),
            "HAProxy": first(["haproxy", "-v"], r"version ([\d.]+)"), "Caddy": first(["caddy", "version"], r"v?([\d.]+)"),
            "wrk": first(["wrk", "-v"], r"wrk \D*([\d.]+)"), "h2load": first(["h2load", "--version"], r"nghttp2/([\d.]+)"),
        }


def first(command, pattern):
    """What a program says of itself."""
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "unknown"


def kafka_version():
    return next((re.search(r"kafka_[\d.]+-([\d.]+)\.jar", name)[1] for home in kafka_homes() for name in os.listdir(home) if re.match(r"kafka_[\d.]+-[\d.]+\.jar", name)), "unknown")


def commit():
    """The commit that is measured, with a mark when files differ from it."""
    sha = subprocess.run(["git", "rev-parse", "--short=10", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    changed = subprocess.run(["git", "status", "--porcelain", "--untracked-files=no", "--", "src", ":(glob)benches/*/src/**", "Cargo.lock"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return sha + ("+changes" if changed else "")


def kafka_homes():
    done = subprocess.run(["bash", "-c", 'source tests/stack/places.sh && echo "$kafka_home/jars"'], cwd=ROOT, capture_output=True, text=True)
    return [done.stdout.strip()]


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)
