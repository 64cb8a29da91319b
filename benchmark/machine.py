"""What this machine can do, measured by `limits/limits.c` in the same run."""

import json
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
LEVELS = ("L1", "L2", "L3", "DRAM")


def compiler():
    return shutil.which("clang-22") or shutil.which("clang") or "cc"


def measure(folder, threads):
    """The rates, by name: bytes, elements and loads per second over all threads."""
    program = folder / "limits"
    subprocess.run(
        [compiler(), "-std=c11", "-O3", "-march=native", "-ffp-contract=fast"]
        + ["-pthread", HERE / "limits" / "limits.c", "-lm", "-o", program],
        check=True,
    )
    sizes = {level: cache_size(level) for level in LEVELS[:3]}
    command = [program, threads, *(sizes[level] for level in LEVELS[:3])]
    done = subprocess.run([*map(str, command)], capture_output=True, check=True)
    return {**json.loads(done.stdout), "threads": threads, "sizes": sizes}


def cache_size(level):
    """Bytes of a data cache of the first core; a usual size where the system
    does not say."""
    for index in pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        kind = (index / "type").read_text().strip()
        if kind != "Instruction" and (index / "level").read_text().strip() == level[1]:
            return 1024 * int((index / "size").read_text().strip().rstrip("K"))
    return {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}[level]


def level_of(working_set, rates):
    """The nearest level the set fits in, shared among the threads, with an eighth
    left for everything else."""
    sizes, threads = rates["sizes"], rates["threads"]
    for level, shared in (("L1", threads), ("L2", threads), ("L3", 1)):
        if working_set <= shared * sizes[level] * 7 / 8:
            return level
    return "DRAM"


def bounds(count, rates):
    """Milliseconds each resource needs, by its name."""
    traffic, farthest = 0.0, "L1"
    for size, working_set in count.traffic:
        level = level_of(working_set, rates)
        traffic += size / rates["bandwidth"][level]
        farthest = max(farthest, level, key=LEVELS.index)
    narrow = count.element // 4
    return {
        farthest: 1e3 * traffic,
        "FMA": 1e3 * count.fmas * narrow / rates["fmas"],
        "loads": 1e3 * count.loads / rates["loads"],
        "exp": 1e3 * count.exponentials * narrow / rates["exponentials"],
    }


def limit_ms(counts, rates):
    """The cheapest way's dearest resource, in milliseconds, and its name."""
    limits = []
    for count in counts:
        name, value = max(bounds(count, rates).items(), key=lambda item: item[1])
        limits.append((value, name))
    return min(limits)


def describe(rates):
    bandwidth = ", ".join(
        f"{level} {rates['bandwidth'][level] / 1e9:.0f}" for level in LEVELS
    )
    return (
        f"   {rates['threads']} threads: {bandwidth} GB/s; "
        f"{rates['fmas'] / 1e9:.0f} G fma/s, {rates['loads'] / 1e9:.1f} G loads/s, "
        f"{rates['exponentials'] / 1e9:.1f} G exp2/s (f32)"
    )
