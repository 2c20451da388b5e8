"""One set of fake gateways for each module of tests, and a small service that receives what they post."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fakegateways.handle import FakeGateways
from fakegateways.tests.service import Service


@pytest.fixture(scope="module")
def _running() -> Iterator[FakeGateways]:
    with FakeGateways() as gateways:
        yield gateways


@pytest.fixture
def fake(_running: FakeGateways) -> FakeGateways:
    """Return gateways with nothing in force and every setting at its default."""
    _running.restore()
    return _running


@pytest.fixture
def service() -> Iterator[Service]:
    """Return a service with a webhook, listening."""
    with Service() as listening:
        yield listening
