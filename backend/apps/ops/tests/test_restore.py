"""After a restore to an earlier moment nothing ended since is good again, if one does what the runbook says."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from apps.accounts.models import Code, Session
from apps.accounts.services import statements
from conftest import Api, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
RUNBOOK: Final = Path(__file__).resolve().parents[4] / "docs" / "runbooks" / "database-loss-and-restore.md"
PHONES: Final = ("+966501234567", "+966501234568")


def statements_of_the_runbook() -> list[str]:
    return re.findall(r'-c "(UPDATE [^"]+)"', RUNBOOK.read_text(encoding="utf-8"))


def test_a_session_that_was_revoked_in_the_lost_window_stays_revoked(rooms: Rooms, api: Api) -> None:
    bearers = []
    for phone in PHONES:
        api.post("/api/auth/phone/request/", {"phone_number": phone})
        login = api.post("/api/auth/phone/verify/", {"phone_number": phone, "otp": rooms.gateway.last_code}).json()
        bearers.append(f"Bearer {login['access']}")
    # One was used a moment before the backup, one days before; both were revoked after it, and the backup has neither.
    Session.objects.filter(user__phone_number=PHONES[0]).update(last_used_at=statements.now() - timedelta(days=3))
    api.post("/api/auth/phone/request/", {"phone_number": "+966501234569"})
    code = rooms.gateway.last_code
    found = statements_of_the_runbook()
    assert len(found) == 2
    for statement in found:
        statements.run(statement, ())
    assert [api.get("/api/auth/status/", authorization=bearer).json()["code"] for bearer in bearers] == [
        "session_revoked", "session_revoked"
    ]  # fmt: skip
    assert not Session.objects.filter(revoked_at=None).exists()
    assert not Code.objects.filter(state="open").exists()
    answer = api.post("/api/auth/phone/verify/", {"phone_number": "+966501234569", "otp": code})
    assert answer.json()["code"] == "invalid_otp"
