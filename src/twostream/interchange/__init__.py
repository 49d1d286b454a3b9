"""Flow that other tools wrote or want: folders of images <-> the flow store."""

from twostream.interchange.flow_export import LAYOUTS, ExportSummary, export_flow
from twostream.interchange.flow_folders import FlowVideo, find_flow, known_bound
from twostream.interchange.flow_import import ImportSummary, import_flow, import_settings
from twostream.interchange.names import Matched, match_names

__all__ = [
    "LAYOUTS",
    "ExportSummary",
    "FlowVideo",
    "ImportSummary",
    "Matched",
    "export_flow",
    "find_flow",
    "import_flow",
    "import_settings",
    "known_bound",
    "match_names",
]
