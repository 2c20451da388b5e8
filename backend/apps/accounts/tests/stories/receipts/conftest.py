"""Rooms whose gateways report, and the vendors that do the reporting."""

import pytest

from apps.accounts.tests.hearing import HearingTwilio, HearingWhatsApp, Vendors
from apps.accounts.tests.stories.failing import SETTINGS
from conftest import BuildRooms, RecordingGateway, Rooms


@pytest.fixture
def rooms(build_rooms: BuildRooms) -> Rooms:
    gateways = [
        HearingTwilio(),
        RecordingGateway(name="authentica"),
        RecordingGateway(name="console"),
        HearingWhatsApp(),
    ]
    return build_rooms(gateways=gateways, **SETTINGS)


@pytest.fixture
def vendors() -> Vendors:
    return Vendors()
