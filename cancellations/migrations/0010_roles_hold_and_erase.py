"""Managers hold and erase personal data."""

from django.db import migrations

from accounts.roles import grant_roles


class Migration(migrations.Migration):
    dependencies = [("cancellations", "0009_holds_and_erasure"), ("messaging", "0001_first_tables")]
    operations = [migrations.RunPython(lambda apps, editor: grant_roles(apps), migrations.RunPython.noop)]
