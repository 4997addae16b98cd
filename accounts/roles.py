"""The roles of staff and what each may do: the one permission matrix."""

from django.apps import AppConfig
from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions

_READ = (
    "accounts.view_account",
    "billing.view_subscription",
    "billing.view_payment",
    "billing.view_refund",
    "billing.view_refundline",
    "cancellations.view_cancellationrequest",
    "cancellations.view_policyversion",
    "cancellations.view_termination",
    "messaging.view_outgoingmessage",
    "messaging.view_cannedreply",
    "messaging.view_incomingmessage",
    "messaging.view_mailbox",
    "messaging.view_setaside",
    "cancellations.view_conversation",
)
_AUDIT = ("accounts.view_user", "auth.view_group", "cancellations.view_hold", "cancellations.view_erasure")
_SEE_AUDIT = ("accounts.view_auditentry",)
_RETRY = ("messaging.try_again",)
_REVIEW = (
    "cancellations.schedule_request",
    "cancellations.decline_request",
    "cancellations.waive_notice",
    "cancellations.change_kind",
    "cancellations.assign_request",
    "cancellations.answer_conversation",
    "billing.propose_refund",
    "messaging.send_message_again",
    *_RETRY,
    "cancellations.export_cancellationrequest",
)
_MONEY = (
    "billing.propose_refund",
    "billing.approve_refund",
    "billing.decline_refund",
    "billing.settle_refund",
    "billing.export_refund",
    *_RETRY,
)
_POLICY = (
    "cancellations.add_policyversion",
    "cancellations.change_policyversion",
    "cancellations.publish_policyversion",
)
_DATA = (
    "cancellations.hold_data",
    "cancellations.erase_data",
    "cancellations.view_hold",
    "cancellations.view_erasure",
)
_REPLIES = ("messaging.add_cannedreply", "messaging.change_cannedreply", "messaging.delete_cannedreply")
_WEBHOOKS = (
    "messaging.view_webhookendpoint",
    "messaging.view_webhookdelivery",
    "messaging.add_webhookendpoint",
    "messaging.change_webhookendpoint",
    "messaging.send_webhook_again",
)
_WORKERS = ("messaging.view_mailbox", "messaging.view_setaside", *_RETRY)
_EXPORT = ("accounts.export_auditentry", "cancellations.export_cancellationrequest", "billing.export_refund")
_PEOPLE = ("accounts.view_user", "accounts.add_user", "accounts.change_user", "auth.view_group")

ROLES = {
    "support": (*_READ, *_REVIEW),
    "finance": (*_READ, *_MONEY),
    "manager": (*_READ, *_REVIEW, *_MONEY, *_POLICY, *_DATA, *_REPLIES, *_SEE_AUDIT, "cancellations.terminate_account"),
    "auditor": (*_READ, *_AUDIT, *_SEE_AUDIT, *_EXPORT, *_WEBHOOKS[:2]),
    "administrator": (
        *_AUDIT,
        *_SEE_AUDIT,
        *_PEOPLE,
        *_WEBHOOKS,
        *_WORKERS,
    ),
}
ABOUT = {
    "support": "reviews requests and proposes refunds",
    "finance": "decides refunds and sends them",
    "manager": "does what support and finance do, publishes policy versions, terminates accounts, erases data",
    "auditor": "reads everything and changes nothing",
    "administrator": "creates staff and assigns roles, manages the webhooks; decides no case and moves no money",
}


def grant_roles(apps: Apps) -> None:
    """Gives each group exactly its permissions; a migration calls it whenever the matrix changes.

    Django creates permissions only after all migrations, so this creates them first.
    """
    for label in ("auth", "accounts", "billing", "cancellations", "messaging"):
        config: AppConfig = apps.get_app_config(label)
        config.models_module = True  # type: ignore[assignment]  # a historical app has none, and would be skipped
        create_permissions(config, apps=apps, verbosity=0)
    permission, group = apps.get_model("auth", "Permission"), apps.get_model("auth", "Group")
    for name, codes in ROLES.items():
        role, _ = group.objects.get_or_create(name=name)
        pairs = {tuple(code.split(".")) for code in codes}
        rows = permission.objects.select_related("content_type")
        role.permissions.set([row for row in rows if (row.content_type.app_label, row.codename) in pairs])
