//===- CHeader.cpp - Declare compiled functions in C ----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Target/CPU/Emit.h"

#include "scaling/Conversion/EntryABI/EntryABI.h"
#include "scaling/Conversion/PlanWorkspace/PlanWorkspace.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"

#include <set>

using namespace mlir;
using namespace mlir::scaling;

/// How C spells an element type, and a suffix for names.
static std::pair<StringRef, StringRef> spell(Type type) {
  if (type.isF64())
    return {"double", "f64"};
  if (type.isF32())
    return {"float", "f32"};
  // Not every C compiler has the types: the bits travel.
  if (type.isF16())
    return {"uint16_t", "f16"};
  if (type.isBF16())
    return {"uint16_t", "bf16"};
  if (type.isIndex())
    return {"int64_t", "index"};
  switch (type.getIntOrFloatBitWidth()) {
  case 1:
    return {"bool", "i1"};
  case 8:
    return {"int8_t", "i8"};
  case 16:
    return {"int16_t", "i16"};
  case 32:
    return {"int32_t", "i32"};
  default:
    return {"int64_t", "i64"};
  }
}

/// What a caller of launching functions wants of `scaling/Runtime/CUDA.h`,
/// which it may include as well.
static constexpr llvm::StringLiteral kLaunchErrors =
    R"(/* What functions return: 0, an error of the CUDA driver (a CUresult), or -1. */
#define SCALING_SUCCESS 0
#define SCALING_ERROR_NO_DRIVER (-1)
#define SCALING_ERROR_OUT_OF_MEMORY 2
#define SCALING_ERROR_NO_DEVICE 100
#define SCALING_ERROR_NO_BINARY_FOR_GPU 209
#define SCALING_ERROR_LAUNCH_OUT_OF_RESOURCES 701
#define SCALING_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE 720

#ifdef __cplusplus
extern "C" {
#endif
/* The last error of this thread, in words. */
const char *scaling_cuda_message(void);
#ifdef __cplusplus
}
#endif

)";

static std::string descriptorName(ShapedType type) {
  return ("scaling_memref_" + Twine(type.getRank()) + "d_" +
          spell(type.getElementType()).second)
      .str();
}

/// A scalar result comes back through a memref of rank 0.
static ShapedType asResult(Type type) {
  if (auto shaped = dyn_cast<ShapedType>(type))
    return shaped;
  return MemRefType::get({}, type);
}

static void printDescriptor(ShapedType type, llvm::raw_ostream &os) {
  std::string name = descriptorName(type);
  std::string guard = StringRef(name).upper();
  StringRef element = spell(type.getElementType()).first;
  int64_t rank = type.getRank();
  os << "#ifndef " << guard << "\n#define " << guard << "\n"
     << "typedef struct {\n"
     << "  " << element << " *allocated; /* not read: may be NULL */\n"
     << "  " << element << " *data;\n"
     << "  int64_t offset; /* in elements; 0 */\n";
  if (rank != 0)
    os << "  int64_t sizes[" << rank << "];\n"
       << "  int64_t strides[" << rank << "]; /* in elements, row-major */\n";
  os << "} " << name << ";\n"
     << "static inline " << name << " make_" << name << "(" << element
     << " *data";
  for (int64_t i = 0; i < rank; ++i)
    os << ", int64_t size" << i;
  os << ") {\n  " << name << " memref;\n"
     << "  memref.allocated = memref.data = data;\n"
     << "  memref.offset = 0;\n";
  for (int64_t i = 0; i < rank; ++i)
    os << "  memref.sizes[" << i << "] = size" << i << ";\n";
  for (int64_t i = rank - 1; i >= 0; --i) {
    os << "  memref.strides[" << i << "] = ";
    if (i == rank - 1)
      os << "1;\n";
    else
      os << "memref.strides[" << i + 1 << "] * size" << i + 1 << ";\n";
  }
  os << "  return memref;\n}\n#endif\n\n";
}

static void printShape(Type type, llvm::raw_ostream &os) {
  auto shaped = dyn_cast<ShapedType>(type);
  if (!shaped) {
    os << "scalar " << type;
    return;
  }
  os << shaped.getElementType() << " [";
  llvm::interleaveComma(shaped.getShape(), os, [&](int64_t size) {
    if (ShapedType::isDynamic(size))
      os << '?';
    else
      os << size;
  });
  os << "]";
}

static void printEntry(const EntryPoint &entry, const CHeaderOptions &options,
                       llvm::raw_ostream &os) {
  bool workspaceArgument = options.workspaceArgument;
  int64_t dynamicDims = entry.numDynamicResultDims();
  os << "/* " << entry.name << "\n *\n";
  for (const EntryValue &input : entry.inputs) {
    os << " *   " << input.name << ": ";
    printShape(input.type, os);
    os << (isa<MemRefType>(input.type) ? ", in and out"
           : input.donated             ? ", input, overwritten"
                                       : ", input")
       << "\n";
  }
  for (const EntryValue &result : entry.results) {
    os << " *   " << result.name << ": ";
    printShape(asResult(result.type), os);
    os << ", output";
    if (!result.role.empty())
      os << " (" << result.role << ")";
    os << "\n";
  }
  for (const SizeRelation &relation : entry.relations) {
    os << " *   size " << relation.dim << " of "
       << entry.inputs[relation.argument].name << " must be ";
    if (relation.otherArgument) {
      os << "size " << relation.otherDim << " of "
         << entry.inputs[*relation.otherArgument].name;
      if (relation.difference != 0)
        os << (relation.difference > 0 ? " + " : " - ")
           << std::abs(relation.difference);
    } else {
      os << relation.difference;
    }
    os << "\n";
  }
  os << " *\n"
     << " * Aliasing: outputs overlap neither inputs nor each other; inputs "
        "that "
        "are not\n * overwritten may overlap.\n"
     << (options.launches ? " * Memory: the device's, aligned to 16 bytes.\n"
                          : " * Alignment: that of the element type.\n");
  if (workspaceArgument)
    os << " * Workspace: the bytes that " << entry.name << kWorkspaceSizeSuffix
       << " stores for\n * the same arguments, of which it reads the sizes "
          "only; aligned to 64 bytes,\n * with any contents, and of no other "
          "call at the same time.\n";
  else if (options.launches)
    os << " * Workspace: taken from the device and given back, in the order of "
          "the\n * stream.\n";
  else
    os << " * Workspace: 0 bytes from the caller.\n";
  if (dynamicDims != 0) {
    os << " * The sizes marked ? of the outputs, in order, are what\n * "
       << entry.name << kResultDimsSuffix << " stores for the same inputs.\n";
  }
  // An example.
  os << " *\n * Example:\n *\n";
  auto example = [&](const EntryValue &value, ShapedType type, bool isResult) {
    os << " *   " << descriptorName(type) << " " << value.name << " = make_"
       << descriptorName(type) << "(" << (isResult ? "out_" : "in_")
       << value.name;
    for (auto [index, size] : llvm::enumerate(type.getShape())) {
      os << ", ";
      if (ShapedType::isDynamic(size))
        os << value.name << "_size" << index;
      else
        os << size;
    }
    os << ");\n";
  };
  SmallVector<std::string> arguments;
  for (const EntryValue &input : entry.inputs) {
    if (auto shaped = dyn_cast<ShapedType>(input.type)) {
      example(input, shaped, /*isResult=*/false);
      arguments.push_back("&" + input.name);
    } else {
      arguments.push_back(input.name);
    }
  }
  for (const EntryValue &result : entry.results) {
    example(result, asResult(result.type), /*isResult=*/true);
    arguments.push_back("&" + result.name);
  }
  if (workspaceArgument) {
    SmallVector<std::string> query(arguments);
    query.push_back("&dims");
    os << " *   int64_t bytes;\n"
       << " *   scaling_memref_1d_i64 dims = "
          "make_scaling_memref_1d_i64(&bytes, "
          "1);\n"
       << " *   _mlir_ciface_" << entry.name << kWorkspaceSizeSuffix << "("
       << llvm::join(query, ", ") << ");\n"
       << " *   scaling_memref_1d_i8 workspace = make_scaling_memref_1d_i8(\n"
       << " *       aligned_alloc(64, (bytes + 63) / 64 * 64), bytes);\n";
    arguments.push_back("&workspace");
  }
  if (options.launches)
    arguments.push_back("stream");
  os << " *   " << (options.launches ? "int32_t error = " : "")
     << "_mlir_ciface_" << entry.name << "(" << llvm::join(arguments, ", ")
     << ");\n */\n";

  // The declarations.
  const char *dims = "const scaling_memref_1d_i64 *dims";
  const char *workspace = "const scaling_memref_1d_i8 *workspace";
  auto declare = [&](StringRef result, StringRef name, bool results,
                     const char *last) {
    SmallVector<std::string> parameters;
    for (const EntryValue &input : entry.inputs) {
      auto shaped = dyn_cast<ShapedType>(input.type);
      parameters.push_back(
          shaped ? "const " + descriptorName(shaped) + " *" + input.name
                 : spell(input.type).first.str() + " " + input.name);
    }
    if (results)
      for (const EntryValue &result : entry.results)
        parameters.push_back("const " + descriptorName(asResult(result.type)) +
                             " *" + result.name);
    if (last)
      parameters.push_back(last);
    if (parameters.empty())
      parameters.push_back("void");
    os << result << " _mlir_ciface_" << name << "("
       << llvm::join(parameters, ",\n    ") << ");\n";
  };
  declare(options.launches ? "int32_t" : "void", entry.name, /*results=*/true,
          workspaceArgument  ? workspace
          : options.launches ? "void *stream"
                             : nullptr);
  if (workspaceArgument) {
    os << "\n/* `dims` has 1 element, the bytes of the workspace. */\n";
    declare("void", entry.name + kWorkspaceSizeSuffix.str(), /*results=*/true,
            dims);
  }
  if (dynamicDims != 0) {
    os << "\n/* `dims` has " << dynamicDims << " elements. */\n";
    declare("void", entry.name + kResultDimsSuffix.str(), /*results=*/false,
            dims);
  }
  os << "\n";
}

void mlir::scaling::printCHeader(ArrayRef<EntryPoint> entries, StringRef name,
                                 const CHeaderOptions &options,
                                 llvm::raw_ostream &os) {
  bool workspaceArgument = options.workspaceArgument;
  std::string guard = "SCALING_GENERATED_";
  for (char c : name)
    guard += llvm::isAlnum(c) ? llvm::toUpper(c) : '_';
  guard += "_H";

  os << "/* Generated by scaling-compile from " << name << ".\n"
     << " *\n"
     << " * Arrays are passed by descriptors that the caller fills in; the "
        "memory behind\n"
     << " * them belongs to the caller. Arrays are dense and row-major. f16 "
        "and "
        "bf16\n"
     << " * travel as their bits. "
     << (options.launches
             ? "Functions launch a kernel on a stream of the CUDA\n"
               " * driver (NULL: the default one) and return 0, or an error: "
               "its value is in\n"
               " * scaling/Runtime/CUDA.h, its name and reason in "
               "scaling_cuda_message(). They\n"
               " * may be called from several threads at once. Link with "
               "libscaling_cuda_runtime.\n"
             : "Nothing that a function allocates outlives the call.\n"
               " * Functions may be called from several threads at once. Link "
               "with\n"
               " * libscaling_runtime, unless compiled with --no-threads.\n")
     << " */\n"
     << "#ifndef " << guard << "\n#define " << guard << "\n\n"
     << "#include <stdbool.h>\n#include <stdint.h>\n\n"
     << (options.launches ? kLaunchErrors : "")
     << "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";

  std::set<std::string> printed;
  auto descriptor = [&](ShapedType type) {
    if (printed.insert(descriptorName(type)).second)
      printDescriptor(type, os);
  };
  for (const EntryPoint &entry : entries) {
    for (const EntryValue &input : entry.inputs)
      if (auto shaped = dyn_cast<ShapedType>(input.type))
        descriptor(shaped);
    for (const EntryValue &result : entry.results)
      descriptor(asResult(result.type));
    auto integers = [&](unsigned width) {
      return RankedTensorType::get(
          {1}, IntegerType::get(entry.loc.getContext(), width));
    };
    if (workspaceArgument)
      descriptor(integers(8));
    if (workspaceArgument || entry.numDynamicResultDims() != 0)
      descriptor(integers(64));
  }
  for (const EntryPoint &entry : entries)
    printEntry(entry, options, os);
  os << "#ifdef __cplusplus\n}\n#endif\n\n#endif /* " << guard << " */\n";
}
