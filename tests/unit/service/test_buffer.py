"""The camera's buffer: bounded, ordered, and no sequence number is ever lost from sight."""

from __future__ import annotations

import random
import threading
from itertools import pairwise

import pytest

from streamcount.service.camera.buffer import Entry, FrameBuffer, Gap, WaitingFrame


def frame(sequence: int, size: int = 100) -> WaitingFrame:
    return WaitingFrame(sequence, 1_000 + sequence, sequence, b"x" * size, [])


def lost(sequence: int, reason: str) -> Gap:
    return Gap(sequence, sequence, 1_000 + sequence, 1_000 + sequence, reason)


def drain(buffer: FrameBuffer) -> list[Entry]:
    taken: list[Entry] = []
    while entry := buffer.take(0):
        taken.append(entry)
    return taken


def test_frames_leave_in_the_order_they_came() -> None:
    buffer = FrameBuffer(1000, "block")
    for sequence in range(5):
        assert buffer.put(frame(sequence))
    assert buffer.waiting_bytes == 500
    assert [entry.sequence for entry in drain(buffer)] == [0, 1, 2, 3, 4]
    assert buffer.waiting_bytes == 0


def test_drop_oldest_leaves_one_gap_in_their_place() -> None:
    buffer = FrameBuffer(300, "drop-oldest")
    for sequence in range(8):
        buffer.put(frame(sequence))
    assert drain(buffer) == [Gap(0, 4, 1000, 1004, "dropped"), frame(5), frame(6), frame(7)]
    assert buffer.dropped_frames == 5


def test_a_large_frame_drops_as_many_as_it_needs() -> None:
    buffer = FrameBuffer(300, "drop-oldest")
    for sequence in range(3):
        buffer.put(frame(sequence))
    buffer.put(frame(3, size=200))
    assert drain(buffer) == [Gap(0, 1, 1000, 1001, "dropped"), frame(2), frame(3, size=200)]


def test_a_frame_larger_than_the_buffer_waits_alone() -> None:
    buffer = FrameBuffer(300, "drop-oldest")
    buffer.put(frame(0))
    buffer.put(frame(1, size=1000))
    assert drain(buffer) == [Gap(0, 0, 1000, 1000, "dropped"), frame(1, size=1000)]


def test_gaps_of_other_reasons_keep_them() -> None:
    buffer = FrameBuffer(200, "drop-oldest")
    buffer.put(lost(0, "too-large"))
    buffer.put(lost(1, "too-large"))
    for sequence in (2, 3):
        buffer.put(frame(sequence))
    buffer.put(lost(4, "cannot-encode"))
    for sequence in (5, 6):
        buffer.put(frame(sequence))
    assert drain(buffer) == [
        Gap(0, 1, 1000, 1001, "too-large"),
        Gap(2, 3, 1002, 1003, "dropped"),
        lost(4, "cannot-encode"),
        frame(5),
        frame(6),
    ]


def test_block_holds_the_camera_back_until_there_is_room() -> None:
    buffer = FrameBuffer(100, "block")
    buffer.put(frame(0))
    put = threading.Event()
    thread = threading.Thread(target=lambda: (buffer.put(frame(1)), put.set()))
    thread.start()
    assert not put.wait(0.05)
    assert buffer.take(0) == frame(0)
    assert put.wait(5)
    thread.join()
    assert (drain(buffer), buffer.dropped_frames) == ([frame(1)], 0)


@pytest.mark.parametrize("end", [FrameBuffer.close, FrameBuffer.abort])
def test_ending_frees_a_camera_that_is_held_back(end) -> None:  # type: ignore[no-untyped-def]
    buffer = FrameBuffer(100, "block")
    buffer.put(frame(0))
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(buffer.put(frame(1))))
    thread.start()
    end(buffer)
    thread.join(5)
    assert answers == [False]
    assert buffer.waiting_frames == 1


def test_close_lets_the_rest_be_taken_and_abort_keeps_it() -> None:
    buffer = FrameBuffer(1000, "block")
    for sequence in range(2):
        buffer.put(frame(sequence))
    buffer.close()
    assert not buffer.drained
    assert buffer.take(0) == frame(0)
    buffer.abort()
    assert buffer.take(0) is None
    assert buffer.waiting_frames == 1


def test_what_could_not_be_sent_goes_back_to_the_front_in_order() -> None:
    buffer = FrameBuffer(1000, "block")
    for sequence in range(4):
        buffer.put(frame(sequence))
    first, second = buffer.take(0), buffer.take(0)
    assert first is not None
    assert second is not None
    buffer.put_back([second, first])
    assert [entry.sequence for entry in drain(buffer)] == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(50))
def test_every_sequence_is_a_frame_or_in_one_gap(seed: int) -> None:
    chance = random.Random(seed)
    buffer = FrameBuffer(500, "drop-oldest")
    seen: list[Entry] = []
    sequences = 60
    for sequence in range(sequences):
        if chance.random() < 0.8:
            buffer.put(frame(sequence, size=chance.randint(1, 400)))
        else:
            buffer.put(lost(sequence, chance.choice(["too-large", "cannot-encode"])))
        assert buffer.waiting_bytes <= 500
        while chance.random() < 0.25 and (entry := buffer.take(0)):
            seen.append(entry)
    seen += drain(buffer)
    covered = [(e.sequence, e.sequence if isinstance(e, WaitingFrame) else e.last_sequence) for e in seen]
    assert all(later[0] == earlier[1] + 1 for earlier, later in pairwise(covered))
    assert (covered[0][0], covered[-1][1]) == (0, sequences - 1)
    dropped = sum(e.frames for e in seen if isinstance(e, Gap) and e.reason == "dropped")
    assert buffer.dropped_frames == dropped > 0
