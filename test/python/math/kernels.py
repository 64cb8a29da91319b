"""MLIR kernels that apply one op to every element of an array.

A kernel NAME becomes `void _mlir_ciface_NAME(Desc *in..., Desc *out)` on
rank-1 memrefs, whose size is a multiple of LANES.
"""

LANES = 16
UNARY = ["exp2", "exp", "log2", "log"]
FLOATS = ["f32", "f64", "f16", "bf16"]
CONVERSIONS = [
    ("f32", "bf16"),
    ("f64", "bf16"),
    ("f64", "f16"),
    ("bf16", "f32"),
    ("bf16", "f64"),
]


def kernel(name, op, ins, out, lanes=LANES):
    """One kernel; `op` is the assembly of the op on %v0, %v1 without types."""

    def typed(t):
        return f"vector<{lanes}x{t}>" if lanes else t

    params = ", ".join(f"%a{i}: memref<?x{t}>" for i, t in enumerate(ins))
    load = "vector.load" if lanes else "memref.load"
    store = "vector.store" if lanes else "memref.store"
    loads = "\n".join(
        f"    %v{i} = {load} %a{i}[%i] : memref<?x{t}>"
        + (f", {typed(t)}" if lanes else "")
        for i, t in enumerate(ins)
    )
    types = typed(ins[0]) if ins[0] == out else f"{typed(ins[0])} to {typed(out)}"
    suffix = f", {typed(out)}" if lanes else ""
    return f"""
func.func @{name}({params}, %out: memref<?x{out}>) attributes {{llvm.emit_c_interface}} {{
  %c0 = arith.constant 0 : index
  %step = arith.constant {lanes or 1} : index
  %n = memref.dim %a0, %c0 : memref<?x{ins[0]}>
  scf.for %i = %c0 to %n step %step {{
{loads}
    %r = {op} : {types}
    {store} %r, %out[%i] : memref<?x{out}>{suffix}
  }}
  return
}}"""


def module():
    parts = []
    for t in FLOATS:
        for op in UNARY:
            parts.append(kernel(f"{op}_{t}", f"math.{op} %v0", [t], t))
        parts.append(kernel(f"pow_{t}", "math.powf %v0, %v1", [t, t], t))
    for t in ["f32", "f64"]:
        for op in UNARY:
            parts.append(kernel(f"{op}_{t}_scalar", f"math.{op} %v0", [t], t, lanes=0))
    for source, target in CONVERSIONS:
        op = "extf" if source == "bf16" else "truncf"
        parts.append(
            kernel(f"{source}_to_{target}", f"arith.{op} %v0", [source], target)
        )
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    print(module())
