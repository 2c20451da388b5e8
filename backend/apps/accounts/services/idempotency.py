"""Safe retries: the first answer to an `Idempotency-Key` is kept for ten minutes and given again.

It must not know HTTP beyond a status number, nor what any operation does.

    claim ─▶ Ticket   the key is ours: act, then `settle` (or `keep` inside the transaction of the act)
          ─▶ Kept     it was done: give this answer again
          ─▶ raises   it runs elsewhere, or the key was used for another body

Neither key nor body is stored: the row is found by an HMAC of the key, equality of bodies is equality of an HMAC, and
the answer is encrypted under a key derived from the server's secret, the caller's key and the body together, so that a
stolen database holds no token and cannot be searched for a number or a code.
"""

import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from apps.accounts.clock import Clock
from apps.accounts.errors import AccountsError, IdempotencyKeyReused, RequestInProgress
from apps.accounts.services import statements

KEPT_SECONDS: Final = 600
# What a call may take beyond its sends before its key is free again.
MARGIN_SECONDS: Final = 3
_NOT_KEPT: Final = frozenset({409, 429})
# `json.dumps` builds an encoder for every call that wants anything but its defaults.
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True, repr=False)
class Kept:
    """An answer as it left: `body` is the text of its JSON, empty where the answer has none."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


Render = Callable[[AccountsError], Kept]


def is_kept(status: int) -> bool:
    """Say whether an answer of this status is given again: 409, 429 and 5xx are tried anew."""
    return status < 500 and status not in _NOT_KEPT


def as_text(data: Any) -> str:
    """Return the text of `data`'s JSON as it is answered; None is no body."""
    return "" if data is None else _encode(data)


class Ticket:
    """One call's right to act under its key. This one is of a call without a key: every verb does nothing."""

    active: ClassVar[bool] = False  # whether an answer will be kept at all: without it no transaction is needed for it
    kept: Kept | None = None

    def keep(self, status: int, data: Any, *, headers: Mapping[str, str] | None = None) -> None:
        """Keep the answer in the caller's open transaction, so that act and answer are committed together.

        Raises:
            RequestInProgress: the key was freed meanwhile and somebody else acts under it; the transaction must fail.
        """

    def keep_error(self, error: AccountsError) -> None:
        """Keep a refusal in the caller's open transaction; 409, 429 and 5xx are not kept.

        Raises:
            RequestInProgress: see `keep`.
        """

    def settle(self, answer: Kept) -> None:
        """Keep the answer after the act, or free the key where such an answer is not kept."""

    def release(self) -> None:
        """Free the key: the call came to nothing that may be given again."""


@dataclass(slots=True)
class KeyedTicket(Ticket):
    """The right to act under a key that this call has claimed."""

    active: ClassVar[bool] = True
    record: str
    owner: str
    cipher_key: bytes
    render: Render
    kept: Kept | None = None

    def keep(self, status: int, data: Any, *, headers: Mapping[str, str] | None = None) -> None:
        self._keep(Kept(status=status, body=as_text(data), headers=headers or {}))

    def keep_error(self, error: AccountsError) -> None:
        self._keep(self.render(error))

    def settle(self, answer: Kept) -> None:
        if is_kept(answer.status):
            self._write(answer)
        else:
            self.release()

    def release(self) -> None:
        statements.run(
            "DELETE FROM accounts_idempotencyrecord WHERE key_hash = %s AND state = 'running' AND answer = %s",
            (self.record, self.owner),
        )

    def _keep(self, answer: Kept) -> None:
        if not is_kept(answer.status):
            return
        if not self._write(answer):
            raise RequestInProgress
        self.kept = answer

    def _write(self, answer: Kept) -> int:
        sealed = _seal(answer, key=self.cipher_key, record=self.record)
        return statements.run(
            "UPDATE accounts_idempotencyrecord SET state = 'done', status = %s, answer = %s "
            "WHERE key_hash = %s AND state = 'running' AND answer = %s",
            (answer.status, sealed, self.record, self.owner),
        )


@dataclass(frozen=True, slots=True, repr=False)
class Idempotency:
    """Claims keys. `secret` is the server's; a call that died frees its key `frees_after` seconds after it began."""

    secret: bytes
    frees_after: float
    clock: Clock = field(default_factory=Clock)

    @classmethod
    def build(cls, *, secret_key: str, send_deadline: float, clock: Clock) -> "Idempotency":
        """Return the service for a configuration; `send_deadline` in seconds."""
        secret = _derive(secret_key.encode(), b"idempotency")
        return cls(secret=secret, frees_after=send_deadline + MARGIN_SECONDS, clock=clock)

    def claim(self, key: str, *, operation: str, body: bytes, render: Render) -> KeyedTicket | Kept:
        """Claim `key` for one call of `operation` (path and caller), or return the answer it already got.

        One statement of its own, committed at once: parallel repeats see it. `body` must be the same bytes for the same
        members; `render` says how an error would be answered.

        Raises:
            RequestInProgress: the first call with this key still runs; `retry_after` is 1.
            IdempotencyKeyReused: the key was used for another body.
        """
        record = self._hmac(b"record", operation.encode(), key.encode())
        body_hash = self._hmac(b"body", record.encode(), body)
        owner = secrets.token_hex(16)
        cipher_key = _derive(self.secret, b"answer\x00" + key.encode() + b"\x00" + body)
        if self._insert(record, body_hash, owner):
            return KeyedTicket(record=record, owner=owner, cipher_key=cipher_key, render=render)
        found = statements.row(
            "SELECT body_hash, state, answer FROM accounts_idempotencyrecord WHERE key_hash = %s", (record,)
        )
        if found is None:  # freed between the two statements
            raise RequestInProgress(retry_after=1)
        if found[0] != body_hash:
            raise IdempotencyKeyReused
        if found[1] != "done":
            raise RequestInProgress(retry_after=1)
        return _open(found[2], key=cipher_key, record=record)

    def purge(self, batch: int = 1000) -> int:
        """Delete up to `batch` records that nobody can be given any more; return how many."""
        old, old_param = _moment(self.clock.offset_seconds - KEPT_SECONDS)
        now, now_param = _moment(self.clock.offset_seconds)
        over, params = f"created_at <= {old} AND frees_at <= {now}", (old_param, now_param)
        # Asked twice: of a key that is claimed anew at this moment only the outer question sees the new claim.
        return statements.run(
            "DELETE FROM accounts_idempotencyrecord WHERE key_hash IN (SELECT key_hash FROM accounts_idempotencyrecord "
            f"WHERE {over} ORDER BY created_at LIMIT %s) AND {over}",
            (*params, batch, *params),
        )

    def _insert(self, record: str, body_hash: str, owner: str) -> bool:
        """Take the key if it is new, forgotten, or held by a call that died."""
        now, now_param = _moment(self.clock.offset_seconds)
        frees, frees_param = _moment(self.clock.offset_seconds + self.frees_after)
        old, old_param = _moment(self.clock.offset_seconds - KEPT_SECONDS)
        taken = statements.row(
            "INSERT INTO accounts_idempotencyrecord AS held "
            "(key_hash, body_hash, state, status, answer, created_at, frees_at) "
            f"VALUES (%s, %s, 'running', 0, %s, {now}, {frees}) "
            "ON CONFLICT (key_hash) DO UPDATE SET body_hash = excluded.body_hash, state = 'running', status = 0, "
            "answer = excluded.answer, created_at = excluded.created_at, frees_at = excluded.frees_at "
            f"WHERE (held.state = 'running' AND held.frees_at <= {now}) "
            f"OR (held.state = 'done' AND held.created_at <= {old}) RETURNING 1",
            (record, body_hash, owner, now_param, frees_param, now_param, old_param),
        )
        return taken is not None

    def _hmac(self, purpose: bytes, *parts: bytes) -> str:
        mac = HMAC(self.secret, SHA256())
        for part in (purpose, *parts):
            mac.update(len(part).to_bytes(4, "big") + part)
        return mac.finalize().hex()


def _derive(secret: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)


def _seal(answer: Kept, *, key: bytes, record: str) -> str:
    plain = json.dumps([answer.status, answer.body, dict(answer.headers)], ensure_ascii=False).encode()
    nonce = secrets.token_bytes(12)
    return b64encode(nonce + AESGCM(key).encrypt(nonce, plain, record.encode())).decode()


def _open(sealed: str, *, key: bytes, record: str) -> Kept:
    raw = b64decode(sealed)
    status, body, headers = json.loads(AESGCM(key).decrypt(raw[:12], raw[12:], record.encode()))
    return Kept(status=status, body=body, headers=headers)


def _moment(seconds: float) -> tuple[str, Any]:
    """Return the SQL of the database's clock moved by `seconds`, and its one parameter."""
    if statements.is_postgres():
        return f"({statements.now_sql()} + make_interval(secs => %s))", float(seconds)
    return "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', %s)", f"{seconds:+.3f} seconds"
