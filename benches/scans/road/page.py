"""The table of docs/performance.md, and the same as text, from the results."""
import json

from driver.bench import ROOT
from road.figures import FIGURES

PAGE = ROOT / "docs/performance.md"
BEGIN, END = "<!-- Written by benches/scans/run, to the end mark. -->", "<!-- The end of what benches/scans/run writes. -->"


def write(results):
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + "\n\n" + measured(*read(results)) + "\n" + END + rest.split(END)[1])


def text(results):
    scans, dashboard = read(results)
    lines = [[cell for cell in row if cell] for row in rows(scans, dashboard)]
    return machine(scans) + "\n\n" + "\n".join(f"{row[0]:75} {'; '.join(row[1:])}" for row in lines) + "\n"


def read(results):
    found = [json.loads(file.read_text()) if (file := results / name).exists() else {} for name in ("scans.json", "dashboard.json")]
    return {"parts": {}, "machine": None} | found[0], found[1]


def measured(scans, dashboard):
    judged = list(rows(scans, dashboard))
    missed = [row[0] for row in judged if "missed" in row[4]]
    runs = [[name.replace("_", " "), part["of"], part["profile"], part["finished"], f"{part['took']} s", part["load_before"]] for name, part in scans["parts"].items()]
    return "\n\n".join([
        machine(scans) + ".",
        *(["In full: [scans.txt](../benches/results/scans.txt), [scans.json](../benches/results/scans.json)."] if scans["parts"] else []),
        lines(["figure", "must", "aim", "measured", "", "of what"], judged),
        f"Missed: {'; '.join(missed) or 'none'}.",
        lines(["part", "of", "cargo profile", "finished (UTC)", "took", "load average before"], runs),
    ]) + "\n"


def rows(scans, dashboard):
    for figure in FIGURES:
        judged = figure.judge(scans["parts"], dashboard)
        unit = lambda value: f"{number(value)} {figure.unit}".strip()
        bounds = [figure.named(scans["parts"]), ("at least " if figure.least else "") + unit(figure.must), unit(figure.aim)]
        if not judged:
            yield [*bounds, "", "not measured", ""]
            continue
        value, words, verdict = judged
        yield [*bounds, unit(value), f"**{verdict}**" if verdict == "missed" else verdict, words]


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}".removesuffix(".0") if value >= 10 else f"{value:.2f}".removesuffix("0").removesuffix(".0")


def machine(scans):
    found = scans["machine"]
    return f"{found['cpu']}, {found['cores']} cores, {found['memory_gb']} GB, Linux {found['kernel']}; {', '.join(map(' '.join, found['versions'].items()))}" if found else "not measured"


def lines(head, all_rows):
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in [head, ["---"] * len(head), *all_rows])
