"""The verb that takes a run elsewhere: export."""

from __future__ import annotations

from pathlib import Path

from twostream.cli import options
from twostream.cli.console import Shown, percent
from twostream.cli.options import DATA, own, split_choice


def export(
    run: options.TrainedRun,
    out: Path = own(..., "The folder to write.", None, "--out"),
    quantize: bool = own(
        False, "Int8 networks, calibrated and measured on clips.", None, "--quantize"
    ),
    calibrate: Path = own(
        None,
        "For --quantize: its training clips calibrate, its test clips tell the accuracy. "
        "Default: the run's own data and split.",
        DATA,
        metavar="DATA",
    ),
    split: options.Split = None,
    fold: options.Fold = None,
    test_groups: options.TestGroups = None,
    as_json: options.AsJson = False,
) -> None:
    """Write ONNX networks with labels and a contract; `twostream predict OUT` needs no torch."""
    from twostream.export import export_onnx
    from twostream.types import UsageError

    choice = split_choice(split, fold, test_groups)
    if not quantize and (calibrate or choice):
        raise UsageError("--calibrate and its split go with --quantize, and only with it")
    shown = Shown(as_json=as_json)
    with shown.progress():
        report = export_onnx(
            run,
            out,
            int8=quantize,
            calibrate=calibrate,
            choice=choice,
            progress=shown.step,
        )
    rows = [
        (
            stream,
            parity.inputs,
            f"{parity.largest_difference:.1e}",
            f"{(out / f'{stream}.onnx').stat().st_size / 1e6:.1f}",
        )
        for stream, parity in report.parity.items()
    ]
    columns = ("stream", "stacks compared", "largest difference from torch", "MB")
    shown.table(f"{out}: ONNX opset {report.opset}", columns, rows)
    if report.fused_parity:
        shown.line(
            f"fused, as the run has learnt: {report.fused_parity.inputs} pairs of stacks, largest "
            f"difference from torch {report.fused_parity.largest_difference:.1e}"
        )
    if report.quantization:
        accuracy = report.quantization["accuracy"]
        costs = [
            (name, percent(accuracy["float32"][name]), percent(accuracy["int8"][name]))
            for name in accuracy["int8"]
        ]
        shown.table(f"{report.quantization['clips']} clips", ("stream", "float32", "int8"), costs)
        shown.line(
            f"same label on {percent(report.quantization['same_label'])} of the clips; fused "
            f"scores differ by at most {report.quantization['largest_difference']:.3f}"
        )
    shown.result(report.to_json())


COMMANDS = (export,)
