//===- Npy.h - NumPy array files --------------------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_SUPPORT_NPY_H
#define SCALING_SUPPORT_NPY_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdlib>
#include <memory>
#include <string>

namespace mlir {
namespace scaling {

/// A dense row-major array.
struct Array {
  /// The element type as NumPy spells it: `<f4`.
  std::string descr;
  llvm::SmallVector<int64_t> shape;
  int64_t numBytes = 0;

  char *data() const { return bytes.get(); }
  /// Makes room for `numBytes`, aligned for vectors, all zero.
  llvm::Error allocate();

private:
  struct Free {
    void operator()(char *pointer) const { std::free(pointer); }
  };
  std::unique_ptr<char, Free> bytes;
};

/// The size of the element types we know, or 0.
int64_t getNpyElementSize(llvm::StringRef descr);

/// The bytes of an array; an error when they do not fit an int64_t.
llvm::Expected<int64_t> getNumBytes(llvm::ArrayRef<int64_t> shape,
                                    int64_t elementSize);

/// Reads a .npy file of version 1 or 2: little-endian, C order, nothing after
/// the data.
llvm::Expected<Array> readNpy(llvm::StringRef path);

/// The header of a .npy file, padded as NumPy pads it.
std::string getNpyHeader(const Array &array);

/// Writes the arrays to the first so many paths; all files or none.
llvm::Error writeNpyFiles(llvm::ArrayRef<std::string> paths,
                          llvm::ArrayRef<Array> arrays);

} // namespace scaling
} // namespace mlir

#endif // SCALING_SUPPORT_NPY_H
