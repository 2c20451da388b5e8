"""The keys that sign access tokens: made, published ahead of use, rotated, and cached for seconds in each process.

It must not know what a token says, or HTTP. Rows are the truth: one key signs, a standby waits already published,
retired ones verify until the last token they signed has expired. So a rotation takes effect at once, and no verifier
that caches our key document meets a key it has not seen (RFC 7517, RFC 8725 section 3.8).
"""

import json
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.db import DatabaseError, connection

from apps.accounts.clock import Clock
from apps.accounts.services import key_material, key_rows, statements
from apps.accounts.services.key_rows import NOT_YET, KeyRow
from apps.accounts.services.sealing import Unsealable, derive, seal, unseal
from apps.accounts.services.session_types import Event, Events, SilentEvents

ALGORITHM: Final = "ES256"
PUBLISHED_FOR: Final = 300  # seconds that a verifier may keep the document
_READ_AGAIN: Final = 3.0  # seconds until rows are read again
# The same for a token whose key is unknown: a key made a moment ago must be found, and forgers cause no more than ten
# reads a second.
_READ_AGAIN_UNKNOWN: Final = 0.1
_PATIENCE: Final = 0.5  # seconds that such a token waits for another call's reading: the database may hang
_STATES: Final = ("standby", "signs", "retired")
_DROPS_AFTER: Final = timedelta(minutes=20)  # an access token's 10 minutes, and room for clocks and caches


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """A key as it is used. `header` begins every token it signs; `private` is missing if not ours to open."""

    kid: str
    header: str
    public: ec.EllipticCurvePublicKey
    private: ec.EllipticCurvePrivateKey | None
    jwk: Mapping[str, str]
    row: KeyRow


@dataclass(frozen=True, slots=True)
class KeyDocument:
    """The public keys as they are served, and their strong ETag."""

    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class KeyView:
    """One line of an operator's list. `state`: `signs`, `standby`, `retired`."""

    kid: str
    algorithm: str
    state: str
    created_at: datetime
    drops_at: datetime | None


@dataclass(frozen=True, slots=True, repr=False)
class _Ring:
    keys: tuple[Key, ...]
    by_header: Mapping[str, Key]
    signer: Key | None
    standby: Key | None
    document: KeyDocument
    read_at: float


class Keys:
    """All signing keys, as this process last saw them."""

    def __init__(self, *, secret_key: str, clock: Clock | None = None, events: Events | None = None) -> None:
        """Take the secret that private parts are sealed under, and the seams of tests and of the audit."""
        self._sealing_key = derive(secret_key, purpose="signing-keys")
        self._clock = clock or Clock()
        self._events: Events = events or SilentEvents()
        self._seen: _Ring | None = None
        self._reading = threading.Lock()
        self._uncommitted: set[str] = set()

    def ensure(self) -> None:
        """Make signing key and standby if the database has none that this process can use; parallel starts agree."""
        ring = self._read()
        if ring.signer is None or ring.standby is None:
            self._create_missing()

    def signer(self) -> tuple[Key, ec.EllipticCurvePrivateKey]:
        """Return the key that signs now, and its private part."""
        signer = self._ring(_READ_AGAIN).signer or self._create_missing().signer
        if signer is None or signer.private is None:
            raise RuntimeError("no signing key could be made")
        return signer, signer.private

    def by_header(self, header: str) -> Key | None:
        """Return the key whose tokens begin with exactly `header`, or None."""
        found = self._ring(_READ_AGAIN).by_header.get(header)
        return found or self._ring(_READ_AGAIN_UNKNOWN, wait=True).by_header.get(header)

    def document(self) -> KeyDocument:
        """Return the JWK set of every key that may meet a verifier: signing, standby and retired ones."""
        ring = self._ring(_READ_AGAIN)
        return ring.document if ring.signer is not None else self._create_missing().document

    def rotate(self, *, compromised: bool = False, actor: str = "operator", note: str = "") -> str:
        """Let the standby sign from now on and publish a new standby; return the `kid` that signs.

        With `compromised`, no key made before is trusted any longer: all access tokens end, sessions go on by refresh.
        """
        with statements.durable():
            key_rows.lock()
            ring = self._load()
            now = self._now()
            if compromised:
                key_rows.drop_all()
                chosen = self._insert(signs_from=now)
            else:
                key_rows.retire_signing(now, drops_at=now + _DROPS_AFTER)
                chosen = ring.standby.kid if ring.standby else self._insert(signs_from=now)
                key_rows.promote(chosen, now)
                key_rows.drop_standbys()
                key_rows.drop_expired(now)
            self._insert(signs_from=NOT_YET)
            detail = {"kid": chosen, "compromised": compromised}
            self._events.audit(Event.KEY_ROTATED, actor=actor, subject="", note=note, detail=detail)
        self._read()
        return chosen

    def listing(self) -> list[KeyView]:
        """Return every key that verifies, as the rows say it at this moment: standby, signing, retired."""
        ring = self._read()
        views = [
            KeyView(key.kid, key.row.algorithm, _state(key), key.row.created_at, key.row.drops_at) for key in ring.keys
        ]
        return sorted(views, key=lambda view: _STATES.index(view.state))

    # -- what this process has seen

    def _ring(self, max_age: float, *, wait: bool = False) -> _Ring:
        """Return what was seen at most `max_age` seconds ago; while somebody else reads, older, or theirs: `wait`."""
        seen = self._seen
        if seen is None:
            with self._reading:
                return self._seen or self._read()
        if time.monotonic() - seen.read_at < max_age or not self._reading.acquire(timeout=_PATIENCE if wait else 0):
            return seen
        try:
            seen = self._seen or seen
            return seen if time.monotonic() - seen.read_at < max_age else self._read()
        except DatabaseError:
            if connection.in_atomic_block:
                raise
            self._seen = _later(seen)  # the keys of a moment ago still sign and verify; try again in a while
            return seen
        finally:
            self._reading.release()

    def _read(self) -> _Ring:
        ring = self._load()
        if connection.in_atomic_block and any(key.kid in self._uncommitted for key in ring.keys):
            self._seen = (
                None  # a key that may yet be rolled back is good for this transaction only: read again after it
            )
            return ring
        self._uncommitted.clear()
        self._seen = ring
        return ring

    def _load(self) -> _Ring:
        known = {key.kid: key for key in self._seen.keys} if self._seen else {}
        found, now = key_rows.usable()
        now += self._clock.offset
        keys = tuple(self._key(row, known.get(row.kid)) for row in found if row.drops_at is None or row.drops_at > now)
        can_sign = [key for key in keys if key.private is not None and key.row.retired_at is None]
        return _Ring(
            keys=keys,
            by_header={key.header: key for key in keys},
            signer=next((key for key in can_sign if key.row.signs_from <= now), None),
            standby=next((key for key in can_sign if key.row.signs_from > now), None),
            document=_document(keys),
            read_at=time.monotonic(),
        )

    def _key(self, row: KeyRow, known: Key | None) -> Key:
        if known is not None:
            return Key(row.kid, known.header, known.public, known.private, known.jwk, row)
        jwk = json.loads(row.public)
        private: ec.EllipticCurvePrivateKey | None = None
        try:
            loaded = serialization.load_der_private_key(
                unseal(self._sealing_key, row.private, bound_to=row.kid), password=None
            )
            private = loaded if isinstance(loaded, ec.EllipticCurvePrivateKey) else None
        except Unsealable:
            pass  # sealed under another SECRET_KEY: such a key verifies, and never signs here
        return Key(row.kid, key_material.header(row.kid), key_material.public_key(jwk), private, jwk, row)

    # -- making keys

    def _create_missing(self) -> _Ring:
        nested = connection.in_atomic_block
        transaction: AbstractContextManager[Any] = nullcontext() if nested else statements.durable()
        with transaction:
            key_rows.lock()
            ring = self._load()
            made = []
            if ring.signer is None:
                made.append(self._insert(signs_from=self._now()))
            if ring.standby is None:
                made.append(self._insert(signs_from=NOT_YET))
            for kid in made:
                self._events.audit(Event.KEY_CREATED, actor="service", subject="", detail={"kid": kid})
        if nested:
            self._uncommitted.update(made)
        return self._read()

    def _insert(self, *, signs_from: datetime) -> str:
        private = ec.generate_private_key(ec.SECP256R1())
        jwk = key_material.jwk(private.public_key())
        der = private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        kid = jwk["kid"]
        key_rows.insert(
            kid=kid,
            algorithm=ALGORITHM,
            public=json.dumps(jwk, separators=(",", ":")),
            private=seal(self._sealing_key, der, bound_to=kid),
            now=self._now(),
            signs_from=signs_from,
        )
        return kid

    def _now(self) -> datetime:
        return statements.now().astimezone(UTC) + self._clock.offset


def _state(key: Key) -> str:
    if key.row.retired_at is not None:
        return "retired"
    return "standby" if key.row.signs_from >= NOT_YET else "signs"


def _document(keys: tuple[Key, ...]) -> KeyDocument:
    body = json.dumps({"keys": [dict(key.jwk) for key in keys]}, separators=(",", ":")).encode()
    return KeyDocument(body=body, etag=f'"{sha256(body).hexdigest()[:32]}"')


def _later(ring: _Ring) -> _Ring:
    return _Ring(ring.keys, ring.by_header, ring.signer, ring.standby, ring.document, time.monotonic())
