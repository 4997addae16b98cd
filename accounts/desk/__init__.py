"""What all pages of the staff interface share: lists, row pages, and verbs with a page each."""

from accounts.desk.lists import DeskAdmin
from accounts.desk.verbs import Verb, VerbAdmin, VerbForm, text_field

__all__ = ["DeskAdmin", "Verb", "VerbAdmin", "VerbForm", "text_field"]
