from deploy.bench.schedule import TICK_S, OpenLoop


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


def test_no_event_goes_out_before_it_is_due_nor_a_tick_after() -> None:
    clock = Clock()
    loop = OpenLoop(10_000, clock, clock.sleep)
    sent = []
    for first, end in loop.batches(5000):
        for event in range(first, end):
            assert loop.due_s(event) <= clock() + 1e-9
            assert clock() - loop.due_s(event) <= TICK_S + 1e-9
            sent.append(event)
    assert sent == list(range(5000))


def test_events_that_fell_due_in_a_stall_keep_their_times_and_go_at_once() -> None:
    clock = Clock()
    loop = OpenLoop(10, clock, clock.sleep)
    sent_s: dict[int, float] = {}
    for first, end in loop.batches(100):
        for event in range(first, end):
            sent_s[event] = clock()
            if event == 20:
                clock.now_s += 3.0
    late_s = {event: at_s - loop.due_s(event) for event, at_s in sent_s.items()}
    # The 30 events of the stall are late by what was left of it, all others are not.
    assert max(late_s.values()) > 2.8
    assert sum(late > 0.05 for late in late_s.values()) == 29
    assert max(sent_s.values()) <= loop.due_s(99) + TICK_S


def test_the_whole_takes_as_long_as_the_rate_says() -> None:
    clock = Clock()
    for _ in OpenLoop(250, clock, clock.sleep).batches(1000):
        pass
    assert clock.now_s - 100.0 == 999 / 250 or abs(clock.now_s - 100.0 - 999 / 250) <= TICK_S


def test_it_sleeps_instead_of_spinning() -> None:
    clock = Clock()
    for _ in OpenLoop(100_000, clock, clock.sleep).batches(100_000):
        pass
    assert min(clock.slept) >= TICK_S
    assert len(clock.slept) <= 1.0 / TICK_S + 1
