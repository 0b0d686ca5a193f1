"""Write `kafka.lock.toml` anew, to update Kafka: `python -m streamcount.service.broker.lock`."""

from __future__ import annotations

from streamcount.service.broker.jars import LOCK_FILE

KAFKA = "org.apache.kafka:kafka_2.13:4.4.0"
LOG4J_GROUP = "org.apache.logging.log4j"
SLF4J_BINDING = "log4j-slf4j-impl"
"""For slf4j 1.7, which Kafka 4.4 uses; `log4j-slf4j2-impl` is the one for slf4j 2."""


def main() -> None:
    """Resolve Kafka and its logging binding, fetch all jars, and write their versions and checksums."""
    from jgo.env import LockFile
    from jgo.maven import MavenContext

    context = MavenContext()
    kafka, transitive = context.resolver.resolve([context.create_dependency(KAFKA)])
    wanted = kafka + [d for d in transitive if d.scope in (None, "compile", "runtime")]
    # The binding joins after resolving: as a second root, its BOM would move Kafka's own jars to other
    # versions.
    log4j_version = next(d.version for d in wanted if d.artifactId == "log4j-core")
    wanted.append(context.create_dependency(f"{LOG4J_GROUP}:{SLF4J_BINDING}:{log4j_version}"))
    wanted.sort(key=lambda d: (d.groupId, d.artifactId))
    lock = LockFile.from_resolved_dependencies(wanted, environment_name="kafka", min_java_version=17)
    lock.save(LOCK_FILE)
    print(f"{LOCK_FILE}: {len(wanted)} jars")


if __name__ == "__main__":
    main()
