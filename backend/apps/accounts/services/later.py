"""The door to work after the answer: a row written in the causing transaction, done by the worker.

It must not know who does the work, nor how rows become work: that is wired in from above.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol


class Work(StrEnum):
    """Everything that is done after an answer."""

    SEND_ON = "send_on"  # codes whose message failed by a receipt; ids of messages
    NOTICE = "notice"  # ids of notices


class Later(Protocol):
    """Promises work inside the caller's transaction. The row holds ids only, never a number or a code."""

    def __call__(self, work: Work, ids: Sequence[str]) -> None: ...
