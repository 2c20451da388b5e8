"""An ordinary login: a sent code, no device token, an account that is open or comes to be. One statement does it all.

What is out of the ordinary is login.py's; it must not know HTTP or how the code was proven.
"""

import secrets
from datetime import timedelta

from django.db import IntegrityError

from apps.accounts import telemetry
from apps.accounts.clock import Clock
from apps.accounts.config import Config
from apps.accounts.errors import AccountsError
from apps.accounts.phones import mask
from apps.accounts.services import device_tokens, fused, statements, tries
from apps.accounts.services.fused import NewLogin
from apps.accounts.services.login import ChoiceRequired, LoggedIn, Login
from apps.accounts.services.model import Asker, OpenCode
from apps.accounts.services.proof import Proven
from apps.accounts.services.session_types import SESSION_SECONDS
from apps.accounts.services.sessions import Prepared, Sessions
from apps.accounts.services.tries import Claim


class OrdinaryLogin:
    """Logs in by one statement where the database can. One per process; thread-safe."""

    def __init__(self, *, config: Config, sessions: Sessions, login: Login, clock: Clock) -> None:
        self._config = config
        self._sessions = sessions
        self._login = login
        self._clock = clock

    def log_in(self, claim: Claim, code: OpenCode, *, asker: Asker) -> LoggedIn | ChoiceRequired | AccountsError | None:
        """Use the code up and open a session; None: this is no ordinary login, and nothing was changed."""
        ordinary = code.kind == "sent" and not asker.device_token and self._config.allow_signup
        if not ordinary or not fused.available():
            return None
        prepared = self._sessions.prepare()
        new = self._new_login(claim, code, asker, prepared)
        try:
            used = statements.retried(lambda: fused.log_in(new, offset=self._clock.offset))
        except IntegrityError:  # the account's first name is taken
            return None
        if used is None:
            return None
        if used.person is None:
            proven = Proven(claim=claim, code=code, phone=claim.phone, now=used.now, channel=used.channel)
            return statements.retried(lambda: self._finish_alone(proven, asker))
        telemetry.audited("login.succeeded")
        if used.is_new:
            telemetry.happened("account_opened", phone=mask(claim.phone))
        opened = self._sessions.opened(prepared, used.person, now=used.now, amr=("otp", used.channel))
        return LoggedIn(opened=opened, person=used.person, is_new_user=used.is_new)

    def _new_login(self, claim: Claim, code: OpenCode, asker: Asker, prepared: Prepared) -> NewLogin:
        session_id = prepared.refresh.session_id
        return NewLogin(
            phone=claim.phone, code_id=code.id, challenge_id=claim.challenge_id, lane=claim.lane,
            username=f"user_{claim.phone[1:]}", subject=secrets.token_hex(16),
            role=self._config["ACCOUNT_DEFAULT_ROLE"],
            dormant_after=timedelta(days=self._config["ACCOUNT_DORMANT_DAYS"]),
            session_id=session_id, session_life=timedelta(seconds=SESSION_SECONDS),
            refresh_hash=prepared.refresh.digest, device_id=asker.device_id[:128], device_name=asker.device_name[:128],
            ip=asker.ip[:45], user_agent=asker.user_agent[:256], token_id=secrets.token_hex(16),
            token_hash=device_tokens.hash_of(prepared.device_token), request_id=telemetry.request_id(),
            detail_of_new=_detail(session_id, new=True), detail_of_known=_detail(session_id, new=False),
        )  # fmt: skip

    def _finish_alone(self, proven: Proven, asker: Asker) -> LoggedIn | ChoiceRequired | AccountsError:
        """Say what an account is told that may not log in just so: its code is used up and committed already."""
        with statements.durable():
            tries.lock_lanes(proven.phone)
            return self._login.finish(proven, asker, keep=lambda *_: None, keep_error=lambda _: None)


def _detail(session_id: str, *, new: bool) -> str:
    """Return an ordinary login's detail for the audit, as login.py records it."""
    return telemetry.audit_detail({"session": session_id[:8], "new": new, "manual": False, "test": False})
