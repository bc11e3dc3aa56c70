"""How far a job is behind its topics, by committed offsets."""

from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException

from deploy import catching_up
from deploy.catching_up import ATTEMPTS, STALL_S, CatchUpError, Lag, until_caught_up
from deploy.cluster import ClusterError
from jobs.settings import Kafka


class Consumer:
    """Partition → (low, high, committed); -1001 is Kafka's word for no committed offset."""

    def __init__(self, **topics):
        self.topics = topics

    def list_topics(self, topic, timeout):
        partitions = dict.fromkeys(range(len(self.topics[topic])))
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions=partitions)})

    def committed(self, places, timeout):
        for place in places:
            place.offset = self.topics[place.topic][place.partition][2]
        return places

    def get_watermark_offsets(self, place, timeout):
        return self.topics[place.topic][place.partition][:2]


def test_what_no_checkpoint_covers_is_left_over_all_topics_and_partitions():
    lag = Lag(Consumer(e=[(0, 100, 60), (0, 10, 10)], i=[(5, 9, 5)]), ["e", "i"])
    assert lag() == (44, 114)


def test_a_group_that_never_committed_is_behind_by_all_that_is_there():
    assert Lag(Consumer(e=[(20, 100, -1001)]), ["e"])() == (80, 80)


def test_offsets_before_what_was_kept_or_after_the_end_count_as_its_bounds():
    assert Lag(Consumer(e=[(20, 100, 3), (0, 5, 9)]), ["e"])() == (80, 85)


def test_kafka_that_does_not_answer_is_told_so():
    class Broken:
        def list_topics(self, *_):
            raise KafkaException(SimpleNamespace(str=lambda: "no broker"))

    with pytest.raises(CatchUpError, match="no broker"):
        Lag(Broken(), ["e"])()


class Cluster:
    def __init__(self, failing=0):
        self.taken, self.failing = [], failing

    def checkpoint(self, job_id):
        if self.failing:
            self.failing -= 1
            msg = "declined"
            raise ClusterError(msg)
        self.taken.append(job_id)


def test_offsets_of_an_earlier_run_are_not_taken_for_this_ones():
    cluster, shown = Cluster(), []

    def lag():
        assert len(cluster.taken) >= 2, "the first checkpoint's offsets may not be there yet"
        return (3, 10) if len(cluster.taken) < 4 else (0, 10)

    until_caught_up(cluster, "j", lag, lambda done, total: shown.append((done, total)))
    assert cluster.taken == ["j"] * 4
    assert shown == [(7, 10), (7, 10), (10, 10)]


def test_a_checkpoint_that_fails_is_tried_again_but_not_for_ever(monkeypatch):
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    cluster = Cluster(failing=ATTEMPTS - 1)
    until_caught_up(cluster, "j", lambda: (0, 1), lambda *_: None)
    assert len(cluster.taken) == 2
    with pytest.raises(ClusterError, match="declined"):
        until_caught_up(Cluster(failing=ATTEMPTS), "j", lambda: (0, 1), lambda *_: None)


def test_a_job_that_does_not_move_any_more_is_given_up():
    times = iter([0.0, 1.0, STALL_S, 2 * STALL_S])
    lags = iter([(5, 9), (5, 9), (5, 9)])
    with pytest.raises(CatchUpError, match="5 records are left"):
        until_caught_up(Cluster(), "j", lambda: next(lags), lambda *_: None, lambda: next(times))


def deletion(monkeypatch, *codes):
    """What is asked for, if Kafka answers the deletion of a group with these codes in turn."""
    answers, asked = list(codes), []

    class Future:
        def result(self):
            code = answers.pop(0)
            if code is not None:
                raise KafkaException(KafkaError(code))

    class Admin:
        def __init__(self, settings):
            asked.append(settings["bootstrap.servers"])

        def delete_consumer_groups(self, groups, request_timeout):
            asked.extend(groups)
            return {group: Future() for group in groups}

    monkeypatch.setattr("confluent_kafka.admin.AdminClient", Admin)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    catching_up.forget_offsets(Kafka(bootstrap="k:1", group="g"))
    return asked


def test_a_new_kafka_that_is_not_ready_for_groups_is_asked_again(monkeypatch):
    early = KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE
    assert deletion(monkeypatch, *early, None) == ["k:1", "g", "g", "g"]


def test_offsets_of_a_group_are_forgotten_and_one_without_any_is_fine(monkeypatch):
    assert deletion(monkeypatch, None) == ["k:1", "g"]
    assert deletion(monkeypatch, KafkaError.GROUP_ID_NOT_FOUND) == ["k:1", "g"]


def test_a_refused_deletion_is_told(monkeypatch):
    with pytest.raises(CatchUpError, match="group g at Kafka k:1 cannot be deleted"):
        deletion(monkeypatch, KafkaError.NON_EMPTY_GROUP)
