"""Puts accounts into the service's database without their ever having asked for a code.

The only room of the bench that knows a table of the service; it must not know why they are needed.
"""

import json
from collections.abc import Mapping, Sequence

from bench.targets import manage

_SCRIPT = """
import json, sys
from django.contrib.auth import get_user_model
people = json.loads({people!r})
model = get_user_model()
model.objects.bulk_create(
    [
        model(username="user_" + one["phone"][1:], phone_number=one["phone"], phone_verified=True,
              is_active=one["active"], password="!")
        for one in people
    ]
)
print(model.objects.count())
"""


def create_accounts(phones: Sequence[str], *, active: bool, environment: Mapping[str, str]) -> None:
    """Create an account per number, as if its owner had logged in long ago.

    Raises StartFault when the service's models do not take them.
    """
    people = json.dumps([{"phone": phone, "active": active} for phone in phones])
    manage("shell", "--no-imports", "-c", _SCRIPT.format(people=people), environment=environment)
