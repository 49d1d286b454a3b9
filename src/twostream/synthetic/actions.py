"""The actions of the built-in data set: seven pairs of classes and how each moves and looks.

A pair shares everything (actor, place, camera, timing) but one factor. The classes of a motion pair
are the same frames in opposite order, so that no single frame tells them apart; those of the pair
that turns go there and back, or back and there, so that no single flow field does either, but only
several around the turn. The classes of an
appearance pair differ in the hue of one thing, at equal luma, so that optical flow (of grey frames)
does not tell them apart. Lengths below are in actor heights, x ahead and y up (see `figure`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from twostream.synthetic.figure import (
    HEAD,
    HIP_HEIGHT,
    TORSO,
    Actor,
    Canvas,
    Point,
    Pose,
    draw_arm,
    draw_legs,
    draw_shadow,
    draw_torso,
    shoulders,
)
from twostream.synthetic.scene import Color, muted, shaded

_BACKWARD, _OUTWARD = (-1, -1), (-1, 1)  # how elbows and knees bend seen from the side, in front
_AHEAD = (1, 1)


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


def _leave_chair(canvas: Canvas, actor: Actor, moment: float, style: Style) -> None:
    """From sitting on a low chair (0) to standing (1), seen from the side."""
    unit = actor.height
    forward = np.sin(np.pi * moment)
    rise = moment * moment * (3 - 2 * moment)
    draw_shadow(canvas, actor, -0.1 * unit, 0.36)
    _draw_chair(canvas, unit * style.size, style)
    knee_high, side = np.array([0.16, 0.34]), np.array([0.07, 0.36])
    hand = (1 - moment) * knee_high + moment * side + forward * np.array([0.2, 0.2])
    pose = Pose(
        hip=np.array([-0.24 + 0.27 * moment**0.7, 0.24 + (HIP_HEIGHT - 0.24) * rise]) * unit,
        lean=0.02 + 0.6 * forward,
        hands=np.array([hand + 0.03, hand]) * unit,
        feet=np.array([[0.09, 0.0], [0.02, 0.0]]) * unit,
        elbows=_BACKWARD,
        knees=_AHEAD,
    )
    draw_arm(canvas, actor, pose, "side", 0)
    draw_legs(canvas, actor, pose, "side")
    draw_torso(canvas, actor, pose, "side")
    draw_arm(canvas, actor, pose, "side", 1)


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
    hip = np.array([0.0, HIP_HEIGHT - 0.27 * squat])
    bar = hip[1] + TORSO - 0.05 + 0.33 * press
    draw_shadow(canvas, actor, 0, 0.36)
    pose = Pose(
        hip=hip * unit,
        hands=np.array([[-0.2, bar], [0.2, bar]]) * unit,
        feet=np.array([[-0.14, 0.0], [0.14, 0.0]]) * unit,
        elbows=(1, -1),
        knees=_OUTWARD,
    )
    draw_legs(canvas, actor, pose, "front")
    draw_torso(canvas, actor, pose, "front")
    half = 0.39 * style.size
    ends = np.array([[-half - 0.06, bar], [half + 0.06, bar]]) * unit
    canvas.capsule(ends[0], ends[1], 0.03 * unit, 0.03 * unit, (190, 190, 198))
    for x in (-half, half):
        for offset, size, color in ((0.0, 0.18, style.color), (0.065, 0.11, style.trim)):
            center = np.array([x + np.copysign(offset, x), bar]) * unit
            up = np.array([0, size * style.size]) * unit
            canvas.capsule(center - up, center + up, 0.07 * unit, 0.07 * unit, color)
    draw_arm(canvas, actor, pose, "front", 0)
    draw_arm(canvas, actor, pose, "front", 1)


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
    draw_shadow(canvas, actor, 0, 0.22)
    pose = Pose(
        hip=np.array([0.0, HIP_HEIGHT]) * unit,
        hands=np.array([helping_hand, grip]) * unit,
        feet=np.array([[-0.08, 0.0], [0.08, 0.0]]) * unit,
        elbows=_OUTWARD,
        knees=_OUTWARD,
    )
    draw_legs(canvas, actor, pose, "front")
    draw_torso(canvas, actor, pose, "front")
    width, tip = 0.028 * unit, apex + axis * 0.04
    canvas.capsule(grip * unit, tip * unit, width, width, (70, 60, 55))
    draw_arm(canvas, actor, pose, "front", 0)
    draw_arm(canvas, actor, pose, "front", 1)
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
        canvas.polygon(points + (points - points.mean(0)) * 0.06, shaded(color, 0.45 * lit))
        canvas.polygon(points, shaded(color, lit))


def _move_sign(canvas: Canvas, actor: Actor, moment: float, style: Style) -> None:
    """From a sign held before the knees (0) to one held up overhead (1), seen from the front."""
    unit = actor.height
    crouch = 0.14 * (1 - moment)
    grip = 0.22 + 0.62 * moment
    draw_shadow(canvas, actor, 0, 0.3)
    pose = Pose(
        hip=np.array([0.0, HIP_HEIGHT - crouch]) * unit,
        hands=np.array([[-0.17, grip], [0.17, grip]]) * unit,
        feet=np.array([[-0.13, 0.0], [0.13, 0.0]]) * unit,
        elbows=_OUTWARD,
        knees=_OUTWARD,
    )
    draw_legs(canvas, actor, pose, "front")
    draw_torso(canvas, actor, pose, "front")
    draw_arm(canvas, actor, pose, "front", 0)
    draw_arm(canvas, actor, pose, "front", 1)
    half, height = 0.27 * style.size, 0.3 * style.size
    corners = np.array([[-half, 0], [half, 0], [half, height], [-half, height]])
    board = (corners + np.array([0, grip - 0.02])) * unit
    canvas.polygon(board + (board - board.mean(0)) * 0.12, shaded(style.color, 0.4))
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
    pose = Pose(
        hip=np.array([-0.07, HIP_HEIGHT - crouch]) * unit,
        lean=0.28 + 0.07 * np.cos(2 * np.pi * moment),
        hands=np.array([[0.16, 0.62], [ball[0], push]]) * unit,
        feet=np.array([[0.06, 0.0], [-0.16, 0.0]]) * unit,
        elbows=_BACKWARD,
        knees=_AHEAD,
    )
    draw_shadow(canvas, actor, -0.03 * unit, 0.24)
    draw_shadow(canvas, actor, ball[0] * unit, 0.10)
    draw_arm(canvas, actor, pose, "side", 0)
    draw_legs(canvas, actor, pose, "side")
    draw_torso(canvas, actor, pose, "side")
    canvas.disc(ball * unit, radius * unit, style.color)
    spin = 1.2 * moment
    for turn in (spin, spin + np.pi / 2):
        seam = np.array([np.cos(turn), np.sin(turn)]) * radius * 0.95
        flat = np.array([-seam[1], seam[0]]) * 0.08
        line = np.array([seam + flat, -seam + flat, -seam - flat, seam - flat])
        canvas.polygon((ball + line) * unit, shaded(style.color, 0.5))
    draw_arm(canvas, actor, pose, "side", 1)


def _wave_flag(canvas: Canvas, actor: Actor, moment: float, style: Style) -> None:
    """Swing a flag on a pole from side to side, held in both hands, seen from the front."""
    unit = actor.height
    phase = 2 * np.pi * moment * 0.75
    angle = 0.62 * np.sin(phase)
    along = np.array([np.sin(angle), np.cos(angle)])
    foot = np.array([0.13 + 0.05 * np.sin(phase), 0.47])
    sway = 0.035 * np.sin(phase)
    pose = Pose(
        hip=np.array([sway, HIP_HEIGHT - 0.02]) * unit,
        lean=0.1 * float(np.sin(phase)),
        hands=np.array([foot + along * 0.17, foot + along * 0.05]) * unit,
        feet=np.array([[-0.12, 0.0], [0.12, 0.0]]) * unit,
        elbows=_OUTWARD,
        knees=_OUTWARD,
    )
    draw_shadow(canvas, actor, 0, 0.28)
    draw_legs(canvas, actor, pose, "front")
    draw_torso(canvas, actor, pose, "front")
    top = foot + along * 0.77
    canvas.capsule(foot * unit, top * unit, 0.032 * unit, 0.026 * unit, (150, 120, 85))
    _draw_cloth(canvas, top * unit, along * unit, phase, style)
    draw_arm(canvas, actor, pose, "front", 0)
    draw_arm(canvas, actor, pose, "front", 1)


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
    for i in range(len(shares) - 1):
        strip = np.array([upper[i], upper[i + 1], lower[i + 1], lower[i]])
        middle = strip.mean(0)
        canvas.polygon(strip + (strip - middle) * 0.12, shaded(style.color, 0.5))
    for i in range(len(shares) - 1):
        fold = np.cos(6 * shares[i, 0] - 2.5 * phase)
        strip = np.array([upper[i], upper[i + 1], lower[i + 1], lower[i]])
        canvas.polygon(strip, shaded(style.color, 0.9 + 0.1 * fold))


def _cheer(canvas: Canvas, actor: Actor, moment: float, style: Style) -> None:
    """Jumping jacks with a pompom in each hand, one jump a cycle, seen from the front."""
    unit = actor.height
    spread = (1 - np.cos(2 * np.pi * moment)) / 2
    jump = 0.05 * np.sin(2 * np.pi * moment) ** 2
    hip = np.array([0.0, HIP_HEIGHT - 0.045 * spread + jump])
    raised = 0.45 + 2.1 * spread
    feet = 0.06 + 0.15 * spread
    draw_shadow(canvas, actor, 0, 0.2 + 0.12 * spread)
    still = np.zeros((2, 2))
    pose = Pose(
        hip=hip * unit,
        hands=still,
        feet=np.array([[-feet, jump], [feet, jump]]) * unit,
        elbows=(-1, 1),
        knees=_OUTWARD,
    )
    arm = np.array([[-np.sin(raised), -np.cos(raised)], [np.sin(raised), -np.cos(raised)]])
    hands = shoulders(actor, pose, "front") + arm * 0.31 * unit
    pose = Pose(hip=pose.hip, hands=hands, feet=pose.feet, elbows=pose.elbows, knees=pose.knees)
    draw_legs(canvas, actor, pose, "front")
    draw_torso(canvas, actor, pose, "front")
    for i in (0, 1):
        hand = draw_arm(canvas, actor, pose, "front", i)
        _draw_pompom(canvas, hand, 1.55 * HEAD * unit * style.size, style, 3 * spread + i)


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
