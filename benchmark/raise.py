"""What --scaling-raise finds in layers people run, how long that takes, and what
it is worth.

    build/venv/bin/python benchmark/raise.py --bin build/bin [--size 256] [--no-iree]

The hyper-connections of DeepSeek-V4 and SuperGlue's matching layer, as they are
in transformers, go through torch-mlir. Needs test/requirements-flows.txt. Writes
a Markdown table each: ops before and after with the time to match; dispatches in
IREE and the time of a call there, plain and raised; and the time of a call of
SuperGlue's layer: raised and native (domains `log` and `absorb`), and in PyTorch.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
from torch_mlir import fx
from transformers.models.deepseek_v4 import configuration_deepseek_v4
from transformers.models.deepseek_v4 import modeling_deepseek_v4
from transformers.models.superglue import modeling_superglue

STEPS = 100


class Matching(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.alpha = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, scores):
        return modeling_superglue.log_optimal_transport(scores, self.alpha, STEPS)


def hyper_connection():
    config = configuration_deepseek_v4.DeepseekV4Config(hidden_size=256)
    module = modeling_deepseek_v4.DeepseekV4HyperConnection(config).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module, torch.randn(1, 64, config.hc_mult, 256)


def export(module, x):
    return str(
        fx.export_and_import(
            module, x, output_type="linalg-on-tensors", func_name="main"
        )
    )


def run(*command):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr


def raised(tools, source, target, options=""):
    """The remarks, and the time of the pass in ms."""
    printed = run(
        tools / "scaling-opt",
        source,
        f"--scaling-raise={options}",
        "-o",
        target,
        "--mlir-timing",
        "--mlir-timing-display=list",
    )
    seconds = re.search(r"([\d.]+) \([^)]*\)\s+ScalingRaisePass", printed)
    return re.findall(r"remark: (.*)", printed), 1e3 * float(seconds[1])


def count(path):
    return len(re.findall(r" = linalg\.generic", path.read_text()))


def best(call, seconds=5.0):
    call()
    times = []
    until = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < until:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def native(tools, program, folder, repeat):
    printed = run(
        tools / "scaling-run",
        program,
        "--entry=main",
        f"--input={folder}/x.npy",
        f"--output={folder}/y.npy",
        f"--repeat={repeat}",
    )
    return float(re.search(r"best ([\d.]+) ms", printed)[1])


def iree(program, x, folder, embedded):
    """The first result, dispatches by IREE's own count, and the time of a call."""
    import iree.compiler
    import iree.runtime

    statistics = folder / "statistics.json"
    flags = [
        "--iree-scheduling-dump-statistics-format=json",
        f"--iree-scheduling-dump-statistics-file={statistics}",
    ]
    if embedded:
        import scaling.iree

        vmfb = scaling.iree.compile(program.read_text(), flags=flags).vmfb
    else:
        vmfb = iree.compiler.compile_str(
            program.read_text(),
            target_backends=["llvm-cpu"],
            extra_args=["--iree-llvmcpu-target-cpu=host", *flags],
        )
    module = iree.runtime.load_vm_flatbuffer(vmfb, driver="local-task")

    def call():
        results = module.main(x)
        results = results if isinstance(results, (tuple, list)) else [results]
        return [result.to_host() for result in results]

    counted = json.loads(statistics.read_text())["stream-aggregate"]
    return call()[0], counted["execution"]["dispatch-count"], best(call)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=200)
    parser.add_argument("--no-iree", action="store_true")
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.bin.resolve().parent / "python"))
    torch.manual_seed(0)
    matching = Matching(), torch.randn(1, arguments.size, arguments.size)
    programs = {
        "DeepSeek-V4 hyper-connection": hyper_connection(),
        f"SuperGlue {arguments.size}×{arguments.size}": matching,
    }
    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        folder = pathlib.Path(name)
        print("| | lines | linalg.generic | left | found | matching |")
        print("|---|---|---|---|---|---|")
        for title, (module, x) in programs.items():
            plain, after = folder / "plain.mlir", folder / "raised.mlir"
            plain.write_text(export(module, x))
            remarks, milliseconds = raised(arguments.bin, plain, after)
            lines = plain.read_text().count("\n")
            print(
                f"| {title} | {lines} | {count(plain)} | {count(after)} "
                f"| {'; '.join(remarks)} | {milliseconds:.0f} ms |"
            )

        if not arguments.no_iree:
            print()
            print("| in IREE | dispatches | raised | ms a call | raised | |")
            print("|---|---|---|---|---|---|")
            for title, (module, x) in programs.items():
                plain, after = folder / "plain.mlir", folder / "raised.mlir"
                plain.write_text(export(module, x))
                raised(arguments.bin, plain, after)
                got, before, slow = iree(plain, x.numpy(), folder, embedded=False)
                same, left, fast = iree(after, x.numpy(), folder, embedded=True)
                np.testing.assert_allclose(same, got, rtol=1e-4, atol=1e-4)
                print(
                    f"| {title} | {before} | {left} | {slow:.2f} | {fast:.2f} "
                    f"| {slow / fast:.1f}× |"
                )

        # The last one is SuperGlue's.
        model, scores = matching
        np.save(folder / "x.npy", scores.numpy())
        expected = model(scores).numpy()
        results = {"PyTorch": (expected, best(lambda: model(scores)))}
        for domain, options in (("log", "domain=log"), ("absorb", "")):
            raised(arguments.bin, plain, after, options)
            milliseconds = native(arguments.bin, after, folder, arguments.repeat)
            got = np.load(folder / "y.npy")
            results[f"raised, {domain}"] = got, milliseconds
        print()
        print("| | ms a call | largest difference to PyTorch |")
        print("|---|---|---|")
        for title, (got, milliseconds) in results.items():
            difference = np.abs(got - expected).max()
            print(f"| {title} | {milliseconds:.2f} | {difference:.1e} |")


if __name__ == "__main__":
    main()
