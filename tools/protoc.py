"""Runs protoc: `python tools/protoc.py -I. --python_out=. --pyi_out=. proto/lab.proto`.

The compiler is the one inside grpcio-tools, so that it and the protobuf runtime are chosen together
and nothing has to be installed beside Python packages.
"""

import sys
from importlib.resources import files

from grpc_tools import protoc

if __name__ == "__main__":
    well_known_types = files("grpc_tools").joinpath("_proto")
    sys.exit(protoc.main([*sys.argv, f"-I{well_known_types}"]))
