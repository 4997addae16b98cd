"""Auditors, administrators, and who may send a message again."""

from django.db import migrations

from accounts.roles import grant_roles


class Migration(migrations.Migration):
    dependencies = [
        ("cancellations", "0010_roles_hold_and_erase"),
        ("messaging", "0002_sending_again_is_a_permission"),
    ]
    operations = [migrations.RunPython(lambda apps, editor: grant_roles(apps), migrations.RunPython.noop)]
