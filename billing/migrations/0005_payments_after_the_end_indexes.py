from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # so that the tables stay writable while the indexes are built

    dependencies = [
        ('billing', '0004_payments_after_the_end'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='payment',
            index=models.Index(condition=models.Q(('is_to_check', True)), fields=['id'], name='payment_to_check'),
        ),
        AddIndexConcurrently(
            model_name='refund',
            index=models.Index(condition=models.Q(('charged_after_end', True)), fields=['due_on', 'id'], name='refund_charged_after_end'),
        ),
    ]
