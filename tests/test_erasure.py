"""Erasing personal data: what goes, what stays, what blocks it, and the retention job."""

import json
from datetime import date, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import ProgrammingError, connection, transaction
from django.test import Client

from accounts.models import Account, User
from billing.models import Payment
from cancellations.models import Attachment, CancellationRequest, Erasure, Hold, Receipt
from cancellations.models.erasing import ERASED, overwrite
from cancellations.queries.personal_data import accounts_past_retention, erasure_blockers
from cancellations.services.attachments import attach_to_request
from cancellations.services.common import RequestRefused
from cancellations.services.erasure import apply_retention, erase, lift_hold, place_hold
from cancellations.services.receipts import broken_receipts, is_genuine, pdf_of
from messaging.models import MessageState, OutgoingMessage
from messaging.services.outbox import deliver_due
from tests import cast, databases

pytestmark = pytest.mark.django_db
MARKS = ("Xylophia", "xylophia", "Zebrawords", "Zebracause", "Zebrarefund", "Zebraground", "zebrafile")


@pytest.fixture
def left(settings):
    """An account with everything that a case can leave behind, all of it settled."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    cast.policy()
    holder = cast.account("Xylophia")
    cast.customer(holder)
    of = cast.subscription(holder)
    cast.payment(of, date(2026, 1, 31), date(2026, 2, 28))
    request = cast.scheduled(of, words="Zebrawords", refund_wanted=True, refund_reason="Zebrarefund", name="Xylophia")
    attach_to_request(request=request, files=[SimpleUploadedFile("zebrafile.txt", b"Zebrawords")], now=cast.NOW)
    cast.pass_time(cast.NOW + timedelta(days=30))
    from billing.services.review import decline

    decline(refund=cast.fresh(request).refund, by=cast.staff("finance"), ground="Zebraground", now=cast.NOW)
    Account.objects.filter(pk=holder.pk).update(name="Xylophia Again")
    deliver_due(now=cast.NOW + timedelta(days=31))
    return cast.fresh(holder)


def everything() -> str:
    """All text that the database holds."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        found = []
        for name in tables:
            cursor.execute(f"SELECT coalesce(string_agg(t::text, chr(10)), '') FROM \"{name}\" t")
            found.append(cursor.fetchone()[0])
    return "\n".join(found)


LATER = cast.NOW + timedelta(days=40)


class TestErasing:
    def test_no_table_holds_a_word_of_the_person_any_more(self, left):
        before = everything()
        assert [mark for mark in MARKS if mark in before] == [mark for mark in MARKS if mark != "Zebracause"]
        done = erase(account=left, by=cast.staff("manager"), ground="Asked for it by mail", now=LATER)
        after = everything()
        assert [mark for mark in MARKS if mark in after] == []
        assert left.email not in after
        assert done.rows["requests"] == done.rows["receipts"] == done.rows["files"] == 1
        assert done.rows["messages"] >= 4

    def test_what_the_books_need_stays(self, left):
        erase(account=left, by=cast.staff("manager"), ground="Asked", now=LATER)
        request = CancellationRequest.objects.get(account=left)
        assert (request.state, request.effective_on, request.received_at) == ("effective", date(2026, 2, 28), cast.NOW)
        assert request.words == ERASED
        assert request.refund.state == "declined"
        assert Payment.objects.get(account=left).amount == cast.euros("30.00")
        assert Attachment.objects.get().content.tobytes() == b""
        assert cast.fresh(left).account_number == left.account_number

    def test_the_chain_of_receipts_stays_whole_and_the_file_in_hand_still_counts(self, left):
        receipt = Receipt.objects.get()
        file = pdf_of(receipt)
        cast.in_review()  # another one behind it
        erase(account=left, by=cast.staff("manager"), ground="Asked", now=LATER)
        assert list(broken_receipts()) == []
        assert is_genuine(file=file)
        assert is_genuine(reference=receipt.declaration, seal=receipt.seal)
        assert not is_genuine(file=file + b" ")
        assert Receipt.objects.get(pk=receipt.pk).pdf is None

    def test_a_seal_changed_behind_the_portals_back_is_found_in_an_erased_receipt_too(self, left):
        cast.in_review()
        erase(account=left, by=cast.staff("manager"), ground="Asked", now=LATER)
        with databases.without_guards():
            Receipt.objects.filter(erased_at__isnull=False).update(seal="0" * 64)
        assert len(list(broken_receipts())) == 1

    def test_nobody_signs_in_and_an_import_brings_nothing_back(self, left, tmp_path):
        email, number = left.email, left.account_number
        erase(account=left, by=cast.staff("manager"), ground="Asked", now=LATER)
        assert not User.objects.filter(email=email).exists()
        columns = "account_number,username,name,email,country,time_zone,language,currency,customer_since,status"
        row = f"{number},xylophia,Xylophia,{email},AT,Europe/Vienna,de,EUR,2024-01-01,closed"
        (tmp_path / "accounts.csv").write_text(f"{columns}\n{row}\n")

        from billing.crm_import import load

        values = {"username": "xylophia", "name": "Xylophia", "email": email, "status": "closed"}
        load._keep_account(cast.fresh(left), values)
        assert values == {
            "username": f"erased-{left.pk}",
            "name": ERASED,
            "email": f"erased-{left.pk}@erased.invalid",
            "status": "closed",
        }
        Client().post("/signin/", {"email": email})
        assert OutgoingMessage.objects.latest("created_at").kind == "sign_in_unknown"

    def test_a_person_with_another_account_stays_signed_in_to_that(self, left):
        other = cast.account("Other", email=left.email)
        erase(account=left, by=cast.staff("manager"), ground="Asked", now=LATER)
        assert User.objects.filter(email=left.email).exists()
        assert cast.fresh(other).email == left.email

    def test_once_and_on_a_ground(self, left):
        with pytest.raises(RequestRefused, match="State the ground"):
            erase(account=left, by=cast.staff("manager"), ground=" ", now=LATER)
        erase(account=left, by=cast.staff("manager"), ground="Asked", now=LATER)
        with pytest.raises(RequestRefused, match="already"):
            erase(account=left, by=cast.staff("manager"), ground="Asked", now=LATER)
        assert Erasure.objects.count() == 1


class TestWhatStandsAgainstIt:
    def test_all_of_it_is_told_and_nothing_is_erased(self):
        holder = cast.account("Xylophia")
        of = cast.subscription(holder)
        cast.payment(of, date(2026, 1, 31), date(2026, 2, 28), dispute="open")
        cast.in_review(of, refund_wanted=True, refund_reason="Broken")
        place_hold(account=holder, by=cast.staff("manager"), ground="Claim 12 O 34/26", now=cast.NOW)
        with pytest.raises(RequestRefused) as refused:
            erase(account=holder, by=cast.staff("manager"), ground="Asked", now=LATER)
        for reason in (
            "subscription is running",
            "request is open",
            "under dispute",
            "Claim 12 O 34/26",
            "waits to be sent",
        ):
            assert reason in str(refused.value)
        assert cast.fresh(holder).name == "Xylophia"

    def test_an_open_refund_and_a_termination_that_waits(self):
        refund = cast.refund_requested()
        assert "A refund is open." in erasure_blockers(refund.account, now=LATER)
        cast.policy(termination_needs_two=True)
        holder = cast.account()
        cast.terminated(holder)
        assert "A termination waits for a second manager." in erasure_blockers(holder, now=LATER)

    def test_a_hold_is_lifted_on_a_ground_and_once(self, left):
        manager = cast.staff("manager")
        hold = place_hold(account=left, by=manager, ground="Claim", now=LATER)
        with pytest.raises(RequestRefused):
            lift_hold(hold=hold, by=manager, ground="", now=LATER)
        lift_hold(hold=hold, by=manager, ground="Settled in court", now=LATER)
        with pytest.raises(RequestRefused):
            lift_hold(hold=hold, by=manager, ground="Again", now=LATER)
        assert erasure_blockers(left, now=LATER) == []


class TestRetention:
    def test_accounts_go_after_their_period_and_no_day_earlier(self, left, settings):
        settings.RETENTION_CASE_DAYS = 100
        last = cast.NOW + timedelta(days=30)
        assert apply_retention(now=last + timedelta(days=99))["accounts"] == 0
        assert apply_retention(now=last + timedelta(days=101))["accounts"] == 1
        done = Erasure.objects.get()
        assert done.erased_by is None
        assert apply_retention(now=last + timedelta(days=102))["accounts"] == 0

    def test_a_hold_a_running_subscription_and_an_open_case_keep_them(self, left, settings):
        settings.RETENTION_CASE_DAYS = 1
        long_after = cast.NOW + timedelta(days=4000)
        Hold.objects.create(account=left, ground="Claim", placed_at=LATER, placed_by=cast.staff("manager"))
        running = cast.subscription(cast.account())
        nothing_here = cast.account()
        found = accounts_past_retention(long_after)
        assert not found.filter(pk__in=[left.pk, running.account_id, nothing_here.pk]).exists()

    def test_zero_keeps_everything(self, left, settings):
        settings.RETENTION_CASE_DAYS = settings.RETENTION_UNPROVEN_DAYS = settings.RETENTION_MESSAGE_DAYS = 0
        assert sum(apply_retention(now=cast.NOW + timedelta(days=9000)).values()) == 0

    def test_what_nobody_proved_is_forgotten(self, settings):
        settings.RETENTION_UNPROVEN_DAYS = 90
        request = cast.unverified(cast.account("Stranger"), words="Zebrawords", name="Xylophia")
        OutgoingMessage.objects.update(state=MessageState.SENT, sent_at=cast.NOW)
        cast.pass_time(cast.NOW + timedelta(days=31))
        OutgoingMessage.objects.filter(state=MessageState.PENDING).update(state=MessageState.SENT, sent_at=cast.NOW)
        assert apply_retention(now=cast.NOW + timedelta(days=120))["requests"] == 0
        assert apply_retention(now=cast.NOW + timedelta(days=122))["requests"] == 1
        assert apply_retention(now=cast.NOW + timedelta(days=123))["requests"] == 0
        request = cast.fresh(request)
        assert (request.words, request.account_number_given, request.state) == (ERASED, ERASED, "expired")
        assert "Zebrawords" not in everything()

    def test_the_text_of_old_messages_goes(self, left, settings):
        settings.RETENTION_CASE_DAYS, settings.RETENTION_MESSAGE_DAYS = 0, 365
        sent = OutgoingMessage.objects.filter(state=MessageState.SENT).count()
        assert apply_retention(now=LATER)["messages"] == 0
        assert apply_retention(now=LATER + timedelta(days=366))["messages"] == sent
        assert set(OutgoingMessage.objects.values_list("text", flat=True)) == {ERASED}


class TestTheDesk:
    def test_a_manager_sees_what_stands_against_it_then_erases(self, left, client):
        cast.at_desk(cast.staff("manager"), client)
        hold = place_hold(account=left, by=cast.staff("manager"), ground="Claim in court", now=LATER)
        address = f"/admin/cancellations/erasure/add/?account={left.account_number}"
        assert "Claim in court" in client.get(address).content.decode()
        told = {"account_number": left.account_number, "ground": "Asked for it"}
        refused = client.post(address, told)
        assert refused.status_code == 422
        assert "Asked for it" in refused.content.decode()
        page = client.get(f"/admin/accounts/account/{left.pk}/change/").content.decode()
        assert "Claim in court" in page
        lifted = client.post(f"/admin/cancellations/hold/{hold.pk}/do/lift/", {"ground": "Settled"})
        assert lifted.status_code == 302
        assert client.post(address, told).url == f"/admin/accounts/account/{left.pk}/change/"
        page = client.get(f"/admin/accounts/account/{left.pk}/change/").content.decode()
        assert "erased on" in page
        assert "Erase the data" not in page
        for path in ("hold/", "erasure/", f"hold/{hold.pk}/change/"):
            assert client.get(f"/admin/cancellations/{path}").status_code == 200

    @pytest.mark.parametrize("role", ["support", "finance"])
    def test_nobody_else_may(self, left, client, role):
        cast.at_desk(cast.staff(role), client)
        told = {"account_number": left.account_number, "ground": "Because"}
        for what in ("hold", "erasure"):
            assert client.post(f"/admin/cancellations/{what}/add/", told).status_code == 403
        assert "Erase the data" not in client.get(f"/admin/accounts/account/{left.pk}/change/").content.decode()

    def test_a_hold_by_its_form(self, left, client):
        cast.at_desk(cast.staff("manager"), client)
        empty = client.post("/admin/cancellations/hold/add/", {"account_number": "AT-1"})
        assert empty.status_code == 422
        assert "No account has the number AT-1" in empty.content.decode()
        client.post("/admin/cancellations/hold/add/", {"account_number": left.account_number, "ground": "Claim"})
        assert Hold.objects.get().ground == "Claim"


class TestTheProcedure:
    """`erase_rows` passes the guards as the owner of the tables, so it has to refuse all else."""

    @pytest.fixture
    def request_row(self):
        return cast.in_review(words="Keep me")

    @pytest.mark.parametrize(
        ("values", "sentence"),
        [
            ({"words": "I never said so"}, "writes no such value into words"),
            ({"words": "(erased) and more"}, "writes no such value into words"),
            ({"words": "x\nerased@erased.invalid"}, "writes no such value into words"),
            ({"words": ["a"]}, "writes no such value into words"),
            ({"words": 1}, "writes no such value into words"),
            ({"state": ""}, "does not change state"),
            ({"received_at": cast.NOW}, "does not change received_at"),
        ],
    )
    def test_writes_only_erased_values_into_fields_that_may_be_erased(self, request_row, values, sentence):
        rows = CancellationRequest.objects.filter(pk=request_row.pk)
        with pytest.raises(ProgrammingError, match=sentence), transaction.atomic():
            overwrite(rows, values)
        assert cast.fresh(request_row).words == "Keep me"

    def test_erases_by_fields_and_returns_how_many_rows(self, request_row):
        rows = CancellationRequest.objects.filter(pk=request_row.pk)
        assert overwrite(rows, {"words": ERASED, "email_given": "erased-1@erased.invalid"}) == 1
        assert overwrite(rows.none(), {"words": ERASED}) == 0
        assert (cast.fresh(request_row).words, cast.fresh(request_row).email_given) == (
            ERASED,
            "erased-1@erased.invalid",
        )

    def test_refuses_tables_that_are_not_listed_and_names_with_quotes(self):
        for table, column in (("accounts_user", "email"), ('x"; DROP TABLE accounts_user; --', "email"), ("", "")):
            with pytest.raises(ProgrammingError, match="does not change"), transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("CALL erase_rows(NULL, %s, %s, %s)", [table, ["1"], json.dumps({column: ERASED})])
