"""The real broker: large records, restarts, failures, and that nothing is left behind."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from streamcount.errors import BrokerError
from streamcount.service.broker import Broker
from streamcount.service.topics import TopicSpec, check_topics, make_topics

pytestmark = pytest.mark.broker

# Ctrl-C is ignored by what a shell without a terminal starts in the background, and by all that this starts in turn.
FOREGROUND = """
import signal, sys
from pathlib import Path
from streamcount.service.broker import run_broker

signal.signal(signal.SIGINT, signal.default_int_handler)
run_broker(
    Path(sys.argv[1]), nodes=1, port=0, heap_mb=256, say=lambda line: None,
    serving=lambda broker: print(broker.bootstrap_servers, *broker.pids.values(), flush=True),
)
"""


def produce(servers: str, topic: str, values: list[bytes]) -> None:
    producer = KafkaProducer(bootstrap_servers=servers.split(","), acks="all", max_request_size=16 * 2**20)
    with closing(producer):
        for sent in [producer.send(topic, value) for value in values]:
            sent.get(timeout=30)


def consume(servers: str, topic: str, count: int, give_up_s: float = 30) -> list[bytes]:
    """All values of partition 0, until there are `count` of them or time is up."""
    consumer = KafkaConsumer(
        bootstrap_servers=servers.split(","),
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=16 * 2**20,
        fetch_max_bytes=32 * 2**20,
    )
    values: list[bytes] = []
    with closing(consumer):
        consumer.assign([TopicPartition(topic, 0)])
        deadline = time.monotonic() + give_up_s
        while len(values) < count and time.monotonic() < deadline:
            for records in consumer.poll(timeout_ms=500).values():
                values += [record.value for record in records]
    return values


def topic(name: str, **config: str) -> TopicSpec:
    return TopicSpec(name, 1, {key.replace("_", "."): value for key, value in config.items()})


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # A zombie that nobody has waited for yet is no running process.
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def wait_until_gone(pids: list[int], give_up_s: float = 30) -> list[int]:
    deadline = time.monotonic() + give_up_s
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


@contextmanager
def foreground(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str, list[int]]]:
    """A process that runs `run_broker`, its address, and the ids of its node and of its watchdog."""
    process = subprocess.Popen(
        [sys.executable, "-c", FOREGROUND, str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        servers, *pids = process.stdout.readline().split()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield process, servers, [int(pid) for pid in {*pids, *children}]
    finally:
        process.kill()
        process.wait()


def test_a_record_of_5_mb_passes(broker: Broker) -> None:
    make_topics(
        [topic("broker-test-large", compression_type="uncompressed")],
        replication_factor=1,
        bootstrap_servers=broker.bootstrap_servers,
    )
    image = random.Random(5).randbytes(5 * 2**20)
    produce(broker.bootstrap_servers, "broker-test-large", [image])
    assert consume(broker.bootstrap_servers, "broker-test-large", 1) == [image]


def test_topics_are_made_once_and_differences_are_told(broker: Broker) -> None:
    at = {"replication_factor": 1, "bootstrap_servers": broker.bootstrap_servers}
    wanted = TopicSpec("broker-test-topics", 2, {"retention.ms": "3600000", "cleanup.policy": "delete"})
    assert [(d.setting, d.found) for d in check_topics([wanted], **at)] == [("topic", "missing")]
    assert make_topics([wanted], **at).made == ("broker-test-topics",)
    again = make_topics([wanted], **at)
    assert (again.made, again.updated, again.differences) == ((), (), ())

    other = TopicSpec("broker-test-topics", 5, {"retention.ms": "60000", "cleanup.policy": "delete"})
    told = check_topics([other], **at)
    assert [(d.setting, d.wanted, d.found) for d in told] == [
        ("partitions", "5", "2"),
        ("retention.ms", "60000", "3600000"),
    ]
    report = make_topics([other], **at, update=True)
    assert [d.setting for d in report.updated] == ["retention.ms"]
    assert [d.setting for d in report.differences] == ["partitions"]


def test_more_copies_than_brokers_are_refused_with_the_reason(broker: Broker) -> None:
    with pytest.raises(BrokerError, match=r"broker-test-copies.*replication factor of 3"):
        make_topics(
            [topic("broker-test-copies")], replication_factor=3, bootstrap_servers=broker.bootstrap_servers
        )


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BrokerError, match=f"Port {port} .* is taken"):
            Broker(tmp_path, port=port).start()


def test_records_outlive_ctrl_c_and_kill_and_no_process_does(tmp_path: Path) -> None:
    with foreground(tmp_path) as (process, servers, pids):
        assert len(pids) == 2
        with pytest.raises(BrokerError, match="in use by another broker"):
            Broker(tmp_path).start()
        make_topics([topic("kept")], replication_factor=1, bootstrap_servers=servers)
        produce(servers, "kept", [b"before Ctrl-C"])
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=400) == 0  # the first stop of all writes the class archive
        assert wait_until_gone(pids) == []

    with foreground(tmp_path) as (process, servers, pids):
        assert consume(servers, "kept", 1) == [b"before Ctrl-C"]
        produce(servers, "kept", [b"before kill -9 of the parent"])
        process.kill()
        assert wait_until_gone(pids) == []

    with pytest.raises(BrokerError, match=r"made with 1 node.*--nodes 1"):
        Broker(tmp_path, nodes=3).start()
    with Broker(tmp_path) as again:
        assert consume(again.bootstrap_servers, "kept", 2) == [
            b"before Ctrl-C",
            b"before kill -9 of the parent",
        ]


def test_a_node_that_cannot_start_is_quoted(tmp_path: Path) -> None:
    with Broker(tmp_path) as running:
        pids = list(running.pids.values())
    assert wait_until_gone(pids) == []
    meta = tmp_path / "kafka" / "node-1" / "meta.properties"
    meta.write_text(meta.read_text().replace("node.id=1", "node.id=7"))
    with pytest.raises(
        BrokerError, match=r"(?s)node 1 ended at its start.*node\.id|node 1 ended at its start.*id"
    ):
        Broker(tmp_path).start()


def test_three_nodes_lose_nothing_when_the_leader_is_killed(tmp_path: Path) -> None:
    with Broker(tmp_path, nodes=3, heap_mb=256) as running:
        servers = running.bootstrap_servers
        spec = topic("copied", min_insync_replicas="2")
        make_topics([spec], replication_factor=3, bootstrap_servers=servers)
        acknowledged: list[bytes] = []
        failed: list[Exception] = []
        finish = threading.Event()

        def keep_producing() -> None:
            producer = KafkaProducer(
                bootstrap_servers=servers.split(","), acks="all", enable_idempotence=True
            )
            with closing(producer):
                number = 0
                while not finish.is_set():
                    value = b"%d" % number
                    try:
                        producer.send("copied", value).get(timeout=60)
                    except Exception as error:
                        failed.append(error)
                        return
                    acknowledged.append(value)
                    number += 1

        thread = threading.Thread(target=keep_producing)
        thread.start()
        try:
            wait_for_more(acknowledged, 20)
            leader = leader_of(servers, "copied")
            running.kill_node(leader)
            assert leader not in running.pids
            wait_for_more(acknowledged, 20)
            running.start_node(leader)
            wait_for_more(acknowledged, 20)
        finally:
            finish.set()
            thread.join(timeout=60)
        assert failed == []
        assert consume(servers, "copied", len(acknowledged)) == acknowledged
        pids = list(running.pids.values())
        assert len(pids) == 3
    assert wait_until_gone(pids) == []


def wait_for_more(values: list[bytes], more: int, give_up_s: float = 60) -> None:
    wanted, deadline = len(values) + more, time.monotonic() + give_up_s
    while len(values) < wanted:
        assert time.monotonic() < deadline, "no more records were acknowledged"
        time.sleep(0.02)


def leader_of(servers: str, name: str) -> int:
    with closing(KafkaAdminClient(bootstrap_servers=servers.split(","))) as admin:
        return int(admin.describe_topics([name])[0]["partitions"][0]["leader_id"])
