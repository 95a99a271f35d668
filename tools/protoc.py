"""Runs protoc: `python tools/protoc.py -I. --python_out=. --pyi_out=. proto/lab.proto`.

The compiler comes with grpcio-tools, so its version fits the protobuf runtime, and only Python packages are
needed.
"""

import sys
from importlib.resources import files

from grpc_tools import protoc

if __name__ == "__main__":
    well_known_types = files("grpc_tools").joinpath("_proto")
    sys.exit(protoc.main([*sys.argv, f"-I{well_known_types}"]))
