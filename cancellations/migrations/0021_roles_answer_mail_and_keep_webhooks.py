from django.db import migrations

from accounts.roles import grant_roles


class Migration(migrations.Migration):
    dependencies = [
        ("cancellations", "0020_conversations_and_the_mail_channel"),
        ("messaging", "0004_mail_comes_in_and_webhooks"),
    ]

    operations = [migrations.RunPython(lambda apps, editor: grant_roles(apps), migrations.RunPython.noop)]
