"""One structured line per event, JSON in production, written by a thread of its own.

A log that cannot be written never blocks a login: finished lines wait in a bounded queue and are dropped, and counted,
when it is full. Our own events take the short way, from structlog straight into the queue: the detour over the standard
library's records costs three times as much, five times a login. It must not know what the events mean.
"""

import atexit
import json
import logging
import logging.config
import queue
import sys
import threading
from pathlib import Path
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor

from apps.accounts import telemetry

QUEUE_LINES: Final = 10_000
# So many lines at most are written at once: under load a line costs no system call of its own.
_TOGETHER: Final = 200
_LAST_LINES_SECONDS: Final = 2.0
dropped_lines = 0


class Lines:
    """Finished lines on their way to a stream. What structlog calls with a rendered event is `info` and its like."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="log", daemon=True)

    def start(self) -> None:
        """Begin to write, and write what waits when the process ends."""
        self._writer.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Write what waits, within two seconds."""
        self._waiting.put(None)
        self._writer.join(_LAST_LINES_SECONDS)

    def put(self, line: str) -> None:
        """Queue one line, or count it as dropped."""
        if self._waiting.qsize() >= QUEUE_LINES:
            _lost()
        else:
            self._waiting.put(line)

    debug = info = warning = error = critical = exception = msg = put

    def _write(self) -> None:
        more = True
        while more:
            lines = [self._waiting.get()]
            while len(lines) < _TOGETHER and not self._waiting.empty():
                lines.append(self._waiting.get())
            more = None not in lines
            text = [line for line in lines if line is not None]
            try:
                self._stream.write("".join(f"{line}\n" for line in text))
                self._stream.flush()
            except (OSError, ValueError):  # a full disk or a closed pipe is nobody's login's problem
                _lost(len(text))


class LinesHandler(logging.Handler):
    """Takes what the standard library's loggers say into the same queue."""

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put(self.format(record))
        except Exception:  # a record that cannot be formatted is a line lost, not a call
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing: standard error may be what is broken."""
        _lost()


def _lost(count: int = 1) -> None:
    global dropped_lines
    dropped_lines += count
    telemetry.lines_dropped(count)


def configure(*, level: str, as_json: bool) -> None:
    """Send every logger through one queue; `level` is a logging level's name."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last = [structlog.processors.format_exc_info, _as_json] if as_json else [_for_people()]
    # A command's standard output is its answer: its log goes beside it.
    lines = Lines(sys.stderr if Path(sys.argv[0]).name == "manage.py" else sys.stdout)
    lines.start()
    handler = LinesHandler(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _of_library],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)  # a warning of two plain lines is no event
    for name in ("django.request", "django.security", "django.server"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # the door logs each answer itself, without raw paths
    for name in ("urllib3", "twilio.http_client", "faker", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, *last],
        logger_factory=lambda *_: lines,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        cache_logger_on_first_use=True,
    )


def _of_library(_logger: Any, _name: str, event: EventDict) -> EventDict:
    """Name what a library says in its own words: who reads our log goes by the names of events."""
    return {**event, "event": "otp.library", "logger": event["_record"].name, "line": event["event"]}


# An encoder that is made once; json.dumps with options makes one for each line.
_encode: Final = json.JSONEncoder(ensure_ascii=False, default=repr).encode


def _as_json(_logger: Any, _name: str, event: EventDict) -> str:
    """Return the line; one that cannot be written says so, as no event may cost the call that it tells of."""
    try:
        return _encode(event)
    except (TypeError, ValueError):
        return _encode({"event": str(event.get("event")), "level": "error", "unwritable": True})


def _for_people() -> Processor:
    console = structlog.dev.ConsoleRenderer(colors=False)

    def render(logger: Any, name: str, event: EventDict) -> str:
        if isinstance(event.get("stack"), list):
            event["stack"] = "\n".join(event["stack"])
        return str(console(logger, name, event))

    return render
