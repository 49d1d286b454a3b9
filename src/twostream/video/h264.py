"""The one number of an H.264 file that FFmpeg's vectors do not tell: how many frames it refers to.

ITU-T H.264, 7.3.2.1.1 (sequence parameter set) and Annex A of ISO/IEC 14496-15 (how MP4 keeps it).
"""

from __future__ import annotations

SEQUENCE_PARAMETER_SET = 7
# Profiles whose parameter sets tell about colour, depth and scaling first.
_HIGH_PROFILES = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))


def max_reference_frames(extradata: bytes | None) -> int | None:
    """Return ``max_num_ref_frames``, None where the data holds no sequence parameter set.

    Args:
        extradata: of the decoder: an avcC record (MP4, Matroska) or start codes (AVI, TS).
    """
    unit = _parameter_set(extradata or b"")
    if unit is None:
        return None
    try:
        return _read(_Bits(unit[1:].replace(b"\0\0\3", b"\0\0")))
    except StopIteration:
        return None


def _parameter_set(data: bytes) -> bytes | None:
    if len(data) > 8 and data[0] == 1:
        length = int.from_bytes(data[6:8])
        unit = data[8 : 8 + length]
        return unit if data[5] & 31 and unit and unit[0] & 31 == SEQUENCE_PARAMETER_SET else None
    for unit in data.split(b"\0\0\1")[1:]:
        if unit and unit[0] & 31 == SEQUENCE_PARAMETER_SET:
            return unit
    return None


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._bits = iter("".join(f"{byte:08b}" for byte in data))

    def bits(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = 2 * value + int(next(self._bits))
        return value

    def golomb(self) -> int:
        """Read an Exp-Golomb number, ue(v)."""
        zeros = 0
        while not self.bits(1):
            zeros += 1
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed(self) -> int:
        """Read a signed one, se(v)."""
        value = self.golomb()
        return (value + 1) // 2 if value % 2 else -(value // 2)


def _read(bits: _Bits) -> int:
    profile = bits.bits(8)
    bits.bits(16)  # constraints, level
    bits.golomb()  # seq_parameter_set_id
    if profile in _HIGH_PROFILES:
        chroma = bits.golomb()
        if chroma == 3:
            bits.bits(1)
        bits.golomb()  # depth of luma
        bits.golomb()  # depth of chroma
        bits.bits(1)
        if bits.bits(1):
            for i in range(12 if chroma == 3 else 8):
                if bits.bits(1):
                    _skip_scaling_list(bits, 16 if i < 6 else 64)
    bits.golomb()  # log2_max_frame_num_minus4
    order = bits.golomb()  # pic_order_cnt_type
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.bits(1)
        bits.golomb()
        bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    return bits.golomb()


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last
