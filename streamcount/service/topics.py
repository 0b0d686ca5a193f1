"""All topics that streamcount needs, with their settings: make them, and tell how existing ones differ."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamcount.errors import BrokerError
from streamcount.wire.deadletters import ROOM_BYTES

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

    from streamcount.config import Settings

MEBIBYTE = 2**20
LARGEST_SEGMENT_BYTES = 128 * MEBIBYTE
CHANGELOG_SEGMENT_BYTES = 32 * MEBIBYTE
CONNECT_TIMEOUT_MS = 10_000
UNKNOWN_TOPIC = 3  # Kafka's error code UNKNOWN_TOPIC_OR_PARTITION
TOPIC_EXISTS = 36  # Kafka's error code TOPIC_ALREADY_EXISTS


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic as it should be; `config` has Kafka's own names and its values as text."""

    name: str
    partitions: int
    config: dict[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting of a topic that is not as wanted; `remedy` says what can be done about it."""

    topic: str
    setting: str
    wanted: str
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class TopicsReport:
    """What `make_topics` did (`made`: topics, `updated`: settings changed) and what still differs."""

    made: tuple[str, ...]
    updated: tuple[Difference, ...]
    differences: tuple[Difference, ...]


def changelog_topic(settings: Settings) -> str:
    """Where Faust keeps the worker's state for each camera."""
    return f"{settings.app_id}-state-changelog"


def groups_topic(settings: Settings) -> str:
    """Where `streamcount groups run` keeps its state for each group."""
    return f"{settings.topics.prefix}.groups-state"


def topic_specs(settings: Settings) -> list[TopicSpec]:
    """Every topic of the service, with equal partition counts: a camera is the same partition everywhere.

    Records keep their producer's time (CreateTime): for a frame that is when it was captured,
    which latency is measured from and which all records derived from it carry on.
    """
    topics = settings.topics
    common = {
        "max.message.bytes": str(topics.max_message_bytes),
        "min.insync.replicas": str(topics.min_insync_replicas),
    }
    # Whole segments are deleted, so they are small beside what is kept; but the largest record must fit in
    # one.
    room_bytes = topics.max_message_bytes + MEBIBYTE
    image_segment_bytes = max(room_bytes, min(LARGEST_SEGMENT_BYTES, topics.frames_retention_bytes // 8))
    kept = {**common, "cleanup.policy": "delete", "message.timestamp.type": "CreateTime"}
    images = {
        **kept,
        "compression.type": "uncompressed",
        "retention.bytes": str(topics.frames_retention_bytes),
        "segment.bytes": str(image_segment_bytes),
    }
    results = {
        **kept,
        "retention.ms": str(topics.events_retention_ms),
        "retention.bytes": "-1",
        "segment.bytes": str(max(room_bytes, LARGEST_SEGMENT_BYTES)),
    }
    states = {
        **common,
        "cleanup.policy": "compact",
        "segment.bytes": str(max(room_bytes, CHANGELOG_SEGMENT_BYTES)),
    }
    configs = {
        topics.name("frames"): {**images, "retention.ms": str(topics.frames_retention_ms)},
        topics.name("detections"): results,
        topics.name("tracks"): results,
        topics.name("events"): results,
        topics.name("counts"): results,
        topics.name("windows"): results,
        topics.name("alerts"): results,
        topics.name("snapshots"): {
            **images,
            "retention.ms": str(topics.events_retention_ms),
            "retention.bytes": str(topics.snapshots_retention_bytes),
        },
        topics.name("dead-letters"): {
            **images,
            "retention.ms": str(topics.events_retention_ms),
            "max.message.bytes": str(topics.max_message_bytes + ROOM_BYTES),
            "segment.bytes": str(max(image_segment_bytes, room_bytes + ROOM_BYTES)),
        },
        changelog_topic(settings): states,
        groups_topic(settings): states,
    }
    return [TopicSpec(name, topics.partitions, config) for name, config in configs.items()]


def check_topics(
    specs: Sequence[TopicSpec], *, replication_factor: int, bootstrap_servers: str
) -> tuple[Difference, ...]:
    """Compare the topics on the broker with `specs`, changing nothing. Raises BrokerError if none answers."""
    with _admin(bootstrap_servers) as admin:
        return tuple(_differences(admin, specs, replication_factor))


def make_topics(
    specs: Sequence[TopicSpec], *, replication_factor: int, bootstrap_servers: str, update: bool = False
) -> TopicsReport:
    """Make the missing topics, wait until each partition has a leader, and compare all with `specs`.

    With `update`, settings of existing topics that differ are set; partition counts and copies never are.
    A second call changes nothing. Raises BrokerError when no Kafka answers or it refuses.
    """
    with _admin(bootstrap_servers) as admin:
        found = _describe(admin, specs)
        missing = [spec for spec in specs if spec.name not in found]
        if missing:
            _create(admin, missing, replication_factor)
        before = _differences(admin, specs, replication_factor)
        updated: list[Difference] = []
        if update:
            updated = _update(admin, specs, before)
        left = _differences(admin, specs, replication_factor) if updated else before
    return TopicsReport(tuple(spec.name for spec in missing), tuple(updated), tuple(left))


def require_topics(settings: Settings) -> None:
    """Make sure that a worker finds its topics. Raises BrokerError where one is missing, or none answers."""
    with _admin(settings.kafka.bootstrap_servers) as admin:
        specs = topic_specs(settings)
        found = _describe(admin, specs)
    counts = {spec.name: len(found[spec.name]["partitions"]) for spec in specs if spec.name in found}
    other = [name for name, count in counts.items() if count != settings.topics.partitions]
    if other:
        raise BrokerError(
            f"{', '.join(other)} at {settings.kafka.bootstrap_servers}: not the {settings.topics.partitions} "
            "partitions that topics.partitions says, and all must have the same; see `streamcount topics --check`."
        )
    missing = [spec.name for spec in specs if spec.name not in found]
    if missing:
        raise BrokerError(
            f"Kafka at {settings.kafka.bootstrap_servers} has no topic {', '.join(missing)}; "
            "make all of them with `streamcount topics`."
        )


@contextlib.contextmanager
def _admin(bootstrap_servers: str) -> Iterator[KafkaAdminClient]:
    """A client, with every error of Kafka's told as a BrokerError."""
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    try:
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap_servers.split(","), bootstrap_timeout_ms=CONNECT_TIMEOUT_MS
        )
    except (KafkaError, OSError, ValueError) as error:
        raise BrokerError(
            f"No Kafka answers at {bootstrap_servers}; start one with `streamcount broker`, "
            "or set kafka.bootstrap_servers to yours."
        ) from error
    with contextlib.closing(admin):
        try:
            yield admin
        except KafkaError as error:
            raise BrokerError(f"Kafka at {bootstrap_servers} refused: {error}") from error


def _describe(admin: KafkaAdminClient, specs: Sequence[TopicSpec]) -> dict[str, dict[str, Any]]:
    from kafka.errors import for_code

    found = {}
    for topic in admin.describe_topics([spec.name for spec in specs]):
        if topic["error_code"] not in (0, UNKNOWN_TOPIC):
            raise BrokerError(
                f"Kafka cannot tell about topic {topic['name']}: {for_code(topic['error_code'])}."
            )
        if topic["error_code"] == 0:
            found[topic["name"]] = topic
    return found


def _create(admin: KafkaAdminClient, specs: Sequence[TopicSpec], replication_factor: int) -> None:
    wanted = {
        spec.name: {
            "num_partitions": spec.partitions,
            "replication_factor": replication_factor,
            "configs": spec.config,
        }
        for spec in specs
    }
    answer = admin.create_topics(wanted, raise_errors=False)
    for topic in answer["topics"]:
        # Another process may have made it since we looked; whether as wanted, the comparison tells.
        if topic["error_code"] not in (0, TOPIC_EXISTS):
            raise BrokerError(
                f"Kafka refused to make topic {topic['name']}: {topic['error_message']} "
                "(the [topics] section of the configuration has its settings)."
            )
    admin.wait_for_topics(list(wanted))


def _differences(
    admin: KafkaAdminClient, specs: Sequence[TopicSpec], replication_factor: int
) -> list[Difference]:
    from kafka.admin import ConfigResource, ConfigResourceType

    found = _describe(admin, specs)
    asked = [
        ConfigResource(ConfigResourceType.TOPIC, spec.name, dict.fromkeys(spec.config))
        for spec in specs
        if spec.name in found
    ]
    configs = admin.describe_configs(asked, config_filter="all")["topic"] if asked else {}
    differences: list[Difference] = []
    for spec in specs:
        if spec.name in found:
            values = {key: str(entry["value"]) for key, entry in configs[spec.name].items()}
            differences += compare(spec, replication_factor, found[spec.name]["partitions"], values)
        else:
            differences.append(
                Difference(spec.name, "topic", "present", "missing", "run `streamcount topics`")
            )
    return differences


def compare(
    spec: TopicSpec, replication_factor: int, partitions: Sequence[dict[str, Any]], config: dict[str, str]
) -> list[Difference]:
    """What differs on an existing topic, from Kafka's description of its partitions and its settings."""
    differences = []
    if len(partitions) != spec.partitions:
        differences.append(
            Difference(
                spec.name,
                "partitions",
                str(spec.partitions),
                str(len(partitions)),
                "never changed: cameras would move to other partitions, away from their state and out of "
                f"order; set topics.partitions = {len(partitions)}, or delete all topics and make them anew",
            )
        )
    copies = {len(partition["replica_nodes"]) for partition in partitions}
    if copies != {replication_factor}:
        differences.append(
            Difference(
                spec.name,
                "replication factor",
                str(replication_factor),
                ", ".join(map(str, sorted(copies))),
                f"set topics.replication_factor = {max(copies)}, or move the copies with Kafka's own "
                "kafka-reassign-partitions",
            )
        )
    differences += [
        Difference(
            spec.name, key, wanted, config.get(key, "unknown to this Kafka"), "`streamcount topics --update`"
        )
        for key, wanted in spec.config.items()
        if config.get(key) != wanted
    ]
    return differences


def _update(
    admin: KafkaAdminClient, specs: Sequence[TopicSpec], differences: Sequence[Difference]
) -> list[Difference]:
    from kafka.admin import ConfigResource, ConfigResourceType

    updated = []
    for spec in specs:
        mine = [d for d in differences if d.topic == spec.name and d.setting in spec.config]
        if not mine:
            continue
        wanted = {d.setting: d.wanted for d in mine}
        answer = admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, spec.name, wanted)])
        said = answer["topic"][spec.name]
        if said != "OK":
            raise BrokerError(f"Kafka refused to change topic {spec.name}: {said}")
        updated += mine
    return updated
