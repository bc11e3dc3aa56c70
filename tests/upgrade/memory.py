"""The stream through the stages in memory."""

from tests.graph import Graph
from tests.upgrade import stream
from tests.upgrade.facts import Facts, of_rows
from tests.upgrade.stream import Sent

TENANT = "default"


def filled(graph: Graph) -> None:
    """Send what comes before the state is saved."""
    _send(graph, stream.before(TENANT), Facts())


def gone_on(graph: Graph) -> list[Facts]:
    """Send the turns; what is shown after each."""
    shown, facts = [], Facts()
    for number in range(1, stream.TURNS + 1):
        for part in stream.turn(TENANT, number):
            _send(graph, part, facts)
        shown.append(_copy(facts))
    return shown


def _send(graph: Graph, records: list[Sent], facts: Facts) -> None:
    for one in records:
        of_rows(facts, [out.message for out in graph.run([one.message()])["rows"]])
    of_rows(facts, graph.settle())


def _copy(facts: Facts) -> Facts:
    return Facts(**{name: dict(getattr(facts, name)) for name in Facts.__struct_fields__})
