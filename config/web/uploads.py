"""How much one form may send: refused by its announced length, before anything of it is written anywhere."""

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler

from cancellations.rules.files import MOST_BYTES, MOST_FILES

MOST_AT_ONCE = MOST_BYTES * MOST_FILES + 1_000_000


class LimitedUpload(FileUploadHandler):
    """Stands before Django's own handlers, and takes no part in keeping the files."""

    def handle_raw_input(self, input_data: Any, META: Any, content_length: int, *args: Any) -> None:  # noqa: N803
        if content_length > MOST_AT_ONCE:
            raise RequestDataTooBig("The files are larger than one form may send.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None
