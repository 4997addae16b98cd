"""Calendar files (RFC 5545) with an all-day event and a reminder before it."""

from datetime import date, datetime, timedelta
from urllib.parse import urlsplit

from icalendar import Alarm, Calendar, Event

from messaging.text import isolate, on_one_line, replace_unkeepable


def calendar_event(
    *, name: str, day: date, summary: str, description: str, url: str, remind_days: int, made_at: datetime
) -> bytes:
    """Returns the file. The date has no time zone, so that it is the same day everywhere.

    Importing another file with the same `name` replaces the event in the calendar.
    """
    event = Event()
    event.add("uid", f"{name}@{urlsplit(url).hostname}")
    event.add("dtstamp", made_at)
    event.add("dtstart", day)
    event.add("dtend", day + timedelta(days=1))
    summary, description = on_one_line(summary), replace_unkeepable(description)
    event.add("summary", isolate(summary))
    event.add("description", isolate(description))
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
    content: bytes = calendar.to_ical()
    return content
