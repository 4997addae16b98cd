"""The staff interface's common ground: lists and pages that show, and verbs that act, each on a page of its own."""

from accounts.desk.lists import DeskAdmin
from accounts.desk.verbs import Verb, VerbAdmin, VerbForm, text_field

__all__ = ["DeskAdmin", "Verb", "VerbAdmin", "VerbForm", "text_field"]
