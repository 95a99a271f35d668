"""`Node`, for programs written for the original colugo.

The original set up logging when it was imported, and its programs print through `node.logger`. This module
does the same, unless logging is set up already.
"""

import logging

from colugo.node import Node

__all__ = ["Node"]

logging.basicConfig(format="[%(asctime)s][%(name)s](%(levelname)s) %(message)s", level=logging.INFO)
