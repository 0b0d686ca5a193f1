"""Signing what is sent to others, so that they can tell that it came from here, unchanged and of late.

The form is the usual one of webhooks: HMAC-SHA256 over "TIMESTAMP.BODY", written "t=TIMESTAMP,v1=HEX".
"""

from __future__ import annotations

import hashlib
import hmac
import re

HEADER = "Streamcount-Signature"

_FORM = re.compile(r"t=(\d{1,15}),v1=([0-9a-f]{64})")


def sign(body: bytes, secret: bytes, timestamp_s: int) -> str:
    """The header's value for a body that is sent at this time, seconds since 1970 UTC."""
    digest = hmac.new(secret, b"%d." % timestamp_s + body, hashlib.sha256).hexdigest()
    return f"t={timestamp_s},v1={digest}"


def verify(body: bytes, secret: bytes, signature: str, now_s: int, tolerance_s: int = 300) -> bool:
    """Whether the body was signed with the secret, within so many seconds of now; compared in constant time."""
    match = _FORM.fullmatch(signature)
    if match is None or abs(now_s - int(match[1])) > tolerance_s:
        return False
    return hmac.compare_digest(sign(body, secret, int(match[1])), signature)
