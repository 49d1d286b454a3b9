"""The text of ``contract.json``: what another program must know to run the networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from twostream.bout_model import BoutModel
from twostream.export.graph import OPSET, input_names, one_side_fits
from twostream.export.parity import Parity
from twostream.extraction.frame_pairs import (
    MAX_GAP_SECONDS,
    PLACE_TOLERANCE,
    SAME_RATE,
    TIME_TOLERANCE,
)
from twostream.extraction.pauses import PAUSE_FRAMES, PAUSE_SECONDS, STANDING_SECONDS
from twostream.log_linear import LogLinear
from twostream.prediction.contract import AVERAGED, FORMAT, FORMAT_FUSED
from twostream.types import ModelSpec, Stream
from twostream.video.container_claims import INDEXED_FRAMES, LATE_SECONDS, LONG, MOST_ARE_USUAL
from twostream.video.container_claims import SAME_RATE as TOLD_RATE
from twostream.video.reader import AHEAD_BYTES, AHEAD_PACKETS

_PACKAGES = ("twostream", "torch", "onnx", "onnxscript", "onnxruntime")


def describe(
    specs: list[ModelSpec],
    parities: Mapping[Stream, Parity],
    quantization: dict[str, Any] | None,
    fusion: LogLinear | None,
    fused_parity: Parity | None,
    bouts: BoutModel | None,
) -> dict[str, Any]:
    """Return the contract of an exported folder.

    Args:
        specs: of its streams.
        parities: stream -> how the graph agreed with torch, in float32.
        quantization: what int8 was calibrated on and what it costs; None: float32.
        fusion, fused_parity: what the run has learnt, and how its answer agreed with torch; None:
            the mean answers.
        bouts: how long they last in a time line; None: the run does not know.
    """
    first = specs[0]
    learnt = None
    if fusion and fused_parity:
        learnt = {**fusion.to_json(), "parity_with_torch": asdict(fused_parity)}
    return {
        "format": FORMAT_FUSED if learnt else FORMAT,
        "opset": OPSET,
        "versions": {name: version(name) for name in _PACKAGES},
        "classes": list(first.classes),
        "video": _video(first),
        "fusion": learnt or AVERAGED,
        **({"bouts": bouts.to_json()} if bouts else {}),
        "streams": {
            spec.stream: {
                "file": f"{spec.stream}.onnx",
                "precision": "int8" if quantization else "float32",
                "inputs": _inputs(spec),
                "output": {
                    "name": "scores",
                    "shape": ["b", len(spec.classes)],
                    "dtype": "float32",
                    "meaning": f"softmax scores of each stack, the mean over {_crops(spec)}",
                },
                "frame_size": (
                    f"the shorter side must be exactly {spec.crop_size} px"
                    if one_side_fits(spec)
                    else f"both sides must be at least {spec.smallest_side} px"
                ),
                "temporal_input": asdict(spec.temporal) if spec.temporal else None,
                "inside_the_graph": _inside(spec),
                "samples": _samples(spec),
                "parity_with_torch": asdict(parities[spec.stream]),
                "spec": spec.to_json(),
            }
            for spec in specs
        },
        "quantization": quantization,
    }


def _crops(spec: ModelSpec) -> str:
    """Return in words what a stack is scored on."""
    if spec.test_crops == "centre":
        square = f"the largest centred square, resized to {spec.crop_size} px"
        return f"{square}, and its mirror image with negated x flow" if spec.flips else square
    if spec.flips:
        return "its ten crops (four corners, centre, and their mirror images with negated x flow)"
    return "its five crops (four corners and centre; nothing is mirrored)"


def _video(spec: ModelSpec) -> dict[str, Any]:
    return {
        "fps": spec.fps,
        "short_side_px": spec.store.get("short_side"),
        "size": (
            "the shorter side is brought to short_side_px, of smaller frames too"
            if spec.centre_size
            else "shrunk so that the shorter side is short_side_px; never enlarged"
        ),
        "resizing": (
            "width as a player shows it; both sides times short_side_px / shorter side, rounded; "
            "decoded pictures to RGB in one step of FFmpeg's swscale: area where a side shrinks, "
            "else bicubic"
        ),
        "smallest_side_px": spec.smallest_side,
        "colours": "RGB, 0 to 255, upright",
        **_times(),
        "pauses": (
            f"longer than {PAUSE_SECONDS:g} s and {PAUSE_FRAMES} usual intervals, or than "
            f"{MAX_GAP_SECONDS:g} s, without a frame, before the first and after the last one too: "
            "no flow reaches across, and the frames on either side are videos of their own, whose "
            "places where a stack can start count together"
        ),
        "codec": spec.store.get("codec"),
        "jpeg_quality": spec.store.get("quality"),
        "codec_note": (
            "with jpeg, frames and the 8-bit codes of flow went through JPEG of this quality "
            "in training, each component of a field as a grey picture, of which 0 becomes 1; "
            "scores without it differ a little"
        ),
        "flow": {
            "estimator": spec.store.get("flow"),
            "parameters": spec.store.get("parameters"),
            "bound_px": spec.store.get("bound_px"),
            "of": "grey frames at the stored size, each with its next (or last) one",
            "unit": "pixels of the stored size per frame; x to the right, y downwards",
            "codes": (
                "128 + round(127 * displacement / range), 1 to 255; range is the largest "
                "absolute displacement of that field and component, or bound_px; a range "
                "below 1e-6 px is 0"
            ),
        },
    }


def _times() -> dict[str, str]:
    """Return how frames get their places in time, as ``frame_pairs`` and ``pauses`` do it."""
    early = 0.5 - TIME_TOLERANCE
    return {
        "times": (
            "t, in seconds, is when a player shows a frame, from the sound on where that begins "
            f"over {LATE_SECONDS:g} s earlier. The networks see an even rate r: that of the video, "
            f"where it is within {SAME_RATE:.0%} of fps, else fps. Place k is the time k / r after "
            "the first frame, in every video"
        ),
        "rate_of_a_video": (
            "1 / the usual interval of its decoding times: the mean of the intervals that differ "
            "from the median by a tenth, or a tick of the clock, at most; where these are under "
            f"{MOST_ARE_USUAL:.0%}, of all below {LONG:g} medians. Seen are the first "
            f"{INDEXED_FRAMES} frames, or {AHEAD_PACKETS} packets ({AHEAD_BYTES >> 20} MiB at most)"
            " where no index lists all frames. What FFmpeg guesses (av_guess_frame_rate) is taken "
            f"where it is within {TOLD_RATE:.0%} of that, or where there are no times. Exceptions "
            "(interlaced, AVI, raw streams, bursts): twostream/video/container_claims.py"
        ),
        "same_rate": (
            "where r is the rate of the video, frames take one place after the other, as clocks "
            f"jitter. After place k a frame before (k + {1 - PLACE_TOLERANCE:g}) / r is left out, "
            f"one up to (k + {1 + PLACE_TOLERANCE:g}) / r takes k + 1, a later one the nearest"
        ),
        "other_rate": (
            f"where r is fps, a frame takes floor(t r + {early:g}), t from the first one. Of "
            "several at a place the first one, unless a later one is nearer to it by over "
            f"{2 * TIME_TOLERANCE:g} / r than the one taken so far"
        ),
        "gaps": (
            "a place that no frame takes repeats the frame before. Flow is that of the frames "
            "taken; over a gap it is divided by the number of places, and each of them has its part"
        ),
        "end": (
            "the last frame stands until its end, which is its duration, or 1 / the rate of the "
            f"video if that is longer, after its t. Where end - 1 / r is over {STANDING_SECONDS:g} "
            "s after its t, it comes again at that time, as a frame like others. Not where the "
            "video has one frame, or the time to its end is a pause"
        ),
    }


def _inputs(spec: ModelSpec) -> list[dict[str, Any]]:
    length = spec.temporal.length if spec.temporal else 1
    shape: list[str | int] = ["b", length, 2, "h", "w"]
    order = "consecutive fields, frame i to i + 1, x before y"
    if spec.temporal and spec.temporal.bidirectional:
        order = (
            f"{length // 2} forward fields from the centre frame on, then {length // 2} backward "
            "fields (frame i to i - 1) from the centre frame back, x before y"
        )
    fields: dict[str, dict[str, Any]] = {
        "frames": {
            "shape": ["b", length, "h", "w", 3],
            "dtype": "uint8",
            "unit": "RGB, 0 to 255",
            "order": "consecutive frames",
        },
        "codes": {"shape": shape, "dtype": "uint8", "unit": "codes, see flow", "order": order},
        "ranges": {
            "shape": shape[:3],
            "dtype": "float32",
            "unit": "pixels: the displacement of code 255",
            "order": "as codes",
        },
        "fields": {"shape": shape, "dtype": "float32", "unit": "pixels", "order": order},
    }
    return [{"name": name, **fields[name]} for name in input_names(spec)]


def _inside(spec: ModelSpec) -> list[str]:
    steps = ["decode the 8-bit codes"] if "codes" in input_names(spec) else []
    if spec.temporal and spec.is_flow:
        if spec.temporal.trajectory:
            steps.append("sample along the motion trajectories")
        if spec.temporal.subtract_mean:
            steps.append("subtract the mean vector of each whole field")
    seen = ["normalisation"]
    if spec.temporal and spec.temporal.differences:
        seen.append("each frame less the one before")
    return [*steps, "crops", *seen, "network", "softmax", "mean over the crops"]


def _samples(spec: ModelSpec) -> dict[str, Any]:
    length = spec.temporal.length if spec.temporal else 1
    what = "fields" if spec.is_flow else "frames"
    starts = f"n = max(1, number of {what} - {length} + 1) places where a stack can start"
    if spec.temporal and spec.temporal.bidirectional:
        starts += f"; the centre frame of the stack at place i is frame i + {length // 2}"
    short = {"short_videos": f"a stack that reaches over the end repeats the last of the {what}"}
    if spec.is_flow:
        zero = "codes of 128, ranges of 0" if "codes" in input_names(spec) else "fields of 0"
        short["single_frames"] = (
            "a frame alone has no field: between pauses no stack starts at it; where all are "
            f"alone, as in a video of one frame, the only stack has no motion: {zero}"
        )
    return {
        "positions": spec.test_positions,
        "starts": starts,
        "rule": (
            "position i of p is round_half_up(i * (n - 1) / (p - 1)), from 0 on; one position is "
            "(n - 1) // 2"
        ),
        **short,
        "score": "the mean over the positions",
    }
