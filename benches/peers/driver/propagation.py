"""From an edit to its being served on every edge: benches/propagation measures it, this takes its figures in."""
import json, os, pathlib, subprocess, tempfile

from driver.bench import ROOT, say
from driver.process import Failed

EDITS_A_ROUND = 200


def propagation(bench, _):
    """An edit until it is served on each of 3 edges, by benches/propagation."""
    say("benches/propagation")
    environment = os.environ | {"TAGWIRE_TEST_KAFKA": bench.brokers}
    with tempfile.TemporaryDirectory(dir=bench.folder) as results:
        command = [ROOT / "benches/propagation", "--binary", bench.binary, "--edits", EDITS_A_ROUND * bench.a.rounds, "--results", results]
        done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=1200)
        if done.returncode:
            raise Failed(f"benches/propagation: {done.stderr[-1000:] or done.stdout[-1000:]}")
        result = json.loads((pathlib.Path(results) / "propagation.json").read_text())
    return {"ms": result["served_on_every_edge_ms"], "edges": result["edges"], "edits": result["edits"], "scans_per_second": result["scans_per_second"], "disagreements": len(result["disagreements"])}
