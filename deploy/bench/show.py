"""A report as a person reads it."""

from rich.console import Console
from rich.table import Table

from deploy.bench.arithmetic import Cost
from deploy.bench.counters import Latencies
from deploy.bench.report import Drain, Flat, Measurement, Report, Search


def show(report: Report, console: Console) -> None:
    """Print what matters of a report."""
    machine = report.machine
    console.print(
        f"{machine.cores} cores of {machine.cpu}, {machine.memory_bytes / 2**30:.0f} GB; headwater "
        f"{machine.versions.get('headwater', '')}, code {machine.code}; tenant {report.tenant}",
    )
    if report.warmup_per_s:
        console.print(
            f"warm-up: {report.warmup_events:,} events, {report.warmup_per_s:,.0f} a second; "
            f"the generator alone: {report.generator_per_s or 0:,.0f} a second",
        )
    if loaded := report.measurement or report.drain:
        console.print(
            f"speed of a core: a loop's pass took {loaded.pass_ns:.0f} ns of CPU under the load, "
            f"{machine.pass_ns:.0f} ns before it",
        )
    if report.measurement:
        _measurement(report.measurement, console)
    if report.search:
        _search(report.search, console)
    if report.drain:
        _drain(report.drain, console)
    if report.flat:
        _flat(report.flat, console)
    _completeness(report, console)


def _measurement(found: Measurement, console: Console) -> None:
    served, sent = found.throughput, found.sent
    console.print(
        f"sent {sent.events:,} events at {found.offered_per_s or 0:,.0f} a second, the generator "
        f"{sent.late_p99_ms:.1f} ms late (p99, most {sent.late_max_ms:.0f}); readable "
        f"{served.per_s:,.0f} a second, the last ones {max(0.0, served.caught_up_s):.1f} s behind",
    )
    if found.freshness:
        table = Table(
            "event to readable row", "rows", "p50", "p95", "p99", "max", "≤ 1 s", box=None
        )
        _latencies(table, "sink's histogram", found.freshness.sink)
        _latencies(table, "probes from outside", found.freshness.probes)
        console.print(table)
    _cost(found.cost, console)


def _latencies(table: Table, name: str, found: Latencies) -> None:
    values = (found.p50_ms, found.p95_ms, found.p99_ms, found.max_ms)
    within = "" if found.within_1s is None else f"{found.within_1s:.1%}"
    table.add_row(name, f"{found.count:,}", *(_ms(value) for value in values), within)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"


def _cost(found: Cost, console: Console) -> None:
    console.print(
        f"cost: {1000 * found.cpu_s_per_1000:,.0f} CPU µs an event; others used "
        f"{found.others_share:.0%} of the machine meanwhile, its host {found.stolen_share:.0%}, "
        f"load {found.load_1m:.1f}",
    )
    table = Table("process", "CPU s", "µs an event", "cores", "memory", box=None)
    for name, one in sorted(found.processes.items(), key=lambda pair: -pair[1].cpu_s):
        table.add_row(
            name,
            f"{one.cpu_s:,.1f}",
            f"{1000 * one.cpu_s_per_1000:,.0f}",
            f"{one.cpu_s / found.seconds:.2f}",
            f"{one.rss_bytes / 2**20:,.0f} MB",
        )
    console.print(table)
    table = Table("stage", "messages", "a batch", "Python s", "µs an event", "counts", box=None)
    for name, stage in found.stages.items():
        batch = stage.messages / stage.batches if stage.batches else 0.0
        counts = ", ".join(f"{key} {value:,.0f}" for key, value in stage.counts.items() if value)
        table.add_row(
            name,
            f"{stage.messages:,.0f}",
            f"{batch:,.0f}",
            f"{stage.busy_us / 1e6:,.1f}",
            f"{stage.busy_us_per_event:,.0f}",
            counts,
        )
    console.print(table)
    threads = ", ".join(f"{name} {spent:.1f}" for name, spent in list(found.threads.items())[:12])
    console.print(f"TaskManager's threads, CPU s: {threads}")
    tasks = sorted(found.tasks.items(), key=lambda one: -one[1].busy)[:8]
    text = ", ".join(f"{name} {one.busy:.0%}" for name, one in tasks)
    console.print(f"tasks, share of time busy: {text}")


def _search(found: Search, console: Console) -> None:
    table = Table(
        "events/s", "kept up", "readable/s", "p99 sink", "p99 probes", "CPU µs", "", box=None
    )
    for step in found.steps:
        one = step.measurement
        freshness = one.freshness
        table.add_row(
            f"{one.offered_per_s or 0:,.0f}",
            "yes" if step.stable else "no",
            f"{one.throughput.per_s:,.0f}",
            _ms(freshness.sink.p99_ms if freshness else None),
            _ms(freshness.probes.p99_ms if freshness else None),
            f"{1000 * one.cost.cpu_s_per_1000:,.0f}",
            step.why,
        )
    console.print(table)
    console.print(
        f"highest rate kept up with: {found.per_s or 0:,.0f} events/s",
    )


def _drain(found: Drain, console: Console) -> None:
    rate = (
        "all at one look, ask for more with --drain"
        if found.per_s is None
        else f"{found.per_s:,.0f} events/s after the warm-up's"
    )
    console.print(
        f"backlog of {found.backlog:,} events: {rate} "
        f"(first row {found.started_s:.1f} s after submission)",
    )
    _cost(found.cost, console)


def _flat(found: Flat, console: Console) -> None:
    table = Table("events of", "history", "neighbours", "CPU µs", "Python µs", "others", box=None)
    for group in found.groups:
        table.add_row(
            group.name,
            f"{group.history:,.0f}",
            f"{group.neighbours:,.0f}",
            f"{1000 * group.taskmanager_cpu_s_per_1000:,.0f}",
            f"{sum(group.busy_us_per_event.values()):,.0f}",
            f"{group.others_share:.0%}",
        )
    console.print(table)
    for name, ratios in found.ratios.items():
        text = ", ".join(f"{key} {value:.2f}" for key, value in ratios.items() if value)
        console.print(f"{name}: {text}")


def _completeness(report: Report, console: Console) -> None:
    found = report.completeness
    colour = "green" if found.complete else "red"
    console.print(
        f"[{colour}]{found.users:,} users, {found.sent:,} events sent, {found.counted:,} counted: "
        f"{found.lost:,} lost, {found.doubled:,} doubled; {found.without_list:,} users without a "
        f"list, {found.profiles_behind:,} profiles behind[/]; {found.lists_behind:,} lists that "
        f"the last event left as they were; settled after {found.settled_s:.1f} s",
    )
    if report.failures:
        console.print(f"[red]the job failed meanwhile:[/] {report.failures}")
