//===- Emit.cpp - From the LLVM dialect to machine code -------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Target/CPU/Emit.h"

#include "scaling/Target/MachineCode/MachineCode.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"

using namespace mlir;
using namespace mlir::scaling;

/// Nothing outside the module calls private functions, nor those that have a C
/// wrapper: a program's `step` or `free` must not meet libc's.
static void internalizeFunctions(ModuleOp module) {
  SymbolTable symbols(module);
  for (auto func : module.getOps<LLVM::LLVMFuncOp>())
    if (!func.isExternal() &&
        (func.isPrivate() ||
         symbols.lookup(("_mlir_ciface_" + func.getSymName()).str())))
      func.setLinkage(LLVM::Linkage::Internal);
}

/// A C wrapper takes descriptors apart and calls the function: the pointers it
/// hands over (field 1 of a descriptor) do not overlap where one is written.
/// The lowering of memref arguments to several arguments drops `noalias`, so
/// it is stated here.
static void annotateEntryPointers(ModuleOp module) {
  SymbolTable symbols(module);
  for (auto wrapper : module.getOps<LLVM::LLVMFuncOp>()) {
    if (!wrapper.getSymName().starts_with("_mlir_ciface_") ||
        wrapper.isExternal())
      continue;
    wrapper.walk([&](LLVM::CallOp call) {
      auto callee = call.getCallee()
                        ? symbols.lookup<LLVM::LLVMFuncOp>(*call.getCallee())
                        : LLVM::LLVMFuncOp();
      if (!callee || callee.isExternal())
        return;
      for (auto [index, operand] : llvm::enumerate(call.getArgOperands())) {
        auto extract = operand.getDefiningOp<LLVM::ExtractValueOp>();
        if (extract && extract.getPosition() == ArrayRef<int64_t>{1} &&
            isa<LLVM::LLVMPointerType>(operand.getType()))
          callee.setArgAttr(index, LLVM::LLVMDialect::getNoAliasAttrName(),
                            UnitAttr::get(module.getContext()));
      }
    });
  }
}

std::unique_ptr<llvm::Module>
mlir::scaling::translateToLLVMIR(ModuleOp module, const CPUTarget &target,
                                 llvm::LLVMContext &context) {
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  module.getContext()->appendDialectRegistry(registry);

  internalizeFunctions(module);
  annotateEntryPointers(module);
  std::unique_ptr<llvm::Module> llvmModule =
      translateModuleToLLVMIR(module, context, "scaling");
  if (!llvmModule)
    return nullptr;

  auto machine = createTargetMachine(target);
  if (!machine) {
    module.emitError(llvm::toString(machine.takeError()));
    return nullptr;
  }
  llvmModule->setTargetTriple(llvm::Triple(target.triple));
  llvmModule->setDataLayout((*machine)->createDataLayout());
  for (llvm::Function &function : *llvmModule) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", target.cpu);
    if (!target.features.empty())
      function.addFnAttr("target-features", target.features);
    // Most CPUs that have 512-bit registers are tuned to avoid them; the
    // loops here are long enough to want them.
    function.addFnAttr("prefer-vector-width",
                       std::to_string(target.vectorBits));
    function.setDoesNotThrow();
  }
  return llvmModule;
}

llvm::Error mlir::scaling::optimize(llvm::Module &module,
                                    const CPUTarget &target) {
  auto machine = createTargetMachine(target);
  if (!machine)
    return machine.takeError();
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = true;
  tuning.SLPVectorization = true;
  return optimizeModule(module, **machine, tuning);
}

llvm::Error mlir::scaling::emitObject(llvm::Module &module,
                                      const CPUTarget &target,
                                      SmallVectorImpl<char> &object) {
  auto machine = createTargetMachine(target);
  if (!machine)
    return machine.takeError();
  return emitModule(module, **machine, llvm::CodeGenFileType::ObjectFile,
                    object);
}

namespace {
struct Linker {
  std::string program;
  /// A compiler driver, not the linker itself.
  bool isDriver;
};
} // namespace

static llvm::Expected<Linker> findLinker() {
  struct Candidate {
    StringRef name;
    bool isDriver;
  };
  const Candidate candidates[] = {{"ld.lld", false},
                                  {"ld.lld-22", false},
                                  {"clang-22", true},
                                  {"clang", true},
                                  {"cc", true}};
  for (const Candidate &candidate : candidates) {
    auto program =
        llvm::sys::findProgramByName(candidate.name, {SCALING_LLVM_TOOLS_DIR});
    if (!program)
      program = llvm::sys::findProgramByName(candidate.name);
    if (program)
      return Linker{*program, candidate.isDriver};
  }
  return llvm::createStringError(
      "no linker found: neither ld.lld nor a C compiler is on the PATH");
}

llvm::Error mlir::scaling::linkSharedLibrary(ArrayRef<char> object,
                                             StringRef path,
                                             StringRef runtimeDir,
                                             StringRef runtime) {
  llvm::Expected<Linker> linker = findLinker();
  if (!linker)
    return linker.takeError();

  // Both temporary files go when we leave; the library is renamed before.
  SmallString<128> objectPath, libraryPath, messagePath;
  if (std::error_code error =
          llvm::sys::fs::createTemporaryFile("scaling", "o", objectPath))
    return llvm::createFileError("a temporary object", error);
  llvm::FileRemover removeObject(objectPath);
  if (std::error_code error =
          llvm::sys::fs::createTemporaryFile("scaling", "txt", messagePath))
    return llvm::createFileError("a temporary file", error);
  llvm::FileRemover removeMessages(messagePath);
  // Beside the destination: a rename does not cross file systems.
  if (std::error_code error =
          llvm::sys::fs::createUniqueFile(path + "-%%%%%%.tmp", libraryPath))
    return llvm::createFileError(path, error);
  llvm::FileRemover removeLibrary(libraryPath);

  if (llvm::Error error =
          writeFile(objectPath, StringRef(object.data(), object.size())))
    return error;

  std::string soname = llvm::sys::path::filename(path).str();
  std::string libraryArg = ("-l" + runtime).str();
  std::string libraryDirArg = ("-L" + runtimeDir).str();
  SmallVector<StringRef> args{linker->program, "-shared",  "-o",
                              libraryPath,     objectPath, libraryDirArg,
                              libraryArg};
  std::string sonameArg = "-soname=" + soname;
  std::string rpathArg = ("-rpath=" + runtimeDir).str();
  std::string driverArg =
      ("-Wl," + sonameArg + "," + rpathArg + ",--as-needed");
  if (linker->isDriver)
    args.insert(args.begin() + 1, driverArg);
  else
    args.insert(args.begin() + 1, {sonameArg, rpathArg, "--as-needed"});

  std::string message;
  std::optional<StringRef> redirects[] = {std::nullopt, StringRef(messagePath),
                                          StringRef(messagePath)};
  int result = llvm::sys::ExecuteAndWait(linker->program, args,
                                         /*Env=*/std::nullopt, redirects,
                                         /*SecondsToWait=*/0,
                                         /*MemoryLimit=*/0, &message);
  if (result != 0) {
    if (auto buffer = llvm::MemoryBuffer::getFile(messagePath))
      message += (*buffer)->getBuffer();
    return llvm::createStringError(linker->program + " failed: " + message);
  }
  if (std::error_code error = llvm::sys::fs::rename(libraryPath, path))
    return llvm::createFileError(path, error);
  removeLibrary.releaseFile();
  return llvm::Error::success();
}

llvm::Error mlir::scaling::writeFile(StringRef path, StringRef contents) {
  return llvm::writeToOutput(path, [&](llvm::raw_ostream &os) {
    os << contents;
    return llvm::Error::success();
  });
}
