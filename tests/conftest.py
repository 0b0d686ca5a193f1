"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Tests never assert a time: on a busy machine an example may take long, and data may be slow to make.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
