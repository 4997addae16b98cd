"""A date to keep, as a calendar's file (RFC 5545): a whole day, with a reminder before it."""

from datetime import date, datetime, timedelta
from urllib.parse import urlsplit

from icalendar import Alarm, Calendar, Event


def day_to_keep(
    *, name: str, day: date, summary: str, description: str, url: str, remind_days: int, made_at: datetime
) -> bytes:
    """The file. The day is a date without a zone, so that it stays that day wherever the calendar is looked at.

    The same `name` from the same site again replaces the date in the calendar instead of standing beside it.
    """
    event = Event()
    event.add("uid", f"{name}@{urlsplit(url).hostname}")
    event.add("dtstamp", made_at)
    event.add("dtstart", day)
    event.add("dtend", day + timedelta(days=1))
    event.add("summary", summary)
    event.add("description", description)
    event.add("url", url)
    event.add("transp", "TRANSPARENT")
    alarm = Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("description", summary)
    alarm.add("trigger", -timedelta(days=remind_days))
    event.add_component(alarm)
    calendar = Calendar()
    calendar.add("prodid", "-//Cancellation portal//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add_component(event)
    made: bytes = calendar.to_ical()
    return made
