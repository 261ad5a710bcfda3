#!/usr/bin/env bash
# Make a virtual environment with uv in it: venv.sh PYTHON FOLDER. Safe to repeat.
set -euo pipefail
python=$1 folder=$2
here=$(cd "$(dirname "$0")/.." && pwd)

# Debian splits venv from Python; a minimal image may lack it.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
    else
        echo "error: $python has no venv: install the package python3-venv." >&2
        exit 1
    fi
fi
[ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
wanted=$(sed -n 's/^uv==\([^ ]*\).*/\1/p' "$here/requirements/uv.txt")
if [ "$("$folder/bin/uv" --version 2>/dev/null | cut -d' ' -f2)" != "$wanted" ]; then
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
        --require-hashes -r "$here/requirements/uv.txt"
fi
