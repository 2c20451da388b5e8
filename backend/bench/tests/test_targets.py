"""Targets are started with production settings of their own and leave no process behind."""

import sys
import time
from pathlib import Path

import pytest

from bench.accounting import processes
from bench.options import parse
from bench.sizing import Limits
from bench.stores import Stores, database_url, with_port
from bench.targets import Paths as TargetPaths
from bench.targets import StartFault, new_keys, new_port, serve, service_command, service_environment

SIZING = parse([]).sizing
ROOT_PATH = TargetPaths(request="/", verify="/", refresh="/", status="/", ready="/")
# A server whose child leads a process group of its own, as a supervisor's children do.
SUPERVISOR = """
import http.server, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], process_group=0)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def environment(limits: Limits) -> dict[str, str]:
    return service_environment(
        database_url="postgres://db/x",
        redis_url="redis://cache/8",
        gateway_url="http://127.0.0.1:1/api/v2",
        port=8123,
        sizing=SIZING,
        limits=limits,
        keys=new_keys(),
    )


def test_the_service_is_measured_with_production_settings() -> None:
    found = environment(Limits.REAL)
    assert found["DEBUG"] == "False"
    assert found["TRUSTED_PROXY_CIDRS"] == "127.0.0.1/32"
    assert all(len(found[name]) >= 40 for name in ("SECRET_KEY", "OTP_SECRET", "ADMIN_TOKEN"))


def test_two_runs_share_no_secret() -> None:
    assert not set(new_keys().values()) & set(new_keys().values())


def test_real_limits_stay_at_their_defaults() -> None:
    found = environment(Limits.REAL)
    assert "OTP_MAX_PER_WINDOW" not in found
    assert "OTP_RESEND_COOLDOWN_SECONDS" not in found
    assert int(found["OTP_GLOBAL_MAX_PER_MINUTE"]) > 100_000


def test_limits_off_switches_every_send_limit_off() -> None:
    found = environment(Limits.OFF)
    names = ("OTP_MAX_PER_WINDOW", "OTP_RESEND_COOLDOWN_SECONDS", "PHONE_AUTH_IP_MAX_PER_WINDOW")
    assert {found[name] for name in (*names, "PHONE_AUTH_DEVICE_MAX_PER_WINDOW", "OTP_GLOBAL_MAX_PER_MINUTE")} == {"0"}


def test_a_command_by_hand_gets_port_and_workers() -> None:
    assert service_command(SIZING, port=81, own="run --port {port} -w {workers}")[1:3] == ["--port", "81"]


def test_a_stopped_server_leaves_no_process_of_its_session() -> None:
    port = new_port()
    command = [sys.executable, "-c", SUPERVISOR, str(port)]
    with serve("x", command=command, environment={}, port=port, paths=ROOT_PATH, patience=120) as running:
        session = running.session
        assert len([one for one in processes() if one.session == session]) == 2
    end = time.monotonic() + 60
    while time.monotonic() < end and any(one.session == session for one in processes()):
        time.sleep(0.05)
    assert not [one for one in processes() if one.session == session]


def test_a_server_that_dies_says_its_last_words() -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such setting')"]
    with (
        pytest.raises(StartFault, match="no such setting"),
        serve("x", command=command, environment={}, port=new_port(), paths=ROOT_PATH, patience=120),
    ):
        pass


def test_urls_keep_their_account_when_database_or_port_change() -> None:
    stores = Stores(postgres_url="postgres://me:pw@db:5432/", redis_url="redis://cache/8", note="")
    assert database_url(stores, name="bench_x") == "postgres://me:pw@db:5432/bench_x"
    assert with_port("postgres://me:pw@db:5432/bench_x", port=9) == "postgres://me:pw@127.0.0.1:9/bench_x"
    assert with_port("redis://cache:6379/8", port=9) == "redis://127.0.0.1:9/8"


def test_options_refuse_a_run_without_rounds() -> None:
    with pytest.raises(SystemExit):
        parse(["--rounds", "0"])


def test_a_variable_of_the_service_can_be_set_and_nothing_else() -> None:
    assert parse(["--set", "LOG_LEVEL=ERROR", "--set", "X=a=b"]).service_settings == (
        ("LOG_LEVEL", "ERROR"),
        ("X", "a=b"),
    )
    with pytest.raises(SystemExit):
        parse(["--set", "LOG_LEVEL"])


def test_a_slow_gateway_asks_for_requests_at_two_sizes(tmp_path: Path) -> None:
    found = parse(["--gateway-latency-ms", "200", "--json", str(tmp_path / "x.json")])
    assert found.gateway_latency == 0.2
    assert found.slow_in_flight == (64, 256)
    assert parse([]).slow_in_flight == ()
