"""Let Stoplight Prism, a mock server that reads OpenAPI, judge the requests of our gateway clients.

    npm install --prefix <folder> @stoplight/prism-cli@5
    .venv/bin/python scripts/prism_check.py <folder>/node_modules/.bin/prism <folder of the vendors' descriptions>

It is a second opinion beside the suite's own check of the same descriptions, and needs node. Exit status 0 when every
message is taken. It must not know the vendors' answers: the clients judge those.
"""

import argparse
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "backend"))

from apps.accounts.providers import registry  # the path comes first
from apps.accounts.providers.base import Channel, Order, ProviderError
from apps.accounts.variables import VARIABLES

_SPECS: Final = {
    "AUTHENTICA_BASE_URL": "authentica_v2_otp.transcribed.openapi.json",
    "TWILIO_BASE_URL": "twilio_api_v2010.json",
    "WHATSAPP_BASE_URL": "business-messaging-api_v23.0.patched.json",
}
_START_SECONDS: Final = 90
_CONFIGURED: Final = {
    "AUTHENTICA_API_KEY": "any-key",
    "AUTHENTICA_TEMPLATE_ID": "31",
    "AUTHENTICA_WHATSAPP_TEMPLATE_ID": "11",
    "AUTHENTICA_SENDER_NAME": "Salon",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "any-token",
    "TWILIO_PHONE_NUMBER": "+15005550006",
    "TWILIO_WHATSAPP_FROM": "+15005550006",
    "TWILIO_CONTENT_SID": "HX" + "0" * 32,
    "WHATSAPP_TOKEN": "any-token",
    "WHATSAPP_PHONE_NUMBER_ID": "100000000000001",
    "WHATSAPP_TEMPLATE_NAME": "otp_code",
    "OTP_WHATSAPP_TEMPLATE_APPROVED": True,
}


def main(arguments: Sequence[str]) -> int:
    """Start Prism for each description, send through every gateway, and say what was taken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prism", type=Path)
    parser.add_argument("descriptions", type=Path)
    options = parser.parse_args(arguments)
    with _mocks(options.prism, options.descriptions) as addresses:
        refused = [line for mode in ("otp", "sms", "verify") for line in _refusals(addresses, mode=mode)]
    print("\n".join(refused) or "every message was taken")
    return 1 if refused else 0


def _refusals(addresses: dict[str, str], *, mode: str) -> Iterator[str]:
    values: dict[str, Any] = {one.name: one.read(one.default) for one in VARIABLES}
    values |= _CONFIGURED | addresses | {"AUTHENTICA_MODE": mode}
    gateways = registry.build(values, public_base_url="", webhook_keys=(), outbox=print, timeout=30)
    for name, gateway in gateways.items():
        for channel in sorted(gateway.channels()):
            try:
                gateway.send(_order(channel))
            except ProviderError as error:
                yield f"{name} ({mode}) by {channel}: {error}"


def _order(channel: Channel) -> Order:
    return Order(
        to="+966501234567",
        channel=channel,
        text="048213 is your code.",
        code="048213",
        language="ar",
        reference="9f0c1d2e3a4b5c6d",
        deadline=time.monotonic() + 30,
        callback_url="https://otp.example.test/api/webhooks/twilio/",
    )


@contextmanager
def _mocks(prism: Path, descriptions: Path) -> Iterator[dict[str, str]]:
    """Run one Prism a description; yield the addresses by variable."""
    running: list[subprocess.Popen[bytes]] = []
    addresses: dict[str, str] = {}
    try:
        for variable, name in _SPECS.items():
            port = _free_port()
            command = [str(prism), "mock", "-h", "127.0.0.1", "-p", str(port), "--errors", str(descriptions / name)]
            running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            addresses[variable] = f"http://127.0.0.1:{port}"
        for address in addresses.values():
            _wait_for(int(address.rpartition(":")[2]))
        yield addresses
    finally:
        for one in running:
            one.terminate()
        for one in running:
            one.wait(10)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
