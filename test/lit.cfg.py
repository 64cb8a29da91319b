# Configuration of the lit test suite.

import ctypes
import glob
import os
import shutil

import lit.formats
from lit.llvm import llvm_config
from lit.llvm.subst import ToolSubst

config.name = "SCALING"
config.test_format = lit.formats.ShTest(not llvm_config.use_lit_shell)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "python", "reference", "CMakeLists.txt"]

config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.scaling_obj_root, "test")

# A variable captured in one CHECK-LABEL block must not leak into the next.
config.environment["FILECHECK_OPTS"] = "-enable-var-scope"
# Results never depend on the number of threads; two are enough to find out.
config.environment.setdefault("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "2"))

llvm_config.with_system_environment(
    ["HOME", "TMP", "TEMP", "ASAN_OPTIONS", "UBSAN_OPTIONS"]
)
llvm_config.with_environment("PATH", config.llvm_tools_dir, append_path=True)

# For utils/update-docs.sh.
config.environment["LLVM_PREFIX"] = os.path.dirname(config.llvm_tools_dir)

config.substitutions.append(("%shlibext", config.llvm_shlib_ext))
config.substitutions.append(("%libdir", config.scaling_lib_dir))
config.substitutions.append(("%bindir", config.scaling_tools_dir))
config.substitutions.append(("%srcdir", config.scaling_src_root))
config.substitutions.append(
    ("%includedir", os.path.join(config.scaling_src_root, "include"))
)
config.substitutions.append(("%python", '"%s"' % config.python_executable))
# Programs of the tests bring the sanitizers' runtime to our instrumented libraries.
sanitize = config.scaling_sanitizers
if sanitize:
    config.available_features.add("sanitizers")
config.substitutions.append(
    ("%host_cc", config.host_cc + (f" -fsanitize={sanitize}" if sanitize else ""))
)
config.substitutions.append(
    (
        "%sanitizer_options",
        f"{config.scaling_src_root}/cmake/SanitizerOptions.c" if sanitize else "",
    )
)
config.substitutions.append(
    (
        "%scaling_plugin",
        os.path.join(config.scaling_lib_dir, "ScalingPlugin" + config.llvm_shlib_ext),
    )
)
config.substitutions.append(
    (
        "%mlir_runner_libs",
        ",".join(
            os.path.join(config.llvm_lib_dir, lib + config.llvm_shlib_ext)
            for lib in ("libmlir_c_runner_utils", "libmlir_runner_utils")
        ),
    )
)

# CUDA C++ to LLVM IR, without anything of a CUDA toolkit.
config.substitutions.append(
    (
        "%clang_gpu",
        os.path.join(config.llvm_tools_dir, "clang++")
        + " -x cuda --cuda-device-only --cuda-gpu-arch=sm_90 -nocudalib -nocudainc"
        + " -Wno-unknown-cuda-version -O2 -S -emit-llvm",
    )
)
if os.path.exists(os.path.join(config.llvm_tools_dir, "clang++")):
    config.available_features.add("nvptx-clang")


def has_gpu():
    """Whether CUDA's driver is there and knows of a device."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return False
    return count.value > 0


if has_gpu():
    config.available_features.add("cuda")

tool_dirs = [config.scaling_tools_dir, config.llvm_tools_dir]
tools = [
    ToolSubst(name, unresolved="ignore")
    for name in [
        "scaling-opt",
        "scaling-compile",
        "scaling-run",
        "scaling-simt",
        "scaling-lsp-server",
        "scaling-capi-test",
        "mlir-opt",
        "mlir-runner",
        "mlir-translate",
        "llvm-nm",
        "llvm-readelf",
        "FileCheck",
        "count",
        "not",
        "split-file",
    ]
]
llvm_config.add_tool_substitutions(tools, tool_dirs)

# What the machine and the build offer: tests say `REQUIRES: name`.
# The assembler of the Python package, or the machine's own.
packages = os.path.join(
    os.path.dirname(config.python_executable), "..", "lib", "python3*", "site-packages"
)
ptxas = glob.glob(os.path.join(packages, "nvidia", "cuda_nvcc", "bin", "ptxas"))
ptxas = ptxas[0] if ptxas else shutil.which("ptxas")
if ptxas:
    config.available_features.add("ptxas")
    config.environment["SCALING_PTXAS"] = os.path.normpath(ptxas)
    config.substitutions.append(("%ptxas", os.path.normpath(ptxas)))
# IREE's tools, of the Python package.
iree = os.path.join(os.path.dirname(config.python_executable), "iree-compile")
if os.path.exists(iree):
    config.available_features.add("iree")
    for name in ["compile", "link", "run-module"]:
        tool = iree.replace("iree-compile", f"iree-{name}")
        config.substitutions.append((f"%iree-{name}", tool))
# The distribution's mlir-opt cannot load an instrumented plugin.
if not sanitize and os.path.exists(
    os.path.join(config.scaling_lib_dir, "ScalingPlugin" + config.llvm_shlib_ext)
):
    config.available_features.add("plugin")
