//===- Npy.cpp - NumPy array files ----------------------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Support/Npy.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>

using namespace mlir::scaling;
using llvm::ArrayRef;
using llvm::SmallVectorImpl;
using llvm::StringRef;
using llvm::Twine;

static constexpr llvm::StringLiteral kMagic = "\x93NUMPY";
/// NumPy's own limit.
static constexpr size_t kMaxRank = 64;
/// For whole cache lines and the widest vectors.
static constexpr size_t kAlignment = 64;

llvm::Error Array::allocate() {
  size_t size = llvm::alignTo(std::max<int64_t>(numBytes, 1), kAlignment);
  bytes.reset(static_cast<char *>(std::aligned_alloc(kAlignment, size)));
  if (!bytes)
    return llvm::createStringError("cannot allocate " + Twine(numBytes) +
                                   " bytes");
  std::memset(bytes.get(), 0, size);
  return llvm::Error::success();
}

int64_t mlir::scaling::getNpyElementSize(StringRef descr) {
  return llvm::StringSwitch<int64_t>(descr)
      .Cases({"|b1", "|i1", "|u1"}, 1)
      .Cases({"<f2", "<i2", "<u2", "<V2", "|V2"}, 2)
      .Cases({"<f4", "<i4", "<u4"}, 4)
      .Cases({"<f8", "<i8", "<u8"}, 8)
      .Default(0);
}

llvm::Expected<int64_t> mlir::scaling::getNumBytes(ArrayRef<int64_t> shape,
                                                   int64_t elementSize) {
  // The product of the nonzero sizes must fit too: strides are made of it.
  int64_t bytes = elementSize;
  bool empty = false;
  for (int64_t size : shape) {
    if (size == 0)
      empty = true;
    else if (llvm::MulOverflow(bytes, size, bytes))
      return llvm::createStringError("the array is too large");
  }
  return empty ? 0 : bytes;
}

namespace {
/// Reads the header: a Python dictionary of three known keys.
class HeaderParser {
public:
  explicit HeaderParser(StringRef text) : rest(text) {}

  llvm::Error parse(Array &array) {
    bool haveDescr = false, haveOrder = false, haveShape = false;
    if (!consume('{'))
      return malformed();
    while (!consume('}')) {
      std::string key;
      if (!parseString(key) || !consume(':'))
        return malformed();
      if (key == "descr" && !haveDescr) {
        haveDescr = true;
        if (!parseString(array.descr))
          return llvm::createStringError(
              "structured element types are not supported");
      } else if (key == "fortran_order" && !haveOrder) {
        haveOrder = true;
        if (consumeWord("True"))
          return llvm::createStringError(
              "the array is in Fortran order; save numpy.ascontiguousarray() "
              "of it");
        if (!consumeWord("False"))
          return malformed();
      } else if (key == "shape" && !haveShape) {
        haveShape = true;
        if (!parseShape(array.shape))
          return malformed();
      } else {
        return malformed();
      }
      if (!consume(',')) {
        if (!consume('}'))
          return malformed();
        break;
      }
    }
    skipSpace();
    if (!rest.empty() || !haveDescr || !haveOrder || !haveShape)
      return malformed();
    return llvm::Error::success();
  }

private:
  static llvm::Error malformed() {
    return llvm::createStringError("the .npy header is malformed");
  }
  void skipSpace() { rest = rest.ltrim(" \t\n"); }
  bool consume(char c) {
    skipSpace();
    return rest.consume_front(StringRef(&c, 1));
  }
  bool consumeWord(StringRef word) {
    skipSpace();
    return rest.consume_front(word);
  }
  bool parseString(std::string &value) {
    skipSpace();
    if (rest.empty() || (rest.front() != '\'' && rest.front() != '"'))
      return false;
    size_t end = rest.find(rest.front(), 1);
    if (end == StringRef::npos)
      return false;
    value = rest.substr(1, end - 1).str();
    rest = rest.substr(end + 1);
    return true;
  }
  bool parseShape(SmallVectorImpl<int64_t> &shape) {
    if (!consume('('))
      return false;
    while (!consume(')')) {
      skipSpace();
      uint64_t size;
      if (rest.empty() || !llvm::isDigit(rest.front()) ||
          rest.consumeInteger(10, size) || size > INT64_MAX ||
          shape.size() == kMaxRank)
        return false;
      shape.push_back(size);
      if (!consume(','))
        return shape.size() > 1 && consume(')');
    }
    return true;
  }

  StringRef rest;
};
} // namespace

/// Reads the array from the contents of a file.
static llvm::Expected<Array> parseNpy(StringRef contents) {
  if (!contents.consume_front(kMagic) || contents.size() < 2)
    return llvm::createStringError("not a .npy file");
  unsigned major = static_cast<unsigned char>(contents[0]);
  unsigned minor = static_cast<unsigned char>(contents[1]);
  if ((major != 1 && major != 2) || minor != 0)
    return llvm::createStringError("version " + Twine(major) + "." +
                                   Twine(minor) +
                                   " of the .npy format is not supported");
  contents = contents.drop_front(2);
  size_t lengthSize = major == 1 ? 2 : 4;
  if (contents.size() < lengthSize)
    return llvm::createStringError("the .npy header is cut short");
  size_t length = major == 1 ? llvm::support::endian::read16le(contents.data())
                             : llvm::support::endian::read32le(contents.data());
  contents = contents.drop_front(lengthSize);
  if (contents.size() < length)
    return llvm::createStringError("the .npy header is cut short");

  Array array;
  if (llvm::Error error =
          HeaderParser(contents.take_front(length)).parse(array))
    return error;
  contents = contents.drop_front(length);
  int64_t elementSize = getNpyElementSize(array.descr);
  if (elementSize == 0)
    return llvm::createStringError("element type '" + array.descr +
                                   "' is not supported");
  llvm::Expected<int64_t> numBytes = getNumBytes(array.shape, elementSize);
  if (!numBytes)
    return numBytes.takeError();
  if (static_cast<uint64_t>(*numBytes) != contents.size())
    return llvm::createStringError("the header promises " + Twine(*numBytes) +
                                   " bytes of data, there are " +
                                   Twine(contents.size()));
  array.numBytes = *numBytes;
  if (llvm::Error error = array.allocate())
    return error;
  if (!contents.empty())
    std::memcpy(array.data(), contents.data(), contents.size());
  // Compiled code reads a bool as one bit of the byte.
  if (array.descr == "|b1" &&
      llvm::any_of(contents, [](char c) { return c != 0 && c != 1; }))
    return llvm::createStringError("a bool is neither 0 nor 1");
  return array;
}

llvm::Expected<Array> mlir::scaling::readNpy(StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return llvm::createStringError("cannot read '" + path +
                                   "': " + buffer.getError().message());
  llvm::Expected<Array> array = parseNpy((*buffer)->getBuffer());
  if (!array)
    return llvm::createStringError("cannot read '" + path +
                                   "': " + llvm::toString(array.takeError()));
  return array;
}

std::string mlir::scaling::getNpyHeader(const Array &array) {
  std::string shape;
  for (int64_t size : array.shape)
    shape += std::to_string(size) + ", ";
  // A tuple of one keeps its comma, others lose it.
  if (array.shape.size() == 1)
    shape.pop_back();
  else if (!shape.empty())
    shape.resize(shape.size() - 2);
  std::string dictionary = "{'descr': '" + array.descr +
                           "', 'fortran_order': False, 'shape': (" + shape +
                           "), }";
  // Magic, version and length take ten bytes; the data starts at a multiple of
  // 64.
  size_t total = llvm::alignTo(10 + dictionary.size() + 1, 64);
  dictionary.append(total - 10 - dictionary.size() - 1, ' ');
  dictionary += '\n';
  std::string header = kMagic.str();
  header += '\x01';
  header += '\0';
  header += static_cast<char>(dictionary.size() & 0xff);
  header += static_cast<char>(dictionary.size() >> 8);
  return header + dictionary;
}

llvm::Error mlir::scaling::writeNpyFiles(ArrayRef<std::string> paths,
                                         ArrayRef<Array> arrays) {
  llvm::SmallVector<llvm::sys::fs::TempFile> files;
  auto fail = [&](StringRef path, const Twine &reason) {
    for (llvm::sys::fs::TempFile &file : files)
      llvm::consumeError(file.discard());
    return llvm::createStringError("cannot write '" + path + "': " + reason);
  };
  for (auto [path, array] : llvm::zip_first(paths, arrays)) {
    auto file = llvm::sys::fs::TempFile::create(path + "-%%%%%%.tmp");
    if (!file)
      return fail(path, llvm::toString(file.takeError()));
    files.push_back(std::move(*file));
    llvm::raw_fd_ostream os(files.back().FD, /*shouldClose=*/false);
    os << getNpyHeader(array);
    os.write(array.data(), array.numBytes);
    os.flush();
    if (os.has_error()) {
      std::string message = os.error().message();
      os.clear_error();
      return fail(path, message);
    }
  }
  for (auto [path, file] : llvm::zip(paths, files))
    // A destination that cannot be replaced (a directory) shows up here.
    if (llvm::Error error = file.keep(path))
      return fail(path, llvm::toString(std::move(error)));
  return llvm::Error::success();
}
