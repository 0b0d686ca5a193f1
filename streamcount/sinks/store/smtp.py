"""Alerts as e-mail: one when an alert is raised, an answer to it when it is cleared."""

from __future__ import annotations

import hashlib
import smtplib
import sqlite3
import ssl
import time
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from streamcount.errors import ConfigurationError, SinkError
from streamcount.sinks.base import SinkOptions, secret_of
from streamcount.sinks.store.index import IndexedFolder
from streamcount.types import AlertCleared, AlertRaised, AnyEvent
from streamcount.wire.cloudevents import format_time

Alert: TypeAlias = AlertRaised | AlertCleared
SEVERITIES = ("info", "warning", "critical")


class SmtpConfig(SinkOptions):
    """Alerts as e-mail, one mail for each and each recipient."""

    kind: Literal["smtp"] = Field(description="sends e-mail")
    host: str = Field(min_length=1, description="the mail server")
    port: int = Field(default=587, ge=1, le=65535, description="its port: 587 for starttls, 465 for tls")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="how the connection is encrypted; none within a computer only"
    )
    ca_file: Path | None = Field(
        default=None, description="certificates to trust, PEM, in place of the computer's own"
    )
    user: str | None = Field(default=None, description="name to log in with")
    password_env: str | None = Field(default=None, description="environment variable that holds its password")
    sender: str = Field(description="address that mails come from")
    to: tuple[str, ...] = Field(min_length=1, description="addresses that mails go to")
    least_severity: Literal["info", "warning", "critical"] = Field(
        default="info", description="alerts that are less grave are not mailed"
    )
    timeout_s: float = Field(default=30.0, gt=0, le=300, description="longest wait for an answer, s")
    topics: tuple[Literal["alerts"], ...] = Field(
        default=("alerts",), min_length=1, description="which topics it is given"
    )
    begin: Literal["beginning", "end"] = Field(
        default="end",
        description="where it begins when it has never run; at the end, old alerts are not mailed",
    )
    batch_events: int = Field(default=20, ge=1, le=1000, description="most events that are mailed in one go")
    folder: Path = Field(
        default=Path("streamcount-data/mail"), description="where it notes what was mailed; one for each sink"
    )

    @field_validator("sender", "to")
    @classmethod
    def _addresses(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for one in (value,) if isinstance(value, str) else value:
            name, at, host = one.rpartition("@")
            if not (name and at and host) or any(c.isspace() or c in "<>,;" for c in one):
                raise ValueError("give plain addresses such as lab@example.org")
        return value

    @model_validator(mode="after")
    def _password(self) -> SmtpConfig:
        if (self.user is None) != (self.password_env is None):
            raise ValueError("give both user and password_env, or none")
        if self.user is not None and self.security == "none":
            raise ValueError("a password must not go unencrypted; use security starttls or tls")
        return self

    def build(self) -> SmtpSink:
        """The sink, not open yet. Raises ConfigurationError where the password is not set or ca_file not readable."""
        context = None
        if self.security != "none":
            try:
                context = ssl.create_default_context(cafile=self.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise ConfigurationError(f"ca_file {self.ca_file} cannot be read: {error}") from error
        return SmtpSink(self, secret_of(self.password_env), context)


class SmtpSink(IndexedFolder):
    """A mail for each recipient, each noted when the server has taken it: one refused or late holds up no other.

    Mail knows no repeats: where the process is killed between the server's word and the note, that one mail comes
    twice, under the same Message-ID. Clearing is told to those who were told of the raising.
    """

    def __init__(self, config: SmtpConfig, password: str | None, context: ssl.SSLContext | None) -> None:
        super().__init__(config.folder)
        self._config = config
        self._password = password
        self._context = context

    def open(self) -> None:
        self.close()
        try:
            self._open_index()
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise SinkError(f"{self._folder} cannot be opened: {error}") from error

    def write(self, events: Sequence[AnyEvent]) -> int:
        self._opened()
        alerts = [event for event in events if isinstance(event, Alert)]
        try:
            return self._deliver(alerts)
        except sqlite3.Error as error:
            self.close()
            raise SinkError(f"{self._folder} cannot be written: {error}") from error

    def _deliver(self, alerts: Sequence[Alert]) -> int:
        server: smtplib.SMTP | None = None
        late: list[str] = []
        never: list[str] = []
        mailed = set[str]()
        try:
            for alert in alerts:
                for recipient in self._config.to:
                    if not self._is_due(alert, recipient):
                        continue
                    try:
                        server = server or self._connected()
                        server.send_message(self._mail(alert, recipient))
                    except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused) as error:
                        (never if _for_good(error) else late).append(f"{recipient}: {error}")
                    except OSError as error:
                        raise self._unreachable(error) from error
                    except ValueError as error:
                        never.append(f"{alert.event_id} makes no mail: {error}")
                    else:
                        self._opened().add([_note(alert, recipient)], {})
                        mailed.add(alert.message_id)
        finally:
            if server is not None:
                _leave(server)
        if late or never:
            words = "; ".join(late or never)
            raise SinkError(f"{self._config.host} has not taken all mails: {words}", retry=bool(late))
        return len(mailed)

    def _is_due(self, alert: Alert, recipient: str) -> bool:
        index = self._opened()
        if isinstance(alert, AlertRaised):
            if SEVERITIES.index(alert.severity) < SEVERITIES.index(self._config.least_severity):
                return False
        elif not index.known([_note_of_raising(alert, recipient)]):
            return False
        return not index.known([_note(alert, recipient)])

    def _connected(self) -> smtplib.SMTP:
        config = self._config
        if config.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                config.host, config.port, timeout=config.timeout_s, context=self._context
            )
        else:
            server = smtplib.SMTP(config.host, config.port, timeout=config.timeout_s)
        try:
            if config.security == "starttls":
                server.starttls(context=self._context)
            if config.user is not None:
                server.login(config.user, self._password or "")
        except (smtplib.SMTPException, OSError) as error:
            server.close()
            raise self._unreachable(error) from error
        return server

    def _unreachable(self, error: Exception) -> SinkError:
        where = f"{self._config.host}:{self._config.port}"
        return SinkError(f"the mail server {where} cannot be used: {error or type(error).__name__}")

    def _mail(self, alert: Alert, recipient: str) -> EmailMessage:
        mail = EmailMessage()
        domain = self._config.sender.rpartition("@")[2]
        what = alert.severity if isinstance(alert, AlertRaised) else "cleared"
        mail["Subject"] = f"[streamcount] {what}: {alert.rule} on {alert.camera_id}"
        mail["From"] = self._config.sender
        mail["To"] = recipient
        mail["Date"] = formatdate(time.time())
        mail["Message-ID"] = _message_id(_note(alert, recipient), domain)
        mail["Auto-Submitted"] = "auto-generated"
        if isinstance(alert, AlertCleared):
            mail["In-Reply-To"] = _message_id(_note_of_raising(alert, recipient), domain)
            mail["References"] = mail["In-Reply-To"]
        mail.set_content("\n".join(_lines(alert)) + "\n")
        return mail


def _lines(alert: Alert) -> list[str]:
    word = "Raised" if isinstance(alert, AlertRaised) else "Cleared"
    lines = [alert.reason, "", f"{word + ':':9}{_shown(alert.decided_at_ns)}"]
    if isinstance(alert, AlertRaised):
        lines += [f"Since:   {_shown(alert.since_ns)}"] if alert.since_ns else []
    else:
        lines += [f"Raised:  {_shown(alert.raised_at_ns)}"]
    return [*lines, f"Rule:    {alert.rule}", f"Camera:  {alert.camera_id}", f"Run:     {alert.run_id}"]


def _shown(time_ns: int) -> str:
    return format_time(time_ns)[:19].replace("T", " ") + " UTC"


def _note(alert: Alert, recipient: str) -> str:
    if isinstance(alert, AlertCleared):
        return f"{_note_of_raising(alert, recipient)}/cleared"
    return f"{alert.camera_id}/{alert.rule}/{alert.decided_at_ns}/{recipient}"


def _note_of_raising(alert: AlertCleared, recipient: str) -> str:
    return f"{alert.camera_id}/{alert.rule}/{alert.raised_at_ns}/{recipient}"


def _message_id(note: str, domain: str) -> str:
    return f"<{hashlib.sha256(note.encode()).hexdigest()[:32]}@{domain}>"


def _for_good(error: Exception) -> bool:
    """Whether the same mail would be refused tomorrow; a sender that is refused can be set otherwise."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500


def _leave(server: smtplib.SMTP) -> None:
    try:
        server.quit()
    except (smtplib.SMTPException, OSError):
        server.close()
