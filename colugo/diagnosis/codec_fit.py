"""Compatibility of two codecs, judged by their names."""

from enum import Enum

from colugo.protocol.advertisement import MAX_LABEL_BYTES, cut_codec

_PLAIN = "plain"


class Fit(Enum):
    """The compatibility of two codecs.

    SAME: equal. LOOSE: one side does not check the type, or does not decode at all. OTHER_TYPE: the same
    serialization with different types. NOT: different serializations.
    """

    SAME = "same"
    LOOSE = "loose"
    OTHER_TYPE = "other type"
    NOT = "not"


def fit(offered: str, wanted: str, *, cut: bool) -> Fit:
    """Compare the codecs of two sides.

    Args:
        offered: the codec of the bound side.
        wanted: the codec of the connecting side.
        cut: True if the first name comes from an advertisement, which cuts it to 32 bytes.
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
