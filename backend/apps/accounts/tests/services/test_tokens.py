"""Tokens as text: what an access token says, and everything that must not pass as one."""

import hmac
import time

import jwt
import pytest

from apps.accounts.errors import TokenExpired, TokenInvalid
from apps.accounts.services.keys import Keys
from apps.accounts.services.sealing import derive
from apps.accounts.services.tokens import Tokens
from apps.accounts.tests.services.session_world import SECRET, World, make_person, make_world
from apps.accounts.tests.services.token_forgery import NAMES, Forger, compact

pytestmark = pytest.mark.django_db(transaction=True)
CLAIMS = {
    "iss", "aud", "sub", "sid", "jti", "iat", "exp", "auth_time", "amr", "acr", "role", "phone_verified",
}  # fmt: skip


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def forger(world: World) -> Forger:
    opened = world.login()
    return Forger(world.keys, access=opened.access, refresh=opened.refresh)


def claims(token: str) -> dict[str, object]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def test_an_access_token_holds_the_promised_claims_and_no_others(world: World) -> None:
    person = make_person()
    opened = world.login(person, amr=("otp", "whatsapp"))
    said = claims(opened.access)
    assert set(said) == CLAIMS
    assert said["amr"] == ["otp", "whatsapp"]
    assert said["acr"] == "aal1"
    assert said["sub"] == person.subject
    assert said["sid"] == opened.session_id
    assert isinstance(said["exp"], int)
    assert isinstance(said["iat"], int)
    assert said["exp"] - said["iat"] == 600


def test_its_header_names_algorithm_type_and_key(world: World) -> None:
    assert jwt.get_unverified_header(world.login().access) == {
        "alg": "ES256",
        "typ": "at+jwt",
        "kid": world.keys.signer()[0].kid,
    }


def test_no_token_holds_the_phone_number_or_the_user_name(world: World) -> None:
    opened = world.login()
    for token in (opened.access, opened.refresh, world.refresh(opened.refresh).access):
        assert "966500000001" not in str(claims(token))


def test_a_test_session_says_so_in_every_access_token(world: World) -> None:
    opened = world.login(test=True)
    child = world.refresh(opened.refresh)
    step_up, _ = world.sessions.step_up(world.sessions.authenticate(child.access), now=world.clock.host_now())
    for token in (opened.access, child.access, step_up):
        assert claims(token)["test"] is True


def test_the_login_time_stays_through_refreshes(world: World) -> None:
    opened = world.login()
    world.clock.advance(seconds=3600)
    assert claims(world.refresh(opened.refresh).access)["auth_time"] == claims(opened.access)["auth_time"]


def test_a_change_of_role_shows_in_the_next_token(world: World) -> None:
    from django.contrib.auth import get_user_model

    opened = world.login()
    get_user_model().objects.update(role="vip")
    assert claims(world.refresh(opened.refresh).access)["role"] == "vip"


def test_a_step_up_token_says_so_and_has_a_login_time_of_its_own(world: World) -> None:
    opened = world.login()
    world.clock.advance(seconds=60)
    principal = world.sessions.authenticate(opened.access)
    token, _ = world.sessions.step_up(principal, now=world.clock.host_now())
    assert claims(token)["step_up"] is True
    assert set(claims(token)) == CLAIMS | {"step_up"}
    assert claims(token)["auth_time"] != claims(opened.access)["auth_time"]


def test_tokens_signed_before_a_rotation_stay_good(world: World) -> None:
    opened = world.login()
    world.keys.rotate()
    world.sessions.authenticate(opened.access)
    child = world.refresh(opened.refresh)
    assert jwt.get_unverified_header(child.access)["kid"] != jwt.get_unverified_header(opened.access)["kid"]
    world.sessions.authenticate(child.access)


def test_a_compromised_key_ends_access_tokens_even_verified_ones_and_sessions_go_on(world: World) -> None:
    opened = world.login()
    world.sessions.authenticate(opened.access)
    world.keys.rotate(compromised=True)
    with pytest.raises(TokenInvalid):
        world.sessions.authenticate(opened.access)
    world.sessions.authenticate(world.refresh(opened.refresh).access)


def test_the_forgers_own_tools_make_good_tokens_from_the_same_claims(world: World, forger: Forger) -> None:
    world.sessions.authenticate(forger.ours())


def test_the_names_of_the_forgeries_are_all_of_them(forger: Forger) -> None:
    assert tuple(forger.table()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_forged_access_token_is_refused(world: World, forger: Forger, name: str) -> None:
    forged = forger.table()[name]
    with pytest.raises(TokenExpired if name == "our key, expired" else TokenInvalid):
        world.sessions.authenticate(forged)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "a refresh token"])
def test_a_forged_access_token_is_no_refresh_token_either(world: World, forger: Forger, name: str) -> None:
    with pytest.raises(TokenInvalid):
        world.refresh(forger.table()[name])


@pytest.mark.parametrize("key", [SECRET, "x" * 64, ""], ids=["the secret itself", "another key", "an empty key"])
@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512"])
def test_a_refresh_token_under_another_key_is_refused(world: World, algorithm: str, key: str) -> None:
    said = claims(world.login().refresh)
    digest = {"none": "", "HS256": "sha256", "HS512": "sha512"}[algorithm]

    def sign(signed: bytes) -> bytes:
        return hmac.digest(key.encode(), signed, digest) if digest else b""

    with pytest.raises(TokenInvalid):
        world.refresh(compact({"alg": algorithm, "typ": "rt+jwt"}, said, sign))


def test_a_refresh_token_with_a_header_we_do_not_write_is_refused_even_under_our_key(world: World) -> None:
    said, key = claims(world.login().refresh), derive(SECRET, purpose="refresh-tokens")
    for header in ({"alg": "HS256", "typ": "JWT"}, {"alg": "HS256", "typ": "rt+jwt", "crit": ["exp"]}):
        with pytest.raises(TokenInvalid):
            world.refresh(compact(header, said, lambda signed: hmac.digest(key, signed, "sha256")))


def test_a_refresh_token_of_a_service_with_another_secret_is_refused(world: World) -> None:
    stranger = Tokens(keys=world.keys, secret_key="another" * 8, issuer="salon-api", audience="salon-app")
    opened = world.login()
    now = world.clock.host_now()
    forged, _ = stranger.refresh(session_id=opened.session_id, expires_at=now)
    with pytest.raises(TokenInvalid):
        world.refresh(forged)


def test_what_was_verified_once_is_still_judged_by_the_clock(world: World) -> None:
    opened = world.login()
    world.sessions.authenticate(opened.access)
    world.clock.advance(seconds=601)
    with pytest.raises(TokenExpired):
        world.sessions.authenticate(opened.access)


def test_memory_of_verified_tokens_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.accounts.services.tokens._REMEMBERED", 8)
    keys = Keys(secret_key=SECRET)
    tokens = Tokens(keys=keys, secret_key=SECRET, issuer="salon-api", audience="salon-app")
    opened = world.login()
    forger = Forger(keys, access=opened.access, refresh=opened.refresh)
    for number in range(30):
        tokens.read_access(forger.with_claims(jti=f"0.{number}"))
    assert len(tokens._verified) == 8


def test_a_token_from_a_few_seconds_ahead_passes(world: World, forger: Forger) -> None:
    world.sessions.authenticate(forger.with_claims(iat=int(time.time()) + 20))
