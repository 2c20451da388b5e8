"""How many of the messages that a gateway took carried a code. Of what was summed before, every one counts as such."""

from typing import Any

from django.db import migrations, models


def as_sent(apps: Any, _: Any) -> None:
    """Take all messages of the slots there are for codes: their rows may be gone."""
    apps.get_model("ops", "Slot").objects.update(codes_sent=models.F("sent"))


class Migration(migrations.Migration):
    dependencies = [("ops", "0001_sums_and_releases")]

    operations = [
        migrations.AddField("slot", "codes_sent", models.IntegerField(default=0, db_default=0)),
        migrations.RunPython(as_sent, migrations.RunPython.noop),
    ]
