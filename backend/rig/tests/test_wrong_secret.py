"""A host that was given another OTP_SECRET beside one that works: it takes itself out, and nobody is locked out."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from fakegateways.handle import FakeGateways
from rig.around import eventually
from rig.ground import ask, by_twilio, log_in, new_phone, require_stores
from rig.service import RunningService

pytestmark = pytest.mark.servers


@pytest.fixture
def fake() -> Iterator[FakeGateways]:
    require_stores()
    with FakeGateways() as running:
        yield running


def probes(service: RunningService) -> set[tuple[int, str]]:
    """Return what its processes say of themselves; each new connection may meet another one."""
    found = set()
    for _ in range(12):
        try:
            with urllib.request.urlopen(f"{service.url}/readyz", timeout=30) as answer:
                found.add((answer.status, json.loads(answer.read())["code_secret"]))
        except urllib.error.HTTPError as error:
            found.add((error.code, json.loads(error.read())["code_secret"]))
    return found


def test_a_host_with_another_secret_is_not_ready_and_the_right_one_stays_so(fake: FakeGateways) -> None:
    with RunningService(environ=by_twilio(fake, OTP_GLOBAL_MAX_PER_MINUTE="0")) as right:
        ask(right, new_phone())
        beside = {"DATABASE_URL": right.database_url, "OTP_SECRET": "what-somebody-typed-wrongly-on-one-host-only"}
        with RunningService(environ=by_twilio(fake, **beside)) as wrong:
            ask(right, new_phone())
            eventually(lambda: probes(wrong), {(503, "differs")})
            ask(wrong, new_phone())  # before a balancer has heard of it
            assert probes(right) == {(200, "shared")}
            log_in(right, fake, new_phone())
