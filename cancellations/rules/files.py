"""Which files are taken, told by their content. Pure: no Django.

Nothing of them is ever shown inside our own pages: they are only handed out to be saved.
"""

MOST_BYTES = 5_000_000
MOST_FILES = 10  # of one declaration or termination
EXTENSIONS = {
    "application/pdf": ".pdf",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "text/plain": ".txt",
}


def media_type(content: bytes) -> str | None:
    """The type by its first bytes (each format's own specification); None for a type that is not taken."""
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
    """UTF-8 without control characters, and nothing that a browser might take for a page."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not text.lstrip("\ufeff \t\r\n").startswith("<") and all(mark >= " " or mark in "\t\r\n\f" for mark in text)


def tidy_name(name: str, kind: str) -> str:
    """The sender's name for the file without paths and control characters, with the ending of what it is."""
    base = name.replace("\\", "/").rpartition("/")[2]
    base = "".join(mark for mark in base if mark.isprintable() and mark not in '<>:"|?*').strip(". ")
    ending = EXTENSIONS[kind]
    known = (ending, ".jpeg") if kind == "image/jpeg" else (ending,)
    stem = base if base.lower().endswith(known) else base + ending
    root, dot, last = stem.rpartition(".")
    return f"{root[:150] or 'file'}{dot}{last}"
