"""Places and cameras of the built-in data set: textured backgrounds, pan and shake.

A place is a picture a little larger than the frame; the camera shows a moving window of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 80, 64  # px of a frame
FPS = 25
MARGIN = 12  # px of background beyond each side of the frame, for the camera to move over
_SCALE = 2  # places are painted at this multiple and shrunk, which smooths their edges
_W, _H = (WIDTH + 2 * MARGIN) * _SCALE, (HEIGHT + 2 * MARGIN) * _SCALE
_PAN_PX = 6.0
_SHAKE_PX = 0.8

Color = tuple[float, float, float]
Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What all actions of one clip number have in common.

    Attributes:
        background: (HEIGHT + 2 MARGIN, WIDTH + 2 MARGIN, 3) float32 RGB, 0..255.
        camera: (n, 2) px right and down that the view has moved by in each of n frames.
        ground: (x, y) px in the frame where the actor stands while the camera is at (0, 0).
        facing: 1 where actors seen from the side look to the right, -1 to the left.
        grain: standard deviation of the sensor's noise, of 255.
    """

    background: Image
    camera: NDArray[np.float64]
    ground: tuple[float, float]
    facing: int
    grain: float

    def view(self, frame: int) -> Image:
        """Return what the camera sees of the place, (HEIGHT, WIDTH, 3) float32."""
        dx, dy = self.camera[frame]
        window = np.array([[1, 0, MARGIN + dx], [0, 1, MARGIN + dy]], np.float64)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        view = cv2.warpAffine(self.background, window, (WIDTH, HEIGHT), flags=flags)
        return view.astype(np.float32, copy=False)


def make_scene(place: Image, rng: np.random.Generator) -> Scene:
    """Draw one clip's length, camera and standpoint in a place."""
    num_frames = int(rng.integers(24, 41))
    seconds = np.arange(num_frames) / FPS
    pan = rng.uniform(-1, 1, 2) * (_PAN_PX, 2.0)
    camera: NDArray[np.float64] = np.linspace(-0.5, 0.5, num_frames)[:, None] * pan
    for hertz in (0.7, 1.6, 3.1):
        phase = rng.uniform(0, 2 * np.pi, 2)
        swing = rng.uniform(0, _SHAKE_PX, 2) * 0.7 / hertz
        camera += swing * np.sin(2 * np.pi * hertz * seconds[:, None] + phase)
    return Scene(
        background=place,
        camera=camera,
        ground=(WIDTH / 2 + rng.uniform(-2.5, 2.5), rng.uniform(58.5, 60)),
        facing=int(rng.choice([-1, 1])),
        grain=float(rng.uniform(0.5, 2.0)),
    )


def paint_place(rng: np.random.Generator) -> Image:
    """Paint one of the places in random muted colours, (HEIGHT + 2 MARGIN, ..., 3) float32 RGB."""
    painters = (_brick_wall, _park, _gym, _street, _beach, _room)
    horizon = int(rng.uniform(0.58, 0.68) * _H)
    canvas = painters[int(rng.integers(len(painters)))](horizon, rng)
    # Unevenness everywhere, because flow needs something to hold on to, and light from one side.
    canvas *= 1 + 0.10 * _noise(rng, (_H, _W), 6) + 0.10 * _noise(rng, (_H, _W), 40)
    light = np.linspace(-1, 1, _W, dtype=np.float32) * rng.uniform(-0.12, 0.12)
    canvas *= (1 + light)[None, :, None]
    size = (WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN)
    small = cv2.resize(canvas.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.clip(small, 8, 247)


def muted(
    rng: np.random.Generator,
    *,
    hue: tuple[float, float] = (0, 360),
    saturation: tuple[float, float] = (0.05, 0.3),
    value: tuple[float, float] = (0.4, 0.85),
) -> Color:
    """Return a random RGB colour (0..255) of low saturation; hue in degrees, the others 0..1."""
    hsv = np.array([[[rng.uniform(*hue), rng.uniform(*saturation), rng.uniform(*value)]]])
    red, green, blue = cv2.cvtColor(hsv.astype(np.float32), cv2.COLOR_HSV2RGB)[0, 0] * 255
    return float(red), float(green), float(blue)


def shaded(color: Color, factor: float) -> Color:
    """Return the colour in more or less light; hue and the ratio of two colours' lumas stay."""
    return color[0] * factor, color[1] * factor, color[2] * factor


def _noise(rng: np.random.Generator, shape: tuple[int, int], cell: int) -> Image:
    """Return smooth noise in about -1..1 with bumps of `cell` px, (h, w, 1)."""
    grid = (shape[0] // cell + 2, shape[1] // cell + 2)
    coarse = rng.uniform(-1, 1, grid).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)[..., None]


def _gradient(top: Color, bottom: Color, height: int) -> Image:
    """Return a vertical gradient over the whole width, (height, _W, 3)."""
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    colors = np.asarray(top, np.float32) * (1 - ramp) + np.asarray(bottom, np.float32) * ramp
    return np.broadcast_to(colors, (height, _W, 3)).copy()


def _floor(canvas: Image, horizon: int, rng: np.random.Generator, *, lines: bool) -> None:
    """Paint the ground in front, with boards or slabs in perspective where `lines`."""
    color = muted(rng, hue=(15, 50), saturation=(0.08, 0.35), value=(0.4, 0.75))
    canvas[horizon:] = _gradient(shaded(color, 0.75), color, _H - horizon)
    canvas[horizon:] *= 1 + 0.12 * _noise(rng, (_H - horizon, _W), 3)
    if not lines:
        return
    dark = shaded(color, 0.62)
    vanishing = np.array([rng.uniform(0.3, 0.7) * _W, horizon - 60])
    for x in np.arange(-2 * _W, 3 * _W, rng.uniform(22, 36)):
        ahead = vanishing + (np.array([x, _H]) - vanishing) * 60 / (_H - horizon + 60)
        start, end = np.rint(ahead).astype(int), (round(x), _H)
        cv2.line(canvas, start.tolist(), end, dark, 1)
    depth = 1.0
    while depth < _H - horizon:
        cv2.line(canvas, (0, round(horizon + depth)), (_W, round(horizon + depth)), dark, 1)
        depth = depth * 1.7 + 4


def _sky(rng: np.random.Generator) -> Image:
    top = muted(rng, hue=(195, 225), saturation=(0.15, 0.4), value=(0.6, 0.85))
    canvas = _gradient(top, muted(rng, hue=(20, 60), saturation=(0.02, 0.15), value=(0.8, 0.9)), _H)
    clouds = np.clip(_noise(rng, (_H, _W), 44) + 0.6 * _noise(rng, (_H, _W), 15) - 0.15, 0, 1)
    canvas += (238 - canvas) * 0.6 * clouds
    return canvas


def _brick_wall(horizon: int, rng: np.random.Generator) -> Image:
    brick = muted(rng, hue=(5, 40), saturation=(0.15, 0.4), value=(0.45, 0.75))
    canvas = _gradient(shaded(brick, 1.25), shaded(brick, 1.1), _H)
    height = int(rng.integers(7, 11))
    for row, y in enumerate(range(0, horizon, height)):
        for x in range(-height * (row % 2) - height, _W, 2 * height + 4):
            color = shaded(brick, rng.uniform(0.75, 1.05))
            cv2.rectangle(canvas, (x, y), (x + 2 * height + 2, y + height - 3), color, -1)
    _floor(canvas, horizon, rng, lines=True)
    return canvas


def _park(horizon: int, rng: np.random.Generator) -> Image:
    canvas = _sky(rng)
    x = np.arange(_W)
    for depth in (0.45, 0.22):
        color = muted(rng, hue=(80, 150), saturation=(0.15, 0.35), value=(0.4, 0.62))
        ridge = horizon - depth * horizon * (0.7 + 0.4 * _noise(rng, (1, _W), 40)[0, :, 0])
        hill = np.column_stack([np.r_[x, _W, 0], np.r_[ridge, _H, _H]])
        cv2.fillPoly(canvas, [np.rint(hill).astype(np.int32)], color)
    grass = muted(rng, hue=(75, 130), saturation=(0.25, 0.4), value=(0.4, 0.6))
    canvas[horizon:] = _gradient(shaded(grass, 0.8), shaded(grass, 1.1), _H - horizon)
    canvas[horizon:] *= 1 + 0.3 * _noise(rng, (_H - horizon, _W), 3)
    bark = muted(rng, hue=(15, 40), saturation=(0.2, 0.4), value=(0.25, 0.4))
    for trunk in rng.uniform(0, _W, int(rng.integers(3, 7))):
        top = (round(trunk), round(horizon * rng.uniform(0.35, 0.6)))
        cv2.line(canvas, top, (round(trunk), horizon + 5), bark, int(rng.integers(4, 8)))
        leaf = muted(rng, hue=(70, 140), saturation=(0.25, 0.4), value=(0.3, 0.55))
        for _ in range(14):
            at = np.rint(np.array(top) + rng.normal(0, (13, 10))).astype(int).tolist()
            cv2.circle(
                canvas, at, int(rng.integers(5, 11)), shaded(leaf, rng.uniform(0.7, 1.2)), -1
            )
    return canvas


def _gym(horizon: int, rng: np.random.Generator) -> Image:
    wall = muted(rng, saturation=(0.05, 0.25), value=(0.6, 0.85))
    canvas = _gradient(shaded(wall, 1.1), wall, _H)
    lower = muted(rng, saturation=(0.1, 0.3), value=(0.4, 0.65))
    canvas[int(horizon * 0.6) : horizon] = lower
    for x in range(0, _W, int(rng.integers(20, 34))):
        cv2.line(canvas, (x, int(horizon * 0.6)), (x, horizon), shaded(lower, 0.7), 2)
    step = int(rng.integers(44, 60))
    for x in range(int(rng.integers(-30, 10)), _W, step):
        corner, size = (x, int(horizon * 0.12)), (step - 16, int(horizon * 0.34))
        cv2.rectangle(canvas, (*corner, *size), (205, 215, 220), -1)
        cv2.rectangle(canvas, (*corner, *size), shaded(wall, 0.55), 2)
        middle = x + size[0] // 2
        cv2.line(canvas, (middle, corner[1]), (middle, corner[1] + size[1]), shaded(wall, 0.55), 2)
    _floor(canvas, horizon, rng, lines=True)
    return canvas


def _street(horizon: int, rng: np.random.Generator) -> Image:
    canvas = _sky(rng)
    x = int(rng.integers(-30, 0))
    while x < _W:
        width, top = int(rng.integers(34, 64)), int(rng.uniform(0.02, 0.5) * horizon)
        wall = muted(rng, hue=(0, 60), saturation=(0.05, 0.3), value=(0.4, 0.8))
        cv2.rectangle(canvas, (x, top), (x + width, horizon), wall, -1)
        for wy in range(top + 6, horizon - 10, 15):
            for wx in range(x + 5, x + width - 6, 12):
                pane = shaded((170, 185, 200), rng.uniform(0.35, 1.1))
                cv2.rectangle(canvas, (wx, wy), (wx + 6, wy + 8), pane, -1)
        x += width + int(rng.integers(0, 8))
    _floor(canvas, horizon, rng, lines=True)
    return canvas


def _beach(horizon: int, rng: np.random.Generator) -> Image:
    canvas = _sky(rng)
    sea = muted(rng, hue=(180, 215), saturation=(0.2, 0.4), value=(0.45, 0.7))
    shore = int(horizon * 0.55)
    canvas[shore:horizon] = _gradient(shaded(sea, 0.75), shaded(sea, 1.1), horizon - shore)
    for _ in range(60):
        at = (int(rng.integers(0, _W)), int(rng.integers(shore, horizon)))
        crest = shaded(sea, rng.uniform(0.7, 1.5))
        cv2.line(canvas, at, (at[0] + int(rng.integers(5, 25)), at[1]), crest, 1)
    _floor(canvas, horizon, rng, lines=False)
    return canvas


def _room(horizon: int, rng: np.random.Generator) -> Image:
    paper = muted(rng, saturation=(0.05, 0.3), value=(0.55, 0.85))
    canvas = _gradient(paper, shaded(paper, 0.92), _H)
    motif, step = shaded(paper, rng.uniform(0.72, 0.85)), int(rng.integers(11, 18))
    striped = rng.random() < 0.5
    for i, x in enumerate(range(0, _W, step)):
        if striped:
            cv2.rectangle(canvas, (x, 0), (x + step // 2, horizon), motif, -1)
        else:
            for y in range(step // 2 * (i % 2), horizon, step):
                cv2.circle(canvas, (x, y), 3, motif, -1)
    for _ in range(int(rng.integers(1, 4))):
        corner = (int(rng.integers(0, _W - 30)), int(rng.integers(8, horizon // 2)))
        size = rng.integers(18, 38, 2).tolist()
        cv2.rectangle(canvas, (*corner, *size), muted(rng, value=(0.2, 0.9)), -1)
        cv2.rectangle(canvas, (*corner, *size), muted(rng, value=(0.2, 0.4)), 3)
    cv2.rectangle(canvas, (0, horizon - 7), (_W, horizon), shaded(paper, 1.15), -1)
    _floor(canvas, horizon, rng, lines=rng.random() < 0.5)
    return canvas
