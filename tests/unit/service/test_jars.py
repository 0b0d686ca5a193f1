"""Kafka's jars come only as locked: from a repository on disk, served over HTTP by this test."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamcount.errors import BrokerError
from streamcount.service.broker.jars import KafkaLock, LockedJar, ensure_jars, read_lock
from streamcount.service.broker.java import ClassArchive, Java, parse_version
from streamcount.service.broker.lock import KAFKA, SLF4J_BINDING

CONTENT = {"kafka_2.13": b"kafka", "helper": b"help"}
NOWHERE = {"central": "http://127.0.0.1:1/maven2"}


@pytest.fixture
def lock() -> KafkaLock:
    jars = (LockedJar("org.example", n, "4.4.0", hashlib.sha256(c).hexdigest()) for n, c in CONTENT.items())
    return KafkaLock(tuple(jars), "digest")


@pytest.fixture
def repository(tmp_path: Path, lock: KafkaLock) -> Path:
    root = tmp_path / "repository"
    for jar in lock.jars:
        path = root / jar.repository_path
        path.parent.mkdir(parents=True)
        path.write_bytes(CONTENT[jar.artifact_id])
    return root


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def served(repository: Path) -> Iterator[dict[str, str]]:
    handler = functools.partial(Quiet, directory=str(repository))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield {"central": f"http://127.0.0.1:{server.server_port}"}
        server.shutdown()
        thread.join()


def test_missing_jars_are_fetched_once(tmp_path: Path, lock: KafkaLock, served: dict[str, str]) -> None:
    told: list[tuple[int, int, str]] = []
    jars = ensure_jars(lock, tmp_path / "c", lambda *t: told.append(t), served, tmp_path / "no-m2")
    assert [jar.read_bytes() for jar in jars] == list(CONTENT.values())
    assert [(done, of) for done, of, _ in told] == [(1, 2), (2, 2)]
    assert ensure_jars(lock, tmp_path / "c", None, NOWHERE, tmp_path / "no-m2") == jars
    assert sorted(p.name for p in jars[0].parent.iterdir()) == sorted(p.name for p in jars)


def test_the_local_maven_repository_is_used(tmp_path: Path, lock: KafkaLock, repository: Path) -> None:
    jars = ensure_jars(lock, tmp_path / "c", None, NOWHERE, repository)
    assert [jar.read_bytes() for jar in jars] == list(CONTENT.values())


def test_a_wrong_jar_from_the_repository_is_refused_and_not_kept(
    tmp_path: Path, lock: KafkaLock, repository: Path, served: dict[str, str]
) -> None:
    (repository / lock.jars[1].repository_path).write_bytes(b"evil")
    with pytest.raises(BrokerError, match=r"org.example:helper:4.4.0 is not the jar"):
        ensure_jars(lock, tmp_path / "c", None, served, tmp_path / "no-m2")
    assert list((tmp_path / "c").rglob("helper*")) == []


def test_a_wrong_jar_in_the_local_repository_is_passed_over(
    tmp_path: Path, lock: KafkaLock, repository: Path, served: dict[str, str]
) -> None:
    local = tmp_path / "m2"
    wrong = local / lock.jars[0].repository_path
    wrong.parent.mkdir(parents=True)
    wrong.write_bytes(b"half a download")
    jars = ensure_jars(lock, tmp_path / "c", None, served, local)
    assert jars[0].read_bytes() == CONTENT["kafka_2.13"]


def test_a_jar_changed_in_the_cache_is_refused(tmp_path: Path, lock: KafkaLock, repository: Path) -> None:
    jars = ensure_jars(lock, tmp_path / "c", None, NOWHERE, repository)
    jars[0].write_bytes(b"changed")
    with pytest.raises(BrokerError, match=r"sha256 differs.*delete the folder"):
        ensure_jars(lock, tmp_path / "c", None, NOWHERE, repository)


def test_without_network_and_cache_one_sentence_says_what_to_do(tmp_path: Path, lock: KafkaLock) -> None:
    with pytest.raises(BrokerError, match=r"cannot be reached.*--fetch-only.*bootstrap_servers") as raised:
        ensure_jars(lock, tmp_path / "c", None, NOWHERE, tmp_path / "no-m2")
    assert "\n" not in str(raised.value)


def test_a_repository_without_the_jar_is_told(
    tmp_path: Path, lock: KafkaLock, repository: Path, served: dict[str, str]
) -> None:
    (repository / lock.jars[0].repository_path).unlink()
    with pytest.raises(BrokerError, match=r"cannot be fetched"):
        ensure_jars(lock, tmp_path / "c", None, served, tmp_path / "no-m2")


def test_the_lock_in_the_package_is_whole() -> None:
    lock = read_lock()
    versions = {jar.artifact_id: jar.version for jar in lock.jars}
    kafka = KAFKA.split(":")[-1]
    assert versions["kafka_2.13"] == versions["kafka-clients"] == lock.kafka_version == kafka
    assert versions[SLF4J_BINDING] == versions["log4j-core"]
    assert versions["slf4j-api"].startswith("1.7.")
    assert all(len(jar.sha256) == 64 and int(jar.sha256, 16) for jar in lock.jars)


def test_a_lock_without_checksums_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lock.toml"
    path.write_text('[[dependencies]]\ngroupId = "g"\nartifactId = "kafka_2.13"\nversion = "1"\n')
    with pytest.raises(BrokerError, match="cannot be used"):
        read_lock(path)


@pytest.mark.parametrize(
    ("printed", "major"),
    [
        ('openjdk version "25.0.2" 2026-01-20', 25),
        ('java version "17.0.9" 2023-10-17 LTS', 17),
        ('openjdk version "1.8.0_412"', 8),
        ('openjdk version "27-ea" 2026-09-15', 27),
    ],
)
def test_java_versions_are_read(printed: str, major: int) -> None:
    java = parse_version(Path("java"), printed)
    assert java is not None
    assert java.major == major


def test_what_is_no_java_is_none() -> None:
    assert parse_version(Path("java"), "command not found") is None


@pytest.mark.parametrize(("major", "option"), [(17, "SharedArchiveFile"), (25, "AOTCache")])
def test_a_class_archive_is_used_once_it_is_kept(tmp_path: Path, major: int, option: str) -> None:
    java = Java(Path("java"), major, f"{major}.0.1")
    (tmp_path / "kafka").mkdir()
    archive = ClassArchive.for_java(java, [tmp_path / "a.jar"], "digest", tmp_path)
    assert archive.use_options() == []
    new = archive.recording_path()
    new.write_bytes(b"archive")
    new.with_name(new.name + ".config").write_bytes(b"left over")
    archive.keep(new)
    assert archive.use_options() == [f"-XX:{option}={archive.path}"]
    assert list((tmp_path / "kafka").iterdir()) == [archive.path]
