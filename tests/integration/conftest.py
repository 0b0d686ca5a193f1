"""One real Kafka for all integration tests of a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streamcount.service.broker import Broker


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real broker of one node on a free port; use topic names of your own, it is shared by all tests."""
    with Broker(tmp_path_factory.mktemp("broker")) as running:
        yield running
