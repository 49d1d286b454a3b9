"""Two-stream action recognition in one file, from a folder of clips to fused scores.

    python examples/nano.py CLIPS

This is the paper on a blackboard: Simonyan and Zisserman, "Two-Stream Convolutional Networks for
Action Recognition in Videos" (2014), with PyTorch, PyAV, OpenCV and NumPy alone. Two networks look
at a clip: the spatial one at single frames (what is there), the temporal one at stacks of optical
flow (what moves). Each is trained alone; their class scores are averaged.

CLIPS has UCF-101's layout, as `make demo` leaves it in demo-run-clips::

    CLIPS/StandUp/v_StandUp_g01_c01.avi ...
    CLIPS/ucfTrainTestlist/{classInd,trainlist01,testlist01}.txt

Read it from top to bottom. Section numbers are the paper's. It does what the package `twostream`
does with its recipe `quick`, number for number: tests/test_nano.py holds the scores of the two
together, and the headings say where in src/twostream the same is done for any data, network and
flow. All clips stay in memory here, so it is for some hundred short ones.
"""

import argparse
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from torch import nn

# Shapes in the comments: n frames or fields of a clip, h x w their size, l the length of a stack,
# c the channels of a frame (3: RGB) or of a field (2: x and y), b a batch, k classes.

# --- The recipe (recipes.py); in brackets the paper's, for 9,500 clips and days of training ------

STREAMS = {"spatial": 1, "temporal": 10}  # l: a single frame, and L = 10 fields of flow (the same)
SHORT_SIDE = 64  # px, of the stored frames (256)
CROP = 64  # px, of what the networks see (224)
BATCH = 32  # clips (256)
STEPS = 400  # of SGD (80,000)
RATE = 0.01  # highest learning rate (0.01)
WARMUP = 30  # steps until it is reached (none)
MOMENTUM = 0.9  # (0.9)
WEIGHT_DECAY = 5e-4  # (not told)
CLIP_NORM = 5.0  # longest gradient (no limit)
DROPOUT = 0.2  # (0.9)
POSITIONS = 25  # frames or stacks that a clip is tested on (25)


# --- Which clips (datasets/) ---------------------------------------------------------------------


def read_lists(root):
    """Return class names, and (path, label) of the training and of the test clips, split 1."""
    lists = Path(root) / "ucfTrainTestlist"
    classes = [line.split()[1] for line in (lists / "classInd.txt").read_text().splitlines()]
    sides = []
    for name in ("trainlist01.txt", "testlist01.txt"):
        # a line is Class/file.avi, in the training list with the class's number behind it
        files = [line.split()[0] for line in (lists / name).read_text().splitlines()]
        sides.append([(Path(root) / file, classes.index(Path(file).parts[0])) for file in files])
    return classes, *sides


# --- From a video file to frames and optical flow (video/, flow/, extraction/, store/) -----------

cv2.setNumThreads(1)  # DIS cuts a picture up by threads, and its results depend on the cuts


def read_clip(path):
    """Decode a video; return what each stream sees of it.

    Returns:
        "spatial": frames, (n, 3, h, w) uint8 RGB; "temporal": fields, (n - 1, 2, h, w) float32 px.
    """
    # OpenCV's medium preset, refined down to full resolution. The paper took Brox et al. 2004.
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(0)
    frames, fields, before = [], [], None
    with av.open(str(path)) as video:
        for picture in video.decode(video=0):
            bgr = to_bgr(picture)  # (h, w, 3) uint8
            grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)  # (h, w)
            frames.append(through_jpeg(bgr)[..., ::-1].transpose(2, 0, 1))  # (3, h, w), RGB
            if before is not None:
                flow = dis.calc(before, grey, None)  # (h, w, 2): how far each pixel goes, in px
                fields.append([through_code(flow[..., i]) for i in (0, 1)])  # (2, h, w)
            before = grey
    flow = np.array(fields)  # (n - 1, 2, h, w)
    # section 3.1, mean subtraction: what the whole picture does is mostly the camera
    flow -= flow.mean(axis=(2, 3), keepdims=True)
    return {"spatial": np.array(frames), "temporal": flow}


def to_bgr(picture):
    """Return a decoded frame in OpenCV's order of colours, its shorter side SHORT_SIDE at most."""
    scale = min(1, SHORT_SIDE / min(picture.height, picture.width))
    height, width = round(picture.height * scale), round(picture.width * scale)
    how = "AREA" if scale < 1 else "BICUBIC"
    return picture.to_ndarray(format="bgr24", height=height, width=width, interpolation=how)


def through_jpeg(image):
    """Return what is left of an 8-bit image once it was stored as JPEG."""
    stored = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    return cv2.imdecode(stored, cv2.IMREAD_UNCHANGED)


def through_code(plane):
    """Return what is left of one component of the flow, (h, w) px, once it was stored.

    Section 5: rescaled linearly to 8 bits by its own range, kept as JPEG, restored on load. Code
    128 is no motion, 1..255 are -range..range. The package keeps the JPEG on disk; here just its
    loss is kept, for the networks learn from what a store gives back.
    """
    reach = np.abs(plane).max()
    if reach < 1e-6:
        return np.zeros_like(plane)
    code = through_jpeg((np.rint(plane * (127 / reach)) + 128).astype(np.uint8))
    return (np.maximum(code, 1).astype(np.float32) - 128) * (reach / 127)


# --- From a clip to the input of a network (sampling.py, inputs.py, augment.py, loader/) ---------


def num_positions(clip, stream):
    """Count the frames, or the fields where a stack can start."""
    return max(1, len(clip[stream]) - STREAMS[stream] + 1)


def evenly(num, count):
    """Return `count` of the positions 0..num - 1 at equal spacing, halves rounded up."""
    gaps = count - 1
    return [(2 * i * (num - 1) + gaps) // (2 * gaps) for i in range(count)]


def stack(clip, stream, position):
    """Return a frame, or section 3.1's stack of flow (equation 1): (l, c, h, w) float32.

    A clip that is too short repeats its last field.
    """
    rows = position + np.arange(STREAMS[stream])
    planes = clip[stream][np.minimum(rows, len(clip[stream]) - 1)]  # (l, c, h, w)
    return planes.astype(np.float32) / 255 if stream == "spatial" else planes


def flip(stack, stream):
    """Mirror left to right; what moved to the right then moves to the left."""
    mirrored = stack[..., ::-1].copy()
    if stream == "temporal":
        mirrored[:, 0] *= -1  # the x component
    return mirrored


# Principal components of ImageNet's colours: Krizhevsky et al. 2012, section 4.1.
EIGENVALUES = np.array([0.2175, 0.0188, 0.0045], np.float32)
EIGENVECTORS = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]],
    np.float32,
)


def sample(clip, stream, rng):
    """Return what training sees of a clip (section 5), (l, c, CROP, CROP).

    A random frame or stack, a random crop of the whole frame, half of the time mirrored, and for
    RGB a little other light.
    """
    x = stack(clip, stream, rng.integers(num_positions(clip, stream)))  # (l, c, h, w)
    height, width = x.shape[2:]
    top, left = rng.integers(height - CROP + 1), rng.integers(width - CROP + 1)
    x = x[..., top : top + CROP, left : left + CROP]
    if rng.random() < 0.5:
        x = flip(x, stream)
    if stream == "spatial":
        light = rng.normal(0, 0.1, 3).astype(np.float32) * EIGENVALUES
        x = x + (EIGENVECTORS @ light)[:, None, None]
    return x


def batch(clips, labels, stream, seed, step):
    """Return the samples of one training step, (b, l, c, CROP, CROP), and their labels, (b,).

    Section 5: clips are drawn uniformly across the classes. All draws follow from seed and step, so
    that a step can be repeated by itself.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, step], spawn_key=(1,)))
    of_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    classes = rng.integers(len(of_class), size=BATCH)  # (b,)
    places = rng.integers([len(of_class[i]) for i in classes])  # (b,)
    rows = [of_class[i][place] for i, place in zip(classes, places, strict=True)]
    rngs = [np.random.default_rng(np.random.SeedSequence([seed, step, i])) for i in range(BATCH)]
    x = np.stack([sample(clips[row], stream, own) for row, own in zip(rows, rngs, strict=True)])
    return torch.from_numpy(x), torch.from_numpy(labels[rows])


# --- The networks (section 2; models/small.py, checkpoint.py, initialise.py) ---------------------


class Net(nn.Module):
    """A small network where the paper has CNN-M-2048: seven convolutions, then a linear layer.

    Batch normalisation lets it learn from a few dozen clips in some hundred steps. The streams
    differ in their number of input channels only: 3, and 2L = 20.
    """

    def __init__(self, channels, classes, mean, std):
        super().__init__()

        def unit(inputs, outputs, size, stride):
            conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
            return [conv, nn.BatchNorm2d(outputs), nn.ReLU()]

        layers = unit(channels, 24, 5, 2)
        for inputs, outputs in ((24, 48), (48, 96), (96, 192)):
            layers += unit(inputs, outputs, 3, 2) + unit(outputs, outputs, 3, 1)
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(DROPOUT)
        self.classifier = nn.Linear(192, classes)
        self.mean = torch.tensor(mean).view(-1, 1, 1)  # (c, 1, 1)
        self.std = torch.tensor(std).view(-1, 1, 1)

    def forward(self, x):
        """Map RGB in 0..1 or flow in px, (b, l, c, h, w), to what the softmax takes, (b, k)."""
        x = ((x - self.mean) / self.std).flatten(1, 2)  # (b, l * c, h, w): x, y, x, y, ...
        x = x.contiguous(memory_format=torch.channels_last)  # convolves faster
        x = self.features(x).mean(dim=(2, 3))  # (b, 192)
        return self.classifier(self.dropout(x))  # (b, k)


def build(stream, clips, num_classes, seed):
    """Return an untrained network, with the mean and deviation of what it will see."""
    if stream == "spatial":
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours
    else:
        # flow has no mean any more; its size is that of the middle stacks of up to 200 clips
        some = sorted(set(evenly(len(clips), 200)))
        middle = [stack(clips[i], stream, num_positions(clips[i], stream) // 2) for i in some]
        mean, std = (0.0,), (math.sqrt(np.mean([float(np.square(x).mean()) for x in middle])),)
    torch.manual_seed(seed)
    net = Net(STREAMS[stream] * clips[0][stream].shape[1], num_classes, mean, std)
    return net.to(memory_format=torch.channels_last)


# --- Training (section 5; training/) -------------------------------------------------------------


def learning_rate(step, steps):
    """Return the rate of a step: up in a line, then down to zero in half a cosine.

    The paper divides by ten after 50,000 and 70,000 steps.
    """
    if step < WARMUP:
        return RATE * (step + 1) / WARMUP
    return RATE * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (steps - WARMUP)))


def train(stream, clips, labels, num_classes, steps, seed):
    """Return a trained network: mini-batch SGD with momentum on the cross entropy."""
    net = build(stream, clips, num_classes, seed).train()
    sgd = torch.optim.SGD(net.parameters(), RATE, MOMENTUM, weight_decay=WEIGHT_DECAY)
    for step in range(steps):
        x, y = batch(clips, labels, stream, seed, step)  # (b, l, c, CROP, CROP), (b,)
        torch.manual_seed((seed * 1_000_003 + step) * 64)  # of dropout, again from seed and step
        loss = nn.functional.cross_entropy(net(x), y)
        sgd.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), CLIP_NORM)
        sgd.param_groups[0]["lr"] = learning_rate(step, steps)
        sgd.step()
        if (step + 1) % 50 == 0 or step + 1 == steps:
            print(f"{stream}: step {step + 1} of {steps}, loss {loss.item():.3f}", flush=True)
    return net.eval()


# --- Testing (section 5; scoring.py) and fusion (section 6; fusion.py) ---------------------------


def ten_crops(x, stream):
    """Cut the four corners and the centre, and mirror each: (10, l, c, CROP, CROP)."""
    bottom, right = x.shape[2] - CROP, x.shape[3] - CROP
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    five = [x[..., top : top + CROP, left : left + CROP] for top, left in corners]
    return torch.from_numpy(np.stack(five + [flip(crop, stream) for crop in five]))


@torch.inference_mode()
def score(net, stream, clip):
    """Return a clip's softmax scores, (k,): their mean over 25 positions x 10 crops."""
    total = 0
    for position in evenly(num_positions(clip, stream), POSITIONS):
        crops = ten_crops(stack(clip, stream, position), stream)  # (10, l, c, CROP, CROP)
        total = total + net(crops).softmax(dim=1).mean(dim=0)  # (k,)
    return (total / POSITIONS).numpy()


def main(root, steps=STEPS, seed=0):
    """Train both streams on a folder of clips; return the test clips' scores, (clips, k) each."""
    classes, train_list, test_list = read_lists(root)
    with ThreadPoolExecutor() as pool:
        train_clips = list(pool.map(read_clip, [path for path, _ in train_list]))
        test_clips = list(pool.map(read_clip, [path for path, _ in test_list]))
    train_labels = np.array([label for _, label in train_list])
    test_labels = np.array([label for _, label in test_list])

    scores = {}
    for stream in STREAMS:
        net = train(stream, train_clips, train_labels, len(classes), steps, seed)
        scores[stream] = np.stack([score(net, stream, clip) for clip in test_clips])
    scores["fused"] = (scores["spatial"] + scores["temporal"]) / 2  # section 6: averaging

    for name, values in scores.items():
        right = int((values.argmax(axis=1) == test_labels).sum())
        print(f"{name:>8}: {right / len(values):6.1%}  ({right} of {len(values)} test clips)")
    return scores


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Two-stream action recognition in one file")
    arguments.add_argument("clips", type=Path, help="a folder of clips in UCF-101's layout")
    arguments.add_argument("--steps", type=int, default=STEPS, help="of SGD, for each stream")
    arguments.add_argument("--seed", type=int, default=0, help="of weights, samples and dropout")
    chosen = arguments.parse_args()
    main(chosen.clips, chosen.steps, chosen.seed)
