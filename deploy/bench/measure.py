"""One load at one rate, by an open loop."""

import time

from deploy.bench.arithmetic import Sample, cost, median_pass_ns, thirds
from deploy.bench.bench import Bench
from deploy.bench.counters import of_histogram
from deploy.bench.markers import Prober, Probes
from deploy.bench.report import Freshness, Measurement, Throughput
from deploy.bench.sampling import Sampler


def at_rate(bench: Bench) -> None:
    """Warm up, then measure at the rate that was asked for."""
    options = bench.options
    assert options.rate is not None
    bench.submit()
    bench.warm_up(options.warmup_events)
    if options.lead_in_s:
        bench.lead_in(options.rate, options.lead_in_s)
    bench.report.measurement = measure(bench, options.rate, options.seconds)


def measure(bench: Bench, rate_per_s: float, seconds: float) -> Measurement:
    """Send at a rate for a time and see what becomes of it."""
    count = round(rate_per_s * seconds)
    bench.tell(f"sending {rate_per_s:,.0f} events/s for {seconds:,.0f} s")
    probes = Probes(bench.channel.send, bench.channel.readable, bench.options.probes_per_s)
    with Sampler(bench.take, bench.options.sample_s) as sampler:
        began_s = time.monotonic()
        with Prober(probes, bench.options.poll_ms / 1000) as prober:
            sent = bench.generator.send(count, rate_per_s)
            prober.stop()
            bench.mark()
            sent_s = time.monotonic()
            served_s = bench.wait("waiting for the last rows")
            prober.finish()
        bench.rest()
        samples = sampler.finish()
    loaded = [sample for sample in samples if sample.at_s <= sent_s]
    return Measurement(
        offered_per_s=rate_per_s,
        sent=sent,
        throughput=Throughput(
            events=sent.events,
            seconds=served_s - began_s,
            per_s=sent.events / (served_s - began_s),
            caught_up_s=served_s - began_s - sent.events / rate_per_s,
        ),
        freshness=_freshness(samples, probes),
        cost=cost(samples[0], samples[-1], bench.cores, sent.events + probes.sent),
        thirds=thirds(loaded, bench.cores),
        lag=[(one.at_s - samples[0].at_s, one.counters.pending) for one in samples],
        load_1m=samples[0].usage.load_1m,
        pass_ns=median_pass_ns(loaded[1:]),
    )


def _freshness(samples: list[Sample], probes: Probes) -> Freshness:
    grown = samples[-1].counters.since(samples[0].counters)
    sink, found = of_histogram(grown.stages.get("sink", {})), probes.latencies()
    return Freshness(
        sink=sink,
        probes=found,
        probes_sent=probes.sent,
        probes_lost=probes.lost,
        difference_p50_ms=_difference(found.p50_ms, sink.p50_ms),
        difference_p99_ms=_difference(found.p99_ms, sink.p99_ms),
    )


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
