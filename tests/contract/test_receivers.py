"""What those promise that are told of alerts, tried on a real mail server and a real Alertmanager."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from streamcount.errors import ConfigurationError, SinkError
from streamcount.sinks.base import RefreshingSink
from streamcount.sinks.store import AlertmanagerConfig, SmtpConfig
from streamcount.sinks.store.alertmanager import AlertmanagerSink
from streamcount.sinks.store.smtp import SmtpSink
from streamcount.types import AlertCleared, AlertRaised
from tests.alertmanager import Alertmanager, running_alertmanager, until
from tests.mailbox import Mailbox, free_port
from tests.sunk import START_NS, at, every_kind

S = 10**9
ANN, BEN = "ann@lab.example.org", "ben@lab.example.org"


def raised(second: int, rule: str = "crowded", severity: str = "warning", **more: object) -> AlertRaised:
    return AlertRaised(**at(second), rule=rule, reason=f"{rule} at {second}", severity=severity, **more)


def cleared(second: int, raised_second: int, rule: str = "crowded") -> AlertCleared:
    return AlertCleared(
        **at(second), rule=rule, reason="all is well", raised_at_ns=START_NS + raised_second * S
    )


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    server = Mailbox()
    yield server
    server.close()


def mail_sink(port: int, folder: Path, **more: object) -> SmtpSink:
    given = {"security": "none", "sender": "streamcount@lab.example.org", "to": (ANN, BEN), "folder": folder}
    sink = SmtpConfig(kind="smtp", host="127.0.0.1", port=port, **{**given, **more}).build()
    sink.open()
    return sink


def test_a_mail_to_each_and_the_end_answers_the_beginning(mailbox, tmp_path):
    sink = mail_sink(mailbox.port, tmp_path)
    assert sink.write([raised(20, severity="critical"), cleared(30, 20)]) == 2
    sink.close()
    wanted = ["[streamcount] critical: crowded on scope-1", "[streamcount] cleared: crowded on scope-1"]
    assert mailbox.subjects(ANN) == mailbox.subjects(BEN) == wanted
    first, last = (mail for mail in mailbox.mails if mail["To"] == ANN)
    assert last["In-Reply-To"] == first["Message-ID"] != last["Message-ID"]
    text = first.get_content()
    assert text.splitlines()[0] == "crowded at 20"
    assert "2026-01-31 12:00:20 UTC" in text
    assert "run-1" in text


def test_repeats_are_mailed_once_in_a_batch_across_batches_and_across_openings(mailbox, tmp_path):
    sink = mail_sink(mailbox.port, tmp_path)
    sink.write([raised(20), raised(20)])
    assert sink.write([raised(20), cleared(30, 20)]) == 1
    sink.close()
    again = mail_sink(mailbox.port, tmp_path)
    assert again.write([raised(20), cleared(30, 20)]) == 0
    again.close()
    assert len(mailbox.mails) == 4


def test_what_is_no_alert_or_not_grave_enough_is_not_mailed_nor_is_its_end(mailbox, tmp_path):
    sink = mail_sink(mailbox.port, tmp_path, least_severity="critical", to=(ANN,))
    sink.write([*every_kind(), raised(20, "calm"), cleared(30, 20, "calm"), cleared(31, 1, "unheard-of")])
    sink.close()
    assert mailbox.subjects(ANN) == ["[streamcount] critical: dirty on scope-1"]


def test_one_that_is_down_says_so_and_is_caught_up_with(tmp_path):
    port = free_port()
    sink = mail_sink(port, tmp_path, to=(ANN,))
    with pytest.raises(SinkError, match=str(port)) as told:
        sink.write([raised(20)])
    assert told.value.retry
    mailbox = Mailbox(port)
    sink.open()
    assert sink.write([raised(20)]) == 1
    sink.close()
    mailbox.close()
    assert len(mailbox.mails) == 1


def test_a_recipient_who_is_refused_holds_up_no_other(mailbox, tmp_path):
    sink = mail_sink(mailbox.port, tmp_path)
    mailbox.refusals[ANN] = "451 come again later"
    with pytest.raises(SinkError, match=ANN) as told:
        sink.write([raised(20)])
    assert told.value.retry
    mailbox.refusals[ANN] = "550 nobody here"
    with pytest.raises(SinkError, match="nobody here") as told:
        sink.write([raised(20)])
    assert not told.value.retry
    mailbox.refusals.clear()
    sink.write([raised(20)])
    sink.close()
    assert (len(mailbox.subjects(ANN)), len(mailbox.subjects(BEN))) == (1, 1)


def test_an_alert_that_makes_no_mail_can_never_be_mailed(mailbox, tmp_path):
    sink = mail_sink(mailbox.port, tmp_path)
    with pytest.raises(SinkError) as told:
        sink.write([raised(20, "two\nBcc: all@example.org")])
    assert not told.value.retry
    assert mailbox.mails == []


@pytest.fixture
def certificate(tmp_path) -> tuple[Path, ssl.SSLContext]:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate; Debian's package is openssl")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


def test_encrypted_and_logged_in_with_the_password_from_the_environment(certificate, tmp_path, monkeypatch):
    cert, context = certificate
    mailbox = Mailbox(context=context)
    given = {"security": "starttls", "ca_file": cert, "user": "lab", "password_env": "MAIL_PASSWORD"}
    monkeypatch.setenv("MAIL_PASSWORD", "wrong")
    with pytest.raises(SinkError, match="cannot be used") as told:
        mail_sink(mailbox.port, tmp_path / "a", **given).write([raised(20)])
    assert "wrong" not in str(told.value)
    monkeypatch.setenv("MAIL_PASSWORD", "secret")
    sink = mail_sink(mailbox.port, tmp_path / "b", **given)
    assert sink.write([raised(20)]) == 1
    sink.close()
    mailbox.close()
    assert mailbox.logins[-1] == (b"lab", b"secret")
    # Not closed: it would wait for the end of the handshake that was given up.
    other = Mailbox(context=context)
    with pytest.raises(SinkError, match="certificate"):
        mail_sink(other.port, tmp_path / "c", **{**given, "ca_file": None}).write([raised(20)])
    monkeypatch.delenv("MAIL_PASSWORD")
    with pytest.raises(ConfigurationError, match="MAIL_PASSWORD"):
        mail_sink(1, tmp_path, **given)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"to": ()}, "to"),
        ({"to": ("Ann <ann@example.org>",)}, "plain addresses"),
        ({"sender": "nobody"}, "plain addresses"),
        ({"user": "lab"}, "password_env"),
        ({"user": "lab", "password_env": "X", "security": "none"}, "unencrypted"),
        ({"topics": ("counts",)}, "topics"),
    ],
)
def test_foolish_mail_settings_are_refused(keys, words):
    with pytest.raises(ValidationError, match=words):
        SmtpConfig(**{"kind": "smtp", "host": "h", "sender": "a@b", "to": ("c@d",), **keys})


@pytest.fixture
def alertmanager(tmp_path) -> Iterator[Alertmanager]:
    with running_alertmanager(tmp_path) as server:
        yield server


def to_alertmanager(server: Alertmanager, folder: Path, **more: object) -> AlertmanagerSink:
    given = {"path": folder / "active.sqlite", "resend_s": 0.5, "labels": {"lab": "north"}}
    sink = AlertmanagerConfig(kind="alertmanager", url=server.url, **{**given, **more}).build()
    assert isinstance(sink, RefreshingSink)
    sink.open()
    return sink


def test_it_knows_what_is_active_and_what_no_longer(alertmanager, tmp_path):
    sink = to_alertmanager(alertmanager, tmp_path, resend_s=600)
    assert sink.write([*every_kind(), raised(20, "few", severity="critical")]) == 4
    assert alertmanager.names() == ["dirty", "few"]
    alert = alertmanager.alerts()[1]
    assert alert["labels"] == {
        "alertname": "few",
        "camera": "scope-1",
        "severity": "critical",
        "lab": "north",
    }
    assert alert["annotations"]["summary"] == "few at 20"
    assert alert["startsAt"] == "2026-01-31T12:00:20.000Z"
    sink.write([cleared(30, 20, "few")])
    assert alertmanager.names() == ["dirty"]
    sink.write([raised(20, "few"), raised(50, "few")])
    assert [one["startsAt"] for one in alertmanager.alerts()] == [
        "2026-01-31T12:00:40.000Z", "2026-01-31T12:00:50.000Z",
    ]  # fmt: skip
    sink.close()


def test_a_repeat_of_an_alert_that_has_ended_does_not_raise_it_again(alertmanager, tmp_path):
    sink = to_alertmanager(alertmanager, tmp_path)
    sink.write([raised(20), cleared(30, 20)])
    sink.close()
    again = to_alertmanager(alertmanager, tmp_path)
    assert again.write([raised(20)]) == 0
    again.refresh()
    again.close()
    assert alertmanager.names() == []


def test_what_is_active_is_sent_again_before_it_expires_and_to_one_that_was_started_anew(
    alertmanager, tmp_path
):
    sink = to_alertmanager(alertmanager, tmp_path)
    sink.write([raised(20)])
    for _ in range(30):
        time.sleep(0.1)
        sink.refresh()
    # Twice the time after which it would have expired.
    assert alertmanager.names() == ["crowded"]
    alertmanager.kill()
    with pytest.raises(SinkError, match="cannot be reached") as told:
        sink.write([raised(40, "few")])
    assert told.value.retry
    alertmanager.start()
    assert alertmanager.names() == []
    sink.open()
    sink.refresh()
    assert alertmanager.names() == ["crowded", "few"]
    sink.close()
    # Nobody says any more that they are active.
    until(lambda: alertmanager.names() == [])
    again = to_alertmanager(alertmanager, tmp_path)
    again.refresh()
    assert alertmanager.names() == ["crowded", "few"]
    again.close()


def test_an_alert_of_a_camera_whose_clock_is_ahead_is_taken(alertmanager, tmp_path):
    sink = to_alertmanager(alertmanager, tmp_path)
    ahead_s = int(time.time()) - START_NS // S + 86_400
    sink.write([raised(ahead_s)])
    assert alertmanager.names() == ["crowded"]
    sink.write([cleared(ahead_s + 1, ahead_s)])
    assert alertmanager.names() == []
    sink.close()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"url": "https://me:secret@example.org"}, "without user or password"),
        ({"url": "ftp://example.org"}, "url"),
        ({"labels": {"alertname": "x"}}, "no name for a label"),
        ({"labels": {"my-label": "x"}}, "no name for a label"),
    ],
)
def test_foolish_alertmanager_settings_are_refused(keys, words):
    with pytest.raises(ValidationError, match=words):
        AlertmanagerConfig(kind="alertmanager", **keys)
