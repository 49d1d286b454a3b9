"""Export of a RUN to ONNX: whole stored frames and fields in, scores out; checked against torch."""

from twostream.export.onnx_export import ExportReport, export_onnx

__all__ = ["ExportReport", "export_onnx"]
