"""Who the stories of silent numbers are about."""

import pytest

from apps.accounts.tests.stories.people import Visitor
from apps.accounts.tests.stories.silence import DAY
from conftest import Api, BuildRooms, Rooms


@pytest.fixture
def world(build_rooms: BuildRooms) -> Rooms:
    """Accounts count as silent after a day, so that their sessions are still alive."""
    return build_rooms(ACCOUNT_DORMANT_DAYS="1", OTP_MAX_PER_WINDOW="50", PHONE_AUTH_IP_MAX_PER_WINDOW="500")


@pytest.fixture
def owner(world: Rooms, api: Api) -> Visitor:
    """Somebody who logged in once and was silent since."""
    visitor = Visitor(world, api, device_id="owners-phone").login()
    world.clock.advance(seconds=2 * DAY)
    return visitor


@pytest.fixture
def stranger(owner: Visitor, api: Api) -> Visitor:
    """Whoever has the number now."""
    return Visitor(owner.rooms, api, device_id="strangers-phone")
