"""Starting stands, and recording on them from this process.

It must not know the browser.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from apps.accounts.dev.outbox import FileOutbox
from apps.accounts.messages import Language, TextOptions, code_text

BACKEND = Path(__file__).resolve().parents[4]


@dataclass(frozen=True, slots=True)
class Stand:
    """A served handset, and the outbox that this process records into while the other shows it."""

    url: str
    texts: TextOptions
    outbox: FileOutbox

    def send(
        self, to: str = "+966501234567", *, code: str = "482913", channel: str = "sms", language: Language = Language.EN
    ) -> str:
        """Record a code as the console provider would, and return its text."""
        text = code_text(code, language=language, options=self.texts, minutes=10)
        self.outbox.record(to, channel=channel, text=text, code=code, sent_at=datetime.now(UTC))
        return text


@contextmanager
def serve(directory: Path, texts: TextOptions) -> Iterator[Stand]:
    command = [sys.executable, "-m", "apps.accounts.tests.dev.stand", str(directory), "0"]
    """Serve a handset from a process of its own until the block ends."""
    served = subprocess.Popen(
        [*command, texts.app_name, texts.web_domain, texts.android_app_hash],
        cwd=BACKEND,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert served.stdout is not None
        port = int(served.stdout.readline())
        yield Stand(url=f"http://127.0.0.1:{port}", texts=texts, outbox=FileOutbox(directory))
    finally:
        served.kill()
        served.wait()
