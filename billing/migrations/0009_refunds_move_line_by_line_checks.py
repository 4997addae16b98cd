from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """Apart from the columns, so that the rows are read without a lock that writers wait for."""

    dependencies = [
        ('billing', '0008_refunds_move_line_by_line'),
    ]

    operations = [
        ValidateConstraint(model_name='payment', name='payment_disputed_within'),
        ValidateConstraint(model_name='payment', name='payment_refunded_by_us_within'),
    ]
