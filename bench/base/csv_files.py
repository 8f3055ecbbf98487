"""CSV files from editors and spreadsheets, as text: which encoding, which separator."""

from __future__ import annotations

import codecs
from pathlib import Path

from aexad.bench.base.refusals import reading

SEPARATORS = ",;\t"  # of Excel's "CSV", where the decimal point is a comma, and "Unicode text"
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16",
         codecs.BOM_UTF16_BE: "utf-16"}


def read_text(path: Path) -> tuple[str, str, int]:
    """What is in a CSV file from its header on, its separator (that of SEPARATORS of which the
    header has most), and how many lines stand before the header. Line ends are those of the file.
    ValueError, in one line, where it is no text."""
    with reading(path):
        content = path.read_bytes()
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}; save it as 'CSV UTF-8'") from None
    first, _, rest = text.partition("\n")
    before = first.strip().lower().startswith("sep=")  # a line for Excel alone
    if before:
        text, first = rest, rest.partition("\n")[0]
    return text, max(SEPARATORS, key=first.count), int(before)
