//===- Assemble.cpp - From PTX to cubins ----------------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Target/GPU/EmitGPU.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace mlir::scaling;

static constexpr llvm::StringLiteral kPtxas = "ptxas";

llvm::Expected<std::string> mlir::scaling::findPtxas() {
  if (std::optional<std::string> given =
          llvm::sys::Process::GetEnv("SCALING_PTXAS")) {
    if (llvm::sys::fs::can_execute(*given))
      return *given;
    return llvm::createStringError("SCALING_PTXAS is '" + *given +
                                   "', which cannot be executed");
  }
  if (llvm::ErrorOr<std::string> found = llvm::sys::findProgramByName(kPtxas))
    return *found;
  for (const char *variable : {"CUDA_HOME", "CUDA_PATH", "CUDA_ROOT"}) {
    std::optional<std::string> toolkit = llvm::sys::Process::GetEnv(variable);
    if (!toolkit)
      continue;
    SmallString<128> path(*toolkit);
    llvm::sys::path::append(path, "bin", kPtxas);
    if (llvm::sys::fs::can_execute(path))
      return path.str().str();
  }
  return llvm::createStringError(
      "a cubin needs 'ptxas', which is not in the PATH: put it there, or name "
      "it in SCALING_PTXAS, or the CUDA toolkit in CUDA_HOME (the Python "
      "package nvidia-cuda-nvcc has it); PTX needs none");
}

bool mlir::scaling::hasPtxas() {
  if (llvm::sys::Process::GetEnv("SCALING_PTXAS"))
    return true;
  llvm::Expected<std::string> found = findPtxas();
  if (found)
    return true;
  llvm::consumeError(found.takeError());
  return false;
}

static llvm::Error describe(const llvm::Twine &what, std::error_code code) {
  return llvm::createStringError(what + ": " + code.message());
}

llvm::Error mlir::scaling::assemblePTX(llvm::StringRef ptx, const GPUChip &chip,
                                       llvm::SmallVectorImpl<char> &cubin) {
  llvm::Expected<std::string> ptxas = findPtxas();
  if (!ptxas)
    return ptxas.takeError();
  SmallString<128> directory;
  if (std::error_code code =
          llvm::sys::fs::createUniqueDirectory("scaling", directory))
    return describe("no temporary directory", code);
  llvm::scope_exit cleanup(
      [&] { llvm::sys::fs::remove_directories(directory); });
  auto file = [&](StringRef name) {
    SmallString<128> path(directory);
    llvm::sys::path::append(path, name);
    return path;
  };
  SmallString<128> input = file("kernels.ptx"), output = file("kernels.cubin"),
                   log = file("log");
  {
    std::error_code code;
    llvm::raw_fd_ostream os(input, code);
    if (code)
      return describe(input, code);
    os << ptx;
    os.close();
    if (os.has_error())
      return describe(input, os.error());
  }
  std::string arch = "-arch=" + chip.name;
  SmallVector<StringRef> arguments{*ptxas, arch, input, "-o", output};
  std::string message;
  int status = llvm::sys::ExecuteAndWait(
      *ptxas, arguments, /*Env=*/std::nullopt,
      /*Redirects=*/{StringRef(""), StringRef(log), StringRef(log)},
      /*SecondsToWait=*/0, /*MemoryLimit=*/0, &message);
  if (status != 0) {
    if (auto said = llvm::MemoryBuffer::getFile(log))
      message += (*said)->getBuffer().rtrim();
    return llvm::createStringError("ptxas failed: " + message);
  }
  auto made = llvm::MemoryBuffer::getFile(output, /*IsText=*/false,
                                          /*RequiresNullTerminator=*/false);
  if (!made)
    return describe(output, made.getError());
  cubin.append((*made)->getBufferStart(), (*made)->getBufferEnd());
  return llvm::Error::success();
}
