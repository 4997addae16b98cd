"""Mail of a local run as .eml files, which any mail program opens and /local/mail/ shows."""

import time
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend


class EmailBackend(BaseEmailBackend):
    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        folder = Path(settings.EMAIL_FILE_PATH)
        folder.mkdir(parents=True, exist_ok=True)
        for mail in email_messages:
            path = folder / f"{time.time_ns()}.eml"
            path.with_suffix(".new").write_bytes(mail.message().as_bytes())
            path.with_suffix(".new").rename(path)
        return len(email_messages)
