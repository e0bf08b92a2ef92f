"""The plot of CPU per request as a multiple of nginx's, by gnuplot: a group of bars for each shape, a bar for each server."""
import subprocess

from driver.figures import median

COLOURS = {"edge": "#1b6ca8", "nginx": "#5a9e4b", "kernel limit": "#9a9a9a", "haproxy": "#c77d2e", "caddy": "#8a63a6"}


def cpu_per_request(shapes, file):
    """`shapes`: samples by server's name, by shape."""
    shapes = {name: samples for name, samples in shapes.items() if "nginx" in samples}
    if not shapes:
        return
    servers = [server for server in COLOURS if any(server in samples for samples in shapes.values())]
    data = []
    for name, samples in shapes.items():
        nginx = median(samples["nginx"], "cpu_us")
        bars = [f"{median(samples[server], 'cpu_us') / nginx:.3f}" if server in samples else "NaN" for server in servers]
        data.append(f'"{name}" ' + " ".join(bars))
    columns = ", ".join(f"$scans using {column}:xtic(1) title '{server}' linecolor rgb '{COLOURS[server]}'" for column, server in enumerate(servers, 2))
    program = "\n".join([
        "$scans << END", *data, "END",
        f"set terminal svg size {320 + 150 * len(shapes)},460 dynamic font 'sans-serif,13' background '#ffffff'",
        f"set output '{file}'",
        "set title 'CPU per request beside nginx (= 1), medians, every scan recorded; lower is better'",
        "set ylabel 'multiple of nginx'", "set yrange [0:*]",
        "set style data histogram", "set style histogram clustered gap 1", "set style fill solid noborder", "set boxwidth 0.9",
        "set grid ytics linecolor rgb '#dddddd'", "set key outside right top", "set xtics scale 0 noenhanced", "set datafile missing 'NaN'",
        f"plot {columns}", "",
    ])
    subprocess.run(["gnuplot"], input=program, text=True, check=True)
