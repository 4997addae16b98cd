from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from messaging.models import VARIABLES, CannedReply, MessageState, OutgoingMessage
from messaging.services import send_again


@admin.register(OutgoingMessage)
class OutgoingMessageAdmin(ModelAdmin):
    list_display = ["created_at", "kind", "about", "recipient", "shown_state", "attempts", "sent_at"]
    list_filter = ["state", "kind"]
    search_fields = ["about", "recipient"]
    ordering = ["-created_at"]
    paginator = InfinitePaginator
    show_full_result_count = False
    fields = ["kind", "about", "recipient", "subject", "text_shown", "state", "attempts", "last_error", "created_at"]
    readonly_fields = fields
    actions = ["send_given_up_again"]

    @display(description="state", label={"sent": "success", "pending": "info", "given up": "danger"})
    def shown_state(self, message: OutgoingMessage) -> str:
        return "pending" if message.state == MessageState.PENDING else message.get_state_display()

    @display(description="text")
    def text_shown(self, message: OutgoingMessage) -> str:
        return message.shown_text

    @admin.action(description="Send again what was given up", permissions=["send_again"])
    def send_given_up_again(self, request: HttpRequest, queryset: QuerySet[OutgoingMessage]) -> None:
        revived = sum(send_again(message=message, now=timezone.now()) for message in queryset)
        self.message_user(
            request, f"{revived} of {queryset.count()} wait to be sent again; the others were not given up."
        )

    def has_send_again_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("messaging.send_message_again"))  # type: ignore[union-attr]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: OutgoingMessage | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: OutgoingMessage | None = None) -> bool:
        return False


@admin.register(CannedReply)
class CannedReplyAdmin(ModelAdmin):
    """Managers write them; whoever writes to a customer picks one and changes it as needed."""

    list_display = ["name", "used_for", "languages"]
    list_filter = ["used_for"]
    search_fields = ["name", "text_en", "text_de", "text_fr"]
    fieldsets = [
        (
            None,
            {
                "fields": ["name", "used_for", "text_en", "text_de", "text_fr"],
                "description": "Variables, filled in for each customer: "
                + "; ".join(f"{{{name}}} {meaning}" for name, meaning in VARIABLES.items())
                + ".",
            },
        )
    ]

    @display(description="languages")
    def languages(self, reply: CannedReply) -> str:
        return ", ".join(tag for tag in ("en", "de", "fr") if getattr(reply, f"text_{tag}"))
