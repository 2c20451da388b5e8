"""`python -m fakegateways`: the three vendors as one process, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import ssl
import tempfile
from pathlib import Path

from fakegateways import config as settings
from fakegateways.server import LEDGER_LIMIT, Gateways
from fakegateways.tls import Certificate, make, server_context


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="fakegateways", description="Authentica, Twilio and Meta, with faults.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9900, help="0 for any free port")
    parser.add_argument("--seed", type=int, default=1, help="for faults that meet only a share of the calls")
    parser.add_argument("--ledger", type=int, default=LEDGER_LIMIT, help="how many messages are remembered")
    parser.add_argument("--meta-webhook", default="", help="where Meta's receipts are posted")
    parser.add_argument("--connect-callbacks-to", default="", help="origin that callbacks are really sent to")
    parser.add_argument("--config", type=Path, help="JSON file, as for PUT /_control/config")
    parser.add_argument("--tls", type=Certificate, choices=list(Certificate), help="speak TLS with such a certificate")
    parser.add_argument("--tls-folder", type=Path, help="where the generated certificate is left")
    parser.add_argument("--certificate", type=Path, help="a chain of your own, in PEM, with --key")
    parser.add_argument("--key", type=Path)
    arguments = parser.parse_args()
    try:
        asyncio.run(_serve(arguments))
    except (settings.BadConfig, OSError, ValueError) as problem:
        parser.exit(2, f"fakegateways: {problem}\n")


async def _serve(arguments: argparse.Namespace) -> None:
    house = Gateways(seed=arguments.seed, ledger_limit=arguments.ledger)
    if arguments.config:
        settings.apply(house.config, json.loads(arguments.config.read_text()))
    if arguments.meta_webhook:
        house.config.meta.webhook_url = arguments.meta_webhook
    if arguments.connect_callbacks_to:
        house.config.house.connect_callbacks_to = arguments.connect_callbacks_to
    context, authority = _tls(arguments)
    # The ledger is tens of thousands of long-lived objects; walking them all would stop every answer for 100 ms and
    # show up in somebody's measurement. Young cycles are still collected.
    gc.set_threshold(10_000, 10, 1_000_000)
    port = await house.start(arguments.host, arguments.port, tls=context)
    origin = f"{'https' if context else 'http'}://{arguments.host}:{port}"
    said = {"AUTHENTICA_BASE_URL": f"{origin}/authentica/api/v2", "TWILIO_BASE_URL": f"{origin}/twilio"}
    said |= {"WHATSAPP_BASE_URL": f"{origin}/meta", "control": f"{origin}/_control/"}
    print(json.dumps(said | ({"authority": authority} if authority else {})), flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await house.stop()


def _tls(arguments: argparse.Namespace) -> tuple[ssl.SSLContext | None, str]:
    if arguments.certificate and arguments.key:
        return server_context(arguments.certificate, arguments.key), ""
    if arguments.tls is None:
        return None, ""
    folder = arguments.tls_folder or Path(tempfile.mkdtemp(prefix="fakegateways-"))
    files = make(arguments.tls, folder)
    old = arguments.tls is Certificate.OLD_PROTOCOL
    return server_context(files.chain, files.key, old_protocol=old), str(files.authority)


if __name__ == "__main__":
    main()
