from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

from messaging.numbers import NumberKey


class Migration(migrations.Migration):
    atomic = False  # so that the table stays writable while the index is built

    dependencies = [
        ('accounts', '0003_sessions_end_with_access'),
    ]

    operations = [
        AddIndexConcurrently(model_name='account', index=models.Index(NumberKey('account_number'), name='account_number_key')),
    ]
