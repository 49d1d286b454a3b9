"""``RUN/report.html``: what a run achieved, how sure that is, and where it fails."""

from twostream.report.page import write_report
from twostream.report.statistics import confidence_interval

__all__ = ["confidence_interval", "write_report"]
