import apps.accounts.models.people
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_block_revisions"),
    ]

    operations = [
        migrations.CreateModel(
            name="Notice",
            fields=[
                (
                    "id",
                    models.CharField(
                        default=apps.accounts.models.people.opaque_id,
                        editable=False,
                        max_length=32,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("kind", models.CharField(max_length=24)),
                ("phone", models.CharField(blank=True, default="", max_length=16)),
                ("language", models.CharField(default="en", max_length=2)),
                (
                    "state",
                    models.CharField(
                        choices=[("due", "Due"), ("sent", "Sent"), ("unknown", "Unknown"), ("unsent", "Unsent")],
                        default="due",
                        max_length=7,
                    ),
                ),
                ("created_at", models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.CreateModel(
            name="TemplateState",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("provider", models.CharField(max_length=16)),
                ("language", models.CharField(max_length=2)),
                ("state", models.CharField(max_length=32)),
                ("checked_at", models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name="message",
            name="follows",
            field=models.CharField(blank=True, db_default="", default="", max_length=32),
        ),
        migrations.AddField(
            model_name="message",
            name="sent_on",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "not due"),
                    ("due", "Due"),
                    ("sent", "Sent"),
                    ("full", "Full"),
                    ("nobody", "Nobody"),
                    ("moot", "Moot"),
                ],
                db_default="",
                default="",
                max_length=6,
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(condition=models.Q(("state", "sending")), fields=["created_at"], name="message_sending"),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(condition=models.Q(("sent_on", "due")), fields=["sent_on_at"], name="message_due"),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(condition=models.Q(("cause", "notice")), fields=["send_id"], name="message_notice"),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.UniqueConstraint(
                condition=models.Q(("cause", "receipt")),
                fields=("code", "provider", "channel"),
                name="message_sent_on_once",
            ),
        ),
        migrations.AddIndex(
            model_name="notice",
            index=models.Index(condition=models.Q(("state", "due")), fields=["created_at"], name="notice_due"),
        ),
        migrations.AddConstraint(
            model_name="templatestate",
            constraint=models.UniqueConstraint(fields=("provider", "language"), name="template_state"),
        ),
    ]
