"""Tries by phone alone are given back a few times per code, as those of a challenge are."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0010_fewer_indexes"),
    ]

    operations = [
        migrations.AddField(
            model_name="code",
            name="vendor_retries",
            field=models.IntegerField(db_default=0, default=0),
        ),
    ]
