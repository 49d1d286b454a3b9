"""The built-in data set: articulated people doing fourteen actions, rendered as real video files.

It shows what two streams are for. Classes come in pairs that differ in one factor only. The two
classes of a pair in `MOTION_GROUPS` consist of the same poses in opposite order, so the spatial
stream cannot tell them apart; the two of a pair in `APPEARANCE_GROUPS` move alike and differ in a
colour of equal luma, so the temporal stream cannot, whose flow is of grey frames. Between pairs
both streams can. A perfect spatial stream is therefore right on 71% of the clips, a perfect
temporal stream on 79%, and both together on all. The pair in `TURNING_GROUPS`, one of the motion
pairs, differs in whether the movement goes there and back or back and there: single flow fields do
not tell it, stacks do.

Nothing else tells: in clip cNN of group gNN the same actor does all fourteen actions in the same
place, under the same camera, for the same number of frames, and the file's size is random.
"""

from twostream.synthetic.rendering import (
    APPEARANCE_GROUPS,
    CLASSES,
    MOTION_GROUPS,
    TURNING_GROUPS,
    render_dataset,
)

__all__ = [
    "APPEARANCE_GROUPS",
    "CLASSES",
    "MOTION_GROUPS",
    "TURNING_GROUPS",
    "render_dataset",
]
