from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # so that the table stays writable while the index is built

    dependencies = [
        ('billing', '0009_refunds_move_line_by_line_checks'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='refund',
            index=models.Index(condition=models.Q(('payee_account', ''), _negated=True), fields=['payee_account'], name='refund_by_payee'),
        ),
    ]
