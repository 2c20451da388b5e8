"""When a phone last had a send, in any lane; lines that are there already count as touched now."""

import time

from django.db import migrations, models


def touch(apps, schema_editor):
    """Let every phone that has sends take the slow way once: its stamps and codes are judged as before."""
    apps.get_model("accounts", "PhoneLine").objects.update(touched_ms=int(time.time() * 1000))


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_gateways")]

    operations = [
        migrations.AddField("phoneline", "touched_ms", models.BigIntegerField(default=0, db_default=0)),
        migrations.RunPython(touch, migrations.RunPython.noop),
    ]
