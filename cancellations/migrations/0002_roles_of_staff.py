from django.db import migrations

from accounts.roles import grant_roles


class Migration(migrations.Migration):
    dependencies = [
        ("cancellations", "0001_requests_and_policies"),
        ("messaging", "0001_mail_and_webhooks"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(lambda apps, editor: grant_roles(apps), migrations.RunPython.noop)]
