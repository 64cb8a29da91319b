//===- InProcess.cpp - Programs as functions of this process --------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Target/InProcess/InProcess.h"

#include "scaling/Target/CPU/JIT.h"
#include "scaling/Target/Driver/Driver.h"

#include "llvm/Config/llvm-config.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;
using namespace mlir::scaling;

//===----------------------------------------------------------------------===//
// Objects as bytes: a line of JSON, then the code
//===----------------------------------------------------------------------===//

namespace mlir::scaling {

static llvm::json::Value toJSON(const InProcessValue &value) {
  return llvm::json::Object{
      {"name", value.name},           {"role", value.role},
      {"element", value.elementType}, {"scalar", value.isScalar},
      {"written", value.isWritten},   {"shape", value.shape}};
}

static llvm::json::Value toJSON(const InProcessRelation &relation) {
  return llvm::json::Array{relation.argument, relation.dim,
                           relation.otherArgument, relation.otherDim,
                           relation.difference};
}

static llvm::json::Value toJSON(const InProcessSignature &function) {
  return llvm::json::Object{{"name", function.name},
                            {"inputs", function.inputs},
                            {"results", function.results},
                            {"relations", function.relations}};
}

static bool fromJSON(const llvm::json::Value &json, InProcessValue &value,
                     llvm::json::Path path) {
  llvm::json::ObjectMapper map(json, path);
  return map && map.map("name", value.name) && map.map("role", value.role) &&
         map.map("element", value.elementType) &&
         map.map("scalar", value.isScalar) &&
         map.map("written", value.isWritten) && map.map("shape", value.shape);
}

static bool fromJSON(const llvm::json::Value &json, InProcessRelation &relation,
                     llvm::json::Path path) {
  std::vector<int64_t> numbers;
  if (!llvm::json::fromJSON(json, numbers, path) || numbers.size() != 5)
    return false;
  relation = {numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]};
  return true;
}

static bool fromJSON(const llvm::json::Value &json,
                     InProcessSignature &function, llvm::json::Path path) {
  llvm::json::ObjectMapper map(json, path);
  return map && map.map("name", function.name) &&
         map.map("inputs", function.inputs) &&
         map.map("results", function.results) &&
         map.map("relations", function.relations);
}

} // namespace mlir::scaling

std::string InProcessObject::serialize() const {
  std::string rest;
  llvm::raw_string_ostream os(rest);
  os << llvm::json::Value(llvm::json::Array(functions)) << '\n' << code;
  // The hash finds files that were cut or written to.
  return llvm::utohexstr(llvm::xxh3_64bits(rest), /*LowerCase=*/true) + '\n' +
         rest;
}

std::optional<InProcessObject>
InProcessObject::deserialize(std::string_view bytes) {
  auto [hash, rest] = StringRef(bytes).split('\n');
  if (hash != llvm::utohexstr(llvm::xxh3_64bits(rest), /*LowerCase=*/true))
    return std::nullopt;
  auto [head, code] = rest.split('\n');
  llvm::Expected<llvm::json::Value> json = llvm::json::parse(head);
  if (!json) {
    llvm::consumeError(json.takeError());
    return std::nullopt;
  }
  InProcessObject object;
  llvm::json::Path::Root root;
  if (!llvm::json::fromJSON(*json, object.functions, root))
    return std::nullopt;
  object.code = code.str();
  return object;
}

//===----------------------------------------------------------------------===//
// Compiling
//===----------------------------------------------------------------------===//

static InProcessValue describe(const EntryValue &value) {
  InProcessValue described;
  described.name = value.name;
  described.role = value.role;
  auto shaped = dyn_cast<ShapedType>(value.type);
  llvm::raw_string_ostream(described.elementType)
      << (shaped ? shaped.getElementType() : value.type);
  described.isScalar = !shaped;
  described.isWritten = value.donated || isa<MemRefType>(value.type);
  if (shaped)
    for (int64_t size : shaped.getShape())
      described.shape.push_back(ShapedType::isDynamic(size) ? -1 : size);
  return described;
}

static InProcessSignature describe(const EntryPoint &entry) {
  InProcessSignature function;
  function.name = entry.name;
  for (const EntryValue &value : entry.inputs)
    function.inputs.push_back(describe(value));
  for (const EntryValue &value : entry.results)
    function.results.push_back(describe(value));
  for (const SizeRelation &relation : entry.relations)
    function.relations.push_back(
        {relation.argument, relation.dim,
         relation.otherArgument ? int64_t(*relation.otherArgument) : -1,
         relation.otherArgument ? int64_t(relation.otherDim) : -1,
         relation.difference});
  return function;
}

std::optional<InProcessObject>
mlir::scaling::compileInProcess(std::string_view text, std::string_view name,
                                const InProcessOptions &options,
                                std::string &messages) {
  llvm::raw_string_ostream os(messages);
  Program program(&os);
  if (failed(program.loadText(text, name, "host")))
    return std::nullopt;
  if (!options.passes.empty() && failed(program.transform(options.passes)))
    return std::nullopt;
  InProcessObject object;
  for (const EntryPoint &entry : program.getEntries())
    object.functions.push_back(describe(entry));
  if (failed(program.lower(options.linalg ? Route::Linalg : Route::CPU,
                           options.threads)))
    return std::nullopt;
  SmallVector<char, 0> code;
  if (llvm::Error error =
          emitCallableObject(program.getModule(), program.getTarget(), code)) {
    printError(llvm::toString(std::move(error)), &os);
    return std::nullopt;
  }
  object.code.assign(code.begin(), code.end());
  return object;
}

std::optional<InProcessIREE> mlir::scaling::compileForIREE(
    std::string_view text, std::string_view name, InProcessIREERoute route,
    std::string_view objectName, std::string &messages) {
  llvm::raw_string_ostream os(messages);
  Program program(&os);
  if (failed(program.loadText(text, name, "host")))
    return std::nullopt;
  InProcessIREE result;
  llvm::raw_string_ostream programText(result.program);
  if (route == InProcessIREERoute::Portable) {
    if (failed(program.lowerToLinalg()))
      return std::nullopt;
    program.printGeneric(programText);
    return result;
  }
  IREEFunctions functions = IREEFunctions::Util;
  if (route == InProcessIREERoute::Split) {
    functions = IREEFunctions::Func;
    if (failed(program.outline(programText)))
      return std::nullopt;
    if (program.getEntries().empty())
      return result;
  }
  llvm::raw_string_ostream library(result.library);
  SmallVector<char, 0> object;
  if (failed(program.emitIREELibrary(objectName, functions, library, object)))
    return std::nullopt;
  result.object.assign(object.begin(), object.end());
  return result;
}

//===----------------------------------------------------------------------===//
// Calling
//===----------------------------------------------------------------------===//

namespace {
class LoadedProgram : public InProcessProgram {
public:
  explicit LoadedProgram(std::unique_ptr<CompiledModule> module)
      : module(std::move(module)) {}

  Function lookup(const std::string &name, std::string &message) override {
    auto function = module->lookup(name);
    if (function)
      return *function;
    message = llvm::toString(function.takeError());
    return nullptr;
  }

  Function lookupResultDims(const std::string &name,
                            std::string &message) override {
    return lookup(name + kResultDimsSuffix.str(), message);
  }

private:
  std::unique_ptr<CompiledModule> module;
};
} // namespace

std::unique_ptr<InProcessProgram>
InProcessProgram::load(const InProcessObject &object, std::string &message) {
  llvm::Expected<CPUTarget> target = getCPUTarget("host");
  if (!target) {
    message = llvm::toString(target.takeError());
    return nullptr;
  }
  auto module = CompiledModule::load(object.code, *target);
  if (!module) {
    message = llvm::toString(module.takeError());
    return nullptr;
  }
  return std::make_unique<LoadedProgram>(std::move(*module));
}

std::string mlir::scaling::describeInProcessTarget() {
  std::string text = "LLVM " LLVM_VERSION_STRING;
  llvm::raw_string_ostream os(text);
  llvm::Expected<CPUTarget> target = getCPUTarget("host");
  if (!target) {
    llvm::consumeError(target.takeError());
    return text;
  }
  os << ' ' << target->triple << ' ' << target->cpu << ' ' << target->features
     << ' ' << target->vectorBits << ' ' << target->l1Bytes << ' '
     << target->l2Bytes << ' ' << target->l3Bytes;
  return text;
}
