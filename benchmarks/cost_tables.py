"""The tables of ``cost.py``: what follows from the measured figures, for terminal and document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from twostream.recipes import PAPER
from twostream.store.flow_store import StoreSettings
from twostream.types import Stream

# 27 hours at 25 frames/s (the data set's own paper); HMDB-51's length is taken as 95 frames a clip
PAIRS = {"UCF-101": 2_400_000, "HMDB-51": 6_766 * 94}
TESTED = {"UCF-101": 3_783, "HMDB-51": 1_530}
TRAINED = {"UCF-101": 9_537, "HMDB-51": 3_570}


@dataclass
class Section:
    """A table for the terminal and for the document, with a sentence above it."""

    title: str
    text: str
    header: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)

    def show(self, console: Console) -> None:
        """Print the table."""
        table = Table(*self.header, title=self.title)
        for row in self.rows:
            table.add_row(*row)
        console.print(table)

    def markdown(self) -> str:
        """Return heading, sentence and table."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        return f"## {self.title}\n\n{self.text}\n\n{table}\n"


def duration(seconds: float) -> str:
    """Return a length of time in the unit that suits it."""
    for unit, size in (("days", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.3g} s"


@dataclass
class StepCost:
    """Seconds of a step by batch, and what follows for the paper's batch."""

    by_batch: dict[int, float]

    @property
    def full(self) -> float:
        """A step of the paper's batch, in proportion to the largest measured one, by images."""
        large = max(self.by_batch)
        return self.by_batch[large] * PAPER.batch_size / large


@dataclass
class FlowCost:
    """Flow and store of some clips."""

    name: str
    pairs_per_second: dict[int, float]
    bytes_per_frame: float
    bytes_per_field: float


def measured_section(
    steps: dict[tuple[Stream, bool], StepCost],
    scores: dict[Stream, float],
    loads: dict[Stream, float],
    peaks: dict[bool, float],
    flops: dict[Stream, tuple[float, float]],
) -> Section:
    section = Section(
        "Measured: the networks",
        "CNN-M-2048 at 224 px. The fastest of the rounds; the rate counts the operations of "
        "convolutions and full layers, beside what one large matrix product reaches here.",
        ("what", "seconds", "GFLOP/s", "of the matrix product"),
    )

    def add(what: str, taken: float, work: float, mixed: bool) -> None:
        rate = work / taken
        section.rows.append(
            (what, f"{taken:.3g}", f"{rate / 1e9:,.0f}", f"{100 * rate / peaks[mixed]:.0f}%")
        )

    for mixed, peak in peaks.items():
        word = " in bfloat16" if mixed else ""
        section.rows.append((f"matrix product{word}", "", f"{peak / 1e9:,.0f}", "100%"))
    for (stream, mixed), cost in steps.items():
        word = ", mixed precision" if mixed else ""
        for batch, taken in cost.by_batch.items():
            work = batch * flops[stream][1]
            add(f"training step, {stream}, batch {batch}{word}", taken, work, mixed)
    for stream, taken in scores.items():
        work = 250 * flops[stream][0]
        add(f"test video, {stream}, 25 x 10 crops", taken, work, False)
    for stream, taken in loads.items():
        row = f"reading a training sample, {stream}, one process"
        section.rows.append((row, f"{taken:.3g}", "", ""))
    return section


def flow_section(flows: Sequence[FlowCost]) -> Section:
    section = Section(
        "Measured: flow and store",
        f"`{PAPER.flow}` flow, forward, and JPEGs of quality {StoreSettings().quality}; decoding, "
        "flow and writing together. A field is both components. Frames are never enlarged, so "
        "UCF-101 and HMDB-51 stay at their own 240 px. Bi-directional stacks need backward flow "
        "too: twice the time and the fields.",
        ("clips", "pairs/s by workers", "KB a frame", "KB a field"),
    )
    for flow in flows:
        rates = ", ".join(f"{n}: {rate:.0f}" for n, rate in flow.pairs_per_second.items())
        sizes = (flow.bytes_per_frame, flow.bytes_per_field)
        section.rows.append((flow.name, rates, *(f"{size / 1e3:.1f}" for size in sizes)))
    return section


def floor_section(flops: dict[Stream, tuple[float, float]]) -> Section:
    rates = (1, 10, 100)
    section = Section(
        "The floor",
        f"Counted, not measured: {PAPER.steps:,} steps of {PAPER.batch_size}, at some rates that "
        "a machine may reach. Input, normalisation and pools come on top.",
        (
            "stream",
            "GFLOP an image, forward",
            "in training",
            "PFLOP from scratch",
            *(f"at {rate} TFLOP/s" for rate in rates),
        ),
    )
    for stream, (forward, training) in flops.items():
        total = training * PAPER.steps * PAPER.batch_size
        times = [duration(total / (rate * 1e12)) for rate in rates]
        cells = (f"{forward / 1e9:.2f}", f"{training / 1e9:.2f}", f"{total / 1e15:,.0f}")
        section.rows.append((stream, *cells, *times))
    return section


def real_section(
    steps: dict[tuple[Stream, bool], StepCost],
    scores: dict[Stream, float],
    loads: dict[Stream, float],
    flows: Sequence[FlowCost],
) -> Section:
    section = Section(
        "The real thing on this machine",
        "Products of the figures above, not runs. A step of 256 is in proportion to the largest "
        "measured batch, by images, so its fixed part is rather counted too high. One net each; "
        "the paper's tables need many. UCF-101 is taken as 27 hours at 25 frames/s, HMDB-51 as "
        "95 frames a clip. The paper itself: a day for a temporal net on four cards, 3.2 times "
        "that on one; 0.06 s a pair for Brox flow on a card; 27 GB for UCF-101's flow.",
        ("job", "from", "takes"),
    )
    add = section.rows.append
    for (stream, mixed), cost in steps.items():
        word = ", mixed precision" if mixed else ""
        for what, count in (
            ("from scratch", PAPER.steps),
            ("fine-tuning", PAPER.fine_tuning().steps),
        ):
            taken = f"{count:,} steps of {cost.full:.3g} s"
            add((f"train {stream}, {what}{word}", taken, duration(count * cost.full)))
    for stream, taken in loads.items():
        whole = PAPER.batch_size * taken
        basis = f"{PAPER.steps:,} batches of {whole:.3g} s, one process"
        add((f"reading for {stream}, from scratch", basis, duration(PAPER.steps * whole)))
    for stream, taken in scores.items():
        for name, count in TESTED.items():
            basis = f"{count:,} videos of {taken:.3g} s"
            add((f"test {stream}, {name} split 1", basis, duration(count * taken)))
        count = TRAINED["UCF-101"]
        what = f"score {stream} on UCF-101's training clips, for the SVM"
        add((what, f"{count:,} videos of {taken:.3g} s", duration(count * taken)))
    for flow in flows:
        rate = max(flow.pairs_per_second.values())
        for name, pairs in PAIRS.items():
            basis = f"{pairs:,} pairs, {flow.name}"
            size = pairs * (flow.bytes_per_frame + flow.bytes_per_field)
            fields = pairs * flow.bytes_per_field
            add((f"flow of {name}", basis, duration(pairs / rate)))
            sizes = f"{size / 1e9:,.0f} GB, of which flow {fields / 1e9:,.0f} GB"
            add((f"store of {name}", basis, sizes))
    return section
