"""Members of a body, read strictly: nothing is coerced, trimmed or guessed. A fault is a key of api/texts.py.

They subclass REST framework's fields so that the OpenAPI document describes them, but are read by `parse`, which costs
a twentieth of a serializer's `is_valid`. It must not know what a member is good for.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.accounts import codes, phones
from apps.accounts.errors import InvalidRequest

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DEVICE: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
DEVICE_NAME_MAX: Final = 128


class Fault(ValueError):
    """A member cannot be read; `key` names why."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class Text(serializers.CharField):
    """A string as it came; by default without control characters and at most 255 characters long."""

    def __init__(self, *, max_length: int = 255, min_length: int = 0, **kwargs: Any) -> None:
        self.longest, self.shortest = max_length, min_length
        super().__init__(max_length=max_length, min_length=min_length or None, trim_whitespace=False, **kwargs)

    def read(self, value: Any) -> str:
        """Return `value` unchanged. Raises Fault."""
        text = _string(value)
        if len(text) > self.longest:
            raise Fault("too_long")
        if len(text) < self.shortest:
            raise Fault("too_short")
        if _CONTROL.search(text):
            raise Fault("control_characters")
        return text


class Note(Text):
    """What an operator wrote: phone numbers in it are masked before anything keeps them."""

    def read(self, value: Any) -> str:
        """Return `value` with its numbers masked. Raises Fault."""
        return phones.mask_within(super().read(value))


@extend_schema_field({"type": "string", "pattern": r"^\+[1-9][0-9]{9,14}$", "example": "+966501234567"})
class PhoneNumber(serializers.CharField):
    """A number as it was typed: a string, no more. The view parses it, because test numbers go by other rules."""

    def read(self, value: Any) -> str:
        """Return `value` unchanged. Raises Fault."""
        return _string(value)


@extend_schema_field({"type": "string", "pattern": "^[0-9]{6}$", "example": "123456"})
class OtpCode(serializers.CharField):
    """Six digits of any script, white space around them dropped."""

    def read(self, value: Any) -> str:
        """Return six ASCII digits. Raises Fault: a malformed code costs no try."""
        code = codes.clean(_string(value))
        if code is None:
            raise Fault("otp_format")
        return code


class OneOf(serializers.ChoiceField):
    """One word out of a closed set."""

    def read(self, value: Any) -> str:
        """Return `value`. Raises Fault."""
        word = _string(value)
        if word not in self.choices:
            raise Fault("choice")
        return word


class ChannelField(OneOf):
    """`sms` or `whatsapp`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=["sms", "whatsapp"], **kwargs)


@extend_schema_field({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$", "example": "6c84fb90-12c4-11e1"})
class DeviceId(serializers.CharField):
    """1-128 characters of `A-Za-z0-9._-`."""

    def read(self, value: Any) -> str:
        """Return `value`. Raises Fault."""
        text = _string(value)
        if not _DEVICE.fullmatch(text):
            raise Fault("device_id")
        return text


class OpaqueId(Text):
    """An id we once gave out; whether anything has it is for the service to say."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=128, **kwargs)


class Whole(serializers.IntegerField):
    """A whole number, never a boolean, a fraction or text."""

    def read(self, value: Any) -> int:
        """Return `value`. Raises Fault."""
        if value is None:
            raise Fault("null")
        if type(value) is not int:
            raise Fault("type_whole")
        if (self.min_value is not None and value < self.min_value) or (
            self.max_value is not None and value > self.max_value
        ):
            raise Fault("range")
        return value


class Flag(serializers.BooleanField):
    """`true` or `false`."""

    def read(self, value: Any) -> bool:
        """Return `value`. Raises Fault."""
        if value is None:
            raise Fault("null")
        if not isinstance(value, bool):
            raise Fault("type_flag")
        return value


def parse(serializer: type[serializers.Serializer[Any]], members: dict[str, Any]) -> dict[str, Any]:
    """Return the members that `serializer` declares and the caller gave; one of those it names in `either` is needed.

    Raises:
        InvalidRequest: its `fields` name everything that is missing or cannot be read.
    """
    found: dict[str, Any] = {}
    faults: dict[str, list[str]] = {}
    for name, required, read in _plan(serializer):
        if name not in members:
            if required:
                faults[name] = ["required"]
            continue
        try:
            found[name] = read(members[name])
        except Fault as fault:
            faults[name] = [fault.key]
    either = getattr(serializer, "either", ())
    if either and not any(name in members for name in either):
        faults[either[0]] = ["required"]
    if faults:
        raise InvalidRequest(fields=faults)
    return found


@cache
def _plan(serializer: type[serializers.Serializer[Any]]) -> tuple[tuple[str, bool, Callable[[Any], Any]], ...]:
    plan = []
    for name, member in serializer().fields.items():
        read = getattr(member, "read", None)
        if read is None:
            raise TypeError(f"{serializer.__name__}.{name} is no field of api/fields.py")
        plan.append((name, bool(member.required), read))
    return tuple(plan)


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise Fault("null" if value is None else "type")
