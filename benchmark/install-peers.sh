#!/usr/bin/env bash
# Installs the peers into an environment of their own. One that cannot be had is
# named and left out; the benchmark reports it as missing.
#
#     benchmark/install-peers.sh build/bench-venv
#
# PyTorch is the package index's own build by default; a smaller one without
# support for GPUs comes with
#     PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make bench
set -euo pipefail

venv=$1
requirements=$(dirname "$0")/requirements.txt
test -x "$venv/bin/python" || python3 -m venv "$venv"
pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input)

echo "== peers: packages of $requirements in $venv (some GB the first time)"
if "${pip[@]}" -r "$requirements"; then
  exit
fi
grep -v '^#' "$requirements" | while read -r package; do
  "${pip[@]}" "$package" || echo "   $package cannot be installed"
done
# These are needed for anything at all.
"$venv/bin/python" -c 'import numpy, matplotlib'
