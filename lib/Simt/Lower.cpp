//===- Lower.cpp - Intrinsics of the device, for the host -----------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Lower.h"

#include "Assembly.h"
#include "Memory.h"
#include "Runtime.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/IntrinsicsNVPTX.h"
#include "llvm/IR/Module.h"

using namespace llvm;
using namespace scaling::simt;

LoweringTarget LoweringTarget::of(Module &module, Function &kernel) {
  LoweringTarget target;
  StringRef cpu = kernel.getFnAttribute("target-cpu").getValueAsString();
  cpu.consume_front("sm_");
  unsigned sm = 0;
  if (!cpu.consumeInteger(10, sm))
    target.arch = sm * 10;
  if (auto *flag = mdconst::extract_or_null<ConstantInt>(
          module.getModuleFlag("nvvm-reflect-ftz")))
    target.flushSubnormals = flag->getZExtValue() != 0;
  return target;
}

static std::optional<SpecialRegister> parseRegister(StringRef name) {
  using R = SpecialRegister;
  return StringSwitch<std::optional<R>>(name)
      .Case("tid.x", R::TidX)
      .Case("tid.y", R::TidY)
      .Case("tid.z", R::TidZ)
      .Case("ntid.x", R::NtidX)
      .Case("ntid.y", R::NtidY)
      .Case("ntid.z", R::NtidZ)
      .Case("ctaid.x", R::CtaidX)
      .Case("ctaid.y", R::CtaidY)
      .Case("ctaid.z", R::CtaidZ)
      .Case("nctaid.x", R::NctaidX)
      .Case("nctaid.y", R::NctaidY)
      .Case("nctaid.z", R::NctaidZ)
      .Case("laneid", R::LaneId)
      .Case("warpid", R::WarpId)
      .Case("nwarpid", R::NumWarpId)
      .Case("warpsize", R::WarpSize)
      .Case("lanemask.eq", R::LaneMaskEq)
      .Case("lanemask.lt", R::LaneMaskLt)
      .Case("lanemask.le", R::LaneMaskLe)
      .Case("lanemask.gt", R::LaneMaskGt)
      .Case("lanemask.ge", R::LaneMaskGe)
      .Case("smid", R::SmId)
      .Case("nsmid", R::NumSmId)
      .Case("gridid", R::GridId)
      .Case("dynamic.smem.size", R::DynamicShared)
      .Case("total.smem.size", R::TotalShared)
      // Without clusters, each CTA is one.
      .Cases({"cluster.ctaid.x", "cluster.ctaid.y", "cluster.ctaid.z",
              "cluster.ctarank"},
             R::Zero)
      .Cases({"cluster.nctaid.x", "cluster.nctaid.y", "cluster.nctaid.z",
              "cluster.nctarank"},
             R::One)
      .Default(std::nullopt);
}

static std::optional<MmaType> parseMmaType(StringRef name) {
  return StringSwitch<std::optional<MmaType>>(name)
      .Case("f16", MmaType::F16)
      .Case("bf16", MmaType::BF16)
      .Case("tf32", MmaType::TF32)
      .Case("f64", MmaType::F64)
      .Case("s8", MmaType::S8)
      .Case("u8", MmaType::U8)
      .Default(std::nullopt);
}

/// `m16n8k16.row.col.f32.f32` and the like.
static std::optional<MmaShape> parseMma(StringRef name) {
  SmallVector<StringRef> words;
  name.split(words, '.');
  if (words.size() < 4 || words[1] != "row" || words[2] != "col")
    return std::nullopt;
  MmaShape shape = {};
  StringRef sizes = words[0];
  if (!sizes.consume_front("m") || sizes.consumeInteger(10, shape.m) ||
      !sizes.consume_front("n") || sizes.consumeInteger(10, shape.n) ||
      !sizes.consume_front("k") || sizes.consumeInteger(10, shape.k))
    return std::nullopt;
  std::optional<MmaType> type = parseMmaType(words[3]);
  // Products of f16 are named by the types of D and C.
  if (words.size() == 5 && (words[3] == "f16" || words[3] == "f32") &&
      (words[4] == "f16" || words[4] == "f32")) {
    if (shape.m != 16)
      return std::nullopt;
    shape.a = shape.b = MmaType::F16;
    shape.halfD = words[3] == "f16";
    shape.halfC = words[4] == "f16";
    return shape;
  }
  if (!type || *type == MmaType::F16)
    return std::nullopt;
  shape.a = shape.b = *type;
  if (words.size() == 5) {
    std::optional<MmaType> typeB = parseMmaType(words[4]);
    if (!typeB || *type < MmaType::S8 || *typeB < MmaType::S8)
      return std::nullopt;
    shape.b = *typeB;
  } else if (words.size() != 4) {
    return std::nullopt;
  }
  return shape;
}

/// Whether the back end has an instruction for the intrinsic, and the host
/// computes the same.
static bool isPortable(const IntrinsicInst &call) {
  switch (call.getIntrinsicID()) {
  case Intrinsic::abs:
  case Intrinsic::assume:
  case Intrinsic::bitreverse:
  case Intrinsic::bswap:
  case Intrinsic::canonicalize:
  case Intrinsic::ceil:
  case Intrinsic::convert_from_fp16:
  case Intrinsic::convert_to_fp16:
  case Intrinsic::copysign:
  case Intrinsic::ctlz:
  case Intrinsic::ctpop:
  case Intrinsic::cttz:
  case Intrinsic::exp2:
  case Intrinsic::expect:
  case Intrinsic::experimental_noalias_scope_decl:
  case Intrinsic::fabs:
  case Intrinsic::floor:
  case Intrinsic::fma:
  case Intrinsic::fmuladd:
  case Intrinsic::fptosi_sat:
  case Intrinsic::fptoui_sat:
  case Intrinsic::fshl:
  case Intrinsic::fshr:
  case Intrinsic::invariant_end:
  case Intrinsic::invariant_start:
  case Intrinsic::is_fpclass:
  case Intrinsic::lifetime_end:
  case Intrinsic::lifetime_start:
  case Intrinsic::maximum:
  case Intrinsic::maximumnum:
  case Intrinsic::maxnum:
  case Intrinsic::minimum:
  case Intrinsic::minimumnum:
  case Intrinsic::minnum:
  case Intrinsic::nearbyint:
  case Intrinsic::ptrmask:
  case Intrinsic::rint:
  case Intrinsic::roundeven:
  case Intrinsic::sadd_sat:
  case Intrinsic::sadd_with_overflow:
  case Intrinsic::smax:
  case Intrinsic::smin:
  case Intrinsic::smul_with_overflow:
  case Intrinsic::sqrt:
  case Intrinsic::ssub_sat:
  case Intrinsic::ssub_with_overflow:
  case Intrinsic::stackrestore:
  case Intrinsic::stacksave:
  case Intrinsic::tanh:
  case Intrinsic::trunc:
  case Intrinsic::uadd_sat:
  case Intrinsic::uadd_with_overflow:
  case Intrinsic::umax:
  case Intrinsic::umin:
  case Intrinsic::umul_with_overflow:
  case Intrinsic::usub_sat:
  case Intrinsic::usub_with_overflow:
  case Intrinsic::vector_extract:
  case Intrinsic::vector_insert:
  case Intrinsic::vector_reduce_add:
  case Intrinsic::vector_reduce_and:
  case Intrinsic::vector_reduce_fadd:
  case Intrinsic::vector_reduce_fmax:
  case Intrinsic::vector_reduce_fmaximum:
  case Intrinsic::vector_reduce_fmin:
  case Intrinsic::vector_reduce_fminimum:
  case Intrinsic::vector_reduce_fmul:
  case Intrinsic::vector_reduce_mul:
  case Intrinsic::vector_reduce_or:
  case Intrinsic::vector_reduce_smax:
  case Intrinsic::vector_reduce_smin:
  case Intrinsic::vector_reduce_umax:
  case Intrinsic::vector_reduce_umin:
  case Intrinsic::vector_reduce_xor:
    return true;
  default:
    return isa<DbgInfoIntrinsic>(call);
  }
}

namespace {
/// Replaces one call.
class CallLowering {
public:
  CallLowering(CallInst &call, const LoweringTarget &target,
               function_ref<uint32_t(Site)> addSite)
      : call(call), target(target), addSite(addSite), b(&call) {}

  /// False when the name is not known.
  bool lower(StringRef name);
  /// The same for assembly.
  bool lower(const Assembly &assembly);

private:
  Value *arg(unsigned index) { return call.getArgOperand(index); }
  Value *word(unsigned index) {
    return b.CreateZExtOrTrunc(arg(index), b.getInt32Ty());
  }
  /// Assembly has addresses as integers; those of shared memory fit 32 bits.
  Value *pointer(Value *value) {
    if (value->getType()->isIntegerTy())
      return b.CreateIntToPtr(b.CreateZExt(value, b.getInt64Ty()),
                              b.getPtrTy());
    return b.CreateAddrSpaceCast(value, b.getPtrTy());
  }
  Value *site() { return b.getInt32(addSite(Site())); }
  bool replace(Value *value) {
    if (!call.getType()->isVoidTy())
      call.replaceAllUsesWith(value);
    call.eraseFromParent();
    return true;
  }
  bool runtime(StringRef name, ArrayRef<Value *> args) {
    return replace(callRuntime(b, name, call.getType(), args));
  }

  bool lowerBarrier(StringRef name);
  bool lowerShuffle(StringRef name);
  bool lowerVote(StringRef name);
  bool lowerReduction(StringRef name);
  bool lowerAsyncCopy(StringRef name);
  bool asyncCopy(Value *to, Value *from, unsigned size, Value *wanted);
  bool waitForCopies(Value *pending);
  bool lowerPacking(StringRef name, ArrayRef<Value *> halves);
  bool lowerMatrixMove(StringRef name, ArrayRef<Value *> args);
  bool lowerReflect();
  bool lowerArithmetic(StringRef name);
  bool barrier(BarrierOp op, Value *id, Value *count, Value *predicate);
  bool fence(uint32_t order, Scope scope);
  bool warp(WarpOp op, uint32_t detail, ArrayRef<Value *> args,
            Value *siteIndex);
  Value *asSlot(Value *value);
  Value *fromSlot(Value *slots, unsigned index, Type *type);

  CallInst &call;
  const LoweringTarget &target;
  function_ref<uint32_t(Site)> addSite;
  IRBuilder<> b;
};
} // namespace

/// Operations of a warp pass their operands through memory, in slots of eight
/// bytes.
Value *CallLowering::asSlot(Value *value) {
  Type *type = value->getType();
  if (type->isPointerTy())
    return b.CreatePtrToInt(pointer(value), b.getInt64Ty());
  unsigned bits = type->getPrimitiveSizeInBits();
  return b.CreateZExt(b.CreateBitCast(value, b.getIntNTy(bits)),
                      b.getInt64Ty());
}

Value *CallLowering::fromSlot(Value *slots, unsigned index, Type *type) {
  Value *bits = b.CreateLoad(
      b.getInt64Ty(), b.CreateConstGEP1_64(b.getInt64Ty(), slots, index));
  return b.CreateBitCast(
      b.CreateTrunc(bits, b.getIntNTy(type->getPrimitiveSizeInBits())), type);
}

bool CallLowering::warp(WarpOp op, uint32_t detail, ArrayRef<Value *> args,
                        Value *siteIndex) {
  auto makeSlots = [&](size_t count) {
    BasicBlock &entry = call.getFunction()->getEntryBlock();
    IRBuilder<> atEntry(&*entry.getFirstInsertionPt());
    return atEntry.CreateAlloca(
        ArrayType::get(b.getInt64Ty(), std::max<size_t>(count, 1)));
  };
  auto *structure = dyn_cast<StructType>(call.getType());
  size_t numResults = structure ? structure->getNumElements() : 1;
  Value *inputs = makeSlots(args.size());
  // Some operations have more results than the intrinsic.
  Value *outputs = makeSlots(numResults + 1);
  for (auto [index, value] : llvm::enumerate(args))
    b.CreateStore(asSlot(value),
                  b.CreateConstGEP1_64(b.getInt64Ty(), inputs, index));
  callRuntime(b, "simt.warp", b.getVoidTy(),
              {b.getInt32(uint32_t(op)), b.getInt32(detail), siteIndex, inputs,
               outputs});
  if (call.getType()->isVoidTy())
    return replace(nullptr);
  if (!structure)
    return replace(fromSlot(outputs, 0, call.getType()));
  Value *result = PoisonValue::get(structure);
  for (unsigned i = 0; i < numResults; ++i)
    result = b.CreateInsertValue(
        result, fromSlot(outputs, i, structure->getElementType(i)), i);
  return replace(result);
}

bool CallLowering::barrier(BarrierOp op, Value *id, Value *count,
                           Value *predicate) {
  Site info;
  info.isOrder = op == BarrierOp::Sync || op == BarrierOp::SyncAligned;
  Value *result = callRuntime(b, "simt.barrier", b.getInt32Ty(),
                              {b.getInt32(uint32_t(op)), id, count, predicate,
                               b.getInt32(addSite(info))});
  if (call.getType()->isVoidTy())
    return replace(nullptr);
  return replace(b.CreateZExtOrTrunc(result, call.getType()));
}

/// `barrier.cta.` has been removed from the name.
bool CallLowering::lowerBarrier(StringRef name) {
  bool hasCount = name.consume_back(".count");
  if (!hasCount && !name.consume_back(".all"))
    return false;
  bool isAligned = name.consume_back(".aligned");
  Value *zero = b.getInt32(0);
  Value *count = hasCount ? word(1) : zero;
  if (name == "sync")
    return barrier(isAligned ? BarrierOp::SyncAligned : BarrierOp::Sync,
                   word(0), count, zero);
  if (name == "arrive")
    return barrier(BarrierOp::Arrive, word(0), count, zero);
  if (!name.consume_front("red."))
    return false;
  auto op = StringSwitch<std::optional<BarrierOp>>(name)
                .Case("and", BarrierOp::And)
                .Case("or", BarrierOp::Or)
                .Case("popc", BarrierOp::Popc)
                .Default(std::nullopt);
  return op && barrier(*op, word(0), count, word(hasCount ? 2 : 1));
}

bool CallLowering::fence(uint32_t order, Scope scope) {
  Site info;
  info.isOrder = true;
  return runtime("simt.fence", {b.getInt32(order), b.getInt32(uint32_t(scope)),
                                b.getInt32(addSite(info))});
}

/// `shfl.sync.` has been removed from the name.
bool CallLowering::lowerShuffle(StringRef name) {
  auto op = StringSwitch<std::optional<WarpOp>>(name.split('.').first)
                .Case("up", WarpOp::ShuffleUp)
                .Case("down", WarpOp::ShuffleDown)
                .Case("bfly", WarpOp::ShuffleButterfly)
                .Case("idx", WarpOp::ShuffleIndex)
                .Default(std::nullopt);
  return op && warp(*op, 0, {arg(0), arg(1), arg(2), arg(3)}, site());
}

bool CallLowering::lowerVote(StringRef name) {
  auto op =
      StringSwitch<std::optional<WarpOp>>(name)
          .Case("vote.all.sync", WarpOp::VoteAll)
          .Case("vote.any.sync", WarpOp::VoteAny)
          .Case("vote.uni.sync", WarpOp::VoteUniform)
          .Case("vote.ballot.sync", WarpOp::VoteBallot)
          .Cases({"match.any.sync.i32", "match.any.sync.i64"}, WarpOp::MatchAny)
          .Cases({"match.all.sync.i32p", "match.all.sync.i64p"},
                 WarpOp::MatchAll)
          .Default(std::nullopt);
  return op && warp(*op, 0, {arg(0), arg(1)}, site());
}

/// `redux.sync.` has been removed from the name.
bool CallLowering::lowerReduction(StringRef name) {
  bool isNaN = name.consume_back(".NaN");
  bool isAbsolute = name.consume_back(".abs");
  auto op = StringSwitch<std::optional<WarpOp>>(name)
                .Case("add", WarpOp::ReduceAdd)
                .Case("min", WarpOp::ReduceMin)
                .Case("max", WarpOp::ReduceMax)
                .Case("umin", WarpOp::ReduceUMin)
                .Case("umax", WarpOp::ReduceUMax)
                .Case("and", WarpOp::ReduceAnd)
                .Case("or", WarpOp::ReduceOr)
                .Case("xor", WarpOp::ReduceXor)
                .Case("fmin", WarpOp::ReduceFMin)
                .Case("fmax", WarpOp::ReduceFMax)
                .Default(std::nullopt);
  // The intrinsic has the mask second.
  return op && warp(*op, 0,
                    {arg(1), arg(0), b.getInt32(isAbsolute), b.getInt32(isNaN)},
                    site());
}

/// `ldmatrix.sync.aligned.m8n8.` or `stmatrix...`.
bool CallLowering::lowerMatrixMove(StringRef name, ArrayRef<Value *> args) {
  bool isStore = name.starts_with("st");
  name = name.drop_front(strlen("ldmatrix."));
  if (!name.consume_front("sync.aligned.m8n8.x") || !name.consume_back(".b16"))
    return false;
  uint32_t detail = name.consume_back(".trans") ? kTransposed : 0;
  unsigned count;
  if (name.getAsInteger(10, count) || count > 4)
    return false;
  Site info;
  info.align = 16;
  // Its requests are counted where it is executed.
  info.isRead = !isStore;
  info.isWrite = isStore;
  return warp(isStore ? WarpOp::StoreMatrix : WarpOp::LoadMatrix,
              detail | count, args, b.getInt32(addSite(info)));
}

/// `wanted` bytes are read, the rest is zero.
bool CallLowering::asyncCopy(Value *to, Value *from, unsigned size,
                             Value *wanted) {
  Site info;
  info.size = info.width = size;
  info.isRead = true;
  return runtime("simt.async_copy",
                 {pointer(to), pointer(from), b.getInt32(size), wanted,
                  b.getInt32(addSite(info))});
}

bool CallLowering::waitForCopies(Value *pending) {
  return runtime("simt.wait_for_copies", {pending});
}

/// `cp.async.` has been removed from the name.
bool CallLowering::lowerAsyncCopy(StringRef name) {
  if (name == "commit.group")
    return runtime("simt.commit_copies", {});
  if (name == "wait.all")
    return waitForCopies(b.getInt32(UINT32_MAX));
  if (name == "wait.group")
    return waitForCopies(word(0));
  bool hasSize = name.consume_back(".s");
  unsigned size;
  if (!(name.consume_front("ca.shared.global.") ||
        name.consume_front("cg.shared.global.")) ||
      name.getAsInteger(10, size))
    return false;
  return asyncCopy(arg(0), arg(1), size, hasSize ? word(2) : b.getInt32(size));
}

/// Two numbers rounded to halves of a register, the first to the upper one.
bool CallLowering::lowerPacking(StringRef name, ArrayRef<Value *> halves) {
  Type *type = StringSwitch<Type *>(name)
                   .Case("bf16x2", b.getBFloatTy())
                   .Case("f16x2", b.getHalfTy())
                   .Default(nullptr);
  if (!type || halves.size() != 2)
    return false;
  Value *packed = PoisonValue::get(FixedVectorType::get(type, 2));
  for (unsigned i = 0; i < 2; ++i)
    packed =
        b.CreateInsertElement(packed, b.CreateFPTrunc(halves[1 - i], type), i);
  return replace(b.CreateBitCast(packed, call.getType()));
}

bool CallLowering::lowerReflect() {
  StringRef what;
  if (!getConstantStringInfo(arg(0), what))
    return false;
  uint32_t value = StringSwitch<uint32_t>(what)
                       .Case("__CUDA_FTZ", target.flushSubnormals)
                       .Case("__CUDA_ARCH", target.arch)
                       .Cases({"__CUDA_PREC_DIV", "__CUDA_PREC_SQRT"}, 1)
                       .Default(0);
  return replace(ConstantInt::get(call.getType(), value));
}

/// Intrinsics that compute a number from numbers are functions of the table,
/// with the name they have there.
bool CallLowering::lowerArithmetic(StringRef name) {
  std::string symbol = ("nvvm." + name).str();
  if (!getRuntimeFunctions().contains(symbol))
    return false;
  Value *result =
      callRuntime(b, symbol, call.getType(), SmallVector<Value *>(call.args()));
  return replace(result);
}

bool CallLowering::lower(StringRef name) {
  // The address space of an operand may be a part of the name.
  auto [stem, suffix] = name.rsplit('.');
  if (suffix.size() == 2 && suffix[0] == 'p' && isDigit(suffix[1]))
    name = stem;
  if (name.consume_front("read.ptx.sreg.")) {
    if (name == "clock64" || name == "globaltimer")
      return runtime("simt.clock", {});
    if (name == "clock" || name == "globaltimer.lo")
      return replace(b.CreateTrunc(
          callRuntime(b, "simt.clock", b.getInt64Ty(), {}), b.getInt32Ty()));
    std::optional<SpecialRegister> reg = parseRegister(name);
    return reg && runtime("simt.register", {b.getInt32(uint32_t(*reg))});
  }
  if (name.consume_front("barrier.cta."))
    return lowerBarrier(name);
  if (name == "bar.warp.sync")
    return warp(WarpOp::Sync, 0, {arg(0)}, site());
  if (name == "membar.cta")
    return fence(3, Scope::Cta);
  if (name == "membar.gl" || name == "fence.sc.cluster")
    return fence(3, Scope::Gpu);
  if (name == "membar.sys")
    return fence(3, Scope::Sys);
  if (name.consume_front("shfl.sync."))
    return lowerShuffle(name);
  if (name.starts_with("vote.") || name.starts_with("match."))
    return lowerVote(name);
  if (name.consume_front("redux.sync."))
    return lowerReduction(name);
  if (name == "elect.sync")
    return warp(WarpOp::Elect, 0, {arg(0)}, site());
  if (name == "activemask")
    // The other lanes may always be elsewhere.
    return runtime("simt.register",
                   {b.getInt32(uint32_t(SpecialRegister::LaneMaskEq))});
  if (name.starts_with("ldmatrix.") || name.starts_with("stmatrix."))
    return lowerMatrixMove(name, SmallVector<Value *>(call.args()));
  if (name == "ff2bf16x2.rn" || name == "ff2f16x2.rn")
    return lowerPacking(name.drop_front(strlen("ff2")).drop_back(strlen(".rn")),
                        {arg(0), arg(1)});
  if (name == "f2bf16.rn")
    return replace(b.CreateFPTrunc(arg(0), call.getType()));
  if (name.consume_front("mma.")) {
    std::optional<MmaShape> shape = parseMma(name);
    return shape && warp(WarpOp::MultiplyMatrix, shape->pack(),
                         SmallVector<Value *>(call.args()), site());
  }
  if (name.consume_front("cp.async."))
    return lowerAsyncCopy(name);
  if (name == "nanosleep")
    return runtime("simt.yield", {site()});
  if (name == "exit")
    return runtime("simt.exit", {});
  if (name == "reflect")
    return lowerReflect();
  // They are hints.
  if (name.starts_with("prefetch") || name.starts_with("griddepcontrol.") ||
      name.starts_with("applypriority.") || name.starts_with("pm.event"))
    return replace(nullptr);
  return lowerArithmetic(name);
}

/// The name of the intrinsic for `mma.sync.aligned.` with the types of D, A, B
/// and C, without the types where they follow.
static std::string nameOfMma(StringRef name) {
  auto [shape, types] = name.split(".row.col.");
  SmallVector<StringRef> words;
  types.split(words, '.');
  if (words.size() != 4)
    return name.str();
  std::string stem = (shape + ".row.col.").str();
  if (words[1] == "f16" && words[2] == "f16")
    return stem + (words[0] + "." + words[3]).str();
  if (words[1] == words[2])
    return stem + words[1].str();
  return stem + (words[1] + "." + words[2]).str();
}

bool CallLowering::lower(const Assembly &assembly) {
  StringRef name = assembly.op;
  ArrayRef<Value *> inputs = assembly.inputs;
  if (name.consume_front("mma.sync.aligned.")) {
    std::optional<MmaShape> shape = parseMma(nameOfMma(name));
    return shape && warp(WarpOp::MultiplyMatrix, shape->pack(), inputs, site());
  }
  if (name.starts_with("ldmatrix.") || name.starts_with("stmatrix.")) {
    // The state space, which may be spelled in two ways, is not in the names
    // of intrinsics.
    auto [stem, type] = name.rsplit('.');
    stem.consume_back("::cta");
    if (!stem.consume_back(".shared"))
      return false;
    return lowerMatrixMove((stem + "." + type).str(), inputs);
  }
  if (name == "bar.sync" && !inputs.empty() && inputs.size() <= 2)
    return barrier(BarrierOp::SyncAligned, inputs[0],
                   inputs.size() == 2 ? inputs[1] : b.getInt32(0),
                   b.getInt32(0));
  if (name == "cp.async.commit_group")
    return inputs.empty() && runtime("simt.commit_copies", {});
  if (name == "cp.async.wait_all")
    return inputs.empty() && waitForCopies(b.getInt32(UINT32_MAX));
  if (name == "cp.async.wait_group")
    return inputs.size() == 1 && waitForCopies(inputs[0]);
  if (name.starts_with("cp.async.ca.shared") ||
      name.starts_with("cp.async.cg.shared")) {
    if (inputs.size() < 3 || inputs.size() > 4)
      return false;
    auto *size = dyn_cast<ConstantInt>(inputs[2]);
    return size &&
           asyncCopy(inputs[0], inputs[1], size->getZExtValue(),
                     b.CreateZExtOrTrunc(inputs.back(), b.getInt32Ty()));
  }
  if (name == "cvt.rna.tf32.f32" && inputs.size() == 1)
    return replace(b.CreateBitCast(
        callRuntime(b, "nvvm.f2tf32.rna", b.getInt32Ty(), inputs),
        call.getType()));
  if (name == "cvt.rn.bf16x2.f32" || name == "cvt.rn.f16x2.f32")
    return lowerPacking(name.split(".rn.").second.split('.').first, inputs);

  if (name == "mov.b32" && inputs.size() == 1)
    return replace(inputs[0]);

  // Arithmetic with one operand has a function in the table, whose name may
  // have the type in two ways.
  auto [stem, type] = name.rsplit('.');
  if (type != "f32" && type != "f64")
    return false;
  std::string symbol = ("nvvm." + name).str();
  if (!getRuntimeFunctions().contains(symbol))
    symbol = ("nvvm." + stem + (type == "f32" ? ".f" : ".d")).str();
  if (!getRuntimeFunctions().contains(symbol) || inputs.size() != 1 ||
      inputs[0]->getType() != call.getType() ||
      !call.getType()->isFloatingPointTy())
    return false;
  return replace(callRuntime(b, symbol, call.getType(), inputs));
}

static Error notSupported(const Instruction &instruction, const Twine &what) {
  return createStringError(what + " in '" +
                           instruction.getFunction()->getName() +
                           "' is not supported by the emulator");
}

Error scaling::simt::lowerCall(Instruction &instruction,
                               const LoweringTarget &target,
                               function_ref<uint32_t(Site)> addSite) {
  IRBuilder<> b(&instruction);
  auto trap = [&] {
    callRuntime(b, "simt.trap", b.getVoidTy(), {b.getInt32(addSite(Site()))});
  };
  if (isa<UnreachableInst>(instruction)) {
    trap();
    return Error::success();
  }
  auto *call = dyn_cast<CallInst>(&instruction);
  if (!call)
    return notSupported(instruction,
                        Twine("'") + instruction.getOpcodeName() + "'");
  if (auto *assembly = dyn_cast<InlineAsm>(call->getCalledOperand())) {
    // A barrier for the compiler only.
    if (StringRef(assembly->getAsmString()).trim().empty() &&
        call->getType()->isVoidTy()) {
      call->eraseFromParent();
      return Error::success();
    }
    if (auto parsed = Assembly::parse(*call);
        parsed && CallLowering(*call, target, addSite).lower(*parsed))
      return Error::success();
    return notSupported(instruction,
                        "inline assembly '" + assembly->getAsmString() + "'");
  }
  Function *callee = call->getCalledFunction();
  if (!callee)
    return notSupported(instruction, "an indirect call");
  if (!callee->isDeclaration())
    return Error::success();
  StringRef name = callee->getName();
  if (auto *intrinsic = dyn_cast<IntrinsicInst>(call)) {
    if (intrinsic->getIntrinsicID() == Intrinsic::trap ||
        intrinsic->getIntrinsicID() == Intrinsic::ubsantrap) {
      trap();
      call->eraseFromParent();
      return Error::success();
    }
    if (isPortable(*intrinsic))
      return Error::success();
    if (name.consume_front("llvm.nvvm.")) {
      if (CallLowering(*call, target, addSite).lower(name))
        return Error::success();
      return notSupported(instruction, "intrinsic 'llvm.nvvm." + name + "'");
    }
    return notSupported(instruction, "intrinsic '" + name + "'");
  }
  if (name == "__nvvm_reflect") {
    CallLowering(*call, target, addSite).lower("reflect");
    return Error::success();
  }
  if (name == "__assertfail") {
    trap();
    call->eraseFromParent();
    return Error::success();
  }
  return createStringError("the module does not define the function '" + name +
                           "', which '" + instruction.getFunction()->getName() +
                           "' calls");
}
