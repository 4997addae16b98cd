"""Files that strangers send go through a virus scanner, if one is set: none is opened unchecked, and none is lost."""

import socketserver
import struct
import threading
from datetime import timedelta

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import InternalError, transaction
from django.test import Client
from django.urls import reverse

from cancellations.models import Attachment
from cancellations.services.attachments import attach_to_request, attach_to_termination
from cancellations.services.mail import read_due
from cancellations.services.scanning import RETRY_AFTER, scan_due
from cancellations.services.termination import terminate
from messaging.models import Door
from messaging.services.inbox import store
from messaging.virus_scanner import ScannerUnavailable, find_virus
from tests import cast
from tests.cast import NOW, fresh
from tests.mail import corpus

pytestmark = pytest.mark.django_db
CLEAN, INFECTED = b"%PDF-1.7 clean", b"%PDF-1.7 EICAR"


class Clamd(socketserver.StreamRequestHandler):
    """The INSTREAM command of clamd: chunks with their length, until one of length 0 (clamd(8))."""

    def handle(self):
        assert self.rfile.readline() == b"nINSTREAM\n"
        content = b""
        while size := struct.unpack("!L", self.rfile.read(4))[0]:
            content += self.rfile.read(size)
        self.wfile.write(self.answer_to(content))

    @staticmethod
    def answer_to(content):
        if b"EICAR" in content:
            return b"stream: Eicar-Test-Signature FOUND\n"
        if b"TOO LARGE" in content:
            return b"INSTREAM size limit exceeded. ERROR\n"
        if b"GARBAGE" in content:
            return b"\xff\xfe\n"
        return b"" if b"HANG UP" in content else b"stream: OK\n"


@pytest.fixture
def clamd(settings):
    """Starts a scanner, and returns what stops it."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Clamd)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    settings.CLAMD = f"tcp://127.0.0.1:{server.server_address[1]}"

    def stop():
        if thread.is_alive():
            server.shutdown()
            server.server_close()
            thread.join()

    yield stop
    stop()


@pytest.fixture
def request_(db):
    cast.policy()
    return cast.in_review(cast.subscription())


def upload(request_, content, name="invoice.pdf"):
    (attachment,) = attach_to_request(request=request_, files=[SimpleUploadedFile(name, content)], now=NOW)
    return attachment


def customer_of(request_):
    client = Client()
    client.force_login(cast.customer(request_.account))
    return client


def opened(client, request_, attachment):
    return client.get(reverse("request_file", args=[request_.declaration, attachment.pk]))


def page_of(client, request_):
    return client.get(reverse("request_status", args=[request_.declaration])).content.decode()


def test_without_a_scanner_files_can_be_opened_at_once(request_):
    attachment = upload(request_, INFECTED)
    assert scan_due(now=NOW) == 0
    assert opened(customer_of(request_), request_, attachment).content == INFECTED


class TestWithAScanner:
    def test_a_file_can_be_opened_once_it_is_checked(self, clamd, request_):
        with time_machine.travel(NOW):
            client = customer_of(request_)
            answer = client.post(
                reverse("request_files", args=[request_.declaration]), {"file": SimpleUploadedFile("a.pdf", CLEAN)}
            )
            assert answer.status_code == 302
            attachment = Attachment.objects.get()
            assert opened(client, request_, attachment).status_code == 302
            assert "being checked for viruses" in page_of(client, request_)
            assert scan_due(now=NOW + timedelta(minutes=1)) == 1
            assert opened(client, request_, attachment).content == CLEAN
            assert "being checked for viruses" not in page_of(client, request_)

    def test_one_with_a_virus_is_kept_and_never_opened(self, clamd, request_):
        attachment = upload(request_, INFECTED)
        assert scan_due(now=NOW) == 1
        client = customer_of(request_)
        assert opened(client, request_, attachment).status_code == 302
        assert "A virus was found in this file" in page_of(client, request_)
        desk = cast.at_desk(cast.staff("support"))
        row = f"/admin/cancellations/cancellationrequest/{request_.pk}"
        answer = desk.get(f"{row}/files/{attachment.pk}/", follow=True)
        assert "A virus was found in this file (Eicar-Test-Signature)" in answer.content.decode()
        assert f"/files/{attachment.pk}/" not in answer.content.decode()
        assert bytes(fresh(attachment).content) == INFECTED
        assert scan_due(now=NOW + timedelta(days=1)) == 0

    def test_while_it_is_down_files_wait_with_a_sentence(self, clamd, request_):
        clamd()
        attachments = [upload(request_, CLEAN), upload(request_, INFECTED, "second.pdf")]
        assert scan_due(now=NOW) == 0
        assert all(fresh(attachment).is_held for attachment in attachments)
        due = sorted(fresh(attachment).scan_due_at for attachment in attachments)
        assert due == [NOW, NOW + RETRY_AFTER]  # one attempt is enough to know that it is down
        assert "We have this file" in page_of(customer_of(request_), request_)
        page = cast.at_desk(cast.staff("support")).get(
            f"/admin/cancellations/cancellationrequest/{request_.pk}/change/"
        )
        assert "The last attempt failed: Error" in page.content.decode()

    def test_after_it_is_back_they_are_checked(self, clamd, request_, settings):
        address, settings.CLAMD = settings.CLAMD, "tcp://127.0.0.1:1"
        attachment = upload(request_, CLEAN)
        scan_due(now=NOW)
        settings.CLAMD = address
        assert scan_due(now=NOW + RETRY_AFTER) == 1
        assert (fresh(attachment).scan_state, fresh(attachment).scan_result) == ("clean", "")

    def test_files_that_waited_when_it_was_removed_can_be_opened(self, clamd, request_, settings):
        attachment = upload(request_, CLEAN)
        settings.CLAMD = ""
        assert scan_due(now=NOW) == 1
        assert not fresh(attachment).is_held

    def test_evidence_of_a_termination_is_checked(self, clamd):
        cast.policy()
        manager = cast.staff("manager")
        row = terminate(case=cast.case(cast.subscription().account), by=manager, now=NOW)
        attach_to_termination(termination=row, files=[SimpleUploadedFile("a.pdf", INFECTED)], now=NOW, by=manager)
        scan_due(now=NOW)
        page = cast.at_desk(manager).get(f"/admin/cancellations/termination/{row.pk}/change/").content.decode()
        assert "A virus was found in this file (Eicar-Test-Signature)" in page

    @pytest.mark.parametrize("reason", [b"TOO LARGE", b"GARBAGE", b"HANG UP"])
    def test_no_verdict_is_not_clean(self, clamd, reason):
        with pytest.raises(ScannerUnavailable):
            find_virus(reason)

    def test_a_file_still_cannot_be_changed_or_deleted(self, clamd, request_):
        attachment = upload(request_, CLEAN)
        for change in (
            lambda: Attachment.objects.update(content=b"other"),
            lambda: Attachment.objects.update(sha256="0"),
            lambda: attachment.delete(),
        ):
            with pytest.raises(InternalError), transaction.atomic():
                change()


class TestFilesOfMail:
    @pytest.fixture
    def mail(self):
        cast.policy()
        raw = corpus.mail(**corpus.parts(corpus.plain("See the file"), corpus.file("a.pdf", INFECTED)))
        message = store(raw=raw, arrived_at=NOW, door=Door.COMMAND, now=NOW)
        read_due(now=NOW)
        return f"/admin/messaging/incomingmessage/{message.pk}"

    @pytest.mark.parametrize("path", ["file/0/", "raw/"])
    def test_are_checked_when_staff_open_them(self, mail, settings, request, path):
        desk = cast.at_desk(cast.staff("support"))
        assert desk.get(f"{mail}/{path}").status_code == 200
        stop = request.getfixturevalue("clamd")
        if path == "file/0/":  # in the raw mail, the file is encoded; clamd decodes it, this server does not
            answer = desk.get(f"{mail}/{path}", follow=True)
            assert "A virus was found (Eicar-Test-Signature), so the file was not opened." in answer.content.decode()
        stop()
        answer = desk.get(f"{mail}/{path}", follow=True)
        assert "cannot be checked for viruses now" in answer.content.decode()
