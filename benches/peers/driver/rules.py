"""What rules cost: two edges, of which one finds each destination by a rule."""
from driver import shapes
from driver.servers import Edge

WITHOUT, WITH = "edge", "edge with rules"


def rule_on_every_tag(bench, _):
    """Kept-alive HTTP/1.1 as above, each tag with a rule that asks for device, system and language and holds; the User-Agent is one that the edge has seen before."""
    bench.seed(bench.tags, "rules.", by_rule=True)
    edges = []
    try:
        edges.append(Edge(bench, data="edge-without-rules", name=WITHOUT))
        edges.append(Edge(bench, "rules.", "edge-with-rules", name=WITH))
        return shapes.compare(bench, "a rule on every tag", "plain", edges, lambda port: bench.wrk(port, bench.a.seconds))
    finally:
        for edge in edges:
            edge.stop()
