#!/bin/sh
# Makes .venv and installs a lock file's packages and this project into it; does nothing when that is done.
#   sh cluster/local/set-up.sh requirements.lock | requirements-dev.lock
# Needs only a Python: no root, nothing outside .venv but the download caches. PYTHON=... names one to use.
set -eu

lock=$1
cd "$(dirname "$0")/../.."
done_file=.venv/installed
uv_folder=.venv/uv

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3.14 python3; do
        if is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    if command -v python3 >/dev/null; then
        echo "AlphaRay needs Python 3.11 or newer; python3 is $(python3 -V 2>&1)." >&2
    else
        echo "AlphaRay needs Python 3.11 or newer; there is no python3." >&2
    fi
    explain_install "python3 python3-venv" >&2
    exit 1
}

explain_install() {
    if [ "$(uname)" = Darwin ]; then
        echo "Type:  brew install python@3.12"
    elif command -v apt-get >/dev/null; then
        echo "Type (as root):  apt-get update && apt-get install -y $1"
    elif command -v dnf >/dev/null; then
        echo "Type (as root):  dnf install -y python3.12"
    else
        echo "Install Python 3.12 with your system's package manager, or name one: make demo PYTHON=/path/to/python3.12"
    fi
}

make_environment() {
    python=$(find_python)
    echo "Making .venv with $("$python" -V)"
    if command -v uv >/dev/null; then
        uv venv --quiet --clear --python "$python" .venv
    elif "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        "$python" -m venv --clear .venv
    else
        version=$("$python" -c 'import sys; print(f"{sys.version_info[0]}.{sys.version_info[1]}")')
        echo "$python has no venv module (Debian and Ubuntu ship it apart)." >&2
        explain_install "python$version-venv" >&2
        exit 1
    fi
}

find_uv() {
    if command -v uv >/dev/null; then
        uv=uv
        return
    fi
    uv=$uv_folder/bin/uv
    if [ ! -x "$uv" ]; then
        # Apart from the packages: installing a lock removes what the lock does not name.
        echo "Installing uv"
        # An environment that someone made with uv has no pip.
        .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --target "$uv_folder" 'uv>=0.9,<1'
    fi
}

# The development lock holds all of the other one: who ran the tests can run the demo as it is.
state=$(cksum "$lock" pyproject.toml)
if [ -x .venv/bin/alpharay ] && [ -f "$done_file" ]; then
    missing=0
    echo "$state" | while read -r line; do grep -qxF "$line" "$done_file" || exit 1; done || missing=1
    [ $missing = 0 ] && exit 0
fi

if ! { [ -x .venv/bin/python ] && is_new_enough .venv/bin/python; }; then
    make_environment
fi
find_uv
rm -f "$done_file"
if [ -f .venv/with-dev ]; then lock=requirements-dev.lock; fi
echo "Installing the packages of $lock"
"$uv" pip sync --python .venv/bin/python --require-hashes "$lock"
"$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
if [ "$lock" = requirements-dev.lock ]; then
    touch .venv/with-dev
    cksum requirements.lock requirements-dev.lock pyproject.toml >"$done_file"
else
    cksum requirements.lock pyproject.toml >"$done_file"
fi
