"""Writes the measured part of docs/performance.md from the results; its plot is `plot`'s."""
from driver import plan, plot
from driver.bench import ROOT
from driver.figures import FIGURES, median

PAGE, PLOT = ROOT / "docs/performance.md", ROOT / "docs/performance.svg"
BEGIN, END = "<!-- Written by benches/peers/run, to the end mark. -->", "<!-- The end of what benches/peers/run writes. -->"


def write(results):
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(before + BEGIN + "\n\n" + measured(results) + "\n" + END + after)
    plot.cpu_per_request({title(name): shape["samples"] for name, shape in with_cpu(results["shapes"])}, PLOT)


def measured(results):
    machine, shapes = results["machine"], results["shapes"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    missed = [figure.name for figure in FIGURES if (judged := figure.judge(shapes)) and judged[-1] == "missed"]
    parts = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, Linux {machine['kernel']}; {versions}.",
        "![CPU per request as a multiple of nginx's, by shape of load and server](performance.svg)",
        "### Figures to reach\n\n" + figures(shapes),
        f"Missed: {'; '.join(missed) or 'none'}.",
        "### CPU per request, µs\n\n" + cpu(shapes),
        *([f"### Latency, ms\n\n{latency(shapes)}"] if any("rate" in shape for shape in shapes.values()) else []),
        *([f"### Memory, start and edits\n\n{tables(shapes)}"] if {"table", "idle_connections", "propagation"} & shapes.keys() else []),
        "### What was measured, when, and of which commit\n\n" + runs(shapes),
    ]
    return "\n\n".join(parts) + "\n"


def rows(head, lines):
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in [head, ["---"] * len(head), *lines])


def figures(shapes):
    return rows(["figure", "must", "aim", "edge", "compared with", "measured", ""], map(lambda figure: row(figure, figure.judge(shapes)), FIGURES))


def row(figure, judged):
    allowance = f" or +{figure.allowance:g} ms" if figure.allowance is not None else ""
    bounds = [figure.name, f"{figure.must:,g}{allowance}", f"{figure.aim:,g}"]
    if not judged:
        return [*bounds, "", "", "", "not measured"]
    value, other, compared, verdict = judged
    beside = "" if other is None else number(other, figure.unit)
    measured = number(value, figure.unit) if other is None else f"{compared:.2f}"
    return [*bounds, number(value, figure.unit), beside, measured, f"**{verdict}**" if verdict == "missed" else verdict]


def number(value, unit=""):
    shown = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"
    return f"{shown} {unit}".strip()


def cpu(shapes):
    lines = []
    for name, shape in with_cpu(shapes):
        for server, samples in shape["samples"].items():
            values = [sample["cpu_us"] for sample in samples]
            parts = [median(samples, key) for key in ("cpu_us", "user_us", "system_us")]
            lines.append([title(name), server, f"{parts[0]:.2f}", f"{min(values):.2f} to {max(values):.2f}", f"{parts[1]:.2f}", f"{parts[2]:.2f}", f"{median(samples, 'per_second'):,.0f}"])
    return rows(["shape", "server", "median", "least to most", "user", "system", "requests a second"], lines)


def latency(shapes):
    lines = []
    for name, shape in shapes.items():
        for server, samples in shape["samples"].items() if "rate" in shape else ():
            quantiles = [f"{median(samples, quantile):.3f}" for quantile in ("p50", "p99", "p99.9", "max", "client_late_p99.9")]
            lines.append([title(name), server, f"{shape['rate']:,}", *quantiles])
    return rows(["shape", "of", "requests a second", "p50", "p99", "p99.9", "most", "the client's own lateness, p99.9"], lines)


def tables(shapes):
    lines = []
    for tags, kinds in shapes.get("table", {"sizes": {}})["sizes"].items():
        for kind, samples in kinds.items():
            lines.append([f"{int(tags):,} tags {kind.replace('_', ' ')}", f"{median(samples, 'seconds'):.2f} s", f"{median(samples, 'tags_per_second'):,.0f} tags a second, {median(samples, 'memory_mb'):.0f} MB anonymous, while it starts {median(samples, 'peak_mb'):.0f} MB"])
    for server, kinds in shapes.get("idle_connections", {"bytes": {}})["bytes"].items():
        for how, bytes_each in kinds.items():
            lines.append([f"{server}: an idle connection, {how}", f"{bytes_each / 1000:.2f} KB", f"over {shapes['idle_connections']['connections']:,}"])
    if found := shapes.get("propagation"):
        lines.append([f"an edit until {found['edges']} edges serve it", f"{found['ms']['p50']} ms", f"p99 {found['ms']['p99']} ms, most {found['ms']['max']} ms, over {found['edits']:,} edits under {found['scans_per_second']:,} scans a second"])
    return rows(["what", "median", ""], lines)


def runs(shapes):
    lines = [[title(name), plan.SHAPES[name].__doc__.strip(), shape["commit"], shape.get("profile", "release"), shape["finished"], shape["rounds"], shape["seconds"], f"{shape['took']:.0f} s" if "took" in shape else "", f"{shape['load_before']:.1f}"] for name, shape in shapes.items()]
    return rows(["shape", "what it is", "commit", "cargo profile", "finished (UTC)", "rounds", "seconds each", "took", "load average before"], lines)


def with_cpu(shapes):
    for name, shape in shapes.items():
        if all("cpu_us" in samples[0] for samples in shape.get("samples", {"none": [{}]}).values()):
            yield name, shape


def title(name):
    for short, written in (("tls", "TLS"), ("http2", "HTTP/2")):
        name = name.replace(short, written)
    return name.replace("_", " ")
