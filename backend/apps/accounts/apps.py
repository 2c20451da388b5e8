"""The accounts app; its start says who does the work that comes after an answer."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    label = "accounts"

    def ready(self) -> None:
        """Wire the tasks in: they stand above the services, which therefore cannot know them."""
        from apps.accounts import tasks
        from apps.accounts.services import wiring

        wiring.work_later_by(tasks.later)
