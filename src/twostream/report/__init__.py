"""``RUN/report.html``: what a run achieved, how sure that is, and where it fails."""

from twostream.report.measures import confidence_interval
from twostream.report.report_page import write_report

__all__ = ["confidence_interval", "write_report"]
