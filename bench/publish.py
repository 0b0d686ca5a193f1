"""A camera of the bench's own, as a process: sends encoded images as they are, by a plain Kafka client.

python -m bench.publish SERVERS TOPIC RUN FOLDER CAMERAS FRAMES RATE_HZ PIXEL_SIZE_UM
(a rate of 0: as fast as it goes; a pixel size of 0: unknown)
"""

from __future__ import annotations

import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from streamcount.types import FrameMetadata
from streamcount.wire.cloudevents import frame_headers

UNCONFIRMED = 64
CONFIRM_S = 60


def main(servers: str, topic: str, run_id: str, folder: str, *numbers: str) -> None:
    """Sends frames of all cameras by turns; fails where Kafka does not confirm one in time."""
    cameras, frames, rate_hz, pixel_size_um = int(numbers[0]), int(numbers[1]), *map(float, numbers[2:])
    values = [file.read_bytes() for file in sorted(Path(folder).glob("*.jpg"))]
    producer = KafkaProducer(
        bootstrap_servers=servers.split(","),
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_request_size=16 * 2**20,
        metrics_enabled=False,
    )
    unconfirmed: deque[Any] = deque()
    began = time.monotonic()
    for number in range(frames):
        if rate_hz:
            time.sleep(max(0.0, began + number / rate_hz - time.monotonic()))
        sequence, camera = divmod(number, cameras)
        now_ns = time.time_ns()
        metadata = FrameMetadata(
            camera_id=f"bench-{camera}",
            run_id=run_id,
            sequence=sequence,
            acquired_at_ns=now_ns,
            pixel_size_um=pixel_size_um or None,
        )
        headers = frame_headers(metadata, "image/jpeg")
        value = values[sequence % len(values)]
        key = metadata.camera_id.encode()
        # Partition by hand: two names may have one hash, and the cameras would wait for each other.
        sent = producer.send(topic, value, key, headers, partition=camera, timestamp_ms=now_ns // 1_000_000)
        unconfirmed.append(sent)
        if len(unconfirmed) > UNCONFIRMED:
            unconfirmed.popleft().get(CONFIRM_S)
    for one in unconfirmed:
        one.get(CONFIRM_S)
    producer.close(timeout=5)


if __name__ == "__main__":
    main(*sys.argv[1:])
