//===- WarpOperations.cpp - What the lanes of a warp do together ----------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Semantics and fragment layouts as in the PTX ISA.
//
//===----------------------------------------------------------------------===//

#include "Machine.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/bit.h"

#include <cmath>
#include <cstring>

using namespace scaling::simt;
using llvm::Twine;

static bool contains(uint32_t mask, unsigned lane) { return mask >> lane & 1; }

//===----------------------------------------------------------------------===//
// Shuffles, votes, reductions
//===----------------------------------------------------------------------===//

/// args: mask, value, operand b, clamp; results: value, predicate.
static void shuffle(Machine &machine, Warp &warp, uint32_t mask, WarpOp op,
                    uint32_t site) {
  ++machine.counters.shuffles;
  for (unsigned lane = 0; lane < kWarpSize; ++lane) {
    if (!contains(mask, lane))
      continue;
    const WarpRequest &request = warp.threads[lane].request;
    unsigned b = request.args[2] & 31;
    unsigned clamp = request.args[3] & 31;
    unsigned segments = request.args[3] >> 8 & 31;
    unsigned last = (lane & segments) | (clamp & ~segments);
    unsigned first = lane & segments;
    // Below the first lane, the difference wraps around and is out of range.
    unsigned from;
    bool inRange;
    switch (op) {
    case WarpOp::ShuffleUp:
      from = lane - b;
      inRange = static_cast<int>(from) >= static_cast<int>(last);
      break;
    case WarpOp::ShuffleDown:
      from = lane + b;
      inRange = from <= last;
      break;
    case WarpOp::ShuffleButterfly:
      from = lane ^ b;
      inRange = from <= last;
      break;
    default:
      from = first | (b & ~segments);
      inRange = from <= last;
      break;
    }
    if (!inRange)
      from = lane;
    if (!contains(mask, from))
      machine.fault("mask", machine.describeThread(warp.threads[lane]) +
                                " reads lane " + Twine(from) +
                                ", which has exited or is not in the mask " +
                                llvm::utohexstr(request.mask, true) + ": " +
                                machine.describeSite(site));
    unsigned source = contains(mask, from) ? from : lane;
    request.results[0] = warp.threads[source].request.args[1];
    request.results[1] = inRange;
  }
}

/// args: mask, predicate; result: what all lanes get.
static void vote(Machine &machine, Warp &warp, uint32_t mask, WarpOp op) {
  ++machine.counters.votes;
  uint32_t ballot = 0;
  for (unsigned lane = 0; lane < kWarpSize; ++lane)
    if (contains(mask, lane) && (warp.threads[lane].request.args[1] & 1))
      ballot |= 1u << lane;
  uint64_t result = op == WarpOp::VoteAll       ? ballot == mask
                    : op == WarpOp::VoteAny     ? ballot != 0
                    : op == WarpOp::VoteUniform ? ballot == 0 || ballot == mask
                                                : ballot;
  for (unsigned lane = 0; lane < kWarpSize; ++lane)
    if (contains(mask, lane))
      warp.threads[lane].request.results[0] = result;
}

/// args: mask, value; results: lanes with the same value, whether all have it.
static void match(Machine &machine, Warp &warp, uint32_t mask, WarpOp op) {
  ++machine.counters.votes;
  for (unsigned lane = 0; lane < kWarpSize; ++lane) {
    if (!contains(mask, lane))
      continue;
    const WarpRequest &request = warp.threads[lane].request;
    uint32_t same = 0;
    for (unsigned other = 0; other < kWarpSize; ++other)
      if (contains(mask, other) &&
          warp.threads[other].request.args[1] == request.args[1])
        same |= 1u << other;
    bool all = same == mask;
    request.results[0] = op == WarpOp::MatchAny || all ? same : 0;
    request.results[1] = all;
  }
}

static float asFloat(uint64_t bits) {
  return llvm::bit_cast<float>(static_cast<uint32_t>(bits));
}

/// args: mask, value, absolute value, whether a NaN wins.
static void reduce(Machine &machine, Warp &warp, uint32_t mask, WarpOp op) {
  ++machine.counters.reductions;
  const uint64_t *first = warp.threads[llvm::countr_zero(mask)].request.args;
  bool isFloat = op == WarpOp::ReduceFMin || op == WarpOp::ReduceFMax;
  auto input = [&](const uint64_t *args) {
    uint32_t bits = args[1];
    return isFloat && args[2] ? bits & 0x7fffffffu : bits;
  };
  uint32_t result = input(first);
  for (unsigned lane = llvm::countr_zero(mask) + 1; lane < kWarpSize; ++lane) {
    if (!contains(mask, lane))
      continue;
    uint32_t value = input(warp.threads[lane].request.args);
    switch (op) {
    case WarpOp::ReduceAdd:
      result += value;
      break;
    case WarpOp::ReduceMin:
      result = std::min<int32_t>(result, value);
      break;
    case WarpOp::ReduceMax:
      result = std::max<int32_t>(result, value);
      break;
    case WarpOp::ReduceUMin:
      result = std::min(result, value);
      break;
    case WarpOp::ReduceUMax:
      result = std::max(result, value);
      break;
    case WarpOp::ReduceAnd:
      result &= value;
      break;
    case WarpOp::ReduceOr:
      result |= value;
      break;
    case WarpOp::ReduceXor:
      result ^= value;
      break;
    default: {
      float a = asFloat(result), b = asFloat(value);
      bool unordered = std::isnan(a) || std::isnan(b);
      if (unordered && first[3])
        result = 0x7fffffff;
      else
        result = llvm::bit_cast<uint32_t>(
            op == WarpOp::ReduceFMin ? std::fmin(a, b) : std::fmax(a, b));
      break;
    }
    }
  }
  for (unsigned lane = 0; lane < kWarpSize; ++lane)
    if (contains(mask, lane))
      warp.threads[lane].request.results[0] = result;
}

//===----------------------------------------------------------------------===//
// Matrices of eight by eight halves
//===----------------------------------------------------------------------===//

/// The rows' addresses come from eight lanes per matrix. args: address, values
/// to store; results: one register per matrix.
static void moveMatrices(Machine &machine, Warp &warp, WarpOp op,
                         uint32_t detail, uint32_t site) {
  ++machine.counters.matrixLoads;
  bool isStore = op == WarpOp::StoreMatrix;
  bool isTransposed = detail & kTransposed;
  unsigned numMatrices = detail & (kTransposed - 1);
  // One matrix at a time.
  llvm::SmallVector<llvm::SmallVector<uint64_t, kWarpSize>, 4> phases(
      numMatrices);
  for (unsigned matrix = 0; matrix < numMatrices; ++matrix) {
    std::array<char *, 8> rows;
    for (unsigned row = 0; row < 8; ++row) {
      Thread &thread = warp.threads[matrix * 8 + row];
      rows[row] = reinterpret_cast<char *>(thread.request.args[0]);
      phases[matrix].push_back(thread.request.args[0]);
      machine.checkedAccess(thread, rows[row], 16, !isStore, isStore,
                            Scope::None, site);
    }
    for (unsigned lane = 0; lane < kWarpSize; ++lane) {
      WarpRequest &request = warp.threads[lane].request;
      for (unsigned half = 0; half < 2; ++half) {
        unsigned row = lane / 4, column = lane % 4 * 2 + half;
        if (isTransposed)
          std::swap(row, column);
        char *element = rows[row] + column * 2;
        if (isStore) {
          std::memcpy(
              element,
              reinterpret_cast<const char *>(&request.args[1 + matrix]) +
                  half * 2,
              2);
        } else {
          if (half == 0)
            request.results[matrix] = 0;
          std::memcpy(reinterpret_cast<char *>(&request.results[matrix]) +
                          half * 2,
                      element, 2);
        }
      }
    }
  }
  machine.countSharedRequest(phases, 16, machine.getSite(site));
}

//===----------------------------------------------------------------------===//
// mma.sync
//===----------------------------------------------------------------------===//

static double decode(uint64_t bits, const llvm::fltSemantics &semantics) {
  llvm::APFloat value(semantics, llvm::APInt(16, bits & 0xffff));
  bool inexact;
  value.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven,
                &inexact);
  return value.convertToDouble();
}

static uint32_t encodeHalf(double number) {
  llvm::APFloat value(number);
  bool inexact;
  value.convert(llvm::APFloat::IEEEhalf(), llvm::APFloat::rmNearestTiesToEven,
                &inexact);
  return value.bitcastToAPInt().getZExtValue();
}

static unsigned elementsPerRegister(MmaType type) {
  switch (type) {
  case MmaType::F16:
  case MmaType::BF16:
    return 2;
  case MmaType::TF32:
  case MmaType::F64:
    return 1;
  case MmaType::S8:
  case MmaType::U8:
    return 4;
  }
  llvm_unreachable("unknown type of a matrix");
}

/// The `index`th element of the fragment that starts at `args`.
static double element(const uint64_t *args, unsigned index, MmaType type) {
  unsigned perRegister = elementsPerRegister(type);
  uint64_t word = args[index / perRegister];
  unsigned place = index % perRegister;
  switch (type) {
  case MmaType::F16:
    return decode(word >> 16 * place, llvm::APFloat::IEEEhalf());
  case MmaType::BF16:
    return decode(word >> 16 * place, llvm::APFloat::BFloat());
  case MmaType::TF32:
    // The hardware does not look at the lower bits.
    return asFloat(word & 0xffffe000u);
  case MmaType::F64:
    return llvm::bit_cast<double>(word);
  case MmaType::S8:
    return static_cast<int8_t>(word >> 8 * place);
  case MmaType::U8:
    return static_cast<uint8_t>(word >> 8 * place);
  }
  llvm_unreachable("unknown type of a matrix");
}

/// Where the `index`th element of a lane's fragment of A is.
static std::pair<unsigned, unsigned> placeInA(const MmaShape &shape,
                                              unsigned lane, unsigned index) {
  unsigned perRegister = elementsPerRegister(shape.a);
  unsigned reg = index / perRegister;
  unsigned numRowBlocks = shape.m / 8;
  unsigned row = lane / 4 + 8 * (reg % numRowBlocks);
  unsigned column = lane % 4 * perRegister + index % perRegister +
                    4 * perRegister * (reg / numRowBlocks);
  return {row, column};
}

/// The same for B, whose columns are spread as the rows of A are.
static std::pair<unsigned, unsigned> placeInB(const MmaShape &shape,
                                              unsigned lane, unsigned index) {
  unsigned perRegister = elementsPerRegister(shape.b);
  unsigned reg = index / perRegister;
  unsigned row =
      lane % 4 * perRegister + index % perRegister + 4 * perRegister * reg;
  return {row, lane / 4};
}

/// args: the registers of A, B and C; results: the registers of D. Products
/// and sums are exact to double precision, then rounded once.
static void multiply(Machine &machine, Warp &warp, uint32_t detail) {
  MmaShape shape = MmaShape::unpack(detail);
  ++machine.counters.matrixMultiplies;
  machine.counters.matrixFlops += 2ull * shape.m * shape.n * shape.k;
  unsigned numA = shape.m * shape.k / kWarpSize;
  unsigned numB = shape.k * shape.n / kWarpSize;
  unsigned numC = shape.m * shape.n / kWarpSize;
  unsigned regsA = numA / elementsPerRegister(shape.a);
  unsigned regsB = numB / elementsPerRegister(shape.b);
  bool isInteger = shape.a == MmaType::S8 || shape.a == MmaType::U8;
  bool isDouble = shape.a == MmaType::F64;

  std::vector<double> a(shape.m * shape.k), b(shape.k * shape.n);
  for (unsigned lane = 0; lane < kWarpSize; ++lane) {
    const uint64_t *args = warp.threads[lane].request.args;
    for (unsigned i = 0; i < numA; ++i) {
      auto [row, column] = placeInA(shape, lane, i);
      a[row * shape.k + column] = element(args, i, shape.a);
    }
    for (unsigned i = 0; i < numB; ++i) {
      auto [row, column] = placeInB(shape, lane, i);
      b[row * shape.n + column] = element(args + regsA, i, shape.b);
    }
  }
  for (unsigned lane = 0; lane < kWarpSize; ++lane) {
    WarpRequest &request = warp.threads[lane].request;
    const uint64_t *c = request.args + regsA + regsB;
    for (unsigned i = 0; i < numC; ++i) {
      unsigned row = lane / 4 + 8 * (i / 2);
      unsigned column = lane % 4 * 2 + i % 2;
      double sum = shape.halfC ? decode(c[i / 2] >> 16 * (i % 2),
                                        llvm::APFloat::IEEEhalf())
                   : isDouble  ? llvm::bit_cast<double>(c[i])
                   : isInteger ? static_cast<int32_t>(c[i])
                               : asFloat(c[i]);
      for (unsigned k = 0; k < shape.k; ++k)
        sum = std::fma(a[row * shape.k + k], b[k * shape.n + column], sum);
      uint64_t &result = request.results[shape.halfD ? i / 2 : i];
      if (shape.halfD)
        result = (i % 2 ? result : 0) | uint64_t(encodeHalf(sum))
                                            << 16 * (i % 2);
      else if (isDouble)
        result = llvm::bit_cast<uint64_t>(sum);
      else if (isInteger)
        result = static_cast<uint32_t>(static_cast<int64_t>(sum));
      else
        result = llvm::bit_cast<uint32_t>(static_cast<float>(sum));
    }
  }
}

//===----------------------------------------------------------------------===//
// All of them
//===----------------------------------------------------------------------===//

void scaling::simt::executeWarpOperation(Machine &machine, Warp &warp,
                                         uint32_t mask, WarpOp op,
                                         uint32_t detail, uint32_t site) {
  switch (op) {
  case WarpOp::Sync:
    ++machine.counters.warpSyncs;
    machine.joinWarp(warp, mask);
    return;
  case WarpOp::ShuffleUp:
  case WarpOp::ShuffleDown:
  case WarpOp::ShuffleButterfly:
  case WarpOp::ShuffleIndex:
    shuffle(machine, warp, mask, op, site);
    return;
  case WarpOp::VoteAll:
  case WarpOp::VoteAny:
  case WarpOp::VoteUniform:
  case WarpOp::VoteBallot:
    vote(machine, warp, mask, op);
    return;
  case WarpOp::MatchAny:
  case WarpOp::MatchAll:
    match(machine, warp, mask, op);
    return;
  case WarpOp::ReduceAdd:
  case WarpOp::ReduceMin:
  case WarpOp::ReduceMax:
  case WarpOp::ReduceUMin:
  case WarpOp::ReduceUMax:
  case WarpOp::ReduceAnd:
  case WarpOp::ReduceOr:
  case WarpOp::ReduceXor:
  case WarpOp::ReduceFMin:
  case WarpOp::ReduceFMax:
    reduce(machine, warp, mask, op);
    return;
  case WarpOp::Elect:
    for (unsigned lane = 0; lane < kWarpSize; ++lane) {
      if (!contains(mask, lane))
        continue;
      unsigned leader = llvm::countr_zero(mask);
      warp.threads[lane].request.results[0] = leader;
      warp.threads[lane].request.results[1] = lane == leader;
    }
    return;
  case WarpOp::LoadMatrix:
  case WarpOp::StoreMatrix:
    moveMatrices(machine, warp, op, detail, site);
    return;
  case WarpOp::MultiplyMatrix:
    multiply(machine, warp, detail);
    return;
  }
}
