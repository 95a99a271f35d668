"""Which libraries can be measured on this machine."""

from importlib import metadata

from colugo import __version__

OWN = "colugo"
REFERENCE = "zenoh"
"""The library that the results of the others are compared with."""
_OPTIONAL = {REFERENCE: "eclipse-zenoh"}


def installed() -> dict[str, str]:
    """Those that are there, colugo first, and their versions."""
    versions = {OWN: __version__}
    for library, distribution in _OPTIONAL.items():
        try:
            versions[library] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return versions


def left_out() -> dict[str, str]:
    """Those that are not there, and what has to be installed for them."""
    there = installed()
    return {library: name for library, name in _OPTIONAL.items() if library not in there}
