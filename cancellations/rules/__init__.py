"""The pure rules of a cancellation: no Django, no Celery, no clock; the caller passes the day."""
