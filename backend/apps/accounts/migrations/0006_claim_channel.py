from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_refusals"),
    ]

    operations = [
        migrations.AddField(
            model_name="recycledclaim",
            name="channel",
            field=models.CharField(db_default="sms", default="sms", max_length=8),
        ),
    ]
