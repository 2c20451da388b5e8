"""A wrong setting stops the start with its name in the list, never with its value."""

from urllib.parse import urlsplit

import pytest

from apps.accounts import config as accounts_config

WHOLE = {
    "DEBUG": "False",
    "SECRET_KEY": "a-secret-key-of-more-than-thirty-two-characters",
    "OTP_SECRET": "an-otp-secret-of-more-than-thirty-two-characters",
    "ALLOWED_HOSTS": "login.example.com",
    "DATABASE_URL": "postgres://login:pw@db.internal:5432/login",
    "REDIS_URL": "redis://redis.internal:6379/0",
    "OTP_PROVIDER": "authentica",
    "AUTHENTICA_API_KEY": "a-key",
}


def test_the_settings_that_each_fault_is_put_into_are_fine_without_it() -> None:
    accounts_config.load(WHOLE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://login:hunter2@db/login"),
        ("DATABASE_URL", "hunter2"),
        ("DATABASE_URL", "postgres://login:hunter2@db:port/login"),
        ("REDIS_URL", "http://hunter2.internal"),
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("CORS_ALLOWED_ORIGINS", "hunter2.example.com"),
        ("CORS_ALLOWED_ORIGINS", "https://app.example.com/hunter2"),
        ("OTP_ALLOWED_COUNTRIES", "SA,ZZ"),
        ("OTP_ROUTES", "XX=authentica"),
        ("OTP_COUNTRY_SPEND_LIMITS", "ZZ=5"),
        ("AUTHENTICA_BASE_URL", "https://[hunter2"),
        ("SECRET_KEY", " " * 40),
        ("OTP_SECRET", "hunter2" + " " * 40),
        ("OTP_PROVIDER", "hunter2"),
    ],
)
def test_a_fault_is_named_by_its_variable_and_never_shown(name: str, value: str) -> None:
    with pytest.raises(accounts_config.ConfigurationError) as refused:
        accounts_config.load({**WHOLE, name: value})
    assert {fault.partition(" ")[0] for fault in refused.value.faults} == {name}
    assert "hunter2" not in str(refused.value)


def test_what_works_but_is_not_meant_for_production_is_a_warning() -> None:
    warnings = accounts_config.load({**WHOLE, "DATABASE_URL": "sqlite:////var/lib/login/db.sqlite3"}).warnings
    assert [warning.partition(" ")[0] for warning in warnings] == ["PUBLIC_BASE_URL", "DATABASE_URL"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql:///login?host=/run/postgresql"),
        ("DATABASE_URL", "sqlite:////var/lib/login/db.sqlite3"),
        ("REDIS_URL", "rediss://:p%40ss@redis.internal:6380/2"),
        ("REDIS_URL", "unix:///run/redis.sock?db=3"),
        ("CORS_ALLOWED_ORIGINS", "https://app.example.com, http://localhost:3000"),
        ("OTP_ALLOWED_COUNTRIES", "sa,AE,XK"),
        ("OTP_ROUTES", "sa/whatsapp=authentica;*=authentica"),
    ],
)
def test_what_is_right_is_read(name: str, value: str) -> None:
    accounts_config.load({**WHOLE, name: value})


@pytest.mark.parametrize("debug", ["False", "True"])
@pytest.mark.parametrize(
    ("address", "hosts"),
    [
        ("https://login.example.com", "localhost,127.0.0.1"),
        ("https://login.example.com", "example.com"),
        ("https://login.example.com", ".login.example.co"),
        ("https://notexample.com", ".example.com"),
        ("https://login.example.com:8443/otp", "api.example.com"),
        ("http://[::1]:8000", "127.0.0.1"),
    ],
)
def test_the_host_that_callbacks_come_to_is_served_too(address: str, hosts: str, debug: str) -> None:
    found = accounts_config.load({**WHOLE, "DEBUG": debug, "PUBLIC_BASE_URL": address, "ALLOWED_HOSTS": hosts})
    *named, added = found["ALLOWED_HOSTS"]
    assert (",".join(named), added) == (hosts, (urlsplit(address).netloc.removesuffix(":8443").removesuffix(":8000")))


@pytest.mark.parametrize(
    ("address", "hosts"),
    [
        ("https://login.example.com", "backend,Login.Example.com"),
        ("https://LOGIN.example.com.:8443/otp/", "login.example.com"),
        ("https://login.example.com", ".example.com"),
        ("https://example.com", ".example.com"),
        ("http://[::1]:8000", "[::1]"),
        ("https://bücher.example.com", "xn--bcher-kva.example.com"),
    ],
)
def test_a_host_that_is_served_is_not_named_again(address: str, hosts: str) -> None:
    found = accounts_config.load({**WHOLE, "PUBLIC_BASE_URL": address, "ALLOWED_HOSTS": hosts})
    assert ",".join(found["ALLOWED_HOSTS"]) == hosts


def test_in_development_a_star_serves_every_host() -> None:
    accounts_config.load({**WHOLE, "DEBUG": "True", "PUBLIC_BASE_URL": "https://a.example.net", "ALLOWED_HOSTS": "*"})


@pytest.mark.parametrize("address", ["login.example.com", "https://[hunter2", "https://"])
def test_callbacks_to_an_address_that_is_none_are_one_fault(address: str) -> None:
    with pytest.raises(accounts_config.ConfigurationError) as refused:
        accounts_config.load({**WHOLE, "PUBLIC_BASE_URL": address})
    assert len(refused.value.faults) == 1
