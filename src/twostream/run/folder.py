"""Kept for ``experiments``, which still imports from here."""

from twostream.folder import differences, read_json, write_json

__all__ = ["differences", "read_json", "write_json"]
