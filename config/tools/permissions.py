"""The permission matrix as a page for people, docs/permissions.md, made from accounts/roles.py."""

from django.apps import apps
from django.conf import settings

from accounts.roles import ABOUT, ROLES

PAGE = settings.BASE_DIR / "docs" / "permissions.md"


def as_markdown() -> str:
    """Who may what, with a row for each permission that any role has."""
    rows = [
        f"| {words} | {' | '.join('✓' if code in ROLES[role] else '' for role in ROLES)} |" for code, words in _all()
    ]
    head = [f"| may | {' | '.join(ROLES)} |", f"|---|{'|'.join(':-:' for _ in ROLES)}|"]
    told = [f"- **{role}** {about}." for role, about in ABOUT.items()]
    note = (
        "Made by `manage.py permissions` from `accounts/roles.py`; a test fails when they differ. Whoever proposed a "
        "refund or a termination cannot approve or confirm it, whatever the role: the database holds that."
    )
    return "\n".join(["# Who may what", "", note, "", *told, "", *head, *rows, ""])


def _all() -> list[tuple[str, str]]:
    wanted = {code for codes in ROLES.values() for code in codes}
    found: dict[str, str] = {}
    for model in apps.get_models():
        meta = model._meta
        told = [(f"{verb}_{meta.model_name}", f"Can {verb} {meta.verbose_name}") for verb in meta.default_permissions]
        found |= {f"{meta.app_label}.{code}": str(words) for code, words in [*told, *meta.permissions]}
    return [(code, found[code].removeprefix("Can ")) for code in sorted(wanted, key=lambda one: (_order(one), one))]


def _order(code: str) -> int:
    return 0 if ".view_" in code else 1
