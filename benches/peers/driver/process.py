"""A server's process: pinned to a core, its CPU and memory from the kernel's own accounting, ended by its pid."""
import os, signal, socket, subprocess, sys, time

TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """What makes a run worthless; its words are shown and nothing else is."""


class Process:
    """One that was started here. Its log is FOLDER/NAME.log."""
    started = []

    def __init__(self, name, command, folder, core, env=None, **options):
        self.name, self.log = name, folder / f"{name}.log"
        with open(self.log, "ab") as log:
            limited = ["bash", "-c", 'ulimit -n "$(ulimit -Hn)" && exec "$@"', name, *map(str, command)]
            self.process = subprocess.Popen(["taskset", "-c", str(core), *limited], stdout=options.pop("stdout", log), stderr=log, cwd=folder, env=os.environ | (env or {}), **options)
        self.pid = self.process.pid
        self.started.append(self)

    def pids(self):
        """This process and those that it started."""
        children = open(f"/proc/{self.pid}/task/{self.pid}/children").read().split()
        return [self.pid, *map(int, children)]

    def cpu(self):
        """Seconds of CPU so far, user and system, of all threads."""
        user = system = 0
        for pid in self.pids():
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
            user, system = user + int(fields[11]) / TICKS, system + int(fields[12]) / TICKS
        return user, system

    def anonymous_memory(self):
        """Bytes of anonymous resident memory; a file that is mapped, as the scan log is, does not belong to it."""
        total = 0
        for pid in self.pids():
            total += next((int(line.split()[1]) for line in open(f"/proc/{pid}/status") if line.startswith("RssAnon:")), 0) * 1024
        return total

    def check(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} has ended:\n{self.log.read_text()[-2000:]}")

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(timeout=300)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def wait(what, condition, seconds=120, every=0.05):
    """Until the condition holds; returns the seconds that it took."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() > started + seconds:
            raise Failed(f"waited {seconds} s for {what}")
        time.sleep(every)
    return time.monotonic() - started


def answers(port):
    """Whether something listens."""
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
        return True
    except OSError:
        return False


def free_ports(count):
    """Below the range that the kernel gives to outgoing connections, of which there will be many."""
    last = int(open("/proc/sys/net/ipv4/ip_local_port_range").read().split()[0])
    found, port = [], last - 1 - os.getpid() % 5000
    while len(found) < count:
        port -= 1
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                found.append(port)
            except OSError:
                pass
            if port < 1024:
                sys.exit("benches/peers: no free ports")
    return found
