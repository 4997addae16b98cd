"""Sends mail by SMTP, also to addresses with letters beyond ASCII before the @ (RFC 6531, 6532)."""

import smtplib

from django.core.mail import EmailMessage
from django.core.mail.backends import smtp
from django.core.mail.message import sanitize_address

from messaging.address_syntax import needs_smtputf8
from messaging.text import on_one_line

OPTIONS = ("SMTPUTF8", "BODY=8BITMIME")


class EmailBackend(smtp.EmailBackend):
    """Django's backend writes such a local part as an encoded word, which is another address: servers accept it."""

    def _send(self, email_message: EmailMessage) -> bool:
        if not any(map(needs_smtputf8, email_message.recipients())):
            return super()._send(email_message)  # type: ignore[misc]  # the stubs leave it out
        server = self.connection
        assert server is not None  # Django opens it first
        server.ehlo_or_helo_if_needed()
        if not server.has_extn("SMTPUTF8"):
            raise smtplib.SMTPNotSupportedError(
                "Our mail server does not take addresses with letters beyond a to z before the @ (SMTPUTF8)."
            )
        sender = sanitize_address(email_message.from_email, "utf-8")
        server.sendmail(sender, email_message.recipients(), _with_utf8_headers(email_message), OPTIONS)
        return True


def _with_utf8_headers(email_message: EmailMessage) -> bytes:
    message = email_message.message()
    del message["To"]
    recipients = on_one_line(", ".join(email_message.to))
    return f"To: {recipients}\r\n".encode() + message.as_bytes(linesep="\r\n")  # type: ignore[call-arg]  # Django's own
