"""The command, and that nothing of the service is needed to run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def _start(*arguments: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    command = [sys.executable, "-m", "fakegateways", "--port", "0", *arguments]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, cwd="/")
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_where_it_listens_and_stops_when_told(number: signal.Signals) -> None:
    process, said = _start()
    try:
        assert requests.get(f"{said['control']}stats", timeout=30).json()["rules"] == 0
        headers = {"X-Authorization": "fake-authentica-key"}
        assert requests.get(f"{said['AUTHENTICA_BASE_URL']}/balance", headers=headers, timeout=30).ok
    finally:
        process.send_signal(number)
        assert process.wait(60) == 0


def test_the_command_reads_a_configuration_and_speaks_tls(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps({"authentica": {"api_key": "k"}}))
    process, said = _start("--config", str(tmp_path / "c.json"), "--tls", "good", "--tls-folder", str(tmp_path))
    try:
        url = f"{said['AUTHENTICA_BASE_URL']}/balance"
        assert requests.get(url, headers={"X-Authorization": "k"}, verify=said["authority"], timeout=30).ok
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_a_bad_configuration_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps({"authentica": {"colour": "red"}}))
    command = [sys.executable, "-m", "fakegateways", "--port", "0", "--config", str(tmp_path / "c.json")]
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert "colour" in ended.stderr


def test_neither_django_nor_the_service_is_imported() -> None:
    program = (
        "import pkgutil, sys, fakegateways\n"
        "import fakegateways.handle, fakegateways.__main__\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('django', 'apps', 'salon_api', 'twilio')])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=True
    )
    assert ended.stdout.strip() == "[]"


def test_the_readme_names_every_fault_and_every_setting() -> None:
    from dataclasses import fields

    from fakegateways.catalogue import Fault
    from fakegateways.config import AuthenticaConfig, HouseConfig, MetaConfig, ReceiptPlan, TwilioConfig

    text = (ROOT / "fakegateways" / "README.md").read_text()
    parts = (AuthenticaConfig, TwilioConfig, MetaConfig, HouseConfig, ReceiptPlan)
    named = [*Fault, *(one.name for part in parts for one in fields(part))]
    assert [name for name in named if f"`{name}`" not in text] == []
