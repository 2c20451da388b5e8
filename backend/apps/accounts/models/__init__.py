"""The tables: what must not be lost. They hold rows and constraints, and must not know a rule or a vendor."""

from apps.accounts.models.audits import GatewayAudit
from apps.accounts.models.challenges import Challenge, Code, FailureLane, PhoneLine
from apps.accounts.models.delivery import Message, Notice, ReceiptInbox, TemplateState
from apps.accounts.models.gateways import GatewayEvent, GatewayLease, GatewayStanding
from apps.accounts.models.guard import GuardDecision, GuardHour, GuardLease, GuardStanding
from apps.accounts.models.operations import (
    AuditEvent,
    AuditSeal,
    Block,
    ChangeCounter,
    GatewayChoice,
    IdempotencyRecord,
)
from apps.accounts.models.people import DeviceToken, RecycledClaim, Session, SigningKey, User
from apps.accounts.models.refusals import IncidentNotice, MinuteCount, RefusedSend

__all__ = [
    "AuditEvent",
    "AuditSeal",
    "Block",
    "Challenge",
    "ChangeCounter",
    "Code",
    "DeviceToken",
    "FailureLane",
    "GatewayAudit",
    "GatewayChoice",
    "GatewayEvent",
    "GatewayLease",
    "GatewayStanding",
    "GuardDecision",
    "GuardHour",
    "GuardLease",
    "GuardStanding",
    "IdempotencyRecord",
    "IncidentNotice",
    "Message",
    "MinuteCount",
    "Notice",
    "PhoneLine",
    "ReceiptInbox",
    "RecycledClaim",
    "RefusedSend",
    "Session",
    "SigningKey",
    "TemplateState",
    "User",
]
