"""What tests of services over a real Redis share."""

import pytest

from apps.accounts.services.limits import redis_connection


@pytest.fixture
def patient_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a Redis that is only slow, on a busy machine, not be taken for one that is gone."""
    for bound in ("BUDGET_SECONDS", "READ_TIMEOUT_SECONDS", "CONNECT_TIMEOUT_SECONDS"):
        monkeypatch.setattr(redis_connection, bound, 30.0)
