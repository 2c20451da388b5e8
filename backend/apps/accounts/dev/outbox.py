"""Where messages go that nobody sends: kept for the developer who waits for one.

It must not know Django, nor who records into it.
"""

import fcntl
import json
import os
import secrets
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

CAPACITY: Final = 200
FILE_NAME: Final = "dev-messages.jsonl"
# About three times what the latest 200 texts take: the file is rewritten once in a few hundred messages.
_TRIM_ABOVE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """One message as it would have gone out. `to` is E.164; `code` is None for a notice; `sent_at` is aware."""

    id: str
    to: str
    channel: str
    text: str
    code: str | None
    sent_at: datetime


# Named here because the verb `list` hides the builtin inside the classes.
Messages: TypeAlias = list[Message]


class Outbox(Protocol):
    """Three verbs: every implementation keeps the latest 200 messages."""

    def record(self, to: str, *, channel: str, text: str, code: str | None, sent_at: datetime) -> None:
        """Keep one message."""

    def list(self, phone_number: str | None = None) -> Messages:
        """Return what is kept, newest first; only that number's where one is given."""

    def clear(self) -> None:
        """Forget everything."""


class MemoryOutbox:
    """Messages of this process alone: for tests."""

    def __init__(self) -> None:
        self._messages: Messages = []
        self._lock = threading.Lock()

    def record(self, to: str, *, channel: str, text: str, code: str | None, sent_at: datetime) -> None:
        """Keep one message."""
        message = _message(to, channel=channel, text=text, code=code, sent_at=sent_at)
        with self._lock:
            self._messages = [*self._messages, message][-CAPACITY:]

    def list(self, phone_number: str | None = None) -> Messages:
        """Return what is kept, newest first; only that number's where one is given."""
        return _newest_first(self._messages, phone_number=phone_number)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._messages = []


class FileOutbox:
    """Messages of every process of this machine: the web server shows what the background worker sent, too.

    A file of JSON lines that is appended to under a lock held on a file beside it (the lock outlives the rewriting of
    the first). All that work with one `directory` share it. Codes stand in it in clear, so only its owner may read it;
    it exists on a developer's machine alone.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._lock_path = directory / f"{FILE_NAME}.lock"

    def record(self, to: str, *, channel: str, text: str, code: str | None, sent_at: datetime) -> None:
        """Append one message, and cut the file back to the latest 200 when it has grown long.

        Raises:
            OSError: the directory cannot be written to.
        """
        line = _to_line(_message(to, channel=channel, text=text, code=code, sent_at=sent_at))
        with self._locked(fcntl.LOCK_EX):
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "r+b", buffering=0) as file:
                file.write(_ending_of_torn_line(file) + line)
                size = file.tell()
            if size > _TRIM_ABOVE_BYTES:
                self._trim()

    def list(self, phone_number: str | None = None) -> Messages:
        """Return what is kept, newest first; only that number's where one is given."""
        if not self._path.exists():
            return []
        with self._locked(fcntl.LOCK_SH):
            messages = self._read()
        return _newest_first(messages, phone_number=phone_number)

    def clear(self) -> None:
        """Forget everything."""
        if not self._path.exists():
            return
        with self._locked(fcntl.LOCK_EX):
            self._path.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # Held on the open file, so it keeps threads of one process apart as well as processes.
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> Messages:
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        read = (_from_line(line) for line in lines)
        return [message for message in read if message is not None][-CAPACITY:]

    def _trim(self) -> None:
        kept = b"".join(_to_line(message) for message in self._read())
        # mkstemp makes the file readable by its owner alone; the rename puts it in place whole or not at all.
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(kept)
            os.replace(name, self._path)
        except OSError:
            os.unlink(name)
            raise


def _message(to: str, *, channel: str, text: str, code: str | None, sent_at: datetime) -> Message:
    if sent_at.tzinfo is None:
        raise ValueError("sent_at is aware of its zone")
    return Message(id=secrets.token_hex(8), to=to, channel=str(channel), text=text, code=code, sent_at=sent_at)


def _newest_first(messages: Messages, *, phone_number: str | None) -> Messages:
    # Recorded order is the tie-breaker: of two messages of one instant the later recorded counts as newer.
    chosen = [message for message in messages if phone_number is None or message.to == phone_number]
    return sorted(chosen, key=lambda message: message.sent_at)[::-1]


def _to_line(message: Message) -> bytes:
    return json.dumps({**asdict(message), "sent_at": message.sent_at.isoformat()}).encode() + b"\n"


def _from_line(line: bytes) -> Message | None:
    """Return the message, or None for a line that a killed process left half written."""
    try:
        fields: dict[str, Any] = json.loads(line)
        return Message(**{**fields, "sent_at": datetime.fromisoformat(fields["sent_at"])})
    except (ValueError, TypeError, KeyError):
        return None


def _ending_of_torn_line(file: Any) -> bytes:
    if file.seek(0, os.SEEK_END) == 0:
        return b""
    file.seek(-1, os.SEEK_END)
    return b"" if file.read(1) == b"\n" else b"\n"
