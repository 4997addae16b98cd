"""How a field of a form is laid out."""

from django import template
from django.forms import BoundField

register = template.Library()


@register.filter
def shape(field: BoundField) -> str:
    """A `group` of choices, a `box` to tick, or a `line` with one input."""
    widget = field.field.widget
    kind = getattr(widget, "input_type", "")
    if kind == "radio" or (kind == "checkbox" and getattr(widget, "allow_multiple_selected", False)):
        return "group"
    return "box" if kind == "checkbox" else "line"


@register.filter
def first_input(field: BoundField) -> str:
    """The id of the input to which a link to the field leads."""
    return f"{field.auto_id}_0" if shape(field) == "group" else str(field.auto_id)


@register.filter
def is_optional(field: BoundField) -> bool:
    """Whether its label says so: it may stay empty, whatever else is answered."""
    return not field.field.required and not getattr(field.field, "conditional", False)
