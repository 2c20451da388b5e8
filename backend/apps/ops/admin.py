"""Django's admin for operations: staff read, with masked numbers, and put entries on the block list or lift them.

It must not write a row by itself: a block is the service's act, which is audited and heard of by every process.
"""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from apps.accounts.api.endpoint import ip_of
from apps.accounts.errors import AccountsError, NotFound
from apps.accounts.models import AuditEvent, AuditSeal, Block, Challenge, GatewayEvent, Message, Notice, Session
from apps.accounts.phones import mask
from apps.accounts.services.block_values import BlockType, Target, covers_caller, covers_everybody, target
from apps.accounts.services.blocks import Actor
from apps.accounts.services.wiring import services


class _ReadOnly(admin.ModelAdmin):
    """Shows rows and changes none of them. A number is no search term: it would stand in the address."""

    show_full_result_count = False
    actions: Any = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @admin.display(description="number")
    def masked_number(self, row: Any) -> str:
        """Return the row's number masked."""
        return mask(row.phone) if row.phone else ""


@admin.register(Challenge)
class ChallengeAdmin(_ReadOnly):
    list_display = (
        "support_code", "masked_number", "purpose", "status", "attempts", "channel", "country", "ip", "created_at",
    )  # fmt: skip
    list_filter = ("status", "purpose", "channel")
    search_fields = ("support_code__exact", "id__exact")
    search_help_text = "Support code or challenge id. For a number: manage.py otp_explain, or POST /admin/otp/explain."
    ordering = ("-created_at",)
    fields = (
        "id", "support_code", "masked_number", "purpose", "status", "attempts", "channel", "language", "country", "ip",
        "device_id", "created_at", "closed_at",
    )  # fmt: skip


@admin.register(Message)
class MessageAdmin(_ReadOnly):
    list_display = (
        "created_at", "provider", "channel", "state", "error_kind", "error_code", "latency_ms", "masked_number",
        "cause",
    )  # fmt: skip
    list_filter = ("provider", "channel", "state", "cause")
    search_fields = ("vendor_id__exact", "id__exact", "send_id__exact")
    search_help_text = "Our id or the vendor's."
    ordering = ("-created_at",)
    fields = (
        "id", "send_id", "vendor_id", "masked_number", "country", "provider", "channel", "cause", "state", "error_kind",
        "error_code", "latency_ms", "created_at", "finished_at", "receipt_at",
    )  # fmt: skip


@admin.register(Notice)
class NoticeAdmin(_ReadOnly):
    list_display = ("created_at", "kind", "state", "language", "masked_number")
    list_filter = ("kind", "state")
    ordering = ("-created_at",)
    fields = ("id", "kind", "state", "language", "masked_number", "created_at")


@admin.register(Session)
class SessionAdmin(_ReadOnly):
    list_display = ("id", "account", "amr", "device_name", "note", "created_at", "last_used_at", "revoked_at")
    list_filter = ("amr", "revoked_reason")
    search_fields = ("id__exact",)
    ordering = ("-created_at",)
    fields = (
        "id", "account", "amr", "is_test", "device_name", "ip", "user_agent", "note", "created_at", "last_used_at",
        "expires_at", "revoked_at", "revoked_reason",
    )  # fmt: skip

    @admin.display(description="account")
    def account(self, session: Session) -> int:
        """Return the account's number in our table: its name holds the phone's digits."""
        return int(session.user_id)


@admin.register(GatewayEvent)
class GatewayEventAdmin(_ReadOnly):
    list_display = ("at", "provider", "channel", "country", "before", "after", "reason")
    list_filter = ("provider", "after")
    ordering = ("-at",)


@admin.register(AuditEvent)
class AuditEventAdmin(_ReadOnly):
    list_display = ("at", "event", "actor", "subject", "note", "request_id")
    list_filter = ("event",)
    search_fields = ("subject__exact", "actor__exact", "request_id__exact")
    ordering = ("-id",)
    fields = ("id", "at", "event", "actor", "subject", "note", "request_id", "detail")


@admin.register(AuditSeal)
class AuditSealAdmin(_ReadOnly):
    list_display = ("sealed_at", "first", "last", "count", "digest")
    ordering = ("-last",)


class BlockForm(forms.ModelForm):
    """What an operator says of a new entry; the service judges it."""

    expires_in = forms.IntegerField(required=False, min_value=1, label="Ends after (seconds)", help_text="empty: never")
    force = forms.BooleanField(required=False, help_text="Also where it would hold off everybody, or yourself.")

    class Meta:
        model = Block
        fields = ("type", "value", "note")

    actor: ClassVar[Actor]

    def clean(self) -> dict[str, Any]:
        """Bring the value into its one spelling and ask for force where that is due."""
        found: dict[str, Any] = super().clean() or {}
        if "type" not in found or "value" not in found:
            return found
        try:
            what = target(found["type"], found["value"])
        except AccountsError:
            self.add_error("value", "This cannot be one.")
            return found
        everybody = covers_everybody(what, allowed_countries=services().config.allowed_countries)
        caller = covers_caller(what, ip=self.actor.ip, device_id=self.actor.device_id)
        if (everybody or caller) and not found.get("force"):
            self.add_error("force", "This would hold off everybody, or yourself.")
        found["value"] = what.value
        return found

    def validate_unique(self) -> None:
        """Let an entry that was there before pass: the service renews it."""

    def validate_constraints(self) -> None:
        """See `validate_unique`."""


@admin.register(Block)
class BlockAdmin(_ReadOnly):
    form = BlockForm
    list_display = ("shown", "type", "note", "created_by", "created_at", "expires_at")
    list_filter = ("type",)
    ordering = ("-created_at",)
    actions = ("lift",)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Block]":
        """Return what was not lifted; lifted entries only wait until every process has heard of it."""
        return super().get_queryset(request).filter(lifted_at=None)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.add_block")

    def has_lift_permission(self, request: HttpRequest) -> bool:
        """Say whether this member of staff may lift a block."""
        return request.user.has_perm("accounts.delete_block")

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Offer what a new entry needs; show an old one masked."""
        if obj is None:
            return ("type", "value", "note", "expires_in", "force")
        return ("shown", "type", "note", "created_by", "created_at", "expires_at")

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form of a new entry, which knows who fills it in."""
        if obj is not None:
            return super().get_form(request, obj, change=change, **kwargs)
        return type("BlockForm", (BlockForm,), {"actor": _actor(request)})

    @admin.display(description="value")
    def shown(self, block: Block) -> str:
        """Return the value; a number masked."""
        return str(Target(BlockType(block.type), block.value))

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show or take the form outside the admin's own transaction: the service commits by itself."""
        answer: HttpResponse = self._changeform_view(request, object_id, form_url, extra_context)  # type: ignore[attr-defined]
        return answer

    def save_model(self, request: HttpRequest, obj: Block, form: Any, change: bool) -> None:
        """Have the service add the entry."""
        what = target(obj.type, obj.value)
        services().blocks.add(
            what, actor=_actor(request), note=obj.note, expires_in=form.cleaned_data["expires_in"], force=True
        )
        obj.pk = Block.objects.values_list("pk", flat=True).get(type=what.type.value, value=what.value)

    @admin.action(description="Lift", permissions=["lift"])
    def lift(self, request: HttpRequest, chosen: "QuerySet[Block]") -> None:
        """Lift the chosen entries, each by itself."""
        lifted = 0
        for block in chosen:
            try:
                services().blocks.lift(
                    Target(BlockType(block.type), block.value), actor=_actor(request), note="Django admin"
                )
                lifted += 1
            except NotFound:  # it ended, or somebody else was faster
                continue
        self.message_user(request, f"{lifted} lifted.", messages.SUCCESS)


def _actor(request: HttpRequest) -> Actor:
    return Actor(name=f"staff:{request.user.get_username()}"[:64], ip=ip_of(request))
