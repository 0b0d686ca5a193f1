"""Every error that streamcount raises on purpose, and the exit code that each means to a shell."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit status says. 1 is Python's own for an unforeseen fault."""

    OK = 0
    FAULT = 1
    USAGE = 2
    DIFFERS = 3
    CONFIGURATION = 4
    INPUT = 5
    MODEL = 6
    BROKER = 7
    TRAINING = 8
    STORE = 9


class StreamcountError(Exception):
    """Base of all errors raised on purpose; the message says what is wrong and what to do."""

    exit_code = ExitCode.FAULT


class ConfigurationError(StreamcountError):
    """A setting is unknown, missing or foolish; the message names the key and the remedy."""

    exit_code = ExitCode.CONFIGURATION


class SourceError(StreamcountError):
    """A file, folder or camera cannot be read."""

    exit_code = ExitCode.INPUT


class FrameError(StreamcountError):
    """One frame cannot be counted. `reason` is a short stable word, used as metric label and in dead letters."""

    exit_code = ExitCode.INPUT

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class CorrectionError(StreamcountError):
    """A person's correction does not fit its frame, or what is kept of corrections cannot be read or written."""

    exit_code = ExitCode.INPUT


class ModelError(StreamcountError):
    """A model bundle is missing, damaged, or fails to run."""

    exit_code = ExitCode.MODEL


class BrokerError(StreamcountError):
    """Kafka cannot be started, reached, or is set up otherwise than needed."""

    exit_code = ExitCode.BROKER


class TrainingError(StreamcountError):
    """Training data cannot be used."""

    exit_code = ExitCode.TRAINING


class SinkError(StreamcountError):
    """A sink has not stored what it was given.

    retry: True where it is down, full or locked, and the same events may be stored later; False where one of these
    events can never be stored.
    """

    exit_code = ExitCode.STORE

    def __init__(self, message: str, *, retry: bool = True) -> None:
        super().__init__(message)
        self.retry = retry
