"""The text of the four statements of fused.py. PostgreSQL only; `offset` is the clock's, zero outside tests.

A part that must not run before another one asks for that one's rows. It must not know when the statements are used.
"""

from datetime import timedelta
from functools import lru_cache
from typing import Final

from apps.accounts.services import statements
from apps.accounts.services.windows import SHUT_AFTER


@lru_cache(maxsize=64)
def open_send(offset: timedelta) -> str:
    """Return the statement of `fused.open_send`."""
    now_ms = statements.shifted_ms_sql(offset)
    # The clock is read anew where another call held the line: its send may be the one that counts.
    return f"""
WITH line AS (
  INSERT INTO accounts_phoneline AS held (phone, lane, sends, refunds, touched_ms)
  SELECT %(phone)s::text, '', '[' || ms || ']', '[]', ms FROM (SELECT {now_ms} AS ms) clock
  ON CONFLICT (phone, lane) DO UPDATE
  SET (sends, touched_ms) = (SELECT '[' || ms || ']', ms FROM (SELECT {now_ms} AS ms) clock)
  WHERE held.touched_ms + %(quiet_ms)s <= {now_ms}
  RETURNING touched_ms AS ms, to_timestamp(touched_ms / 1000.0) AS at
), code AS (
  INSERT INTO accounts_code (id, phone, purpose, scope, kind, nonce, key_id, state, bare_attempts,
    created_at, expires_at, minted_by, own_code_sent, operator, note)
  SELECT %(code_id)s, %(phone)s::text, %(purpose)s, %(scope)s, 'sent', %(nonce)s, %(key_id)s, 'open', 0,
    at, at + %(life)s, '', true, '', '' FROM line
), challenge AS (
  INSERT INTO accounts_challenge (id, code_id, phone, purpose, scope, account_id, session_id, device_id, status,
    attempts, vendor_retries, channel, language, support_code, ip, country, created_at)
  SELECT %(challenge_id)s, %(code_id)s, %(phone)s::text, %(purpose)s, %(scope)s, %(account_id)s::bigint,
    %(session_id)s, %(device_id)s, 'pending', 0, 0, %(channel)s, %(language)s, %(support_code)s, %(ip)s, %(country)s,
    at FROM line
), message AS (
  INSERT INTO accounts_message (id, challenge_id, code_id, send_id, cause, phone, country, provider, channel, state,
    vendor_id, error_kind, error_code, created_at)
  SELECT %(message_id)s, %(challenge_id)s, %(code_id)s, %(send_id)s, 'request', %(phone)s::text, %(country)s,
    %(provider)s, %(channel)s, 'sending', '', '', '', at FROM line
)
SELECT ms, at FROM line"""


_CODE = "k.id, k.nonce, k.key_id, k.kind, k.created_at, k.expires_at, k.minted_by, k.own_code_sent"
# Seen before the lane is locked: who has no chance does not queue for its row.
_SEEN_FRESH = f"""NOT EXISTS (SELECT 1 FROM accounts_failurelane f WHERE f.phone = {{phone}} AND f.lane = '{{lane}}'
    AND (f.stamps <> '[]' OR f.since_login >= {SHUT_AFTER}))"""
_OPEN = f"{statements.unindexed_sql('k.state')} = 'open'"
_FRESH_ONLY = f"""
  ON CONFLICT (phone, lane) DO UPDATE SET stamps = excluded.stamps, since_login = held.since_login + 1
  WHERE held.stamps = '[]' AND held.since_login < {SHUT_AFTER}
  RETURNING phone, stamps"""


def _clock(offset: timedelta) -> str:
    now, now_ms = statements.shifted_now_sql(offset), statements.shifted_ms_sql(offset)
    return f"clock AS (SELECT {now} AS now, {now_ms} AS ms)"


@lru_cache(maxsize=64)
def claim_on_phone(offset: timedelta) -> str:
    """Return the statement of `fused.claim_on_phone`."""
    # Two codes may be open: they are locked in the order in which everybody locks them.
    return f"""
WITH {_clock(offset)}, lane AS (
  INSERT INTO accounts_failurelane AS held (phone, lane, stamps, since_login)
  SELECT %(phone)s::text, 'phone', '[' || ms || ']', 1 FROM clock
  WHERE NOT EXISTS (SELECT 1 FROM accounts_code WHERE phone = %(phone)s::text AND purpose = 'login' AND scope = ''
    AND state = 'open' AND kind = 'readout')
    AND EXISTS (SELECT 1 FROM accounts_code WHERE phone = %(phone)s::text AND purpose = 'login' AND scope = ''
    AND state = 'open' AND kind = 'sent' AND expires_at > clock.now AND bare_attempts < %(most)s)
    AND {_SEEN_FRESH.format(phone="%(phone)s::text", lane="phone")} {_FRESH_ONLY}
), codes AS (
  SELECT k.id FROM accounts_code k, clock
  WHERE k.phone = %(phone)s::text AND k.purpose = 'login' AND k.scope = '' AND k.state = 'open' AND k.kind = 'sent'
    AND k.expires_at > clock.now AND k.bare_attempts < %(most)s AND EXISTS (SELECT 1 FROM lane)
  ORDER BY k.expires_at DESC FOR NO KEY UPDATE OF k
), claimed AS (
  UPDATE accounts_code k SET bare_attempts = k.bare_attempts + 1 FROM codes WHERE k.id = codes.id
  RETURNING {_CODE}
)
SELECT lane.stamps, claimed.* FROM lane LEFT JOIN claimed ON true ORDER BY claimed.expires_at DESC"""


@lru_cache(maxsize=64)
def claim_on_challenge(offset: timedelta) -> str:
    """Return the statement of `fused.claim_on_challenge`."""
    return f"""
WITH {_clock(offset)}, lane AS (
  INSERT INTO accounts_failurelane AS held (phone, lane, stamps, since_login)
  SELECT c.phone, 'challenge', '[' || ms || ']', 1 FROM accounts_challenge c, accounts_code k, clock
  WHERE c.id = %(challenge_id)s AND k.id = c.code_id AND c.status IN ('pending', 'undeliverable')
    AND c.attempts < %(most)s AND {_OPEN} AND k.expires_at > clock.now
    AND {_SEEN_FRESH.format(phone="c.phone", lane="challenge")} {_FRESH_ONLY}
), claimed AS (
  UPDATE accounts_challenge c SET attempts = c.attempts + 1 FROM accounts_code k, clock
  WHERE c.id = %(challenge_id)s AND k.id = c.code_id AND c.status IN ('pending', 'undeliverable')
    AND c.attempts < %(most)s AND {_OPEN} AND k.expires_at > clock.now AND EXISTS (SELECT 1 FROM lane)
  RETURNING c.purpose, c.scope, c.account_id, c.attempts, {_CODE}
)
SELECT lane.phone, lane.stamps, claimed.* FROM lane LEFT JOIN claimed ON true"""


_SINGLE = """c.code_id = %(code_id)s
    AND NOT EXISTS (SELECT 1 FROM accounts_challenge o WHERE o.code_id = %(code_id)s AND o.id <> c.id)"""
_NAMED = "c.id = %(challenge_id)s"
# The channel of a code whose challenges all have the same; no row where they differ. For both databases.
ONE_CHANNEL: Final = """SELECT min(o.channel) FROM accounts_challenge o WHERE o.code_id = %(code_id)s
    GROUP BY o.code_id HAVING count(DISTINCT o.channel) = 1"""


_OPEN_SESSION = """), session AS (
  INSERT INTO accounts_session (id, user_id, device_id, device_name, ip, user_agent, amr, is_test, note, refresh_hash,
    created_at, auth_time, last_used_at, expires_at, generation, used_generation, previous_hash, successor,
    revoked_reason)
  SELECT %(session_id)s, person.id, %(device_id)s, %(device_name)s, %(ip)s, %(user_agent)s,
    'otp,' || (SELECT channel FROM way), false, '', %(refresh_hash)s, now, now, now,
    now + %(session_life)s, 0, 0, '', '', '' FROM person, used
), token AS (
  INSERT INTO accounts_devicetoken (id, user_id, phone, device_id, secret_hash, previous_hash, session_id,
    created_at, last_used_at)
  SELECT %(token_id)s, person.id, %(phone)s::text, %(device_id)s, %(token_hash)s, '', %(session_id)s, now, now
  FROM person, used
), cleared AS (
  UPDATE accounts_failurelane SET since_login = 0, stamps = CASE WHEN lane = %(lane)s THEN '[]' ELSE stamps END
  WHERE phone = %(phone)s::text AND EXISTS (SELECT 1 FROM person)
), audit AS (
  INSERT INTO accounts_auditevent (at, event, actor, subject, note, request_id, detail)
  SELECT now, 'login.succeeded', 'account', person.subject, '', %(request_id)s,
    CASE WHEN person.subject = %(subject)s::text THEN %(detail_of_new)s ELSE %(detail_of_known)s END FROM person, used
)"""


@lru_cache(maxsize=64)
def log_in(offset: timedelta, *, by_challenge: bool) -> str:
    """Return the statement of `fused.log_in`."""
    moment = statements.shifted_now_sql(offset)
    # The lanes are locked before the code and cleared after it.
    return f"""
WITH lanes AS (
  SELECT id FROM accounts_failurelane WHERE phone = %(phone)s::text ORDER BY id FOR NO KEY UPDATE
), used AS (
  UPDATE accounts_code k SET state = 'used', used_at = {moment}
  WHERE id = %(code_id)s AND {_OPEN} AND expires_at > {moment} AND (SELECT count(*) FROM lanes) >= 0
  RETURNING used_at AS now
), verified AS (
  UPDATE accounts_challenge c SET status = 'verified', closed_at = used.now FROM used
  WHERE {_NAMED if by_challenge else _SINGLE}
  RETURNING c.channel
), way AS (
  SELECT coalesce((SELECT channel FROM verified), ({ONE_CHANNEL}), 'sms') AS channel
), person AS (
  INSERT INTO accounts_user AS held (password, is_superuser, username, phone_number, subject, role, phone_verified,
    is_active, is_staff, is_test, created_at, last_seen_at, parked_phone)
  SELECT '!', false, %(username)s, %(phone)s::text, %(subject)s::text, %(role)s, true, true, false, false, now, now, ''
  FROM used
  ON CONFLICT (phone_number) DO UPDATE SET last_seen_at = excluded.last_seen_at, phone_verified = true
  WHERE held.is_active AND held.deleted_at IS NULL
    AND (held.last_seen_at IS NULL OR held.last_seen_at >= excluded.last_seen_at - %(dormant_after)s)
    AND NOT EXISTS (SELECT 1 FROM accounts_recycledclaim q
      WHERE q.user_id = held.id AND q.state IN ('waiting', 'granted', 'objected'))
  RETURNING id, username, role, subject, is_test
{_OPEN_SESSION}
SELECT used.now, (SELECT channel FROM way), person.* FROM used LEFT JOIN person ON true"""
