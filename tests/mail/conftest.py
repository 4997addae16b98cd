from itertools import count

import pytest

from cancellations.services.conversations import open_tasks_for_failed_messages
from cancellations.services.mail import read_due
from messaging.services.inbox import fetch_all
from tests import cast, missing
from tests.mail.dovecot import PROGRAM, Dovecot

_names = count(1)


@pytest.fixture(scope="session")
def imap_server():
    if not PROGRAM:
        missing.skip(missing.DOVECOT)
    server = Dovecot()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def mailbox(imap_server, settings):
    """The support mailbox, empty, on a real server; the portal reads it."""
    settings.SUPPORT_EMAIL = "support@atntcrm.com"
    found = imap_server.mailbox(f"support{next(_names)}")
    settings.INBOUND_MAILBOXES = [found.url]
    return found


@pytest.fixture
def read():
    """What the workers do at a tick."""

    def tick(now=cast.NOW):
        fetch_all(now=now)
        done = read_due(now=now)
        open_tasks_for_failed_messages(now=now)
        return done

    return tick
