"""Exports of lists as CSV and XLSX, written row by row and safe against formula injection."""

import csv
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import xlsxwriter
from django.http import FileResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone

from messaging.text import escape_formula, isolate_marks, replace_unkeepable

FORMS = ("csv", "xlsx")
Columns = Sequence[tuple[str, Callable[[Any], Any]]]


class _Echo:
    """A file object whose `write` returns the text, so that csv.writer can be streamed."""

    def write(self, text: str) -> str:
        return text


def exported(form: str, *, name: str, columns: Columns, rows: Iterable[Any]) -> HttpResponseBase:
    """The rows as a response that the browser saves as a file; `form` is one of FORMS."""
    if form == "xlsx":
        return _xlsx(name, columns, rows)
    response = StreamingHttpResponse(csv_lines(columns, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def csv_lines(columns: Columns, rows: Iterable[Any]) -> Iterator[str]:
    """The lines of a CSV file (RFC 4180) in UTF-8, with a byte order mark so that spreadsheets detect the encoding."""
    writer = csv.writer(_Echo())
    yield "\ufeff" + writer.writerow([title for title, _ in columns])
    for row in rows:
        yield writer.writerow([safe(plain(value(row))) for _, value in columns])


def plain(value: Any) -> Any:
    """The value of a cell: dates and times in ISO 8601 and the company's time zone, None as an empty text."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return timezone.localtime(value).isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, int | float | Decimal) else isolate_marks(replace_unkeepable(str(value)))


def safe(cell: Any) -> Any:
    """The cell so that no spreadsheet reads it as a formula. Numbers stay numbers."""
    return escape_formula(cell) if isinstance(cell, str) else cell


def _xlsx(name: str, columns: Columns, rows: Iterable[Any]) -> HttpResponseBase:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "in_memory": False}
    with xlsxwriter.Workbook(file, options) as book:
        sheet, bold = book.add_worksheet(), book.add_format({"bold": True})
        sheet.freeze_panes(1, 0)
        for column, (title, _) in enumerate(columns):
            sheet.write_string(0, column, title, bold)
        for number, row in enumerate(rows, 1):
            for column, (_, value) in enumerate(columns):
                cell = plain(value(row))
                if isinstance(cell, str):
                    sheet.write_string(number, column, cell[:32_767])  # Excel's limit for a cell
                else:
                    sheet.write_number(number, column, cell)
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename=f"{name}.xlsx")
