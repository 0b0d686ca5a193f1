"""What a worker says of itself while Kafka does not answer."""

from __future__ import annotations

import time
from typing import Any, cast

from streamcount.service.worker.health import UNHEARD_S, Health


def test_a_worker_that_kafka_does_not_answer_lives_and_is_not_ready() -> None:
    health = Health(cast(Any, None), stall_s=30)
    assert health.ready()[0] is False, "nothing is assigned yet"
    health._ready = True
    assert health.ready()[0]
    health._heard_at = time.monotonic() - UNHEARD_S - 1
    ready, details = health.ready()
    assert not ready
    assert details["seconds_since_kafka_answered"] > UNHEARD_S
    assert health.live()[0], "it waits, and goes on where it was"
