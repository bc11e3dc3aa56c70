import pytest

from deploy.bench.arithmetic import Sample, busy, cost, thirds
from deploy.bench.counters import Snapshot
from deploy.bench.flat import age, group_of
from deploy.bench.usage import Usage, Used

MB = 2**20


def sample(at_s: float, events: float, busy_us: float, cpu_s: dict[str, float]) -> Sample:
    return Sample(
        at_s=at_s,
        counters=Snapshot(
            stages={
                "admission": {"messages": events, "batches": events / 10, "busy_us": busy_us},
                "sink": {"rows": 2 * events, "lists": events, "freshness_ms_count": events},
            },
            vertices={"ranking": {"busy": 500 * at_s, "backpressured": 250 * at_s}},
            pending=7.0,
        ),
        usage=Usage(
            processes={name: Used(spent, 100 * MB) for name, spent in cpu_s.items()},
            threads={"ranking": cpu_s["taskmanager-1"] / 2, "idle": 1.0},
            machine_busy_s=sum(cpu_s.values()) + 0.5 * at_s,
            machine_stolen_s=0.1 * at_s,
            load_1m=3.0,
        ),
    )


FIRST = sample(100.0, 5000, 1e6, {"taskmanager-1": 50.0, "kafka": 10.0})
LAST = sample(
    110.0, 15_000, 4e6, {"taskmanager-1": 58.0, "kafka": 11.0, "taskmanager-1 python": 2.0}
)


def test_cost_is_what_has_grown_over_the_events() -> None:
    found = cost(FIRST, LAST, cores=2)
    assert (found.seconds, found.events, found.pending) == (10.0, 10_000, 7.0)
    assert found.processes["kafka"].cpu_s == 1.0
    assert found.processes["kafka"].cpu_s_per_1000 == pytest.approx(0.1)
    assert found.processes["taskmanager-1 python"].cpu_s == 2.0
    assert found.cpu_s_per_1000 == pytest.approx(1.1)
    assert found.taskmanager_cpu_s_per_1000 == pytest.approx(1.0)


def test_what_others_used_is_the_rest_of_the_machine() -> None:
    found = cost(FIRST, LAST, cores=2)
    assert found.others_share == pytest.approx(5.0 / 20)
    assert found.stolen_share == pytest.approx(1.0 / 20)


def test_stages_tasks_and_threads() -> None:
    found = cost(FIRST, LAST, cores=2)
    admission, sink = found.stages["admission"], found.stages["sink"]
    assert (admission.messages, admission.batches) == (10_000, 1000)
    assert admission.busy_us_per_event == pytest.approx(300.0)
    assert (sink.messages, sink.counts) == (20_000, {"rows": 20_000, "lists": 10_000})
    assert busy(found.stages) == {"admission": pytest.approx(300.0)}
    assert found.tasks["ranking"].busy == pytest.approx(0.5)
    assert found.tasks["ranking"].backpressured == pytest.approx(0.25)
    assert found.threads == {"ranking": pytest.approx(4.0)}


def test_the_events_to_divide_by_may_be_given() -> None:
    assert cost(FIRST, LAST, cores=2, events=20_000).cpu_s_per_1000 == pytest.approx(0.55)
    assert cost(FIRST, FIRST, cores=2).cpu_s_per_1000 == 0.0


def test_thirds_are_cut_at_the_nearest_samples() -> None:
    samples = [
        sample(10.0 * n, 1000 * n, 1e5 * n * n, {"taskmanager-1": 1.0 * n * n}) for n in range(7)
    ]
    parts = thirds(samples, cores=2)
    assert [part.seconds for part in parts] == [20.0, 20.0, 20.0]
    assert [part.events for part in parts] == [2000, 2000, 2000]
    assert [part.taskmanager_cpu_s_per_1000 for part in parts] == pytest.approx([2, 6, 10])
    assert [part.busy_us_per_event["admission"] for part in parts] == pytest.approx(
        [200, 600, 1000]
    )
    assert age(parts)["cpu"] == pytest.approx(5.0)
    assert age(parts)["busy"] == pytest.approx(5.0)


def test_too_few_samples_have_no_thirds() -> None:
    assert thirds([FIRST, FIRST, LAST], cores=2) == []
    assert age([]) == {}


def test_a_groups_cost_is_without_the_idle_jobs() -> None:
    one = cost(FIRST, LAST, cores=2)
    group = group_of("full", [one, one], idle=0.2, history=30, neighbours=5, users=2)
    assert group.events == 20_000
    # 20 s of CPU for 20,000 events, 0.2 of them a second for 20 s without any.
    assert group.taskmanager_cpu_s_per_1000 == pytest.approx((20 - 4) / 20)
    assert group.busy_us_per_event == {"admission": pytest.approx(300.0)}
