//! Metrics of this process from Linux's `/proc` (proc(5)), read when they are asked for.
//!
//! The prometheus crate's own collector counts CPU in whole seconds, too coarse for rates.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Opts};

/// Clock ticks a second in `/proc`, `USER_HZ`: 100 on every architecture Tagwire is built for (x86-64, AArch64).
const TICKS_PER_SECOND: f64 = 100.0;

/// Collects what [`Usage`] holds; where there is no `/proc`, nothing.
pub(crate) struct ProcessCollector {
    descriptions: Vec<Desc>,
}

impl ProcessCollector {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let collectors = Usage::default().collectors()?;
        let descriptions = collectors
            .iter()
            .flat_map(|collector| collector.desc())
            .cloned()
            .collect();
        Ok(Self { descriptions })
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let collectors = Usage::read()
            .and_then(|usage| usage.collectors().ok())
            .unwrap_or_default();
        collectors
            .iter()
            .flat_map(|collector| collector.collect())
            .collect()
    }
}

/// What the process uses, at one moment.
#[derive(Debug, Default, PartialEq)]
struct Usage {
    cpu_seconds: f64,
    resident_bytes: f64,
    open_fds: f64,
    max_fds: f64,
    threads: f64,
    start_seconds: f64,
}

impl Usage {
    fn read() -> Option<Self> {
        let file = |path| fs::read_to_string(path).ok();
        let usage = Self::parse(
            &file("/proc/self/stat")?,
            &file("/proc/self/status")?,
            &file("/proc/self/limits")?,
            &file("/proc/stat")?,
        )?;
        // One of them is the listing's own.
        let open_fds = fs::read_dir("/proc/self/fd").ok()?.count() as f64 - 1.0;
        Some(Self { open_fds, ..usage })
    }

    fn parse(stat: &str, status: &str, limits: &str, system: &str) -> Option<Self> {
        // The second field is the program's name in parentheses, and may hold anything; the third is at 0 here.
        let stat: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let field = |number: usize| stat.get(number - 3)?.parse::<f64>().ok();
        let value = |text: &str, name: &str| -> Option<f64> {
            let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
            let first = rest.split_whitespace().next()?;
            if first == "unlimited" {
                Some(f64::INFINITY)
            } else {
                first.parse().ok()
            }
        };
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / TICKS_PER_SECOND,
            resident_bytes: value(status, "VmRSS:")? * 1024.0,
            open_fds: 0.0,
            max_fds: value(limits, "Max open files")?,
            threads: field(20)?,
            start_seconds: value(system, "btime")? + field(22)? / TICKS_PER_SECOND,
        })
    }

    /// The conventional names and units of Prometheus client libraries.
    fn collectors(&self) -> prometheus::Result<Vec<Box<dyn Collector>>> {
        let cpu = Opts::new(
            "process_cpu_seconds_total",
            "User and system CPU time spent, in seconds.",
        );
        let cpu = Counter::with_opts(cpu)?;
        cpu.inc_by(self.cpu_seconds);
        let mut collectors: Vec<Box<dyn Collector>> = vec![Box::new(cpu)];
        for (name, help, value) in [
            (
                "process_resident_memory_bytes",
                "Resident memory, in bytes.",
                self.resident_bytes,
            ),
            ("process_open_fds", "Open file descriptors.", self.open_fds),
            (
                "process_max_fds",
                "Most file descriptors that may be open.",
                self.max_fds,
            ),
            (
                "process_threads",
                "Threads of the operating system.",
                self.threads,
            ),
            (
                "process_start_time_seconds",
                "When the process started, in seconds since 1970, UTC.",
                self.start_seconds,
            ),
        ] {
            let gauge = Gauge::with_opts(Opts::new(name, help))?;
            gauge.set(value);
            collectors.push(Box::new(gauge));
        }
        Ok(collectors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_read_as_documented() {
        let stat = "4242 (tag) wire 1) S 1 4242 4242 0 -1 4194560 9000 0 0 0 1234 66 0 0 20 0 9 0 5050 900000 7000 1";
        let status = "Name:\ttag) wire 1\nVmPeak:\t  90000 kB\nVmRSS:\t   28000 kB\nThreads:\t9\n";
        let limits = "Limit   Soft Limit   Hard Limit   Units\nMax open files            1024      4096      files\n";
        let system = "cpu  1 2 3\nintr 5\nbtime 1700000000\nprocesses 7\n";
        let expected = Usage {
            cpu_seconds: 13.0,
            resident_bytes: 28_672_000.0,
            open_fds: 0.0,
            max_fds: 1024.0,
            threads: 9.0,
            start_seconds: 1_700_000_050.5,
        };
        assert_eq!(Usage::parse(stat, status, limits, system), Some(expected));
        assert_eq!(Usage::parse("", status, limits, system), None);
        let unlimited = limits.replace("1024", "unlimited");
        assert_eq!(
            Usage::parse(stat, status, &unlimited, system)
                .unwrap()
                .max_fds,
            f64::INFINITY
        );
    }
}
