"""What a dead letter tells of itself."""

from __future__ import annotations

import pytest

from streamcount.service.dead_letters import DeadLetter
from streamcount.wire.cloudevents import Headers


@pytest.mark.parametrize(
    ("value", "headers", "ending"),
    [
        (b"\xff\xd8 cut off", [], ".jpg"),
        (b"no picture", [("content-type", b"image/jpeg")], ".jpg"),
        (b"no picture", [("content-type", b"Image/PNG; a=b")], ".png"),
        (b"\xff\xd8", [("content-type", b"image/png")], ".jpg"),
        (b"SCR1", [], ".raw"),
        (None, [("content-type", None)], ".bin"),
        (b"no picture", [("content-type", b"\xff/../..")], ".bin"),
    ],
)
def test_a_file_of_a_letter_ends_as_its_content_does(
    value: bytes | None, headers: Headers, ending: str
) -> None:
    letter = DeadLetter(0, 1, 0, b"a", value, headers, "undecodable", "", "")
    assert letter.ending == ending
