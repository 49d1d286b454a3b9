"""The actions of the built-in data set: seven pairs of classes and how each moves and looks.

Lengths below are in actor heights, x ahead and y up (see `figure`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from twostream.synthetic.figure import HEAD, HIP_HEIGHT, TORSO, Actor, Canvas, Figure, Point
from twostream.synthetic.scene import Color, muted, shaded


@dataclass(frozen=True, slots=True)
class Style:
    """What is drawn at random for one performance of an action.

    Attributes:
        color: of the thing in hand; the classes of an appearance pair differ in it.
        trim: a second colour.
        size: factor on the thing's and the movement's usual size.
        tempo: repetitions a second, for actions that repeat.
        start: phase of the first frame, 0..1.
    """

    color: Color
    trim: Color
    size: float
    tempo: float
    start: float


@dataclass(frozen=True, slots=True)
class ActionPair:
    """Two classes that differ in one factor.

    Attributes:
        classes: their names.
        draw: draws one moment: ``draw(canvas, actor, moment, style)``. For a motion pair `moment`
            runs from 0 to 1 in the first class and back in the second; otherwise it counts cycles.
        colors: the two colours of an appearance pair, of equal luma; None for a motion pair.
        turns: of a motion pair: `moment` runs from 0 to 1 and back to 0 in the first class, from 1
            to 0 and back to 1 in the second.
        hue, saturation: of the thing in a motion pair, so that one frame shows which thing it is.
    """

    classes: tuple[str, str]
    draw: Callable[[Canvas, Actor, float, Style], None]
    colors: tuple[Color, Color] | None = None
    turns: bool = False
    hue: tuple[float, float] = (0, 360)
    saturation: tuple[float, float] = (0, 0.1)

    def style(self, rng: np.random.Generator) -> Style:
        """Draw one performance at random."""
        return Style(
            color=muted(rng, hue=self.hue, saturation=self.saturation, value=(0.8, 0.95)),
            trim=muted(rng, saturation=(0.0, 0.12), value=(0.85, 0.95)),
            size=float(rng.uniform(0.92, 1.08)),
            tempo=float(rng.uniform(1.15, 1.55)),
            start=float(rng.uniform(0, 1)),
        )

    def moments(self, num_frames: int, style: Style, fps: float) -> list[float]:
        """Return the moment of each frame."""
        if self.colors is not None:
            return [style.start + style.tempo * i / fps for i in range(num_frames)]
        # All the way, a little faster in the middle, so that every window of a clip shows it.
        if self.turns:
            there = (num_frames + 1) // 2
            return [*_all_the_way(there), *reversed(_all_the_way(num_frames - there))]
        return _all_the_way(num_frames)


def _all_the_way(num_frames: int) -> list[float]:
    """Return moments from 0 to 1, the second half like the first one backwards."""
    even = np.linspace(0.0, 1.0, num_frames)
    return [float(s) for s in 0.6 * even + 0.4 * even**2 * (3 - 2 * even)]


def _grown(points: Point, share: float) -> Point:
    """Return a polygon that reaches further out by this share: a rim, drawn below it."""
    return points + (points - points.mean(0)) * share


def _leave_chair(canvas: Canvas, actor: Actor, moment: float, style: Style) -> None:
    """From sitting on a low chair (0) to standing (1), seen from the side."""
    forward = np.sin(np.pi * moment)
    rise = moment * moment * (3 - 2 * moment)
    knee_high, side = np.array([0.16, 0.34]), np.array([0.07, 0.36])
    hand = (1 - moment) * knee_high + moment * side + forward * np.array([0.2, 0.2])
    hip = [-0.24 + 0.27 * moment**0.7, 0.24 + (HIP_HEIGHT - 0.24) * rise]
    hands = [hand + 0.03, hand]
    feet = [[0.09, 0.0], [0.02, 0.0]]
    figure = Figure(canvas, actor, "side", hip, hands, feet, lean=0.02 + 0.6 * forward)
    figure.shadow(-0.1, 0.36)
    _draw_chair(canvas, actor.height * style.size, style)
    figure.body()
    figure.arms()


def _draw_chair(canvas: Canvas, unit: float, style: Style) -> None:
    def bar(a: tuple[float, float], b: tuple[float, float], width: float, light: float) -> None:
        ends = np.array([a, b]) * unit
        canvas.capsule(ends[0], ends[1], width * unit, width * unit, shaded(style.color, light))

    for x, light in ((-0.38, 0.7), (-0.15, 0.7), (-0.44, 0.95), (-0.11, 0.95)):
        bar((x, 0.02), (x, 0.18), 0.04, light)
    bar((-0.45, 0.2), (-0.47, 0.66), 0.045, 1.0)
    for y in (0.4, 0.5, 0.6):
        bar((-0.44, y), (-0.455, y + 0.02), 0.06, 0.85)
    bar((-0.44, 0.185), (-0.1, 0.185), 0.065, 1.0)


def _lift_barbell(canvas: Canvas, actor: Actor, moment: float, style: Style) -> None:
    """From a squat, bar on the chest (0), to standing, bar overhead (1), seen from the front."""
    unit = actor.height
    squat = np.clip(1 - moment / 0.6, 0, 1) ** 1.3
    press = np.clip((moment - 0.25) / 0.75, 0, 1)
    high = HIP_HEIGHT - 0.27 * squat
    bar = high + TORSO - 0.05 + 0.33 * press
    hip = [0.0, high]
    hands = [[-0.2, bar], [0.2, bar]]
    feet = [[-0.14, 0.0], [0.14, 0.0]]
    figure = Figure(canvas, actor, "front", hip, hands, feet, elbows=(1, -1))
    figure.shadow(0, 0.36)
    figure.body()
    half = 0.39 * style.size
    ends = np.array([[-half - 0.06, bar], [half + 0.06, bar]]) * unit
    canvas.capsule(ends[0], ends[1], 0.03 * unit, 0.03 * unit, (190, 190, 198))
    for x in (-half, half):
        for offset, size, color in ((0.0, 0.18, style.color), (0.065, 0.11, style.trim)):
            center = np.array([x + np.copysign(offset, x), bar]) * unit
            up = np.array([0, size * style.size]) * unit
            canvas.capsule(center - up, center + up, 0.07 * unit, 0.07 * unit, color)
    figure.arms()


def _open_umbrella(canvas: Canvas, actor: Actor, moment: float, style: Style) -> None:
    """From an umbrella that hangs closed (0) to one spread overhead (1), seen from the front."""
    unit = actor.height
    rib = 0.48 * style.size
    angle = np.radians(17 + 58 * moment)
    tilt = 0.10 - 0.16 * moment
    axis = np.array([np.sin(tilt), np.cos(tilt)])
    grip = np.array([0.17, 0.45])
    apex = grip + axis * 0.83
    helping_hand = grip + axis * (0.12 + 0.14 * moment)
    hip = [0.0, HIP_HEIGHT]
    hands = [helping_hand, grip]
    feet = [[-0.08, 0.0], [0.08, 0.0]]
    figure = Figure(canvas, actor, "front", hip, hands, feet)
    figure.shadow(0, 0.22)
    figure.body()
    width, tip = 0.028 * unit, apex + axis * 0.04
    canvas.capsule(grip * unit, tip * unit, width, width, (70, 60, 55))
    figure.arms()
    _draw_canopy(canvas, apex * unit, axis * unit, angle, rib, style)


def _draw_canopy(
    canvas: Canvas, apex: Point, axis: Point, angle: float, rib: float, style: Style
) -> None:
    """Draw the cloth: eight panels between ribs that stand at `angle` from the shaft."""
    across = np.array([axis[1], -axis[0]])
    around = np.linspace(0, 2 * np.pi, 9)

    def ring(share: float, azimuth: float) -> Point:
        # the cloth bulges: nearer to the apex ribs stand out at a wider angle
        wide = angle + 0.35 * np.sin(angle) * (1 - share)
        out, down = rib * share * np.sin(wide), rib * share * np.cos(wide)
        return apex - axis * (down + 0.16 * out * np.sin(azimuth)) + across * out * np.cos(azimuth)

    def panel(azimuths: tuple[float, float]) -> Point:
        a, b = azimuths
        hem = ring(0.93, (a + b) / 2)
        return np.array([apex, ring(0.55, a), ring(1, a), hem, ring(1, b), ring(0.55, b)])

    # the far half first, of which the inside is seen
    order = [4, 7, 5, 6, 0, 3, 1, 2]
    for i in order:
        color = style.color if i % 2 else shaded(style.color, 0.62)
        lit = 0.55 if i >= 4 else 0.8 + 0.2 * np.cos(around[i] + 0.4) * np.sign(canvas.light[0])
        points = panel((around[i], around[i + 1]))
        canvas.polygon(_grown(points, 0.06), shaded(color, 0.45 * lit))
        canvas.polygon(points, shaded(color, lit))


def _move_sign(canvas: Canvas, actor: Actor, moment: float, style: Style) -> None:
    """From a sign held before the knees (0) to one held up overhead (1), seen from the front."""
    unit = actor.height
    crouch = 0.14 * (1 - moment)
    grip = 0.22 + 0.62 * moment
    hip = [0.0, HIP_HEIGHT - crouch]
    hands = [[-0.17, grip], [0.17, grip]]
    feet = [[-0.13, 0.0], [0.13, 0.0]]
    figure = Figure(canvas, actor, "front", hip, hands, feet)
    figure.shadow(0, 0.3)
    figure.body()
    figure.arms()
    half, height = 0.27 * style.size, 0.3 * style.size
    corners = np.array([[-half, 0], [half, 0], [half, height], [-half, height]])
    board = (corners + np.array([0, grip - 0.02])) * unit
    canvas.polygon(_grown(board, 0.12), shaded(style.color, 0.4))
    canvas.polygon(board, style.color)
    for share in (0.3, 0.62):
        ends = np.array([[-0.7 * half, grip + share * height], [0.7 * half, grip + share * height]])
        canvas.capsule(ends[0] * unit, ends[1] * unit, 0.05 * unit, 0.05 * unit, (60, 60, 66))


def _dribble(canvas: Canvas, actor: Actor, moment: float, style: Style) -> None:
    """Bounce a ball on the floor, one bounce a cycle, seen from the side."""
    unit = actor.height
    radius = 0.135 * style.size
    flight = 1 - (2 * (moment % 1) - 1) ** 2
    ball = np.array([0.32, radius + (0.34 - radius + 0.06) * flight])
    push = max(float(ball[1]) + radius + 0.02, 0.36)
    crouch = 0.05 + 0.03 * np.cos(2 * np.pi * moment)
    hip = [-0.07, HIP_HEIGHT - crouch]
    hands = [[0.16, 0.62], [ball[0], push]]
    feet = [[0.06, 0.0], [-0.16, 0.0]]
    figure = Figure(
        canvas, actor, "side", hip, hands, feet, lean=0.28 + 0.07 * np.cos(2 * np.pi * moment)
    )
    figure.shadow(-0.03, 0.24)
    figure.shadow(ball[0], 0.10)
    figure.body()
    canvas.disc(ball * unit, radius * unit, style.color)
    spin = 1.2 * moment
    for turn in (spin, spin + np.pi / 2):
        seam = np.array([np.cos(turn), np.sin(turn)]) * radius * 0.95
        flat = np.array([-seam[1], seam[0]]) * 0.08
        line = np.array([seam + flat, -seam + flat, -seam - flat, seam - flat])
        canvas.polygon((ball + line) * unit, shaded(style.color, 0.5))
    figure.arms()


def _wave_flag(canvas: Canvas, actor: Actor, moment: float, style: Style) -> None:
    """Swing a flag on a pole from side to side, held in both hands, seen from the front."""
    unit = actor.height
    phase = 2 * np.pi * moment * 0.75
    angle = 0.62 * np.sin(phase)
    along = np.array([np.sin(angle), np.cos(angle)])
    foot = np.array([0.13 + 0.05 * np.sin(phase), 0.47])
    hip = [0.035 * np.sin(phase), HIP_HEIGHT - 0.02]
    hands = [foot + along * 0.17, foot + along * 0.05]
    feet = [[-0.12, 0.0], [0.12, 0.0]]
    figure = Figure(canvas, actor, "front", hip, hands, feet, lean=0.1 * float(np.sin(phase)))
    figure.shadow(0, 0.28)
    figure.body()
    top = foot + along * 0.77
    canvas.capsule(foot * unit, top * unit, 0.032 * unit, 0.026 * unit, (150, 120, 85))
    _draw_cloth(canvas, top * unit, along * unit, phase, style)
    figure.arms()


def _draw_cloth(canvas: Canvas, top: Point, along: Point, phase: float, style: Style) -> None:
    """Draw the flag, which trails behind the pole's swing and ripples."""
    unit = float(np.hypot(*along))
    trail = -np.tanh(2.5 * np.cos(phase))
    across = np.array([along[1], -along[0]])
    shares = np.linspace(0, 1, 7)[:, None]
    ripple = 0.03 * np.sin(6 * shares - 2.5 * phase) * shares
    drop = 0.16 * shares**2 * (1.2 - abs(trail))
    reach = 0.46 * style.size * trail
    upper = top + across * (reach * shares) + np.array([0, unit]) * (ripple - drop)
    lower = upper - along * (0.33 * style.size)
    strips = np.stack([upper[:-1], upper[1:], lower[1:], lower[:-1]], axis=1)
    for strip in strips:
        canvas.polygon(_grown(strip, 0.12), shaded(style.color, 0.5))
    for strip, fold in zip(strips, np.cos(6 * shares[:, 0] - 2.5 * phase), strict=False):
        canvas.polygon(strip, shaded(style.color, 0.9 + 0.1 * fold))


def _cheer(canvas: Canvas, actor: Actor, moment: float, style: Style) -> None:
    """Jumping jacks with a pompom in each hand, one jump a cycle, seen from the front."""
    unit = actor.height
    spread = (1 - np.cos(2 * np.pi * moment)) / 2
    jump = 0.05 * np.sin(2 * np.pi * moment) ** 2
    raised = 0.45 + 2.1 * spread
    wide = 0.06 + 0.15 * spread
    hip = [0.0, HIP_HEIGHT - 0.045 * spread + jump]
    feet = [[-wide, jump], [wide, jump]]
    figure = Figure(canvas, actor, "front", hip, np.zeros((2, 2)), feet)
    arm = np.array([[-np.sin(raised), -np.cos(raised)], [np.sin(raised), -np.cos(raised)]])
    figure.hands = figure.shoulders() + arm * 0.31 * unit
    figure.shadow(0, 0.2 + 0.12 * spread)
    figure.body()
    for i in (0, 1):
        _draw_pompom(canvas, figure.arm(i), 1.55 * HEAD * unit * style.size, style, 3 * spread + i)


def _draw_pompom(canvas: Canvas, center: Point, radius: float, style: Style, turn: float) -> None:
    """Draw a ball of paper strips: three stars, the inner ones lighter."""
    tips = np.arange(22)
    for size, light, twist in ((1.08, 0.45, 0.0), (1.0, 0.8, 0.0), (0.66, 1.0, 0.9)):
        length = np.where(tips % 2, 0.72, 1.0 + 0.12 * np.sin(tips * 2.4))
        azimuth = turn + twist + tips * 2 * np.pi / len(tips)
        star = (
            np.column_stack([np.cos(azimuth), np.sin(azimuth)]) * (length * size * radius)[:, None]
        )
        canvas.polygon(center + star, shaded(style.color, light))


# Colours of a pair have the same luma (ITU-R 601: 0.299 R + 0.587 G + 0.114 B) to within 0.1, which
# light and shade scale alike.
PAIRS = (
    ActionPair(("StandUp", "SitDown"), _leave_chair, hue=(190, 230)),
    ActionPair(
        ("LiftBarbell", "LowerBarbell"), _lift_barbell, hue=(265, 285), saturation=(0.55, 0.75)
    ),
    ActionPair(
        ("OpenUmbrella", "CloseUmbrella"), _open_umbrella, hue=(53, 59), saturation=(0.75, 0.9)
    ),
    ActionPair(("ShowSign", "HideSign"), _move_sign, turns=True, saturation=(0, 0.05)),
    ActionPair(
        ("DribbleOrangeBall", "DribbleGreenBall"), _dribble, ((238, 112, 28), (85, 182, 68))
    ),
    ActionPair(("WaveRedFlag", "WaveBlueFlag"), _wave_flag, ((205, 40, 40), (30, 95, 215))),
    ActionPair(("CheerPinkPompoms", "CheerTealPompoms"), _cheer, ((235, 56, 100), (10, 160, 154))),
)
