"""A real mail server of a test's own, which keeps what it takes."""

from __future__ import annotations

import email
import ssl
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


class Mailbox:
    """refusals: what it answers to a recipient, in place of taking the mail."""

    def __init__(self, port: int = 0, context: ssl.SSLContext | None = None) -> None:
        self.mails: list[EmailMessage] = []
        self.refusals: dict[str, str] = {}
        self.logins: list[tuple[bytes, bytes]] = []
        secured: dict[str, Any] = {}
        if context is not None:
            secured = {
                "tls_context": context,
                "require_starttls": True,
                "auth_required": True,
                "authenticator": self._login,
            }
        self._controller = Controller(self, hostname="127.0.0.1", port=port or free_port(), **secured)
        self._controller.start()

    @property
    def port(self) -> int:
        return self._controller.port

    def close(self) -> None:
        self._controller.stop()

    def subjects(self, recipient: str) -> list[str]:
        """Subjects of the mails to one, in the order in which they came."""
        return [mail["Subject"] for mail in self.mails if mail["To"] == recipient]

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        mail = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        assert envelope.rcpt_tos == [mail["To"]]
        self.mails.append(mail)
        return "250 taken"

    def _login(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"secret", handled=False)


def free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
