#!/bin/bash
# Installs the distribution packages named in utils/packages.txt that are not
# there yet.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
mapfile -t packages < "$here/packages.txt"
missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [[ $status == "install ok installed" ]] || missing+=("$package")
done
if (( ${#missing[@]} == 0 )); then
  echo "== packages: all ${#packages[@]} are installed"
  exit 0
fi

echo "== packages: installing ${missing[*]}"
if (( $(id -u) != 0 )); then
  echo "error: run as root, or install them first:" >&2
  echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update &&
       apt-get install -y --no-install-recommends "${missing[@]}"; } \
     < /dev/null > "$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "error: the packages cannot be installed" >&2
  exit 1
fi
