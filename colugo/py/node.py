"""`Node`, for programs written for the original colugo.

The original set up logging when it was imported, and its programs show what they do through
`node.logger`; without this they would run in silence. It is a no-op where logging is set up.
"""

import logging

from colugo.node import Node

__all__ = ["Node"]

logging.basicConfig(format="[%(asctime)s][%(name)s](%(levelname)s) %(message)s", level=logging.INFO)
