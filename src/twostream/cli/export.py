"""The verb that takes a run elsewhere: export."""

from __future__ import annotations

from pathlib import Path

import typer

from twostream.cli.console import Shown, percent
from twostream.cli.options import AsJson


def export(
    run: Path = typer.Argument(..., metavar="RUN", help="A RUN folder with trained models."),
    out: Path = typer.Option(..., "--out", help="The folder to write."),
    quantize: bool = typer.Option(
        False, "--quantize", help="Int8 networks, calibrated and measured on clips."
    ),
    calibrate: Path = typer.Option(
        None,
        "--calibrate",
        metavar="DATA",
        help="For --quantize: its training clips calibrate, its test clips tell the accuracy. "
        "Default: the run's own data and split.",
    ),
    split: int = typer.Option(None, help="Number of a split that came with that data."),
    fold: str = typer.Option(None, help="i/k: fold i of k of that data."),
    test_groups: str = typer.Option(None, help="Groups to measure on, with commas."),
    as_json: AsJson = False,
) -> int:
    """Write ONNX networks with labels and a contract; `twostream predict OUT` needs no torch."""
    from twostream.export import export_onnx
    from twostream.types import UsageError

    if not quantize and (calibrate or split is not None or fold or test_groups):
        raise UsageError("--calibrate and its split go with --quantize, and only with it")
    shown = Shown(as_json=as_json)
    with shown.progress():
        report = export_onnx(
            run,
            out,
            int8=quantize,
            calibrate=calibrate,
            split=split,
            fold=fold,
            test_groups=tuple(test_groups.split(",")) if test_groups else None,
            progress=shown.step,
            say=shown.say,
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
    if report.quantization:
        accuracy = report.quantization["accuracy"]
        costs = [
            (name, percent(accuracy["float32"][name]), percent(accuracy["int8"][name]))
            for name in accuracy["int8"]
        ]
        shown.table(f"{report.quantization['clips']} clips", ("stream", "float32", "int8"), costs)
        shown.out.print(
            f"same label on {percent(report.quantization['same_label'])} of the clips; fused "
            f"scores differ by at most {report.quantization['largest_difference']:.3f}",
            soft_wrap=True,
        )
    shown.result(report.to_json())
    return 0


COMMANDS = (export,)
