"""The flow store: the clip format, its writer, the folder of clips, and stacks of stored clips."""

from twostream.store.clip_file import ClipFile
from twostream.store.clip_readers import ClipReader, Reader, decoded_bytes
from twostream.store.clip_writer import ClipWriter
from twostream.store.clips import Clip, ClipCache, Clips, flow_rms_px, kinds_of
from twostream.store.coding import (
    ClipHeader,
    Codec,
    Kind,
    coded_item,
    decode_fields,
    encode_field,
)
from twostream.store.flow_store import IMPORTED, FlowStore, StoreSettings

__all__ = [
    "IMPORTED",
    "Clip",
    "ClipCache",
    "ClipFile",
    "ClipHeader",
    "ClipReader",
    "ClipWriter",
    "Clips",
    "Codec",
    "FlowStore",
    "Kind",
    "Reader",
    "StoreSettings",
    "coded_item",
    "decode_fields",
    "decoded_bytes",
    "encode_field",
    "flow_rms_px",
    "kinds_of",
]
