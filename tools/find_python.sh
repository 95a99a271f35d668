#!/bin/sh
# Prints the first of the given commands (by default the usual names) that is a Python new enough for
# colugo and can make virtual environments; otherwise says what to install.
set -u

[ $# -gt 0 ] || set -- python3 python3.13 python3.12 python3.11 python

without_venv=
for command in "$@"; do
    # Started rather than looked up: version managers put commands on PATH that only say what is missing.
    "$command" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue
    if "$command" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        command -v "$command"
        exit 0
    fi
    without_venv=${without_venv:-$command}
done

if [ -n "$without_venv" ]; then
    version=$("$without_venv" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "$without_venv is Python $version, but cannot make virtual environments." >&2
    echo "On Debian or Ubuntu: apt-get install python$version-venv" >&2
else
    echo "colugo needs Python 3.11 or newer; tried: $*." >&2
    echo "If it is elsewhere, name it: make PYTHON=/path/to/python3.11 ..." >&2
fi
exit 1
