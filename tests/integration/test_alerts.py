"""Alerts on a real Kafka: cameras that fall silent, and receivers that are down, with processes that are killed."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamcount.alerts import would_have_told
from streamcount.errors import SourceError
from streamcount.service.alerts.past import past_windows, told_alerts
from streamcount.service.broker import Broker
from streamcount.types import AlertCleared, AlertRaised, AnyEvent
from streamcount.wire import decode_event, encode_event
from tests.alertmanager import running_alertmanager
from tests.contract.test_sinks import Receiver
from tests.integration.service import Service, kill_group, without_repeats
from tests.mailbox import Mailbox, free_port
from tests.sunk import START_NS, at, counts, window

pytestmark = pytest.mark.broker
S = 10**9
PATIENCE_S = 90.0
ANN = "ann@lab.example.org"


@contextlib.contextmanager
def service(broker: Broker, folder: Path, name: str, text: str) -> Iterator[Service]:
    # The broker is shared by all tests, and so would be the changelog of a worker of the default name.
    running = Service(broker.bootstrap_servers, folder, f'[worker]\napp_id = "{name}-worker"\n{text}', name)
    try:
        yield running
    finally:
        running.close()


def publish(running: Service, *events: AnyEvent, timestamp_ms: int | None = None) -> None:
    with running.producer() as producer:
        for event in events:
            topic = "alerts" if isinstance(event, AlertRaised | AlertCleared) else "counts"
            name = running.settings.topics.name(topic)
            key, value = event.camera_id.encode(), encode_event(event)
            producer.send(name, key=key, value=value, timestamp_ms=timestamp_ms)
        producer.flush()


def until(running: Service, what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, running.logs()
        time.sleep(0.1)


def alerts(running: Service, enough: Callable[[list[AnyEvent]], bool]) -> list[tuple[str, str, int]]:
    """(camera, kind, sequence) of what the topic of alerts holds, once it is enough; each message once."""
    records = running.records_until(
        ("alerts",), lambda found: enough([decode_event(one.value) for one in found]), PATIENCE_S
    )
    once = without_repeats([decode_event(one.value) for one in records]).values()
    return [(one.camera_id, one.kind, one.sequence) for one in once]


class Sending:
    """A camera whose frames are counted ten times a second, until it is closed; `sequence` is the last one then."""

    def __init__(self, running: Service, camera: str, first: int = 0) -> None:
        self._running, self._camera = running, camera
        self.first, self.sequence = first, first - 1
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._end.set()
        self._thread.join()

    def _send(self) -> None:
        name = self._running.settings.topics.name("counts")
        with self._running.producer() as producer:
            while not self._end.wait(0.1):
                value = encode_event(counts(self.sequence + 1, 1, self._camera))
                producer.send(name, key=self._camera.encode(), value=value)
                self.sequence += 1


SILENT = """
[alerts.silent]
kind = "silent"
after_s = 4
"""


def test_a_silent_camera_is_told_once_over_kills_and_disturbs_no_other(broker, tmp_path):
    with service(broker, tmp_path, "alerts-silent", SILENT) as running:
        other = Sending(running, "other")
        process = running.start("alerts", "run")
        publish(running, counts(7, 1))
        told = [("scope-1", "AlertRaised", 7)]
        assert alerts(running, lambda found: len(found) >= 1) == told
        stalled = running.records_until(("events",), lambda found: len(found) >= 1, PATIENCE_S)
        assert [decode_event(one.value).event_id for one in stalled] == ["scope-1/run-1/7/CameraStalled"]
        kill_group(process)
        process.wait()
        process = running.start("alerts", "run")
        # The other one falls silent, which shows that the new process has judged.
        other.close()
        found = alerts(running, lambda found: len(found) >= 2)
        told.append(("other", "AlertRaised", other.sequence))
        assert sorted(found) == sorted(told)
        other = Sending(running, "other", other.sequence + 1)
        told.append(("other", "AlertCleared", other.first))
        assert sorted(alerts(running, lambda found: len(found) >= 3)) == sorted(told)
        kill_group(process)
        process.wait()
        publish(running, counts(8, 1))
        process = running.start("alerts", "run")
        told.append(("scope-1", "AlertCleared", 8))
        assert sorted(alerts(running, lambda found: len(found) >= len(told))) == sorted(told)
        other.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_configured_camera_that_never_sends_is_told_once_and_ends_when_it_is_taken_out(broker, tmp_path):
    spare = '[cameras.spare.source]\nkind = "simulated"\n[cameras.other.source]\nkind = "simulated"\n'
    with service(broker, tmp_path, "alerts-unheard", SILENT + spare) as running:
        other = Sending(running, "other")
        process = running.start("alerts", "run")
        [(camera, kind, _)] = told = alerts(running, lambda found: len(found) >= 1)
        assert (camera, kind) == ("spare", "AlertRaised")
        kill_group(process)
        process.wait()
        # The other one falls silent, which shows that the new process has judged.
        other.close()
        process = running.start("alerts", "run")
        found = alerts(running, lambda found: len(found) >= 2)
        assert sorted(found) == sorted([*told, ("other", "AlertRaised", other.sequence)])
        kill_group(process)
        process.wait()
        text = running.file.read_text()
        running.file.write_text(text.replace('[cameras.spare.source]\nkind = "simulated"\n', ""))
        running.start("alerts", "run")
        [cleared] = [one for one in alerts(running, lambda found: len(found) >= 3) if one not in found]
        assert cleared[:2] == ("spare", "AlertCleared")


def test_a_rebalance_that_gives_back_what_it_took_begins_the_watch_anew(broker, tmp_path):
    """Meanwhile another process may have had these cameras, and told of them."""
    from kafka import KafkaConsumer

    with service(broker, tmp_path, "alerts-rebalanced", SILENT) as running:
        running.start("alerts", "run")
        until(running, lambda: running.logs().count("watching ") == 1)
        # It reads another topic, so that the partitions of the watcher stay what they are.
        other = KafkaConsumer(
            running.settings.topics.name("windows"),
            bootstrap_servers=broker.bootstrap_servers,
            group_id=f"{running.settings.topics.prefix}-alerts",
        )
        with contextlib.closing(other):
            deadline = time.monotonic() + PATIENCE_S
            while not other.assignment():
                assert time.monotonic() < deadline, running.logs()
                other.poll(timeout_ms=200)
            until(running, lambda: running.logs().count("watching ") >= 2)
        lines = [line for line in running.logs().splitlines() if "watching " in line]
        assert len({line.split("watching ")[1] for line in lines}) == 1


LATE = """
[alerts.late]
kind = "latency"
above_s = 20
for_s = 0
"""


def test_late_counts_and_frames_that_nobody_counts_are_told(broker, tmp_path):
    with service(broker, tmp_path, "alerts-late", LATE) as running:
        running.start("alerts", "run", "--port", "0")
        until(running, lambda: "watching 4 partitions" in running.logs())
        late_ms = int((time.time() - 60) * 1000)
        publish(running, counts(0, 1), timestamp_ms=late_ms)
        assert alerts(running, lambda found: len(found) >= 1) == [("scope-1", "AlertRaised", 0)]
        # Shared out once: what comes between two sharings is taken for old.
        assert re.findall(r"watching \d", running.logs()) == ["watching 4"]
        publish(running, counts(1, 1))
        told = [("scope-1", "AlertRaised", 0), ("scope-1", "AlertCleared", 1)]
        assert alerts(running, lambda found: len(found) >= 2) == told
        with running.producer() as producer:
            producer.send(running.settings.topics.name("frames"), key=b"scope-1", value=b"a frame")
        told.append(("scope-1", "AlertRaised", 1))
        assert alerts(running, lambda found: len(found) >= 3) == told


def raised(second: int, rule: str = "crowded") -> AlertRaised:
    return AlertRaised(**at(second), rule=rule, reason="too many")


def cleared(second: int, raised_second: int, rule: str = "crowded") -> AlertCleared:
    return AlertCleared(**at(second), rule=rule, reason="fewer", raised_at_ns=START_NS + raised_second * S)


def mail_settings(port: int, folder: Path) -> str:
    return f"""
[sinks.mail]
kind = "smtp"
host = "127.0.0.1"
port = {port}
security = "none"
sender = "streamcount@lab.example.org"
to = ["{ANN}"]
folder = "{folder / "mail"}"
"""


def test_receivers_that_are_down_hold_up_only_themselves_and_are_told_once_over_kills(broker, tmp_path):
    receiver = Receiver()
    port = free_port()
    hook = f"""
[sinks.hook]
kind = "webhook"
url = "http://127.0.0.1:{receiver.server_address[1]}/"
topics = ["alerts"]
"""
    with service(broker, tmp_path, "alerts-told", mail_settings(port, tmp_path) + hook) as running:
        # Before the sink has ever run: the hook is given it, and nobody gets a mail of old alerts.
        publish(running, raised(1, "old"), counts(3, 1))
        process = running.start("sink")
        until(running, lambda: len(receiver.kept) == 1 and running.logs().count("takes events") == 2)
        # It is asked for its place at the first poll after that, which commits it.
        mailbox = Mailbox(port)
        publish(running, raised(10))
        until(running, lambda: len(mailbox.mails) == 1)
        kill_group(process)
        process.wait()
        mailbox.close()
        publish(running, raised(10), cleared(20, 10), raised(30), counts(31, 1))
        process = running.start("sink")
        until(running, lambda: len(receiver.kept) == 4)
        until(running, lambda: "sink mail waits" in running.logs())
        again = Mailbox(port)
        until(running, lambda: len(again.mails) == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        again.close()
    subjects = [mail["Subject"].split()[1] for mail in (*mailbox.mails, *again.mails)]
    assert subjects == ["warning:", "cleared:", "warning:"]
    assert {event.kind for event in receiver.kept.values()} == {"AlertRaised", "AlertCleared"}
    receiver.shutdown()
    receiver.server_close()


def test_alertmanager_knows_what_is_active_after_both_were_killed(broker, tmp_path):
    with running_alertmanager(tmp_path) as server:
        text = f"""
[sinks.am]
kind = "alertmanager"
url = "{server.url}"
resend_s = 1
path = "{tmp_path / "active.sqlite"}"
"""
        with service(broker, tmp_path, "alerts-am", text) as running:
            publish(running, raised(1), raised(2, "few"))
            process = running.start("sink")
            until(running, lambda: server.names() == ["crowded", "few"])
            server.kill()
            kill_group(process)
            process.wait()
            publish(running, cleared(3, 1), raised(4, "many"))
            process = running.start("sink")
            until(running, lambda: "sink am waits" in running.logs())
            server.start()
            until(running, lambda: server.names() == ["few", "many"])
            server.kill()
            server.start()
            # Nothing is told any more, and it knows again.
            until(running, lambda: server.names() == ["few", "many"])
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


def test_alerts_are_listed_and_rules_tried_from_the_topics(broker, tmp_path):
    rules = '[alerts.many]\nkind = "limit"\nfigure = "cells"\nabove = 4\n'
    with service(broker, tmp_path, "alerts-past", rules) as running:
        publish(running, raised(10), raised(10), cleared(20, 10), raised(30))
        with running.producer() as producer:
            for closed in (window(10, 9.0, False), window(60, 4.5, True)):
                producer.send(
                    running.settings.topics.name("windows"), key=b"scope-1", value=encode_event(closed)
                )
        listed = told_alerts(running.settings)
        assert [(one.sequence, end and end.sequence) for one, end, _ in listed] == [(10, 20), (30, None)]
        windows = past_windows(running.settings, "run-1")
        assert [one.sequence for one in windows] == [60]
        [(one, end, _)] = would_have_told("many", running.settings.alerts, windows)
        assert (one.value, end) == (4.5, None)
        with pytest.raises(SourceError, match="run-2"):
            past_windows(running.settings, "run-2")
