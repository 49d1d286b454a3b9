"""Logs as a JSON object a line, for programs that collect them."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime


class JsonLines(logging.Formatter):
    """Writes time, level and message of a record, or the fields that it has instead of one.

    >>> record = logging.LogRecord("twostream", logging.INFO, "", 0, "a %s", ("note",), None)
    >>> record.created = 0.25
    >>> JsonLines().format(record)
    '{"time": "1970-01-01T00:00:00.250Z", "level": "info", "message": "a note"}'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": when.replace("+00:00", "Z"), "level": record.levelname.lower()}
        line |= record.__dict__.get("fields") or {"message": record.getMessage()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_json() -> None:
    """Let all that this package and uvicorn log go to standard error as lines of JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    for name, level in (("twostream", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
