"""A limit for the files of a form: refuses the upload by its Content-Length, before anything is stored."""

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler

from cancellations.rules.files import MAX_FILE_BYTES, MAX_FILES

MAX_REQUEST_BYTES = MAX_FILE_BYTES * MAX_FILES + 1_000_000


class LimitedUpload(FileUploadHandler):
    """Comes before Django's upload handlers and passes all data on to them."""

    def handle_raw_input(self, input_data: Any, META: Any, content_length: int, *args: Any) -> None:  # noqa: N803
        if content_length > MAX_REQUEST_BYTES:
            raise RequestDataTooBig("The files are too large for one form.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None
