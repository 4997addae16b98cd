"""Which files are accepted, by their content. Pure: no Django.

Files are never shown on our pages, only offered as downloads.
"""

MAX_FILE_BYTES = 5_000_000
MAX_FILES = 10  # of one declaration or termination
EXTENSIONS = {
    "application/pdf": ".pdf",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "text/plain": ".txt",
}


def media_type(content: bytes) -> str | None:
    """Returns the media type by the first bytes (see each format's specification); None if it is not accepted."""
    if content.startswith(b"%PDF-"):
        return "application/pdf"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return "text/plain" if _is_plain_text(content) else None


def _is_plain_text(content: bytes) -> bool:
    """Whether it is UTF-8 without control characters, and nothing that a browser might take for HTML."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not text.lstrip("\ufeff \t\r\n").startswith("<") and all(
        character >= " " or character in "\t\r\n\f" for character in text
    )


def tidy_name(name: str, kind: str) -> str:
    """Returns the file name without paths and control characters, with the extension of its media type."""
    base = name.replace("\\", "/").rpartition("/")[2]
    base = "".join(character for character in base if character.isprintable() and character not in '<>:"|?*').strip(
        ". "
    )
    extension = EXTENSIONS[kind]
    extensions = (extension, ".jpeg") if kind == "image/jpeg" else (extension,)
    full_name = base if base.lower().endswith(extensions) else base + extension
    stem, dot, suffix = full_name.rpartition(".")
    return f"{stem[:150] or 'file'}{dot}{suffix}"
