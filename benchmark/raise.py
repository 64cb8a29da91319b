"""What --scaling-raise finds in layers people run, how long that takes, and what
it is worth.

    build/venv/bin/python benchmark/raise.py --bin build/bin [--size 256] [--no-iree]

The hyper-connections of DeepSeek-V4 and SuperGlue's matching layer, as they are
in transformers, go through torch-mlir. Needs test/requirements-flows.txt. Writes
a Markdown table each: ops before and after with the time to match, and the time
of a call of SuperGlue's layer: raised and native (domains `log` and `absorb`),
in PyTorch, and, as plain linalg, in IREE.
"""

import argparse
import pathlib
import re
import subprocess
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


def iree(text, x):
    import iree.compiler
    import iree.runtime

    binary = iree.compiler.compile_str(
        text,
        target_backends=["llvm-cpu"],
        extra_args=["--iree-llvmcpu-target-cpu=host"],
    )
    module = iree.runtime.load_vm_flatbuffer(binary, driver="local-task")
    return module.main(x).to_host(), best(lambda: module.main(x).to_host())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=200)
    parser.add_argument("--no-iree", action="store_true")
    arguments = parser.parse_args()
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
        if not arguments.no_iree:
            results["IREE, plain"] = iree(plain.read_text(), scores.numpy())
        print()
        print("| | ms a call | largest difference to PyTorch |")
        print("|---|---|---|")
        for title, (got, milliseconds) in results.items():
            difference = np.abs(got - expected).max()
            print(f"| {title} | {milliseconds:.2f} | {difference:.1e} |")


if __name__ == "__main__":
    main()
