"""Flow as people and other programs see it: colours, films, .flo files and images."""

from twostream.display.colours import flow_to_rgb
from twostream.display.field_files import read_grey, read_pair, save_field
from twostream.display.film import FilmSummary, write_film

__all__ = [
    "FilmSummary",
    "flow_to_rgb",
    "read_grey",
    "read_pair",
    "save_field",
    "write_film",
]
