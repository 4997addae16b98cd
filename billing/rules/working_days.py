"""Working days. Pure: no Django, no clock."""

from datetime import date, timedelta

import holidays


def add_working_days(day: date, count: int, country: str) -> date:
    """The date `count` working days after the day, skipping weekends and the country's (ISO 3166-1) holidays.

    For a country that the `holidays` package does not know, only weekends are skipped.
    """
    closed: holidays.HolidayBase | dict[date, str]
    try:
        closed = holidays.country_holidays(country)
    except NotImplementedError:
        closed = {}
    while count > 0:
        day += timedelta(days=1)
        if day.weekday() < 5 and day not in closed:
            count -= 1
    return day
