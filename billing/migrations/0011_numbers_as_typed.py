from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

from messaging.numbers import NumberKey


class Migration(migrations.Migration):
    atomic = False  # so that the table stays writable while the index is built

    dependencies = [
        ('billing', '0010_refunds_by_payee'),
    ]

    operations = [
        AddIndexConcurrently(model_name='subscription', index=models.Index(NumberKey('reference'), name='subscription_number_key')),
    ]
