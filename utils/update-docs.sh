#!/bin/sh
# Writes what is made from the .td files into the source tree: the references of
# dialect, passes and transform ops, the page of the presets and their Python
# names. With --check it writes nothing and fails when something is not current.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
# The MLIR the project is built against, when the build does not say.
llvm=${LLVM_PREFIX:-/usr/lib/llvm-22}
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tblgen() {
  "$llvm/bin/mlir-tblgen" -I "$root/include" -I "$llvm/include" "$@"
}
note='<!-- Made from the .td files by utils/update-docs.sh; do not edit. -->'

mkdir -p "$work/docs/reference" "$work/python/scaling"
ir=$root/include/scaling/Dialect/Scaling/IR
{
  echo "$note"
  tblgen -gen-dialect-doc -dialect=scaling "$ir/ScalingOps.td"
} > "$work/docs/reference/dialect.md"

{
  echo "$note"
  echo
  echo "# Passes"
  # By path, so that the order is the same everywhere.
  grep -rl --include='*.td' 'mlir/Pass/PassBase.td' "$root/include" | LC_ALL=C sort |
    while read -r td; do
      echo
      echo "<!-- include/${td#"$root"/include/} -->"
      tblgen -gen-pass-doc "$td"
    done
} > "$work/docs/reference/passes.md"

transform=$root/include/scaling/Dialect/Scaling/TransformOps/ScalingTransformOps.td
if [ -e "$transform" ]; then
  {
    echo "$note"
    echo
    echo "# Transform ops"
    echo
    tblgen -gen-op-doc "$transform"
  } > "$work/docs/reference/transform-ops.md"
fi

"$llvm/bin/llvm-tblgen" --dump-json -I "$root/include" "$ir/Presets.td" -o "$work/presets.json"
"$python" "$root/utils/generate-presets.py" "$work/presets.json" --emit=md \
  -o "$work/docs/presets.md"
"$python" "$root/utils/generate-presets.py" "$work/presets.json" --emit=python \
  -o "$work/python/scaling/presets.py"

status=0
for file in $(cd "$work" && find docs python -type f | LC_ALL=C sort); do
  # No line ends in blanks, and files end in one newline.
  sed -i -e 's/[[:space:]]*$//' "$work/$file"
  sed -i -e :a -e '/^\n*$/{$d;N;ba' -e '}' "$work/$file"
  cmp -s "$work/$file" "$root/$file" && continue
  if [ "${1:-}" = --check ]; then
    echo "$file is not current: run utils/update-docs.sh" >&2
    diff -u "$root/$file" "$work/$file" 2>/dev/null | head -20 >&2 || true
    status=1
  else
    mkdir -p "$(dirname "$root/$file")"
    cp "$work/$file" "$root/$file"
    echo "wrote $file"
  fi
done
exit $status
