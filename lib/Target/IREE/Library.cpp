//===- Library.cpp - The module that IREE links ---------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Target/IREE/IREE.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TargetParser/Triple.h"

using namespace mlir;
using namespace mlir::scaling;

/// A dispatch has at most so many workgroups: enough for the threads of a large
/// machine to share evenly, and each has a workspace.
static constexpr int64_t kMaxWorkgroups = 64;

LogicalResult mlir::scaling::checkForIREE(ArrayRef<EntryPoint> entries) {
  auto check = [](const EntryPoint &entry, StringRef what, unsigned index,
                  Type type) -> LogicalResult {
    auto shaped = dyn_cast<ShapedType>(type);
    if (!isa<MemRefType>(type) &&
        !(shaped && shaped.getElementType().isIndex()))
      return success();
    return emitError(entry.loc)
           << "public function '" << entry.name << "': " << what << " " << index
           << " of type " << type
           << " cannot be passed by IREE, which knows tensors of integers and "
              "floats, and scalars";
  };
  for (const EntryPoint &entry : entries) {
    for (auto [index, input] : llvm::enumerate(entry.inputs))
      if (failed(check(entry, "argument", index, input.type)))
        return failure();
    for (auto [index, result] : llvm::enumerate(entry.results))
      if (failed(check(entry, "result", index, result.type)))
        return failure();
  }
  return success();
}

namespace {
/// A tensor or scalar with names for its dynamic sizes.
struct Passed {
  std::string name;
  Type type;
  SmallVector<std::string> dims;

  bool isArray() const { return isa<ShapedType>(type); }
  ShapedType array() const { return cast<ShapedType>(type); }
  /// `{%a, %b}`, or nothing.
  std::string braces() const {
    return dims.empty() ? "" : "{" + llvm::join(dims, ", ") + "}";
  }
};

/// Prints the library.
class LibraryPrinter {
public:
  LibraryPrinter(ArrayRef<EntryPoint> entries, ArrayRef<HostSizes> sizes,
                 StringRef functionDialect, llvm::raw_ostream &os)
      : entries(entries), sizes(sizes), functionDialect(functionDialect),
        os(os) {
    for (auto [entry, size] : llvm::zip_equal(entries, sizes))
      name(entry, size);
  }

  void print(StringRef objectName, const CPUTarget &target);
  void print(StringRef objectName, ArrayRef<CUDAKernel> kernels);

private:
  struct Function {
    SmallVector<Passed> inputs, results;
  };

  void name(const EntryPoint &entry, const HostSizes &size);
  void printExport(const EntryPoint &entry);
  void printShim(const EntryPoint &entry, const Function &function);
  void printHost(const EntryPoint &entry, const HostSizes &size,
                 const Function &function, const CUDAKernel *kernel);
  void printArrays(const Function &function, StringRef scratch,
                   SmallVector<std::string> operands,
                   SmallVector<std::string> types);
  void printDispatch(const EntryPoint &entry, const HostSizes &size,
                     const Function &function);
  void printLaunch(const EntryPoint &entry, const Function &function,
                   const CUDAKernel &kernel);
  void printKernel(const EntryPoint &entry, const Function &function,
                   unsigned ordinal, const CUDAKernel &kernel);
  void printChecks(const EntryPoint &entry, const Function &function);

  ArrayRef<EntryPoint> entries;
  ArrayRef<HostSizes> sizes;
  StringRef functionDialect;
  llvm::raw_ostream &os;
  std::vector<Function> functions;
};
} // namespace

static std::string toString(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

/// A symbol's name, in quotes where it needs them.
static std::string symbol(const Twine &name, MLIRContext *context) {
  std::string text;
  llvm::raw_string_ostream(text) << FlatSymbolRefAttr::get(context, name.str());
  return text;
}

/// What the executable calls the function: iree-link renames all symbols that
/// are called like a public function, whatever they are in.
static std::string getExportName(const EntryPoint &entry) {
  return symbol("scaling_dispatch_" + entry.name, entry.loc.getContext());
}

/// Arrays travel as integers of their elements' size: IREE changes float types
/// that a CPU has not.
static MemRefType getBindingType(ShapedType type) {
  unsigned bits = std::max<unsigned>(8, type.getElementTypeBitWidth());
  return MemRefType::get(type.getShape(),
                         IntegerType::get(type.getContext(), bits));
}

/// A scalar result is a tensor of rank 0 until it is read.
static ShapedType asArray(Type type) {
  if (auto shaped = dyn_cast<ShapedType>(type))
    return shaped;
  return RankedTensorType::get({}, type);
}

void LibraryPrinter::name(const EntryPoint &entry, const HostSizes &size) {
  Function &function = functions.emplace_back();
  unsigned next = 0;
  for (auto [index, input] : llvm::enumerate(entry.inputs)) {
    Passed &value = function.inputs.emplace_back();
    value.name = ("%in" + Twine(index)).str();
    value.type = input.type;
    if (value.isArray())
      for (size_t i = 0; i < value.array().getNumDynamicDims(); ++i)
        value.dims.push_back(("%arg" + Twine(next++)).str());
  }
  const std::string *dim = size.resultDims.data();
  for (auto [index, result] : llvm::enumerate(entry.results)) {
    Passed &value = function.results.emplace_back();
    value.name = ("%out" + Twine(index)).str();
    value.type = asArray(result.type);
    for (size_t i = 0; i < value.array().getNumDynamicDims(); ++i)
      value.dims.push_back(*dim++);
  }
}

void LibraryPrinter::printExport(const EntryPoint &entry) {
  os << "    stream.executable.export public " << getExportName(entry)
     << " workgroups(%groups: index) -> (index, index, index) {\n"
     << "      %one = arith.constant 1 : index\n"
     << "      stream.return %groups, %one, %one : index, index, index\n"
     << "    }\n";
}

/// What runs in a workgroup: it finds its memory and calls the kernel.
void LibraryPrinter::printShim(const EntryPoint &entry,
                               const Function &function) {
  MLIRContext *context = entry.loc.getContext();
  SmallVector<std::string> parameters{"%workspace_size: index"};
  SmallVector<std::string> arguments, types;
  for (const Passed &input : function.inputs)
    if (!input.isArray())
      parameters.push_back(input.name + ": " + toString(input.type));
  SmallVector<std::string> bindings;
  // Sizes of dispatches have names of their own: those of the host are values
  // there.
  auto names = [&](const Passed &value) {
    SmallVector<std::string> dims;
    for (size_t i = 0; i < value.dims.size(); ++i)
      dims.push_back(value.name + "_d" + std::to_string(i));
    return dims;
  };
  for (const auto *values : {&function.inputs, &function.results})
    for (const Passed &value : *values) {
      if (!value.isArray())
        continue;
      for (const std::string &dim : names(value))
        parameters.push_back(dim + ": index");
      bindings.push_back(value.name + ": !stream.binding");
    }
  for (const auto *values : {&function.inputs, &function.results})
    for (const Passed &value : *values) {
      types.push_back(value.isArray() ? toString(getBindingType(value.array()))
                                      : toString(value.type));
      arguments.push_back(value.isArray() ? value.name + "_m" : value.name);
    }
  llvm::append_range(types,
                     ArrayRef<StringRef>{"index", "index", "memref<?xi8>"});
  llvm::append_range(arguments,
                     ArrayRef<StringRef>{"%group", "%groups", "%workspace"});
  std::string kernel = symbol(getKernelName(entry), context);
  std::string signature = llvm::join(types, ", ");

  llvm::append_range(parameters, bindings);
  parameters.push_back("%scratch: !stream.binding");
  os << "      func.func private " << kernel << "(" << signature
     << ") attributes {hal.import.static}\n"
     << "      func.func " << getExportName(entry) << "("
     << llvm::join(parameters, ", ") << ") {\n"
     << "        %zero = arith.constant 0 : index\n"
     << "        %group = stream.dispatch.workgroup.id[0] : index\n"
     << "        %groups = stream.dispatch.workgroup.count[0] : index\n"
     << "        %offset = arith.muli %group, %workspace_size : index\n";
  for (const auto *values : {&function.inputs, &function.results})
    for (const Passed &value : *values) {
      if (!value.isArray())
        continue;
      Passed local = value;
      local.dims = names(value);
      os << "        " << value.name << "_m = stream.binding.subspan "
         << value.name << "[%zero] : !stream.binding -> "
         << getBindingType(value.array()) << local.braces() << "\n";
    }
  os << "        %workspace = stream.binding.subspan %scratch[%offset] : "
        "!stream.binding -> memref<?xi8>{%workspace_size}\n"
     << "        func.call " << kernel << "(" << llvm::join(arguments, ", ")
     << ") : (" << signature << ") -> ()\n"
     << "        return\n"
     << "      }\n";
}

/// Arrays whose sizes do not fit each other are an error at run time.
void LibraryPrinter::printChecks(const EntryPoint &entry,
                                 const Function &function) {
  auto nameOf = [&](unsigned argument, unsigned dim) -> std::string {
    const Passed &value = function.inputs[argument];
    return value.dims[value.array().getDynamicDimIndex(dim)];
  };
  for (auto [index, relation] : llvm::enumerate(entry.relations)) {
    std::string check = "%check" + std::to_string(index);
    std::string needed = check + "_size";
    os << "    " << check << "_known = arith.constant " << relation.difference
       << " : index\n";
    std::string message;
    llvm::raw_string_ostream text(message);
    text << entry.name << ": size " << relation.dim << " of "
         << entry.inputs[relation.argument].name << " must be ";
    if (!relation.otherArgument) {
      needed = check + "_known";
      text << relation.difference;
    } else {
      os << "    " << needed << " = arith.addi "
         << nameOf(*relation.otherArgument, relation.otherDim) << ", " << check
         << "_known : index\n";
      text << "size " << relation.otherDim << " of "
           << entry.inputs[*relation.otherArgument].name;
      if (relation.difference != 0)
        text << (relation.difference > 0 ? " + " : " - ")
             << std::abs(relation.difference);
    }
    os << "    " << check << " = arith.cmpi eq, "
       << nameOf(relation.argument, relation.dim) << ", " << needed
       << " : index\n    cf.assert " << check << ", \"" << message << "\"\n";
  }
}

/// The arrays that a dispatch takes and makes, with their sizes.
void LibraryPrinter::printArrays(const Function &function, StringRef scratch,
                                 SmallVector<std::string> operands,
                                 SmallVector<std::string> types) {
  for (const Passed &input : function.inputs)
    if (input.isArray()) {
      operands.push_back(input.name);
      types.push_back(toString(input.type) + input.braces());
    }
  SmallVector<std::string> made;
  for (const Passed &result : function.results)
    made.push_back(toString(result.type) + result.braces());
  made.push_back(("tensor<?xi8>{" + scratch + "}").str());
  os << "(" << llvm::join(operands, ", ") << ") : (" << llvm::join(types, ", ")
     << ") -> (" << llvm::join(made, ", ") << ")\n";
}

/// One workgroup per part of the batch, on a CPU.
void LibraryPrinter::printDispatch(const EntryPoint &entry,
                                   const HostSizes &size,
                                   const Function &function) {
  os << "    %group_one = arith.constant 1 : index\n"
     << "    %group_limit = arith.constant " << kMaxWorkgroups << " : index\n"
     << "    %group_least = arith.maxui " << size.workgroups
     << ", %group_one : index\n"
     << "    %groups = arith.minui %group_least, %group_limit : index\n"
     << "    %scratch_total = arith.muli %scratch_size, %groups : index\n";
  // In the order of the shim's parameters.
  SmallVector<std::string> operands{"%scratch_size"}, types{"index"};
  for (const Passed &input : function.inputs)
    if (!input.isArray()) {
      operands.push_back(input.name);
      types.push_back(toString(input.type));
    }
  for (const auto *values : {&function.inputs, &function.results})
    for (const Passed &value : *values)
      for (const std::string &dim : value.dims) {
        operands.push_back(dim);
        types.push_back("index");
      }
  os << "    %results:" << function.results.size() + 1
     << " = flow.dispatch @scaling_kernels::" << getExportName(entry)
     << "[%groups]";
  printArrays(function, "%scratch_total", operands, types);
}

/// Blocks on a GPU. Scalars and sizes are words of 32 bits.
void LibraryPrinter::printLaunch(const EntryPoint &entry,
                                 const Function &function,
                                 const CUDAKernel &kernel) {
  SmallVector<std::string> operands;
  for (const Passed &input : function.inputs) {
    if (input.isArray())
      continue;
    std::string word = input.name + "_word";
    operands.push_back(input.type.isF32() ? word : input.name);
    if (input.type.isF32())
      os << "    " << word << " = arith.bitcast " << input.name
         << " : f32 to i32\n";
  }
  for (const auto *values : {&function.inputs, &function.results})
    for (const Passed &value : *values)
      for (auto [index, dim] : llvm::enumerate(value.dims)) {
        operands.push_back(value.name + "_d" + std::to_string(index));
        os << "    " << operands.back() << " = arith.index_cast " << dim
           << " : index to i32\n";
      }
  os << "    %blocks = arith.constant " << kernel.blocks << " : index\n"
     << "    %results:" << function.results.size() + 1
     << " = flow.dispatch @scaling_kernels::"
     << symbol(getKernelName(entry), entry.loc.getContext()) << "[%blocks]";
  SmallVector<std::string> types(operands.size(), "i32");
  printArrays(function, "%scratch_size", operands, types);
}

void LibraryPrinter::printHost(const EntryPoint &entry, const HostSizes &size,
                               const Function &function,
                               const CUDAKernel *kernel) {
  MLIRContext *context = entry.loc.getContext();
  SmallVector<std::string> parameters, resultTypes;
  for (const Passed &input : function.inputs)
    parameters.push_back(input.name + ": " + toString(input.type));
  for (const EntryValue &result : entry.results)
    resultTypes.push_back(toString(result.type));
  os << "  " << functionDialect << ".func public "
     << symbol(entry.name, context) << "(" << llvm::join(parameters, ", ")
     << ") -> (" << llvm::join(resultTypes, ", ") << ") {\n";
  for (const Passed &input : function.inputs) {
    if (!input.isArray())
      continue;
    auto *name = input.dims.begin();
    for (auto [dim, extent] : llvm::enumerate(input.array().getShape())) {
      if (!ShapedType::isDynamic(extent))
        continue;
      os << "    " << *name << "_i = arith.constant " << dim << " : index\n"
         << "    " << *name << " = tensor.dim " << input.name << ", " << *name
         << "_i : " << input.type << "\n";
      ++name;
    }
  }
  printChecks(entry, function);
  SmallVector<StringRef> lines;
  StringRef(size.code).split(lines, '\n', /*MaxSplit=*/-1,
                             /*KeepEmpty=*/false);
  for (StringRef line : lines)
    os << "    " << line << "\n";
  os << "    %padding = arith.constant " << kIREEPadding << " : index\n"
     << "    %scratch_size = arith.addi " << size.workspaceBytes
     << ", %padding : index\n";
  if (kernel)
    printLaunch(entry, function, *kernel);
  else
    printDispatch(entry, size, function);
  SmallVector<std::string> returned;
  for (auto [index, result] : llvm::enumerate(entry.results)) {
    std::string name = "%results#" + std::to_string(index);
    if (!isa<ShapedType>(result.type)) {
      std::string scalar = function.results[index].name;
      os << "    " << scalar << " = tensor.extract " << name
         << "[] : " << function.results[index].type << "\n";
      name = scalar;
    }
    returned.push_back(name);
  }
  os << "    " << functionDialect << ".return";
  if (!returned.empty())
    os << " " << llvm::join(returned, ", ") << " : "
       << llvm::join(resultTypes, ", ");
  os << "\n  }\n";
}

void LibraryPrinter::print(StringRef objectName, const CPUTarget &target) {
  llvm::Triple triple(target.triple);
  // A file: IREE 3.13 drops objects whose bytes are in the attribute.
  os << "#object = #hal.executable.object<{path = \"";
  llvm::printEscapedString(objectName, os);
  os << "\"}>\n"
     << "#cpu = #hal.executable.target<\"llvm-cpu\", \"embedded-elf-"
     << triple.getArchName() << "\">\n"
     << "module @scaling {\n"
     << "  stream.executable private @scaling_kernels attributes "
        "{hal.executable.objects = #hal.executable.objects<{#cpu = "
        "[#object]}>} {\n";
  for (const EntryPoint &entry : entries)
    printExport(entry);
  os << "    builtin.module {\n";
  for (auto [entry, function] : llvm::zip_equal(entries, functions))
    printShim(entry, function);
  os << "    }\n  }\n";
  for (auto [entry, size, function] :
       llvm::zip_equal(entries, sizes, functions))
    printHost(entry, size, function, /*kernel=*/nullptr);
  os << "}\n";
}

void LibraryPrinter::printKernel(const EntryPoint &entry,
                                 const Function &function, unsigned ordinal,
                                 const CUDAKernel &kernel) {
  size_t constants = 0;
  SmallVector<std::string> bindings;
  for (const Passed &input : function.inputs) {
    constants += input.isArray() ? input.dims.size() : 1;
    if (input.isArray())
      bindings.push_back("#hal.pipeline.binding<storage_buffer, ReadOnly>");
  }
  for (const Passed &result : function.results)
    constants += result.dims.size();
  bindings.append(function.results.size() + 1,
                  "#hal.pipeline.binding<storage_buffer>");
  os << "    hal.executable.export public "
     << symbol(getKernelName(entry), entry.loc.getContext()) << " ordinal("
     << ordinal << ") layout(#hal.pipeline.layout<constants = " << constants
     << ", bindings = [" << llvm::join(bindings, ", ")
     << "]>) count(%device: !hal.device, %blocks: index) -> (index, index, "
        "index) {\n"
     << "      %one = arith.constant 1 : index\n"
     << "      hal.return %blocks, %one, %one : index, index, index\n"
     << "    } <workgroup_size = [" << kernel.threads
     << " : index, 1 : index, 1 : index], workgroup_local_memory = "
     << kernel.sharedBytes << ">\n";
}

void LibraryPrinter::print(StringRef objectName, ArrayRef<CUDAKernel> kernels) {
  os << "#object = #hal.executable.object<{path = \"";
  llvm::printEscapedString(objectName, os);
  os << "\"}>\n"
     << "#cuda = #hal.executable.target<\"cuda\", \"cuda-nvptx-fb\">\n"
     << "module @scaling {\n"
     << "  hal.executable.source private @scaling_kernels <objects = "
        "#hal.executable.objects<{#cuda = [#object]}>> {\n";
  for (unsigned i = 0; i < entries.size(); ++i)
    printKernel(entries[i], functions[i], i, kernels[i]);
  os << "  }\n";
  for (unsigned i = 0; i < entries.size(); ++i)
    printHost(entries[i], sizes[i], functions[i], &kernels[i]);
  os << "}\n";
}

static StringRef getDialect(IREEFunctions functions) {
  return functions == IREEFunctions::Util ? "util" : "func";
}

void mlir::scaling::printIREELibrary(ArrayRef<EntryPoint> entries,
                                     ArrayRef<HostSizes> sizes,
                                     StringRef objectName,
                                     IREEFunctions functions,
                                     const CPUTarget &target,
                                     llvm::raw_ostream &os) {
  LibraryPrinter(entries, sizes, getDialect(functions), os)
      .print(objectName, target);
}

void mlir::scaling::printIREELibrary(ArrayRef<EntryPoint> entries,
                                     ArrayRef<HostSizes> sizes,
                                     ArrayRef<CUDAKernel> kernels,
                                     StringRef objectName,
                                     IREEFunctions functions,
                                     llvm::raw_ostream &os) {
  LibraryPrinter(entries, sizes, getDialect(functions), os)
      .print(objectName, kernels);
}
