"""Actors of the built-in data set: who they are, how their joints move, how they are drawn.

Coordinates of figures: px of the frame, x ahead (the way the actor faces), y up, and (0, 0) on the
ground under the actor. Lengths of limbs are in actor heights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.synthetic.scene import HEIGHT, WIDTH, Color, muted, shaded

Point = NDArray[np.float64]

_SUPERSAMPLING = 4
_SUBPIXEL_BITS = 4
_TURN = np.linspace(0, 2 * np.pi, 14, endpoint=False)
_CIRCLE = np.column_stack([np.cos(_TURN), np.sin(_TURN)])
# The outline of a limb along the x axis: a half circle at each end.
_HALF_TURN = np.linspace(np.pi / 2, 3 * np.pi / 2, 6)
_ROUND = np.column_stack([np.cos(_HALF_TURN), np.sin(_HALF_TURN)])
_ROUND = np.concatenate([_ROUND, -_ROUND])
_FIRST_END = np.repeat([[1.0], [0.0]], len(_HALF_TURN), axis=0)
_SECOND_END = 1 - _FIRST_END
# Three layers of a limb: dark rim, shade, and a narrower light side.
_RIM_PX = 0.45
_GROW = np.array([_RIM_PX, 0, 0])[:, None, None]
_SHRINK = np.array([1, 1, 0.6])[:, None, None]
_SHIFT = np.array([0, 0, 0.4])[:, None, None]
_LIGHT = np.array([-0.45, 0.6])  # towards the light, x to the left of the picture, y up

TORSO, NECK, HEAD = 0.29, 0.05, 0.085  # HEAD is a radius
UPPER_ARM, FOREARM, THIGH, SHANK = 0.165, 0.15, 0.245, 0.235
HIP_HEIGHT = THIGH + SHANK + 0.02  # standing upright


class Canvas:
    """A transparent layer of polygons, filled at four times the frame's size.

    Polygons are only noted when drawn and all filled at once, which is several times as fast.
    Pixels are premultiplied by their opacity, so that shrinking the layer blends its edges rightly.
    """

    def __init__(self, origin: tuple[float, float], facing: int) -> None:
        """`origin` (px of the frame) is where figures have their (0, 0), `facing` 1 or -1."""
        self._origin = np.array(origin)
        self._axes = np.array([facing, -1.0])
        self._corners: list[Point] = []
        self._colors: list[tuple[float, float, float, float]] = []
        self.light = _LIGHT * (facing, 1)

    def polygon(self, points: Point, color: Color, *, opacity: float = 1.0) -> None:
        """Fill a polygon, (n, 2) px, convex or not; not blended with what lies below."""
        red, green, blue = color
        self._corners.append(points)
        self._colors.append((red * opacity, green * opacity, blue * opacity, 255 * opacity))

    def capsule(self, a: Point, b: Point, width_a: float, width_b: float, color: Color) -> None:
        """Draw a rounded, shaded limb from a to b with these widths in px."""
        line = b - a
        x, y = line / (np.hypot(*line) + 1e-9)
        outward = _ROUND @ np.array([[x, y], [-y, x]])
        radius = _FIRST_END * (width_a / 2) + _SECOND_END * (width_b / 2)
        center = _FIRST_END * a + _SECOND_END * b
        layers = center + radius * (_SHIFT * self.light) + outward * (radius * _SHRINK + _GROW)
        for points, light in zip(layers, (0.4, 0.8, 1.0), strict=True):
            self.polygon(points, shaded(color, light))

    def disc(self, center: Point, radius: float, color: Color, *, rim: bool = True) -> None:
        """Draw a shaded ball with this radius in px."""
        if rim:
            self.polygon(center + _CIRCLE * (radius + _RIM_PX), shaded(color, 0.4))
        self.polygon(center + _CIRCLE * radius, shaded(color, 0.8))
        self.polygon(center + (_CIRCLE * 0.72 + 0.22 * self.light) * radius, color)

    def over(self, background: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the layer, shrunk to the frame's size, laid over a background."""
        shape = (HEIGHT * _SUPERSAMPLING, WIDTH * _SUPERSAMPLING, 4)
        pixels = np.zeros(shape, np.uint8)
        scale = _SUPERSAMPLING << _SUBPIXEL_BITS
        fixed = (self._origin + np.concatenate(self._corners) * self._axes) * scale
        corners = np.rint(fixed).astype(np.int32)
        ends = np.cumsum([len(points) for points in self._corners])
        for polygon, color in zip(np.split(corners, ends[:-1]), self._colors, strict=True):
            cv2.fillPoly(pixels, [polygon], color, shift=_SUBPIXEL_BITS)
        layer = cv2.resize(pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        opacity = layer[..., 3:].astype(np.float32) / 255
        return background * (1 - opacity) + layer[..., :3]


@dataclass(frozen=True, slots=True)
class Actor:
    """One person's build and clothes; `height` in px, widths are factors on the usual ones."""

    height: float
    build: float
    skin: Color
    hair: Color
    hair_style: Literal["bald", "short", "long", "cap"]
    shirt: Color
    trim: Color
    pattern: Literal["plain", "stripes", "checks", "vest", "logo"]
    trousers: Color
    shoes: Color
    long_sleeves: bool
    shorts: bool


def cast_actor(rng: np.random.Generator) -> Actor:
    """Draw a person at random."""
    skins = ((236, 198, 172), (222, 174, 140), (190, 136, 98), (142, 94, 66), (100, 66, 48))
    shirt = muted(rng, saturation=(0.05, 0.35), value=(0.25, 0.85))
    bright = sum(shirt) > 400
    return Actor(
        height=float(rng.uniform(36.5, 41)),
        build=float(rng.uniform(0.9, 1.25)),
        skin=skins[int(rng.integers(len(skins)))],
        hair=muted(rng, hue=(15, 45), saturation=(0.2, 0.6), value=(0.1, 0.6)),
        hair_style=rng.choice(["bald", "short", "short", "long", "long", "cap"]),
        shirt=shirt,
        trim=muted(rng, value=(0.2, 0.4) if bright else (0.75, 0.95)),
        pattern=rng.choice(["plain", "stripes", "checks", "vest", "logo"]),
        trousers=muted(rng, saturation=(0.05, 0.35), value=(0.15, 0.65)),
        shoes=muted(rng, value=(0.1, 0.95)),
        long_sleeves=bool(rng.random() < 0.5),
        shorts=bool(rng.random() < 0.35),
    )


def bend(root: Point, target: Point, upper: float, lower: float, side: int) -> tuple[Point, Point]:
    """Return the middle joint and the end of a limb that reaches for a target (two-bone inverse).

    Args:
        root: (2,) px, the shoulder or hip.
        target: (2,) px; out of reach, the limb points at it.
        upper, lower: lengths of the two bones in px.
        side: +1 puts the joint anticlockwise of the line from root to target, -1 clockwise.
    """
    line = target - root
    distance = float(np.hypot(*line)) + 1e-9
    along = line / distance
    reach = float(np.clip(distance, abs(upper - lower) * 1.05 + 1e-6, (upper + lower) * 0.999))
    foot = (upper**2 - lower**2 + reach**2) / (2 * reach)
    height = max(upper**2 - foot**2, 0.0) ** 0.5
    joint = root + along * foot + side * height * np.array([-along[1], along[0]])
    return joint, root + along * reach


@dataclass
class Figure:
    """An actor in a pose; its parts are drawn one by one, so that things come between them.

    Attributes:
        canvas, actor: what is drawn on, and who.
        view: the side that is seen.
        hip: (2,) given in actor heights, as hands and feet, and kept in px.
        hands, feet: two points each, the one drawn behind the body first; limbs are bent, or
            stretched towards a point out of reach.
        lean: radians that the back leans ahead.
        elbows: +1 or -1 per arm: which way it bends (+1 is anticlockwise of the line); None:
            backward seen from the side, outward from the front.
    """

    canvas: Canvas
    actor: Actor
    view: Literal["front", "side"]
    hip: Any
    hands: Any
    feet: Any
    lean: float = 0.0
    elbows: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self.front = self.view == "front"
        self.unit, self.wide = self.actor.height, self.actor.height * self.actor.build
        self.hip, self.hands, self.feet = (
            np.array(place) * self.unit for place in (self.hip, self.hands, self.feet)
        )
        self.up = np.array([np.sin(self.lean), np.cos(self.lean)])
        self.across = np.array([self.up[1], -self.up[0]])

    def shoulders(self) -> Point:
        """Return the two shoulders, (2, 2) px, the one drawn first first."""
        half = self.across * (self.wide * (0.115 if self.front else 0.025))
        top = self.hip + self.up * (TORSO - 0.03) * self.unit
        return np.array([top - half, top + half])

    def shadow(self, x: float, width: float) -> None:
        """Draw a shadow on the ground; it must come first, as it is not blended with the layer."""
        ellipse = _CIRCLE * (width * self.unit, 0.035 * self.unit)
        self.canvas.polygon(ellipse + np.array([x * self.unit, 0]), (0, 0, 0), opacity=0.4)

    def body(self) -> None:
        """Draw the legs, the trunk and the head; seen from the side the arm behind them first."""
        if not self.front:
            self.arm(0)
        self._legs()
        self._trunk()

    def arms(self) -> None:
        """Draw the arms that are not behind the body."""
        for i in (0, 1) if self.front else (1,):
            self.arm(i)

    def arm(self, i: int) -> Point:
        """Draw arm 0 or 1 and return where its hand came to lie, (2,) px."""
        actor, unit, wide, light = self.actor, self.unit, self.wide, self._light(i)
        shoulder = self.shoulders()[i]
        side = (self.elbows or ((-1, 1) if self.front else (-1, -1)))[i]
        elbow, hand = bend(shoulder, self.hands[i], UPPER_ARM * unit, FOREARM * unit, side)
        skin, sleeve = shaded(actor.skin, light), shaded(actor.shirt, 0.95 * light)
        forearm = sleeve if actor.long_sleeves else skin
        self.canvas.capsule(elbow, hand, 0.06 * wide, 0.048 * wide, forearm)
        self.canvas.capsule(shoulder, elbow, 0.085 * wide, 0.066 * wide, sleeve)
        self.canvas.disc(hand, 0.036 * wide, skin)
        return hand

    def _light(self, i: int) -> float:
        return 1.0 if i or self.front else 0.72

    def _legs(self) -> None:
        canvas, actor, unit, wide = self.canvas, self.actor, self.unit, self.wide
        half = wide * (0.058 if self.front else 0.012)
        for i, (foot, side) in enumerate(zip(self.feet, (-1 if self.front else 1, 1), strict=True)):
            hip = self.hip + np.array([(2 * i - 1) * half, 0])
            ankle = foot + np.array([0, 0.03 * unit])
            knee, ankle = bend(hip, ankle, THIGH * unit, SHANK * unit, side)
            light = self._light(i)
            trousers, skin = shaded(actor.trousers, light), shaded(actor.skin, light)
            toe = ((2 * i - 1) * 0.035, -0.012) if self.front else (0.075, 0.0)
            shoes = shaded(actor.shoes, light)
            canvas.capsule(ankle, ankle + np.array(toe) * unit, 0.06 * wide, 0.05 * wide, shoes)
            shank = skin if actor.shorts else trousers
            canvas.capsule(knee, ankle, 0.075 * wide, 0.055 * wide, shank)
            canvas.capsule(hip, knee, 0.115 * wide, 0.085 * wide, trousers)

    def _trunk(self) -> None:
        """Draw the trunk with its clothes, and the head."""
        canvas, actor, unit, wide = self.canvas, self.actor, self.unit, self.wide
        start, up, across = self.hip, self.up, self.across
        half_hip, half_top = (0.085, 0.13) if self.front else (0.07, 0.085)
        length = TORSO * unit

        def patch(t0: float, t1: float, u0: float, u1: float, grow: float = 0.0) -> Point:
            # t runs from hip 0 to shoulders 1, u from one side of the trunk -1 to the other 1
            t = np.array([t0, t0, t1, t1])[:, None]
            u = np.array([u0, u1, u1, u0])[:, None]
            half = (half_hip + (half_top - half_hip) * t) * wide + grow
            return start + up * (t * length + np.sign(t - 0.5) * grow) + across * (u * half)

        chest, head = start + up * length, start + up * (length + (NECK + HEAD * 0.8) * unit)
        if actor.hair_style == "long":
            back = np.array([0.0 if self.front else -0.3, 0.15]) * HEAD * unit
            drop = head + back * (2.6, 0) - up * 1.5 * HEAD * unit
            canvas.capsule(head + back, drop, 2.15 * HEAD * unit, 1.8 * HEAD * unit, actor.hair)
        canvas.capsule(chest, head, 0.07 * wide, 0.07 * wide, shaded(actor.skin, 0.9))
        canvas.polygon(patch(-0.08, 1, -1, 1, _RIM_PX), shaded(actor.shirt, 0.4))
        bands = [(-1.0, -0.45, 1.0), (-0.45, 0.3, 0.9), (0.3, 1.0, 0.74)]
        for u0, u1, light in bands if canvas.light[0] < 0 else [(-b, -a, c) for a, b, c in bands]:
            canvas.polygon(patch(-0.08, 1, u0, u1), shaded(actor.shirt, light))
            if actor.pattern in ("stripes", "checks"):
                for t in (0.06, 0.34, 0.62, 0.9):
                    canvas.polygon(patch(t, t + 0.13, u0, u1), shaded(actor.trim, light))
        if actor.pattern == "checks":
            for u in (-0.6, 0.0, 0.6):
                canvas.polygon(patch(-0.08, 1, u - 0.1, u + 0.1), shaded(actor.trim, 0.85))
        elif actor.pattern == "vest":
            canvas.polygon(patch(-0.08, 1, -0.35, 0.35), shaded(actor.trim, 0.95))
        elif actor.pattern == "logo":
            canvas.polygon(patch(0.45, 0.8, -0.4, 0.4), shaded(actor.trim, 0.95))
        canvas.polygon(patch(-0.1, 0.02, -1, 1), shaded(actor.trousers, 0.8))
        self._head(head)

    def _head(self, center: Point) -> None:
        canvas, actor, radius = self.canvas, self.actor, HEAD * self.unit
        back = np.array([0.0 if self.front else -0.3 * radius, 0.25 * radius])
        if actor.hair_style in ("short", "cap"):
            canvas.disc(center + back, radius * 1.02, actor.hair)
        canvas.disc(center, radius * 0.95, actor.skin, rim=actor.hair_style == "bald")
        if not self.front:
            nose = center + np.array([[0.85, 0.15], [1.2, -0.15], [0.85, -0.25]]) * radius
            canvas.polygon(nose, shaded(actor.skin, 0.9))
        if actor.hair_style in ("short", "long", "cap"):
            lid = _TURN[: len(_TURN) // 2 + 1] + (0.0 if self.front else 0.35)
            top = np.column_stack([np.cos(lid), np.sin(lid)]) * radius * 1.05
            canvas.polygon(center + top + (0, 0.18 * radius), actor.hair)
        if actor.hair_style == "cap":
            ahead = 1.0 if self.front else 1.55
            brim = np.array([[-0.9, 0.2], [ahead, 0.2], [ahead, 0.48], [-0.9, 0.48]]) * radius
            canvas.polygon(center + brim, shaded(actor.trim, 0.9))
        for x in (-0.35, 0.35) if self.front else (0.5,):
            eye = center + np.array([x, -0.02]) * radius
            square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.13 * radius
            canvas.polygon(eye + square, (25, 20, 20))
