"""Sending on: a receipt said failed, so the same code goes out by a gateway that has not had it (contract section 7).

The promise is the failed message's own row (`sent_on` is `due`), written with the receipt; keeping it may be tried any
number of times, by any process. Each try opens its attempt row under the phone's lock after looking at all that was
tried before, so no gateway ever carries one code on twice. It must not know HTTP, nor who calls it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from apps.accounts import messages, telemetry
from apps.accounts.clock import Clock
from apps.accounts.config import Config
from apps.accounts.errors import ServiceUnavailable
from apps.accounts.providers.base import Channel
from apps.accounts.services import challenges, sending_case, statements
from apps.accounts.services.blocklist import BlockList
from apps.accounts.services.courier import Courier
from apps.accounts.services.health import Plan
from apps.accounts.services.parcel import Handover, Parcel, patience
from apps.accounts.services.proof import Prover
from apps.accounts.services.sending_case import UNDER_WAY, Case, Try
from apps.accounts.services.windows import SendRule, judge_send, unasked

# A receipt may overtake our own send's answer; until that is in, nobody knows where the send itself is going on to.
OWN_ANSWER_SECONDS: Final = 3.0
_PAUSE_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True, repr=False)
class _Step:
    """One gateway to be called now, its attempt row written."""

    parcel: Parcel
    plan: Plan
    message_id: str
    case: Case


class _NotYet(Exception):
    """What decides is still in motion: our own send has not returned, or another process just took a step."""


class SendingOn:
    """Keeps the promises that receipts made. One per process; thread-safe."""

    def __init__(self, *, config: Config, courier: Courier, prover: Prover, blocklist: BlockList, clock: Clock) -> None:
        self._config = config
        self._courier = courier
        self._prover = prover
        self._blocklist = blocklist
        self._clock = clock
        self._rule = SendRule(
            limit=config.send_limit,
            window_ms=config.send_window_seconds * 1000,
            cooldown_ms=config.cooldown_seconds * 1000,
        )

    def run(self, message_id: str) -> None:
        """Keep one promise as far as it can be kept now; what cannot be yet stays due."""
        try:
            with self._courier.slot():
                self._run(message_id)
        except ServiceUnavailable:
            return  # every place to wait for a gateway is taken; the sweeper comes back to it

    def _run(self, message_id: str) -> None:
        by_sms = False
        until = time.monotonic() + OWN_ANSWER_SECONDS
        while True:
            try:
                step = self._next(message_id, by_sms=by_sms)
            except _NotYet:
                if time.monotonic() > until:
                    return
                time.sleep(_PAUSE_SECONDS)
                continue
            if step is None:
                return
            handover = self._courier.deliver(step.parcel, step.plan, first_message_id=step.message_id)
            by_sms = by_sms or handover.state == "not_on_channel"
            if self._is_settled(step.case, handover):
                return

    def sweep(self, *, older_than_seconds: float, limit: int = 20) -> int:
        """Take up promises that nobody kept: their task was lost, or no gateway was up; return how many."""
        edge = statements.shifted_now_sql(self._clock.offset - timedelta(seconds=older_than_seconds))
        due = statements.rows(
            f"SELECT id FROM accounts_message WHERE sent_on = 'due' AND sent_on_at < {edge} "
            "ORDER BY sent_on_at LIMIT %s",
            (limit,),
        )
        for (message_id,) in due:
            self.run(message_id)
        return len(due)

    # --- one step -------------------------------------------------------------------------------------------------

    def _next(self, message_id: str, *, by_sms: bool) -> _Step | None:
        """Choose a gateway, which may take a look beyond the database, then decide under the phone's lock."""
        case = self._case(message_id, lock=False)
        if case is None:
            return None
        channel, route = self._route(case, by_sms=by_sms)
        plan = self._courier.next_of(route, channel=channel, region=case.phone.region)
        with statements.durable():
            case = self._case(message_id, lock=True)
            if case is None:
                return None
            ended = self._ended(case)
            if ended:
                self._mark(case, ended)
                return None
            return self._decide(case, channel, plan, by_sms=by_sms)

    def _case(self, message_id: str, *, lock: bool) -> Case | None:
        return sending_case.read(message_id, lock=lock, offset=self._clock.offset, patience=patience(self._config))

    def _ended(self, case: Case) -> str:
        """Return how the promise ended, or empty while it stands."""
        if any(one.state in UNDER_WAY for one in case.mine):
            return "sent"
        if any(case.is_being_sent(one) for one in case.mine):
            return ""
        blocked = self._blocklist.match(phone=case.phone.e164, ip=case.ip, device_id=case.device_id)
        if case.is_closed or blocked:
            return "moot"
        return "moot" if not case.is_still_out and case.went_on_already else ""

    def _decide(self, case: Case, channel: Channel, plan: Plan | None, *, by_sms: bool) -> _Step | None:
        if any(case.is_being_sent(one) for one in case.mine):
            return None  # another process is at it, or died at it: what comes of it decides
        if case.is_still_out:
            raise _NotYet
        channel_now, left = self._route(case, by_sms=by_sms)
        if not left:
            self._give_up(case, case.mine)
            return None
        if plan is None:
            return None  # all are cooling
        if channel is not channel_now or plan.names[0] not in left:
            raise _NotYet
        digits = self._prover.code_of(case.code, phone=case.phone.e164, purpose=case.purpose)
        if digits is None or (not case.mine and not self._stamp(case)):
            self._mark(case, "moot" if digits is None else "full")
            return None
        return self._open(case, channel, plan, digits)

    def _route(self, case: Case, *, by_sms: bool) -> tuple[Channel, tuple[str, ...]]:
        """Return the gateways that have not had this code, of the message's own channel, else of SMS."""
        region = case.phone.region
        if by_sms or case.not_on_channel:
            had_by_sms = case.had(Channel.SMS)
            route = self._courier.route(region, Channel.SMS)
            return Channel.SMS, tuple(name for name in route if name not in had_by_sms)
        had = case.had()
        for channel in dict.fromkeys((Channel(case.message.channel), Channel.SMS)):
            left = tuple(name for name in self._courier.route(region, channel) if name not in had)
            if left:
                return channel, left
        return Channel.SMS, ()

    def _stamp(self, case: Case) -> bool:
        """Count the message in the phone's window, or say that there is no room."""
        line = case.line
        assert line is not None
        verdict = judge_send(line.sends, now_ms=line.now_ms, rule=self._rule, cooldown=False)
        if verdict.reason:
            return False
        challenges.write_sends(line, (*verdict.kept, unasked(line.now_ms)))
        return True

    def _open(self, case: Case, channel: Channel, plan: Plan, digits: str) -> _Step:
        first, message = plan.names[0], case.message
        message_id = self._courier.open_row(
            case.phone, provider=first, channel=channel, send_id=message.send_id, cause="receipt",
            challenge_id=case.challenge_id, code_id=case.code.id, now=case.now,
        )  # fmt: skip
        statements.run("UPDATE accounts_message SET follows = %s WHERE id = %s", (message.id, message_id))
        if channel != case.challenge_channel:
            statements.run(
                "UPDATE accounts_challenge SET channel = %s WHERE id = %s", (channel.value, case.challenge_id)
            )
        parcel = Parcel(
            phone=case.phone, channel=channel, code=digits,
            text=messages.code_text(
                digits, language=messages.Language(case.language), options=self._config.texts
            ),
            language=case.language, send_id=message.send_id, cause="receipt", challenge_id=case.challenge_id,
            code_id=case.code.id, valid_seconds=max(1, int((case.code.expires_at - case.now).total_seconds())),
        )  # fmt: skip
        # One gateway a step: the next one is chosen under the phone's lock again.
        return _Step(parcel=parcel, plan=plan, message_id=message_id, case=case)

    # --- how it ended ---------------------------------------------------------------------------------------------

    def _is_settled(self, case: Case, handover: Handover) -> bool:
        """Say whether the promise is kept or void; where it is neither, the next gateway is tried."""
        if handover.state == "accepted":
            if handover.minted_by:
                challenges.mark_minted(
                    case.code, by=handover.minted_by, seconds=handover.minted_for_seconds, offset=self._clock.offset
                )
            self._mark(case, "sent")
            return True
        if handover.state == "unreachable":
            statements.run(
                "UPDATE accounts_challenge SET status = 'undeliverable', closed_at = "
                f"{statements.shifted_now_sql(self._clock.offset)} WHERE id = %s AND status = 'pending'",
                (case.challenge_id,),
            )
        if handover.state in ("unreachable", "fraud"):
            self._mark(case, "nobody")
            return True
        return False

    def _give_up(self, case: Case, mine: Sequence[Try]) -> None:
        """No gateway is left. Without any that may have sent it, the window gets its place back."""
        if mine and case.line and all(one.state == "failed" for one in mine):
            first = min(mine, key=lambda one: one.created_at)
            challenges.take_back(case.line, unasked(int(first.created_at.timestamp() * 1000)), free=True)
        self._mark(case, "sent" if any(one.state != "failed" for one in mine) else "nobody")

    def _mark(self, case: Case, outcome: str) -> None:
        statements.run("UPDATE accounts_message SET sent_on = %s WHERE id = %s", (outcome, case.message.id))
        telemetry.sent_on(message_id=case.message.id, outcome=outcome)
