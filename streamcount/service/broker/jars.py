"""Apache Kafka's jars: exactly the files that the lock file beside this module names, or an error.

The lock file lists every jar with its version and sha256, so nothing is resolved on a user's machine: each
jar is fetched from Maven Central by its coordinates (with `jgo`), compared with the lock, and only then
moved into the cache. `streamcount/service/broker/lock.py` writes the lock file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamcount.errors import BrokerError
from streamcount.service.broker.folders import cache_folder

LOCK_FILE = Path(__file__).with_name("kafka.lock.toml")
PARALLEL_DOWNLOADS = 4

JarProgress = Callable[[int, int, str], None]
"""Told after each jar fetched: how many are done, how many are needed, and the name of the last one."""


@dataclass(frozen=True, slots=True)
class LockedJar:
    """One jar as the lock file has it; `sha256` is lower-case hex."""

    group_id: str
    artifact_id: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact_id}-{self.version}.jar"

    @property
    def repository_path(self) -> Path:
        """Where a Maven repository keeps it, below the repository's root."""
        return Path(*self.group_id.split("."), self.artifact_id, self.version, self.file_name)

    def __str__(self) -> str:
        return f"{self.group_id}:{self.artifact_id}:{self.version}"


@dataclass(frozen=True, slots=True)
class KafkaLock:
    """All jars of a Kafka, in the order of the class path, and a digest that names the set."""

    jars: tuple[LockedJar, ...]
    digest: str

    @property
    def kafka_version(self) -> str:
        return next(jar.version for jar in self.jars if jar.artifact_id.startswith("kafka_"))


def read_lock(path: Path = LOCK_FILE) -> KafkaLock:
    """Read a lock file as `jgo` writes it. Raises BrokerError when it or a jar's checksum is missing."""
    try:
        content = path.read_bytes()
        dependencies = tomllib.loads(content.decode())["dependencies"]
        jars = tuple(
            LockedJar(d["groupId"], d["artifactId"], d["version"], d["sha256"].lower()) for d in dependencies
        )
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError) as error:
        raise BrokerError(
            f"The list of Kafka's jars {path} cannot be used ({error!r}); install streamcount again."
        ) from error
    if not any(jar.artifact_id.startswith("kafka_") for jar in jars):
        raise BrokerError(f"The list of Kafka's jars {path} names no Kafka; install streamcount again.")
    return KafkaLock(jars, hashlib.sha256(content).hexdigest()[:12])


def fetch_kafka(progress: JarProgress | None = None) -> list[Path]:
    """Kafka's jars in the user's cache, checked, fetched where missing. Raises as `ensure_jars` does."""
    return ensure_jars(read_lock(), cache_folder(), progress)


def ensure_jars(
    lock: KafkaLock,
    cache: Path,
    progress: JarProgress | None = None,
    repositories: dict[str, str] | None = None,
    local_repository: Path | None = None,
) -> list[Path]:
    """Paths of all locked jars in `cache`, each one checked against its sha256; what is missing is fetched.

    A jar already in the local Maven repository (`~/.m2`, or `local_repository`) with the right checksum is
    copied from there. `repositories` (name to address) replaces Maven Central and whatever jgo's own
    configuration names. Raises BrokerError when a jar in the cache or from a repository is not the locked
    one, and when jars are missing and cannot be fetched.
    """
    folder = cache / "kafka" / lock.kafka_version
    targets = {jar: folder / jar.file_name for jar in lock.jars}
    missing = []
    for jar, target in targets.items():
        if not target.exists():
            missing.append(jar)
        elif _sha256(target) != jar.sha256:
            raise BrokerError(
                f"{target} is not the jar that streamcount was tested with (its sha256 differs); "
                f"delete the folder {folder} and start again to fetch it anew."
            )
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        # Inside the cache, so that the last step is a rename: a jar in its place is always whole and checked.
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as download:
            _fetch_all(missing, targets, Path(download), progress, repositories, local_repository)
    return list(targets.values())


def _fetch_all(
    missing: list[LockedJar],
    targets: dict[LockedJar, Path],
    download: Path,
    progress: JarProgress | None,
    repositories: dict[str, str] | None,
    local_repository: Path | None,
) -> None:
    context = _maven(download, repositories)
    local = local_repository or _default_local_repository()

    def fetch(jar: LockedJar) -> LockedJar:
        found = local / jar.repository_path
        if found.is_file() and _sha256(found) == jar.sha256:
            fetched = download / jar.file_name
            shutil.copyfile(found, fetched)
        else:
            fetched = (
                context.project(jar.group_id, jar.artifact_id).at_version(jar.version).artifact().resolve()
            )
            if _sha256(fetched) != jar.sha256:
                raise BrokerError(
                    f"The repository's {jar} is not the jar that streamcount was tested with (other sha256); "
                    "the download broke or the repository changed: try again, and do not use it if it stays."
                )
        fetched.replace(targets[jar])
        return jar

    have = len(targets) - len(missing)
    with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
        jobs = [pool.submit(fetch, jar) for jar in missing]
        try:
            for done, job in enumerate(as_completed(jobs), start=have + 1):
                name = _result(job.result, len(missing), targets).file_name
                if progress:
                    progress(done, len(targets), name)
        finally:
            pool.shutdown(cancel_futures=True)


def _result(result: Callable[[], LockedJar], n_missing: int, targets: dict[LockedJar, Path]) -> LockedJar:
    """The fetched jar, with what jgo and the network raise told in one sentence."""
    import requests

    folder = next(iter(targets.values())).parent
    remedy = (
        "connect to the internet once and run `streamcount broker --fetch-only`, copy that folder from "
        "a machine that has it, or set kafka.bootstrap_servers to a Kafka that is already running."
    )
    try:
        return result()
    except requests.RequestException as error:
        raise BrokerError(
            f"{n_missing} of Kafka's {len(targets)} jars are not in {folder} and Maven Central cannot "
            f"be reached ({type(error).__name__}): {remedy}"
        ) from error
    except (RuntimeError, OSError) as error:
        raise BrokerError(f"Kafka's jars cannot be fetched into {folder} ({error}): {remedy}") from error


def _maven(download: Path, repositories: dict[str, str] | None) -> Any:
    try:
        from jgo.config import GlobalSettings
        from jgo.constants import MAVEN_CENTRAL_URL
        from jgo.maven import MavenContext
    except ImportError as error:
        raise BrokerError(
            "Fetching Kafka needs the `broker` extra: pip install 'streamcount[broker]', "
            "or set kafka.bootstrap_servers to a Kafka that is already running."
        ) from error
    if repositories is None:
        repositories = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
    return MavenContext(repo_cache=download, local_repos=[], remote_repos=repositories)


def _default_local_repository() -> Path:
    return Path(os.environ.get("M2_REPO") or Path.home() / ".m2" / "repository")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
