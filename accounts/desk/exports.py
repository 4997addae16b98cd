"""Lists as files: CSV that no spreadsheet takes for formulas, and XLSX; both made row by row."""

import csv
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import xlsxwriter
from django.http import FileResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone

FORMS = ("csv", "xlsx")
# What makes a spreadsheet calculate, and with that act (OWASP, «CSV Injection»)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
Columns = Sequence[tuple[str, Callable[[Any], Any]]]


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def exported(form: str, *, name: str, columns: Columns, rows: Iterable[Any]) -> HttpResponseBase:
    """The rows as a file to be saved; `form` is one of FORMS."""
    if form == "xlsx":
        return _xlsx(name, columns, rows)
    response = StreamingHttpResponse(csv_lines(columns, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def csv_lines(columns: Columns, rows: Iterable[Any]) -> Iterator[str]:
    """RFC 4180, UTF-8 with a mark at the front, so that spreadsheets read the letters right."""
    writer = csv.writer(_Echo())
    yield "\ufeff" + writer.writerow([title for title, _ in columns])
    for row in rows:
        yield writer.writerow([safe(plain(value(row))) for _, value in columns])


def plain(value: Any) -> Any:
    """A cell's value: instants in the company's zone and ISO 8601, nothing as an empty text."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return timezone.localtime(value).isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, int | float | Decimal) else str(value)


def safe(cell: Any) -> Any:
    """Numbers stay numbers; a text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if isinstance(cell, str) and cell.lstrip(" ").startswith(FORMULA):
        return f"'{cell}"
    return cell


def _xlsx(name: str, columns: Columns, rows: Iterable[Any]) -> HttpResponseBase:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "in_memory": False}
    with xlsxwriter.Workbook(file, options) as book:
        sheet, bold = book.add_worksheet(), book.add_format({"bold": True})
        sheet.freeze_panes(1, 0)
        for at, (title, _) in enumerate(columns):
            sheet.write_string(0, at, title, bold)
        for line, row in enumerate(rows, 1):
            for at, (_, value) in enumerate(columns):
                cell = plain(value(row))
                if isinstance(cell, str):
                    sheet.write_string(line, at, cell[:32_767])  # the most that a cell holds
                else:
                    sheet.write_number(line, at, cell)
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename=f"{name}.xlsx")
