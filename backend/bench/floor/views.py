"""Request, verify, refresh and status with the unavoidable work only.

It must not use the ORM, DRF or anything of the service.
"""

import json
import time

import jwt
import redis
import requests
from django.db import connection, transaction
from django.http import HttpRequest, JsonResponse
from requests.adapters import HTTPAdapter

from bench.floor import codes, settings, tokens

CODE_SECONDS = 600
_key = settings.SECRET_KEY.encode()
_redis = redis.Redis.from_url(settings.FLOOR_REDIS_URL)
_gateway = requests.Session()
# One connection per thread, kept: the default of 10 would throw the rest away after each send.
_gateway.mount("http://", HTTPAdapter(pool_maxsize=settings.FLOOR_THREADS))
_gateway.trust_env = False

_CLAIM = (
    "update challenge set used_at = now() where id = (select id from challenge where phone = %s and used_at is null "
    "and expires_at > now() order by id desc limit 1 for update) and digest = %s returning id"
)
_UPSERT = "insert into users (phone) values (%s) on conflict (phone) do update set last_login = now() returning id"
_OPEN = "insert into challenge (phone, digest, expires_at) values (%s, %s, now() + %s * interval '1 second')"


def request_code(request: HttpRequest) -> JsonResponse:
    """Count the number, open a challenge and hand the code to the gateway."""
    phone = json.loads(request.body)["phone_number"]
    pipeline = _redis.pipeline(transaction=False)
    pipeline.incr(f"floor:{phone}")
    pipeline.expire(f"floor:{phone}", 3600)
    pipeline.execute()
    code = codes.derive(_key, phone=phone)
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, [phone, codes.digest(_key, phone=phone, code=code), CODE_SECONDS])
    if settings.FLOOR_GATEWAY_URL:
        # The pool would keep the connection until the answer, a whole gateway call too long.
        connection.close()
        _hand_over(phone, code=code)
    return JsonResponse({"message": "sent", "expires_in": CODE_SECONDS})


def _hand_over(phone: str, *, code: str) -> None:
    answer = _gateway.post(
        f"{settings.FLOOR_GATEWAY_URL}/send-otp",
        json={"method": "sms", "phone": phone, "template_id": 1, "otp": code},
        headers={"X-Authorization": "floor", "Accept": "application/json"},
        timeout=(1, 4),
        allow_redirects=False,
    )
    if answer.status_code != 200 or answer.json().get("success") is not True:
        raise RuntimeError("the gateway refused")


def verify_code(request: HttpRequest) -> JsonResponse:
    """Use the newest challenge up, upsert the user and sign two tokens."""
    body = json.loads(request.body)
    phone = body["phone_number"]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, [phone, codes.digest(_key, phone=phone, code=body["otp"])])
        if cursor.fetchone() is None:
            return JsonResponse({"code": "invalid_otp"}, status=400)
        cursor.execute(_UPSERT, [phone])
        (user,) = cursor.fetchone()
    return JsonResponse(tokens.pair(user, now=int(time.time())))


def refresh(request: HttpRequest) -> JsonResponse:
    """Spend a refresh token once and sign the next pair."""
    try:
        claims = tokens.read(json.loads(request.body)["refresh"], kind="refresh")
    except jwt.InvalidTokenError:
        return JsonResponse({"code": "token_invalid"}, status=401)
    if not _redis.set(f"used:{claims['jti']}", 1, nx=True, ex=tokens.REFRESH_SECONDS):
        return JsonResponse({"code": "refresh_reused"}, status=401)
    return JsonResponse(tokens.pair(int(claims["sub"]), now=int(time.time())))


def status(request: HttpRequest) -> JsonResponse:
    """Read the caller's token and row."""
    try:
        claims = tokens.read(request.headers.get("Authorization", "")[7:], kind="access")
    except jwt.InvalidTokenError:
        return JsonResponse({"code": "token_invalid"}, status=401)
    with connection.cursor() as cursor:
        cursor.execute("select phone from users where id = %s", [int(claims["sub"])])
        row = cursor.fetchone()
    if row is None:
        return JsonResponse({"code": "token_invalid"}, status=401)
    return JsonResponse({"authenticated": True, "user": {"id": int(claims["sub"]), "phone_number": row[0]}})


def ready(request: HttpRequest) -> JsonResponse:
    """Say that the process answers."""
    return JsonResponse({"status": "ok"})
