"""The audit: who did what, and that nothing behind the portal's back stays unseen."""

import io
import re
import threading

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import InternalError, connection, transaction
from django.db.utils import DatabaseError

from accounts.audit import consistent_snapshot, faults, head, record_action, seal_audit
from accounts.models import AuditEntry, StaffAction, User
from cancellations.models import CancellationRequest
from cancellations.services.erasure import erase
from cancellations.services.review import decline
from tests import cast
from tests.cast import NOW, fresh
from tests.databases import as_owner, behind_the_back

pytestmark = pytest.mark.django_db
EVENTS = "cancellations_cancellationrequestevent"


@pytest.fixture
def declined():
    request = cast.in_review()
    return decline(request=request, by=cast.staff("support"), ground="duplicate", now=NOW)


def test_says_who_did_what_to_whom(declined):
    entry = AuditEntry.objects.filter(verb="decline", table_name=EVENTS).get()
    assert (entry.by, entry.about, entry.actor) == (cast.staff("support"), declined.reference, "staff")
    first = AuditEntry.objects.filter(verb="submit", table_name=EVENTS).get()
    assert (first.by, first.actor) == (None, "customer")


def test_a_whole_chain_has_no_faults(declined):
    assert list(faults()) == []
    assert seal_audit(now=NOW) > 3
    assert seal_audit(now=NOW) == 0
    numbers = AuditEntry.objects.order_by("number").values_list("number", flat=True)
    assert list(numbers) == list(range(1, AuditEntry.objects.count() + 1))
    assert list(faults()) == []


@pytest.mark.parametrize("sealed", [False, True])
class TestBehindTheBack:
    @pytest.fixture(autouse=True)
    def sealed_or_not(self, sealed, declined):
        if sealed:
            seal_audit(now=NOW)

    def test_a_line_that_was_changed_is_named(self, declined):
        with behind_the_back() as cursor:
            cursor.execute(f"UPDATE {EVENTS} SET words = 'I never said so' WHERE reference = %s", [declined.reference])
        *lines, row = list(faults())
        assert len(lines) == 2
        assert all(EVENTS in line and declined.reference in line and "was changed since" in line for line in lines)
        assert row.endswith("differs from its history: words.")

    def test_a_line_that_was_removed(self, declined):
        with behind_the_back() as cursor:
            cursor.execute(f"DELETE FROM {EVENTS} WHERE state = 'declined'")
        assert any("was removed, though" in line and declined.reference in line for line in faults())

    def test_a_line_that_was_added(self, declined):
        with behind_the_back() as cursor:
            columns = "pgh_created_at, pgh_label, pgh_obj_id, " + self.columns()
            cursor.execute(f"INSERT INTO {EVENTS} ({columns}) SELECT {columns} FROM {EVENTS} LIMIT 1")
        assert any("was added without the portal" in line for line in faults())

    def columns(self):
        event = CancellationRequest.events.rel.related_model
        return ", ".join(one.column for one in event._meta.fields if not one.name.startswith("pgh_"))

    def test_who_did_it_cannot_be_changed_either(self):
        with behind_the_back() as cursor:
            cursor.execute("""UPDATE pghistory_context SET metadata = jsonb_set(metadata, '{by}', '4711')
                WHERE metadata ->> 'verb' = 'decline'""")
        assert any("pghistory_context" in line and "was changed since" in line for line in faults())

    def test_a_row_that_is_not_as_its_history_says(self, declined):
        with behind_the_back() as cursor:
            cursor.execute("UPDATE cancellations_cancellationrequest SET state = 'withdrawn'")
        assert [line for line in faults() if "differs from its history: state" in line]

    def test_an_audit_entry_that_was_changed_or_removed(self, sealed):
        entry = AuditEntry.objects.filter(verb="decline").first()
        with behind_the_back() as cursor:
            cursor.execute("UPDATE accounts_auditentry SET by_id = NULL WHERE id = %s", [entry.pk])
        if sealed:
            assert any(f"Audit entry {fresh(entry).number} was changed" in line for line in faults())
        with behind_the_back() as cursor:
            cursor.execute("DELETE FROM accounts_auditentry WHERE id = %s", [entry.pk])
        assert list(faults())

    def test_the_last_entries_with_all_that_they_noted(self, sealed):
        kept = head()
        with behind_the_back() as cursor:
            last = AuditEntry.objects.order_by("-id").first()
            table = last.table_name
            cursor.execute(
                f"DELETE FROM {table} WHERE {'id' if 'event' not in table else 'pgh_id'}::text = '{last.row_key}'"
            )
            cursor.execute("DELETE FROM accounts_auditentry WHERE id = %s", [last.pk])
        assert list(faults())
        if sealed:
            with behind_the_back() as cursor:
                cursor.execute("DELETE FROM accounts_audithead")
            assert any("before the head that you kept" in line for line in faults(expected=kept))


def test_with_only_one_guard_off_the_change_itself_is_noted(declined):
    seal_audit(now=NOW)
    with as_owner() as cursor:
        cursor.execute(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND tgname LIKE %s", [EVENTS, "%append%"]
        )
        (name,) = cursor.fetchone()
        cursor.execute(f"ALTER TABLE {EVENTS} DISABLE TRIGGER {name}")
        cursor.execute(f"UPDATE {EVENTS} SET words = 'x'")
        cursor.execute(f"ALTER TABLE {EVENTS} ENABLE TRIGGER {name}")
    seal_audit(now=NOW)
    assert any("A history row was changed after it was written" in line for line in faults())


def test_a_recomputed_chain_needs_the_key(declined, settings):
    seal_audit(now=NOW)
    settings.AUDIT_KEY = "another key"
    assert any("which is not in the settings" in line for line in faults())
    settings.AUDIT_KEY_FALLBACKS = [settings.SECRET_KEY]
    assert list(faults()) == []
    cast.in_review()
    seal_audit(now=NOW)
    assert list(faults()) == []
    assert AuditEntry.objects.values("key").distinct().count() == 2


def test_the_application_itself_cannot_change_it(declined):
    seal_audit(now=NOW)
    for change in (
        lambda: AuditEntry.objects.update(verb="x"),
        lambda: AuditEntry.objects.all().delete(),
        lambda: StaffAction.objects.all().delete() if record_action(verb="x", by=None, now=NOW) else None,
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


def test_erasure_is_told_apart_and_personal_data_is_gone_from_the_audit_too(declined):
    assert InternalError
    of = declined.subscription
    of.ended_on, of.ended_by = cast.date(2026, 2, 1), "crm"
    of.save()
    cast.deliver_all()
    seal_audit(now=NOW)
    erase(account=of.account, by=cast.staff("manager"), ground="Asked", now=NOW)
    assert list(faults()) == []
    seal_audit(now=NOW)
    assert list(faults()) == []
    assert AuditEntry.objects.filter(verb="erase", operation="U").exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM accounts_auditentry e WHERE e::text LIKE %s", [f"%{of.account.email}%"])
        assert cursor.fetchone() == (0,)


class TestPeople:
    def test_roles_and_rights_are_noted_but_customers_and_signing_in_are_not(self):
        sam = cast.staff("support")
        given = AuditEntry.objects.filter(table_name="accounts_membershipevent").count()
        sam.groups.set([Group.objects.get(name="manager")])
        assert AuditEntry.objects.filter(table_name="accounts_membershipevent").count() == given + 2
        events = AuditEntry.objects.filter(table_name="accounts_userevent")
        before = events.count()
        User.objects.filter(pk=sam.pk).update(last_login=NOW)
        cast.customer(cast.account())
        assert events.count() == before
        User.objects.filter(pk=sam.pk).update(is_active=False)
        assert events.count() == before + 1
        assert list(faults()) == []


def test_the_command_names_faults_and_prints_the_head(declined):
    said = io.StringIO()
    call_command("verify_audit", stdout=said)
    kept = re.search(r"\d+:[0-9a-f]{64}", said.getvalue()).group()
    call_command("verify_audit", head=kept, stdout=said)
    with pytest.raises(CommandError, match="looks like"):
        call_command("verify_audit", head="nonsense", stdout=said)
    with behind_the_back() as cursor:
        cursor.execute(f"DELETE FROM {EVENTS} WHERE state = 'declined'")
    said = io.StringIO()
    with pytest.raises(CommandError, match="in the audit log"):
        call_command("verify_audit", stdout=said)
    assert declined.reference in said.getvalue()


def test_in_another_time_zone_the_digest_is_the_same(declined):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL timezone TO 'Pacific/Chatham'")
        cursor.execute("UPDATE cancellations_cancellationrequest SET survey_words = 'x'")
        cursor.execute("SET LOCAL timezone TO 'UTC'")
    entry = AuditEntry.objects.filter(table_name=EVENTS).order_by("-id").first()
    assert list(faults()) == []
    assert entry.verb in ("", "decline")


@pytest.mark.django_db(transaction=True)
def test_checking_while_others_write_and_seal_finds_nothing():
    cast.policy()
    cast.staff("support")
    stop = threading.Event()
    trouble = []

    def work():
        while not stop.is_set():
            cast.in_review()
            seal_audit(now=NOW)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for check in range(400):  # bounded, in case nothing is sealed
        with consistent_snapshot():
            trouble += faults()
        if check >= 7 and AuditEntry.objects.filter(number__isnull=False).count() > 20:
            break
    stop.set()
    for thread in threads:
        thread.join()
    assert trouble == []
    assert AuditEntry.objects.filter(number__isnull=False).count() > 20
