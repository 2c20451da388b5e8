"""Accounts in Django's admin: staff see them with masked numbers, and switch them off and on.

It must not change a row by itself: a switch is the service's act, which ends every session at once and is audited.
"""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.accounts.errors import NotFound
from apps.accounts.models import User
from apps.accounts.phones import mask
from apps.accounts.services.wiring import services


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    """Reads, and switches by actions: they run outside a transaction of the admin's own, as the service demands."""

    list_display = ("id", "masked_number", "role", "is_active", "is_staff", "last_seen_at", "deleted_at", "parked_at")
    list_filter = ("is_active", "role", "is_staff")
    search_fields = ("subject__exact", "phone_number__exact")
    search_help_text = "Opaque id, or the whole number with its plus."
    ordering = ("-id",)
    fields = readonly_fields = (
        "id", "subject", "masked_number", "role", "phone_verified", "is_active", "is_staff", "is_test", "created_at",
        "last_seen_at", "deleted_at", "erased_at", "parked_at",
    )  # fmt: skip
    actions = ("disable", "enable")

    @admin.display(description="number")
    def masked_number(self, user: User) -> str:
        """Return the number masked; empty once it left the account."""
        return mask(user.phone_number) if user.phone_number else ""

    @admin.action(description="Switch off: end every session at once", permissions=["change"])
    def disable(self, request: HttpRequest, chosen: "QuerySet[User]") -> None:
        """Switch accounts off, but never the one of whoever asks."""
        for user in chosen:
            if user.pk != request.user.pk:
                self._switch(request, user, on=False)

    @admin.action(description="Switch on again", permissions=["change"])
    def enable(self, request: HttpRequest, chosen: "QuerySet[User]") -> None:
        """Switch accounts on; people log in anew."""
        for user in chosen:
            self._switch(request, user, on=True)

    def _switch(self, request: HttpRequest, user: User, *, on: bool) -> None:
        ownership, who = services().ownership, f"staff:{request.user.get_username()}"
        try:
            if on:
                ownership.enable(user.pk, actor=who, note="Django admin")
            else:
                ownership.disable(user.pk, actor=who, note="Django admin")
        except NotFound:
            self.message_user(request, f"Account {user.pk} was deleted by its owner.", messages.WARNING)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Write nothing: every field is read only, and a whole row would undo what happened since it was read."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Say no: an account begins with a proven number, staff by `manage.py createsuperuser`."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Say no: only its owner deletes an account."""
        return False
