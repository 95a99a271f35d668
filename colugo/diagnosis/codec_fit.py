"""Whether what one side sends can be what the other expects, by the names of their codecs."""

from enum import Enum

from colugo.protocol.advertisement import MAX_LABEL_BYTES, cut_codec

_PLAIN = "plain"


class Fit(Enum):
    """How two codecs go together.

    SAME: the same. LOOSE: one side does without the type or the decoding. OTHER_TYPE: one serialization,
    another type. NOT: they do not.
    """

    SAME = "same"
    LOOSE = "loose"
    OTHER_TYPE = "other type"
    NOT = "not"


def fit(offered: str, wanted: str, *, cut: bool) -> Fit:
    """How the codecs of two sides go together.

    Args:
        offered: of the side that is bound.
        wanted: of the side that connects.
        cut: whether the first name comes from an advertisement, where it is cut to 32 bytes.
    """
    if cut and len(offered.encode()) >= MAX_LABEL_BYTES - 1:
        wanted = cut_codec(wanted)
    if offered == wanted:
        return Fit.SAME
    if _PLAIN in (offered, wanted):
        return Fit.LOOSE
    one, _, one_type = offered.partition(" ")
    other, _, other_type = wanted.partition(" ")
    if one != other:
        return Fit.NOT
    return Fit.OTHER_TYPE if one_type and other_type else Fit.LOOSE
