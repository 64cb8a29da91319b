//===- InProcess.h - Programs as functions of this process ------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The compiler and its code behind an interface without types of MLIR, for
// hosts that are compiled in another way: with exceptions, with type
// information.
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_TARGET_INPROCESS_INPROCESS_H
#define SCALING_TARGET_INPROCESS_INPROCESS_H

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlir::scaling {

/// One argument or result of a function.
struct InProcessValue {
  std::string name;
  /// `half_steps`, `residual`, `status`, or empty.
  std::string role;
  /// As MLIR writes it: `f32`, `i1`, `index`.
  std::string elementType;
  /// A scalar is passed by value; a tensor of rank 0 is not one.
  bool isScalar = false;
  /// A function may write to it.
  bool isWritten = false;
  /// -1 where the size is known at run time only.
  std::vector<int64_t> shape;
};

/// That dimension `dim` of an argument has the size of another's dimension (of
/// none, if `otherArgument` is -1) plus a difference.
struct InProcessRelation {
  int64_t argument, dim, otherArgument, otherDim, difference;
};

struct InProcessSignature {
  std::string name;
  std::vector<InProcessValue> inputs, results;
  std::vector<InProcessRelation> relations;
};

/// A compiled program, as bytes that another process on the same machine can
/// load.
struct InProcessObject {
  std::vector<InProcessSignature> functions;
  std::string code;

  std::string serialize() const;
  /// Nothing when the bytes are not what `serialize` made, to the last one.
  static std::optional<InProcessObject> deserialize(std::string_view bytes);
};

struct InProcessOptions {
  /// Passes that the program goes through first, as `scaling-opt` has them:
  /// `scaling-differentiate,symbol-dce`.
  std::string passes;
  /// The portable route instead of the one for CPUs.
  bool linalg = false;
  /// Whether loops may run on the runtime's threads.
  bool threads = true;
};

/// Compiles a program for the CPU this runs on. On failure the result is empty
/// and `messages` says why; else `messages` has the warnings. `name` is what
/// diagnostics call the text.
std::optional<InProcessObject> compileInProcess(std::string_view text,
                                                std::string_view name,
                                                const InProcessOptions &options,
                                                std::string &messages);

/// Runs passes, written as `scaling-opt` has them in --pass-pipeline for a
/// module, and returns the program that comes out as text. On failure the
/// result is empty and `messages` says why; else `messages` has the warnings.
std::optional<std::string> transformInProcess(std::string_view text,
                                              std::string_view name,
                                              std::string_view passes,
                                              std::string &messages);
/// A program for IREE: texts, and the object that `library` names.
struct InProcessIREE {
  /// Upstream's dialects, in the form that other versions of MLIR read.
  std::string program;
  /// `module @scaling`, which the program is linked with; or empty.
  std::string library;
  std::string object;
};

enum class InProcessIREERoute {
  /// All in `program`, through `--scaling-to-linalg`.
  Portable,
  /// The dialect's ops in `library`, the rest in `program`.
  Split,
  /// The public functions in `library`, for programs that declare them with
  /// `util.func`.
  Library
};

/// Compiles a program for IREE on the CPU this runs on.
std::optional<InProcessIREE> compileForIREE(std::string_view text,
                                            std::string_view name,
                                            InProcessIREERoute route,
                                            std::string_view objectName,
                                            std::string &messages);

/// A compiled program whose functions can be called.
class InProcessProgram {
public:
  using Function = void (*)(void **);

  /// Null on failure, and `message` says why.
  static std::unique_ptr<InProcessProgram> load(const InProcessObject &object,
                                                std::string &message);
  virtual ~InProcessProgram() = default;

  /// The function itself, which takes the addresses of its arguments: of a
  /// pointer to the descriptor for a tensor, of the value for a scalar; inputs,
  /// then results. Null when there is none, and `message` says why.
  virtual Function lookup(const std::string &name, std::string &message) = 0;
  /// Of a function with results of unknown sizes, the one that computes these
  /// sizes: the same inputs, and one array of i64.
  virtual Function lookupResultDims(const std::string &name,
                                    std::string &message) = 0;
};

/// What compiled code depends on: LLVM's version, the CPU, its features and
/// caches.
std::string describeInProcessTarget();

} // namespace mlir::scaling

#endif // SCALING_TARGET_INPROCESS_INPROCESS_H
