//===- Operations.h - What instrumented kernels ask for ---------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The language between the instrumentation of a module and the machine.
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_SIMT_OPERATIONS_H
#define SCALING_LIB_SIMT_OPERATIONS_H

#include <cstdint>
#include <string>

namespace scaling {
namespace simt {

/// An instruction of the kernel that the machine hears of.
struct Site {
  /// Function, block and instruction as text; the source line if known.
  std::string position;
  /// Accesses to memory: bytes per thread, bytes that move in one instruction
  /// of the GPU, and the alignment that this needs.
  uint32_t size = 0;
  uint32_t width = 0;
  uint32_t align = 1;
  bool isRead = false;
  bool isWrite = false;
  bool isAtomic = false;
  /// As in `Scope`; volatile accesses are atomic.
  uint8_t scope = 0;
  bool acquires = false;
  bool releases = false;
  /// A load through a cache that nobody keeps up to date.
  bool isInvariant = false;
  /// A barrier without a result, or a fence.
  bool isOrder = false;
  /// Number of the innermost loop around it; 0 is none.
  uint32_t loop = 0;
};

enum class SpecialRegister : uint32_t {
  TidX,
  TidY,
  TidZ,
  NtidX,
  NtidY,
  NtidZ,
  CtaidX,
  CtaidY,
  CtaidZ,
  NctaidX,
  NctaidY,
  NctaidZ,
  LaneId,
  WarpId,
  NumWarpId,
  WarpSize,
  LaneMaskEq,
  LaneMaskLt,
  LaneMaskLe,
  LaneMaskGt,
  LaneMaskGe,
  SmId,
  NumSmId,
  GridId,
  DynamicShared,
  TotalShared,
  Zero,
  One
};

enum class BarrierOp : uint32_t { Sync, SyncAligned, Arrive, And, Or, Popc };

enum class WarpOp : uint32_t {
  Sync,
  ShuffleUp,
  ShuffleDown,
  ShuffleButterfly,
  ShuffleIndex,
  VoteAll,
  VoteAny,
  VoteUniform,
  VoteBallot,
  MatchAny,
  MatchAll,
  ReduceAdd,
  ReduceMin,
  ReduceMax,
  ReduceUMin,
  ReduceUMax,
  ReduceAnd,
  ReduceOr,
  ReduceXor,
  ReduceFMin,
  ReduceFMax,
  Elect,
  LoadMatrix,
  StoreMatrix,
  MultiplyMatrix
};

/// `detail` of LoadMatrix and StoreMatrix: the number of matrices, and whether
/// they are transposed.
constexpr uint32_t kTransposed = 8;

/// `detail` of MultiplyMatrix: the shape and the types.
enum class MmaType : uint32_t { F16, BF16, TF32, F64, S8, U8 };
struct MmaShape {
  uint32_t m, n, k;
  MmaType a, b;
  /// Whether the accumulators are f16.
  bool halfC, halfD;

  uint32_t pack() const {
    return m | n << 6 | k << 12 | uint32_t(a) << 20 | uint32_t(b) << 24 |
           uint32_t(halfC) << 28 | uint32_t(halfD) << 29;
  }
  static MmaShape unpack(uint32_t bits) {
    return {bits & 63,
            bits >> 6 & 63,
            bits >> 12 & 255,
            MmaType(bits >> 20 & 15),
            MmaType(bits >> 24 & 15),
            bool(bits >> 28 & 1),
            bool(bits >> 29 & 1)};
  }
};

} // namespace simt
} // namespace scaling

#endif // SCALING_LIB_SIMT_OPERATIONS_H
