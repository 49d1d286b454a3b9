"""The command line."""

from twostream.cli.verbs import app

__all__ = ["app"]
