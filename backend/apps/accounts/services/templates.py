"""The WhatsApp template's state as the vendor last told it: read in the background, kept in the database.

Only an approved template can be sent: one that is paused or gone shuts its gateway's channel before a person waits for
an error. What is not known, or was learnt too long ago, shuts nothing. It must not know how a vendor is asked.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from django.db import DatabaseError, InterfaceError

from apps.accounts import telemetry
from apps.accounts.clock import Clock
from apps.accounts.providers.base import AuditLine, Auditor, Channel, Provider
from apps.accounts.services import statements

APPROVED: Final = "APPROVED"
# An audit names a template's state in a language `template_en`; words that the vendor could not be asked for.
_CHECK: Final = "template_"
_LANGUAGE_LENGTH: Final = 2
_FRESH_SECONDS: Final = 2.0
_LAST_SECONDS: Final = 3600.0
# Meta lets an app read templates 200 times an hour.
ASKED_EVERY_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class _Known:
    """States by gateway and language."""

    states: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class TemplateWatch:
    """Answers from memory, which it fills from the database every two seconds when asked. Thread-safe."""

    def __init__(self, *, providers: Mapping[str, Provider], clock: Clock) -> None:
        self._providers = providers
        self._clock = clock
        self._lock = threading.Lock()
        self._known = _Known()
        self._read_at = float("-inf")

    def is_shut(self, name: str) -> bool:
        """Say whether this gateway's template is known not to be approved in any language."""
        states = self._fresh().get(name, {})
        return bool(states) and APPROVED not in states.values()

    def language(self, name: str, wanted: str) -> str:
        """Return the language to send in: the wanted one, unless it is known not to be approved and another one is."""
        states = self._fresh().get(name, {})
        if states.get(wanted, APPROVED) == APPROVED:
            return wanted
        return next((language for language, state in sorted(states.items()) if state == APPROVED), wanted)

    def all_approved(self) -> bool:
        """Say whether no template is known to be anything but approved."""
        return all(state == APPROVED for states in self._fresh().values() for state in states.values())

    def refresh(self, *, timeout: float) -> None:
        """Ask every gateway that can tell and was not asked of late; one that cannot be asked changes nothing."""
        for name, provider in self._providers.items():
            if isinstance(provider, Auditor) and Channel.WHATSAPP in provider.channels() and self._is_due(name):
                statements.give_back_connection()
                self.store(name, provider.audit(deadline=time.monotonic() + timeout))

    def store(self, name: str, lines: Sequence[AuditLine]) -> None:
        """Keep what an audit of gateway `name` found about its template."""
        found = {}
        for line in lines:
            language = line.check.removeprefix(_CHECK)
            is_state = line.check.startswith(_CHECK) and len(language) == _LANGUAGE_LENGTH
            if is_state and isinstance(line.value, str):
                found[language] = line.value
        if not found:
            return
        before = self._fresh().get(name, {})
        now = statements.shifted_now_sql(self._clock.offset)
        with statements.durable():
            for language, state in sorted(found.items()):
                statements.run(
                    "INSERT INTO accounts_templatestate (provider, language, state, checked_at) "
                    f"VALUES (%s, %s, %s, {now}) ON CONFLICT (provider, language) "
                    "DO UPDATE SET state = excluded.state, checked_at = excluded.checked_at",
                    (name, language, state[:32]),
                )
        self.forget()
        for language, state in found.items():
            if before.get(language) != state:
                telemetry.happened("template_state", provider=name, language=language, state=state)

    def forget(self) -> None:
        """Read anew at the next question."""
        self._read_at = float("-inf")

    def _is_due(self, name: str) -> bool:
        edge = statements.shifted_now_sql(self._clock.offset - timedelta(seconds=ASKED_EVERY_SECONDS))
        found = statements.row(
            f"SELECT 1 FROM accounts_templatestate WHERE provider = %s AND checked_at > {edge} LIMIT 1", (name,)
        )
        return found is None

    def _fresh(self) -> Mapping[str, Mapping[str, str]]:
        if time.monotonic() - self._read_at < _FRESH_SECONDS:
            return self._known.states
        with self._lock:
            if time.monotonic() - self._read_at >= _FRESH_SECONDS:
                asked_at = time.monotonic()
                self._known = self._read()
                self._read_at = asked_at
        return self._known.states

    def _read(self) -> _Known:
        edge = statements.shifted_now_sql(self._clock.offset - timedelta(seconds=_LAST_SECONDS))
        try:
            rows = statements.rows(
                f"SELECT provider, language, state FROM accounts_templatestate WHERE checked_at > {edge}"
            )
        except (DatabaseError, InterfaceError):
            return self._known
        states: dict[str, dict[str, str]] = {}
        for name, language, state in rows:
            states.setdefault(name, {})[language] = state
        return _Known(states)
