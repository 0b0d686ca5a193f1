"""How far the workers lag: asked of the broker every second, which also tells whether it is there."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from streamcount.config import Settings

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

log = logging.getLogger(__name__)

PROBE_EVERY_S = 1.0
CONNECT_S = 3.0


class LagProbe(threading.Thread):
    """Asks until `end`. lag: frames that the workers have not committed yet, None while nobody knows.

    trouble: what is wrong with Kafka, or "".
    """

    def __init__(self, settings: Settings, client_id: str) -> None:
        super().__init__(name=f"{client_id} lag", daemon=True)
        self._settings = settings
        self._client_id = client_id
        self._ended = threading.Event()
        self.lag: int | None = None
        self.trouble = ""

    def end(self) -> None:
        """Ends the thread soon."""
        self._ended.set()

    def run(self) -> None:
        from kafka.errors import KafkaError

        admin: KafkaAdminClient | None = None
        while not self._ended.is_set():
            try:
                if admin is None:
                    admin = self._connect()
                self.lag = self.measure(admin, self._settings)
                self.trouble = ""
            except Exception as error:
                known = isinstance(error, (KafkaError, OSError))
                address = self._settings.kafka.bootstrap_servers
                self.trouble = f"Kafka at {address} does not answer: {error}" if known else fault(error)
                self.lag = None
                self.forget()
                stale, admin = admin, None
                if stale is not None:
                    stale.close()
            self._ended.wait(PROBE_EVERY_S)
        if admin is not None:
            admin.close()

    def measure(self, admin: KafkaAdminClient, settings: Settings) -> int | None:
        """Asks the broker; what it gives is the lag. Raises KafkaError."""
        return measure_lag(admin, settings)

    def forget(self) -> None:
        """Called when nobody knows any longer."""

    def _connect(self) -> KafkaAdminClient:
        from kafka import KafkaAdminClient

        return KafkaAdminClient(
            bootstrap_servers=self._settings.kafka.bootstrap_servers.split(","),
            client_id=self._client_id,
            bootstrap_timeout_ms=int(CONNECT_S * 1000),
            request_timeout_ms=4_000,
            reconnect_backoff_max_ms=1_000,
        )


def measure_lag(admin: KafkaAdminClient, settings: Settings) -> int | None:
    """Frames in Kafka that the workers' group has not committed; None where it has committed nothing yet."""
    from kafka import TopicPartition
    from kafka.admin import OffsetSpec
    from kafka.errors import CoordinatorNotAvailableError

    group, topic = settings.app_id, settings.topics.name("frames")
    described = admin.describe_topics([topic])
    partitions = [TopicPartition(topic, one["partition_index"]) for one in described[0]["partitions"]]
    if not partitions:
        return None
    try:
        committed = admin.list_group_offsets(group).get(group, {})
    except CoordinatorNotAvailableError:
        # A new broker keeps no offsets before a first consumer asks it to.
        return None
    if not any(partition in committed for partition in partitions):
        return None
    ends = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
    starts = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.EARLIEST))
    lag = 0
    for partition, start in starts.items():
        done = committed[partition].offset if partition in committed else 0
        lag += ends[partition].offset - max(done, start.offset)
    return lag


def fault(error: Exception) -> str:
    """What a view says that can no longer follow: it must not stay up, as if nothing were counted."""
    log.debug("what is shown is stale", exc_info=error)
    return f"what is shown is stale: {type(error).__name__}: {error}"
