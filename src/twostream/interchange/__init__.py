"""Flow that other tools wrote or want: folders of images <-> the flow store."""

from twostream.interchange.importing import ImportSummary, import_flow, import_settings
from twostream.interchange.layouts import FlowVideo, find_flow
from twostream.interchange.names import Matched, match_names

__all__ = [
    "FlowVideo",
    "ImportSummary",
    "Matched",
    "find_flow",
    "import_flow",
    "import_settings",
    "match_names",
]
