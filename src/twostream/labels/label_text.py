"""Label files as text, tables, XML and JSON, and the times in them; they may be strangers'."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from twostream.labels.recordings import Bout
from twostream.schema import parse_json, shown
from twostream.types import DataError

MOST_BYTES = 200 << 20
START_CHARACTERS = 4096  # what a format is recognised by
_CLOCK = re.compile(r"(?:(\d{1,6}):)?(\d{1,6}):(\d{1,6}(?:[.,]\d*)?)")
_NUMBER = re.compile(r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d{1,3})?")
_CONFIDENCE = re.compile(r"confidence (\d+(?:\.\d+)?)(?:;|$)")
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
SEPARATOR_LINE = re.compile(r'\s*"?sep=(.)"?[,;\s]*', re.IGNORECASE)  # Excel's
_FIRST_OBJECT = re.compile(r"\s*\[\s*\{")
_GZIP = b"\x1f\x8b"  # what its files begin with
FIELDS = ("subject", "annotator", "confidence", "comment")  # of bouts, beside time and label


def read_text(path: Path) -> str:
    """Return a file's text: UTF-8, or UTF-16 with its mark; line ends are new lines.

    What gzip has packed is unpacked, as far as a label file may be large.

    Raises:
        DataError: it cannot be read, is larger than ``MOST_BYTES``, or is no such text.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise _too_large(path, f"{size >> 20} MiB")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    return _decoded(path, _unpacked(path, data) if data.startswith(_GZIP) else data)


def _too_large(path: Path, size: str) -> DataError:
    return DataError(
        f"{path} has {size}, and a file of labels may have {MOST_BYTES >> 20} MiB: split it"
    )


def _unpacked(path: Path, data: bytes) -> bytes:
    """Return what gzip has packed, and no more of it than a label file may have."""
    packed = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        found = packed.decompress(data, MOST_BYTES + 1)
    except zlib.error as error:
        raise DataError(f"{path} is damaged: it cannot be unpacked ({error})") from error
    if len(found) > MOST_BYTES:
        raise _too_large(path, "more when it is unpacked")
    if not packed.eof:
        raise DataError(f"{path} is damaged: it ends before what is packed in it does")
    return found


def text_start(path: Path) -> str:
    """Return the first characters of a file, as ``read_text`` does; "" where it is none."""
    try:
        with open(path, "rb") as file:
            data = file.read(4 * START_CHARACTERS)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        if data.startswith(_GZIP):
            packed = zlib.decompressobj(zlib.MAX_WBITS | 16)
            data = packed.decompress(data, 4 * START_CHARACTERS)
        text = _decoded(path, data, errors="ignore")
    except (DataError, zlib.error):
        return ""
    return "" if "\0" in text else text[:START_CHARACTERS]


def _decoded(path: Path, data: bytes, errors: str = "strict") -> str:
    coding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(coding, errors)
    except UnicodeDecodeError as error:
        if b"\0" in data:  # a video, or an archive of them
            raise _no_text(path) from error
        raise DataError(f"{path} is not UTF-8 text: save it as UTF-8") from error
    if "\0" in text and errors == "strict":
        raise _no_text(path)
    # programs that take a mark for text write another one before it
    return text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _no_text(path: Path) -> DataError:
    return DataError(f"{path} is not a text file, so it holds no labels")


def read_xml(path: Path) -> ElementTree.Element:
    """Return the root of an XML file.

    A document type is refused before anything is parsed: without one there are no entities of the
    file's own, so none that grows to gigabytes and none that reads another file.

    Raises:
        DataError: it cannot be read, is no XML, or declares a document type.
    """
    text = read_text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError(f"{path} declares a document type, which label files have no use for")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not readable as XML: {error}") from error


def read_json(path: Path) -> Any:
    """Return the value of a JSON file; raises DataError where it is none, or nested too deeply."""
    try:
        return parse_json(read_text(path))
    except ValueError as error:
        raise DataError(f"{path} is not readable as JSON: {error}") from error


def first_object(start: str) -> dict[str, Any] | None:
    """Return the first entry of a JSON list, of a file's first characters; None: there is none.

    >>> first_object('[{"label": "walk"}, {"lab')
    {'label': 'walk'}
    """
    begin = _FIRST_OBJECT.match(start)
    if begin is None:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(start, begin.end() - 1)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def an_object(path: Path, what: str, value: Any) -> dict[str, Any]:
    """Return a JSON value that is an object; None is an empty one; raises DataError for another."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DataError(f"{path}: {what} must be an object, got {shown(value)}")
    return value


def a_list(path: Path, what: str, value: Any) -> list[Any]:
    """Return a JSON value that is a list; None is an empty one; raises DataError for another."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise DataError(f"{path}: {what} must be a list, got {shown(value)}")
    return value


def a_text(value: Any) -> str:
    """Return a JSON value as a text: numbers in full, nothing and objects as ""."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    if isinstance(value, float):
        return plain(value) if math.isfinite(value) else ""
    return str(value)


def a_number(value: Any) -> float | None:
    """Return a JSON value, or a text of one, as a finite number; None where it is none."""
    if isinstance(value, str):
        return number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def named_rows(
    path: Path, text: str, delimiter: str, names: Sequence[str], columns: Sequence[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (number of the line, column -> text) of each row below a table's header.

    Args:
        path, text, delimiter: of the table, its header included.
        names: what the columns are called, in their order.
        columns: that every row has, "" where the table has none of it.

    Raises:
        DataError: not readable as CSV, or a row that is longer than the header.
    """
    for line, cells in read_rows(path, text, delimiter, below=len(_header(text)[0]) + 1):
        if len(cells) > len(names):
            raise DataError(
                f"{path}, line {line}: {len(cells)} columns, but the header has {len(names)}: put "
                "names with the separator in them in quotes"
            )
        given = {name: from_cell(cell) for name, cell in zip(names, cells, strict=False)}
        yield line, dict.fromkeys(columns, "") | given


def read_rows(
    path: Path, text: str, delimiter: str, *, below: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the line, stripped cells) of each row of a table that is not empty.

    Args:
        path, text, delimiter: of the table.
        below: so many lines, with which the text begins.

    Raises:
        DataError: not readable as CSV.
    """
    lines = io.StringIO(text, newline="")
    for _ in range(below):
        lines.readline()
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield below + reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        line = below + reader.line_num
        raise DataError(f"{path}, line {line}: not readable as CSV: {error}") from error


def first_cells(start: str) -> tuple[str, list[str]]:
    """Return the delimiter and the stripped cells of a table's header: the most cells win.

    The header is the first line that is not empty, nor Excel's word for the delimiter.

    >>> first_cells("\\npath;label\\na,b;c"), first_cells("sep=;\\npath,x;label")
    ((';', ['path', 'label']), (';', ['path,x', 'label']))
    """
    above, line = _header(start)
    told = [each[1] for each in map(SEPARATOR_LINE.fullmatch, above) if each]
    delimiters = told[-1] if told else ",;\t|"
    best = (delimiters[0], [line.strip()])
    for delimiter in delimiters:
        try:
            cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
        except csv.Error:
            continue
        if len(cells) > len(best[1]):
            best = (delimiter, [cell.strip() for cell in cells])
    return best


def _header(text: str) -> tuple[list[str], str]:
    """Return the lines above a table's header, and the header."""
    above: list[str] = []
    for line in io.StringIO(text, newline="\n"):
        line = line.rstrip("\n")
        if line.strip() and not SEPARATOR_LINE.fullmatch(line):
            return above, line
        above.append(line)
    return above, ""


def table_text(rows: Sequence[Sequence[object]], delimiter: str = ",") -> str:
    """Return a table as text; cells that hold a text should have gone through ``as_cell``."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue()


def as_cell(text: str) -> str:
    """Return a text as a cell that no spreadsheet computes; ``from_cell`` gives it back.

    >>> as_cell("=HYPERLINK(A1)"), as_cell("walk"), from_cell(as_cell("'-"))
    ("'=HYPERLINK(A1)", 'walk', "'-")
    """
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(cell: str) -> str:
    """Return the text that ``as_cell`` made a cell of; others stay as they are."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def number(text: str) -> float | None:
    """Return a number with a point or comma, or None where it is none or is not finite.

    >>> number("1,5"), number("2e-3"), number("1_0"), number("inf")
    (1.5, 0.002, None, None)
    """
    if not _NUMBER.fullmatch(text := text.strip()):
        return None
    value = float(text.replace(",", "."))
    return value if math.isfinite(value) else None


def seconds(text: str) -> float | None:
    """Return a time in seconds, written as such or as a clock does; None where it is neither.

    >>> seconds("90.5"), seconds("01:30.5"), seconds("00:01:30,500"), seconds("1:2:3:4")
    (90.5, 90.5, 90.5, None)
    """
    clock = _CLOCK.fullmatch(text.strip())
    if clock is None:
        return number(text)
    hours, minutes, rest = clock.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes) + float(rest.replace(",", "."))


def plain(value: float) -> str:
    """Return a number exactly, without an exponent.

    >>> plain(0.1), plain(1e-7), plain(12.0)
    ('0.1', '0.0000001', '12')
    """
    text = f"{Decimal(repr(float(value))):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def fields_of(bout: Bout) -> dict[str, str]:
    """Return what a bout says beside its time and label, by ``FIELDS``; "" for nothing.

    >>> fields_of(Bout(0, 1, "walk", subject="Ann", confidence=0.5))
    {'subject': 'Ann', 'annotator': '', 'confidence': '0.5', 'comment': ''}
    """
    sure = "" if bout.confidence is None else plain(bout.confidence)
    return dict(zip(FIELDS, (bout.subject, bout.annotator, sure, bout.comment), strict=True))


def with_confidence(comment: str, confidence: float | None) -> str:
    """Return a comment that tells the confidence too, for tools that have no place for it.

    >>> with_confidence("at the wall", 0.5), from_comment("confidence 0.5; at the wall")
    ('confidence 0.5; at the wall', (0.5, 'at the wall'))
    """
    if confidence is None:
        return comment
    return f"confidence {plain(confidence)}" + (f"; {comment}" if comment else "")


def from_comment(text: str) -> tuple[float | None, str]:
    """Return the confidence that a comment tells, if it does, and the comment without it."""
    found = _CONFIDENCE.match(text)
    if found is None or not 0 <= float(found[1]) <= 1:
        return None, text
    return float(found[1]), text[found.end() :].strip()
