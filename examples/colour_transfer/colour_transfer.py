#!/usr/bin/env python3
"""Gives one photograph the colours of another, by entropic optimal transport.

Samples colours of both pictures, compiles colour_transfer.mlir, solves for the
potentials, maps every pixel of the source by the plan's barycentric projection,
and checks the results against NumPy in f64. Writes into --out:

  recoloured.png     the source in the target's colours
  side-by-side.png   source, target and result
  convergence.png    the residual against the half-steps
  summary.json       what was measured
"""

import argparse
import json
import pathlib
import sys
import time

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent), str(ROOT / "test" / "reference")]

import compiled  # noqa: E402
import scaling_reference as sr  # noqa: E402

# Half-steps that one call of `resume` takes.
CADENCE = 10
# Pixels whose colours are recomputed by the reference.
CHECKED = 2048

SRGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = np.array([0.95047, 1.0, 1.08883])
# CIE's constants: where the cube root gives way to a line, and its slope.
KNEE, SLOPE = 216 / 24389, 24389 / 27


def lab_of_srgb(pixels):
    """CIE L*a*b* over 100 (so that the lightness is 0 to 1) of sRGB bytes."""
    rgb = pixels / 255.0
    rgb = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = rgb @ SRGB_TO_XYZ.T / WHITE
    x, y, z = np.moveaxis(
        np.where(xyz > KNEE, np.cbrt(xyz), (SLOPE * xyz + 16) / 116), -1, 0
    )
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1) / 100


def srgb_of_lab(lab):
    """The inverse of lab_of_srgb, to the nearest colour there is."""
    lightness, a, b = np.moveaxis(np.asarray(lab, np.float64) * 100, -1, 0)
    y = (lightness + 16) / 116
    xyz = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    xyz = np.where(xyz**3 > KNEE, xyz**3, (116 * xyz - 16) / SLOPE) * WHITE
    rgb = np.clip(xyz @ np.linalg.inv(SRGB_TO_XYZ).T, 0, 1)
    rgb = np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)
    return np.round(rgb * 255).astype(np.uint8)


def load_picture(path, sample):
    """The pixels of an image file, or of one of scikit-learn's photographs."""
    from PIL import Image, UnidentifiedImageError

    if path is None:
        from sklearn.datasets import load_sample_image

        return load_sample_image(sample)
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise SystemExit(f"error: cannot read the image '{path}': {error}")


def sample_colours(lab, count, rng):
    """`count` pixels' colours without repetition, fewer if there are fewer."""
    colours = lab.reshape(-1, 3)
    chosen = rng.choice(len(colours), min(count, len(colours)), replace=False)
    return np.ascontiguousarray(colours[chosen], np.float32)


def marginal_errors(x, y, f, g, epsilon):
    """1-norms of the errors of the plan's row and column sums, in f64."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    rows, columns = np.empty(len(x)), np.zeros(len(y))
    for first in range(0, len(x), 512):
        block = slice(first, first + 512)
        cost = sr.pairwise(x[block], y, "sqeuclidean")
        plan = np.exp((f[block, None] + g[None, :] - cost) / epsilon)
        rows[block] = plan.sum(1)
        columns += plan.sum(0)
    return np.abs(rows - 1 / len(x)).sum(), np.abs(columns - 1 / len(y)).sum()


def reference_potentials(x, y, epsilon, half_steps):
    """The same solve in NumPy, f64: as many half-steps from the same start."""
    uniform = sr.Rule(target="uniform")
    result = sr.sinkhorn(
        sr.pairwise(x, y, "sqeuclidean"),
        epsilon=epsilon,
        rows=uniform,
        cols=uniform,
        stop=sr.fixed(half_steps),
        # Several times faster than the log domain and as good in f64, as long
        # as no entry of the kernel underflows.
        domain="kernel",
    )
    return result.f, result.g


def reference_map(pixels, y, g, epsilon):
    """The barycentric projection in f64."""
    y = y.astype(np.float64)
    weights = (g - sr.pairwise(pixels, y, "sqeuclidean")) / epsilon
    return sr.softmax(weights) @ y


def solve(program, x, y, epsilon):
    start = time.perf_counter()
    f, g, half_steps, residual, status = program.call(
        "solve",
        [x, y, epsilon],
        [(len(x), np.float64), (len(y), np.float64), ((), np.int32)]
        + [((), np.float64), ((), np.int32)],
    )
    seconds = time.perf_counter() - start
    return f, g, int(half_steps), float(residual), compiled.STATUS[int(status)], seconds


def trace(program, x, y, epsilon, half_steps, say):
    """Half-steps and residuals on the way to where `solve` stopped."""
    f, g = np.zeros(len(x)), np.zeros(len(y))
    counts, residuals = [], []
    for count in range(CADENCE, half_steps + 1, CADENCE):
        f, g, residual = program.call(
            "resume",
            [x, y, epsilon, f, g],
            [(len(x), np.float64), (len(y), np.float64), ((), np.float64)],
        )
        counts.append(count)
        residuals.append(float(residual))
        say(f"convergence: half-step {count} of {half_steps}, residual {residual:.2e}")
    return counts, residuals


def map_pixels(program, pixels, y, g, epsilon, tile, say):
    start = time.perf_counter()
    mapped = np.empty_like(pixels)
    for first in range(0, len(pixels), tile):
        block = pixels[first : first + tile]
        (mapped[first : first + tile],) = program.call(
            "map", [block, y, g, epsilon], [(block.shape, np.float32)]
        )
        say(f"map: {min(first + tile, len(pixels))} of {len(pixels)} pixels")
    return mapped, time.perf_counter() - start


def write_side_by_side(path, pictures):
    """Pictures of one height, the titles above them."""
    from PIL import Image, ImageDraw, ImageFont

    height, gap, head = pictures[0][1].shape[0], 8, 28
    images = []
    for title, pixels in pictures:
        image = Image.fromarray(pixels)
        width = round(image.width * height / image.height)
        images.append((title, image.resize((max(width, 1), height))))
    total = sum(image.width for _, image in images) + gap * (len(images) - 1)
    sheet = Image.new("RGB", (total, height + head), "white")
    draw, left = ImageDraw.Draw(sheet), 0
    for title, image in images:
        draw.text((left + 4, 5), title, fill="black", font=ImageFont.load_default(16))
        sheet.paste(image, (left, head))
        left += image.width + gap
    sheet.save(path)


def write_convergence(path, counts, residuals, tolerance):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    axes.semilogy(counts, residuals, marker=".", label="compiled")
    axes.axhline(
        tolerance, color="grey", linestyle="--", linewidth=1, label="tolerance"
    )
    axes.set_xlabel("half-steps")
    axes.set_ylabel("residual: 1-norm of the row sums' error")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def positive(kind):
    def parse(text):
        value = kind(text)
        if not (value > 0 and np.isfinite(value)):
            raise ValueError
        return value

    parse.__name__ = f"positive {kind.__name__}"
    return parse


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--source", help="image to recolour (default: scikit-learn's china.jpg)"
    )
    parser.add_argument(
        "--target", help="image to take colours of (default: its flower.jpg)"
    )
    parser.add_argument(
        "--colours",
        type=positive(int),
        default=4096,
        help="sampled of each image (4096)",
    )
    parser.add_argument(
        "--epsilon",
        type=positive(float),
        default=0.02,
        help="in squared L*a*b*/100 (0.02)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the samples (0)")
    parser.add_argument(
        "--tile", type=positive(int), default=8192, help="pixels a call (8192)"
    )
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("out"), help="(out)"
    )
    parser.add_argument(
        "--pipeline",
        choices=["cpu", "linalg"],
        help="how to compile (scaling-compile's default)",
    )
    parser.add_argument(
        "--bin",
        type=pathlib.Path,
        default=compiled.default_bin(),
        help="where the tools are",
    )
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    epsilon, began = arguments.epsilon, time.perf_counter()

    def say(text):
        print(f"[{time.perf_counter() - began:6.1f} s] {text}", flush=True)

    source = load_picture(arguments.source, "china.jpg")
    target = load_picture(arguments.target, "flower.jpg")
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(f"error: cannot write to '{arguments.out}': {error.strerror}")

    rng = np.random.default_rng(arguments.seed)
    source_lab = lab_of_srgb(source)
    x = sample_colours(source_lab, arguments.colours, rng)
    y = sample_colours(lab_of_srgb(target), arguments.colours, rng)
    pixels = np.ascontiguousarray(source_lab.reshape(-1, 3), np.float32)

    say("compile: colour_transfer.mlir")
    program = compiled.Program(
        HERE / "colour_transfer.mlir", arguments.out, arguments.bin, arguments.pipeline
    )
    say(f"solve: {len(x)} x {len(y)} colours, epsilon {epsilon:g}")
    f, g, half_steps, residual, status, solve_seconds = solve(program, x, y, epsilon)
    say(f"solve: {status} after {half_steps} half-steps, residual {residual:.2e}")
    if status == "diverged":
        raise SystemExit("error: the iteration diverged")
    counts, residuals = trace(program, x, y, epsilon, half_steps, say)
    mapped, map_seconds = map_pixels(
        program, pixels, y, g, epsilon, arguments.tile, say
    )

    say("check: the same solve in NumPy, f64")
    row_error, column_error = marginal_errors(x, y, f, g, epsilon)
    f_reference, g_reference = reference_potentials(x, y, epsilon, half_steps)
    checked = rng.choice(len(pixels), min(CHECKED, len(pixels)), replace=False)
    expected = reference_map(pixels[checked], y, g_reference, epsilon)

    recoloured = srgb_of_lab(mapped).reshape(source.shape)
    summary = {
        "source_pixels": len(pixels),
        "colours": [len(x), len(y)],
        "epsilon": epsilon,
        "half_steps": half_steps,
        "residual": residual,
        "status": status,
        "marginal_error_rows": float(row_error),
        "marginal_error_columns": float(column_error),
        "largest_difference_potentials": float(
            max(np.abs(f - f_reference).max(), np.abs(g - g_reference).max())
        ),
        "largest_difference_colours": float(np.abs(mapped[checked] - expected).max()),
        "colours_checked": len(checked),
        "seconds": {
            "compile": program.compile_seconds,
            "solve": solve_seconds,
            "map": map_seconds,
            "total": time.perf_counter() - began,
        },
        "convergence": {"half_steps": counts, "residual": residuals},
    }
    from PIL import Image

    Image.fromarray(recoloured).save(arguments.out / "recoloured.png")
    write_side_by_side(
        arguments.out / "side-by-side.png",
        [
            ("source", source),
            ("target", target),
            ("source in the target's colours", recoloured),
        ],
    )
    write_convergence(arguments.out / "convergence.png", counts, residuals, 1e-5)
    (arguments.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")

    seconds = summary["seconds"]
    print(f"""
colour transfer: {len(pixels)} pixels, {len(x)} x {len(y)} colours, epsilon {epsilon:g}
  half-steps            {half_steps}, {status}
  residual              {residual:.3e}
  marginal error (f64)  rows {row_error:.3e}, columns {column_error:.3e}
  from the reference    potentials {summary["largest_difference_potentials"]:.1e}, \
colours {summary["largest_difference_colours"]:.1e} (L*a*b*/100, {len(checked)} pixels)
  seconds               compile {seconds["compile"]:.2f}, solve {seconds["solve"]:.2f}, \
map {seconds["map"]:.2f}, all {seconds["total"]:.2f}
  written               {arguments.out}/recoloured.png side-by-side.png convergence.png summary.json
""")
    return 0


if __name__ == "__main__":
    sys.exit(main())
