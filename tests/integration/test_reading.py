"""Reading topics from the newest back, and single records, on a real broker."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
from kafka import KafkaConsumer, KafkaProducer

from streamcount.config import Settings, parse_settings
from streamcount.errors import BrokerError
from streamcount.service.broker import Broker
from streamcount.service.reading import BLOCK, join_group, read_backwards, read_record
from streamcount.service.topics import make_topics, topic_specs

pytestmark = pytest.mark.broker
CLIENT = "reading-test"


def made(broker: Broker, prefix: str) -> Settings:
    """Settings of three partitions, whose topics were made a moment ago."""
    settings = parse_settings(
        f'kafka.bootstrap_servers = "{broker.bootstrap_servers}"\ntopics.prefix = "{prefix}"\ntopics.partitions = 3',
        environment={},
    )
    make_topics(topic_specs(settings), replication_factor=1, bootstrap_servers=broker.bootstrap_servers)
    return settings


@pytest.mark.parametrize("attempt", range(3))
def test_a_group_that_is_joined_as_its_topics_are_made_shares_out_all_at_once(
    broker: Broker, attempt: int
) -> None:
    settings = made(broker, f"joining-{attempt}")
    topics = [settings.topics.name("counts"), settings.topics.name("events")]
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap_servers, group_id=f"joining-{attempt}")
    with closing(consumer):
        sharings: list[int] = []
        join_group(consumer, topics, lambda: sharings.append(len(consumer.assignment())))
        deadline = time.monotonic() + 60
        while not sharings and time.monotonic() < deadline:
            consumer.poll(timeout_ms=300)
        # A second sharing would follow at once.
        for _ in range(3):
            consumer.poll(timeout_ms=300)
        assert sharings == [6]
        with pytest.raises(BrokerError, match="there is no topic nowhere; make it with"):
            join_group(consumer, [*topics, "nowhere"], lambda: None)


def test_the_key_s_own_partition_comes_first_and_nothing_is_left_out(broker: Broker) -> None:
    settings = made(broker, "reading")
    topic = settings.topics.name("snapshots")
    more = BLOCK + 7
    with KafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
        sent = [producer.send(topic, str(number).encode(), b"scope-1") for number in range(more)]
        mine = sent[0].get(30).partition
        elsewhere = producer.send(topic, b"elsewhere", b"scope-1", partition=(mine + 1) % 3).get(30)
        producer.flush()
    found = [record.value for record in read_backwards(settings, topic, b"scope-1", client_id=CLIENT)]
    # The newest block first, each in order.
    wanted = [str(number).encode() for number in (*range(7, more), *range(7))]
    assert found == [*wanted, b"elsewhere"]
    record = read_record(settings, topic, elsewhere.partition, elsewhere.offset, client_id=CLIENT)
    assert record.value == b"elsewhere"
    for partition, offset in ((elsewhere.partition, elsewhere.offset + 1), (7, 0), (mine, 10**12)):
        assert read_record(settings, topic, partition, offset, client_id=CLIENT) is None
    with pytest.raises(BrokerError, match="streamcount topics"):
        next(read_backwards(settings, "nothing", b"scope-1", client_id=CLIENT))
