"""What the supervising process says of itself: a sentence for a developer, one JSON line in production's log.

It must not know what happened, nor need anything that could be missing: it tells why the rest did not start.
"""

import json
import os
import sys
from datetime import UTC, datetime
from typing import Any, TextIO


def line(sentence: str, *, as_json: bool, event: str, level: str = "warning", **facts: Any) -> str:
    """Return what to say, with the members that every line of the service's log has."""
    if not as_json:
        return sentence
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({"event": event, "detail": sentence, **facts, "level": level, "timestamp": at})


def say(text: str, stream: TextIO | None = None) -> bool:
    """Write a line, to standard error where nothing else is named; say whether it could be written.

    A full disk or a closed pipe must not end the service.
    """
    try:
        os.write((stream or sys.stderr).fileno(), f"{text}\n".encode())
    except (OSError, ValueError):
        return False
    return True
