"""The fake gateways, fresh for every test."""

from collections.abc import Iterator
from typing import Any

import pytest

from fakegateways.config import Config
from fakegateways.handle import FakeGateways

_USUAL: dict[str, dict[str, Any]] = {
    "twilio": {"test_credentials": False, "errors_by_suffix": False, "account_status": "active", "balance": "91.00"},
    "authentica": {"balance": "91.00", "balance_is_number": False, "honours_own_code": True},
    "meta": {"token_is_valid": True, "quality_rating": "GREEN", "webhook_url": ""},
}


@pytest.fixture(scope="session")
def running_fakes() -> Iterator[FakeGateways]:
    with FakeGateways() as gateways:
        yield gateways


@pytest.fixture
def fakes(running_fakes: FakeGateways) -> FakeGateways:
    """Return gateways with no fault in force, nothing received and the usual accounts."""
    usual = Config()
    templates = [{name: getattr(one, name) for name in one.__slots__} for one in usual.meta.templates]
    running_fakes.configure(**_USUAL)
    running_fakes.configure(meta={"templates": templates}, twilio={"content_statuses": {}})
    running_fakes.reset()
    return running_fakes
