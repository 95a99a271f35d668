"""The codec that camera and viewer import: numpy arrays of one shape, sent as raw bytes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from colugo import Codec

TOPIC = "camera.picture"
SHAPE = (480, 640, 3)


class Pictures(Codec):
    name = "uint8 480x640x3"

    def encode(self, message: Any) -> memoryview:
        return np.asarray(message, np.uint8).data  # the array's own memory

    def decode(self, data: Any) -> NDArray[np.uint8]:
        return np.frombuffer(data, np.uint8).reshape(SHAPE)  # a view of the received bytes
