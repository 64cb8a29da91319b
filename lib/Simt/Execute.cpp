//===- Execute.cpp - One launch, from the module to the report ------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Instrument.h"
#include "Machine.h"
#include "Runtime.h"

#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/TargetSelect.h"

#include <cstring>
#include <map>

using namespace llvm;
using namespace scaling::simt;

/// The stack of a thread: its local variables, and what our functions need.
/// Pages of a stack that are not used cost nothing; what the host cannot keep
/// in registers of a large tile is more than 64 KiB.
static constexpr uint64_t kMinStack = 256 * 1024;
static constexpr uint64_t kMaxStack = 4 * 1024 * 1024;
/// A kernel that is not done after so many launches will not be.
static constexpr uint64_t kMaxLaunches = 1 << 16;
/// The largest of any chip: what one thread block may have of shared memory.
static constexpr uint64_t kMaxShared = 227 * 1024;

//===----------------------------------------------------------------------===//
// Compilation
//===----------------------------------------------------------------------===//

/// Processors without an instruction for it round to bfloat by a call of this
/// function, whose calling convention C++ compilers do not agree on.
static void addRoundToBfloat(Module &module, StringRef name, Type *from) {
  IRBuilder<> b(module.getContext());
  auto *function =
      Function::Create(FunctionType::get(b.getBFloatTy(), {from}, false),
                       GlobalValue::LinkOnceODRLinkage, name, module);
  b.SetInsertPoint(BasicBlock::Create(module.getContext(), "", function));
  // Rounding twice would be wrong: the first rounding is to odd.
  Value *value = function->getArg(0);
  if (from->isDoubleTy()) {
    Value *narrow = b.CreateFPTrunc(value, b.getFloatTy());
    Value *bits = b.CreateBitCast(narrow, b.getInt32Ty());
    Value *wide = b.CreateFPExt(narrow, b.getDoubleTy());
    Value *tooLarge =
        b.CreateFCmpOGT(b.CreateUnaryIntrinsic(Intrinsic::fabs, wide),
                        b.CreateUnaryIntrinsic(Intrinsic::fabs, value));
    Value *inexact = b.CreateFCmpONE(wide, value);
    bits = b.CreateSub(bits, b.CreateZExt(tooLarge, b.getInt32Ty()));
    bits = b.CreateOr(bits, b.CreateZExt(inexact, b.getInt32Ty()));
    value = b.CreateBitCast(bits, b.getFloatTy());
  }
  Value *bits = b.CreateBitCast(value, b.getInt32Ty());
  Value *odd = b.CreateAnd(b.CreateLShr(bits, 16), 1);
  Value *rounded = b.CreateAdd(bits, b.CreateAdd(odd, b.getInt32(0x7fff)));
  Value *isNaN = b.CreateFCmpUNO(value, value);
  Value *quiet = b.CreateOr(bits, 0x400000);
  Value *high = b.CreateTrunc(
      b.CreateLShr(b.CreateSelect(isNaN, quiet, rounded), 16), b.getInt16Ty());
  b.CreateRet(b.CreateBitCast(high, b.getBFloatTy()));
}

static Expected<std::unique_ptr<orc::LLJIT>>
compile(std::unique_ptr<Module> module, std::unique_ptr<LLVMContext> context) {
  InitializeNativeTarget();
  InitializeNativeTargetAsmPrinter();
  auto builder = orc::JITTargetMachineBuilder::detectHost();
  if (!builder)
    return builder.takeError();
  // What comes out must do what the device's code does, not what is fastest.
  builder->setCodeGenOptLevel(CodeGenOptLevel::Less);
  auto jit = orc::LLJITBuilder().setJITTargetMachineBuilder(*builder).create();
  if (!jit)
    return jit.takeError();
  orc::SymbolMap symbols;
  for (const auto &entry : getRuntimeFunctions())
    symbols[(*jit)->mangleAndIntern(entry.getKey())] = {
        orc::ExecutorAddr::fromPtr(entry.getValue()),
        JITSymbolFlags::Exported | JITSymbolFlags::Callable};
  if (Error error = (*jit)->getMainJITDylib().define(
          orc::absoluteSymbols(std::move(symbols))))
    return std::move(error);
  // Code generation calls libm for what is no instruction.
  auto process = orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(
      (*jit)->getDataLayout().getGlobalPrefix());
  if (!process)
    return process.takeError();
  (*jit)->getMainJITDylib().addGenerator(std::move(*process));
  module->setTargetTriple((*jit)->getTargetTriple());
  module->setDataLayout((*jit)->getDataLayout());
  addRoundToBfloat(*module, "__truncsfbf2",
                   Type::getFloatTy(module->getContext()));
  addRoundToBfloat(*module, "__truncdfbf2",
                   Type::getDoubleTy(module->getContext()));
  if (Error error = (*jit)->addIRModule(
          orc::ThreadSafeModule(std::move(module), std::move(context))))
    return std::move(error);
  return std::move(*jit);
}

//===----------------------------------------------------------------------===//
// Checks before the launch
//===----------------------------------------------------------------------===//

/// Adds what the kernel says of how it is launched.
static Launch completeLaunch(Launch launch, const Instrumented &kernel) {
  launch.entry = kernel.name;
  if (!launch.dynamicShared)
    launch.dynamicShared = kernel.dynamicShared;
  if (launch.block != Dim3{0, 0, 0})
    return launch;
  ArrayRef<uint32_t> threads = kernel.requiredThreads.empty()
                                   ? kernel.maxThreads
                                   : kernel.requiredThreads;
  launch.block = {threads.empty() ? kWarpSize : 1, 1, 1};
  llvm::copy(threads, launch.block.begin());
  return launch;
}

static Error checkLaunch(const Launch &launch, const Instrumented &kernel,
                         ArrayRef<KernelArgument> arguments) {
  static constexpr Dim3 maxBlock = {1024, 1024, 64};
  static constexpr Dim3 maxGrid = {2147483647, 65535, 65535};
  uint64_t threads = 1, ctas = 1;
  for (unsigned i = 0; i < 3; ++i) {
    if (launch.block[i] == 0 || launch.block[i] > maxBlock[i])
      return createStringError(
          "a CTA of " + Twine(launch.block[i]) + " threads along " +
          StringRef("xyz").substr(i, 1) + " is not possible");
    if (launch.grid[i] == 0 || launch.grid[i] > maxGrid[i])
      return createStringError("a grid of " + Twine(launch.grid[i]) +
                               " CTAs along " + StringRef("xyz").substr(i, 1) +
                               " is not possible");
    threads *= launch.block[i];
    ctas *= launch.grid[i];
  }
  if (threads > 1024)
    return createStringError("a CTA has at most 1024 threads, not " +
                             Twine(threads));
  if (ctas > uint64_t(1) << (32 - kThreadBits))
    return createStringError("the emulator takes at most 4194304 CTAs, not " +
                             Twine(ctas));
  auto total = [](ArrayRef<uint32_t> sizes) {
    uint64_t threads = 1;
    for (uint32_t size : sizes)
      threads *= size;
    return threads;
  };
  if (!kernel.maxThreads.empty() && threads > total(kernel.maxThreads))
    return createStringError("the kernel allows " +
                             Twine(total(kernel.maxThreads)) +
                             " threads per CTA, not " + Twine(threads));
  if (!kernel.requiredThreads.empty() &&
      threads != total(kernel.requiredThreads))
    return createStringError("the kernel requires " +
                             Twine(total(kernel.requiredThreads)) +
                             " threads per CTA, not " + Twine(threads));
  uint64_t shared = kernel.staticShared + *launch.dynamicShared;
  if (shared > kMaxShared)
    return createStringError("the kernel needs " + Twine(shared) +
                             " bytes of shared memory; no chip has more than " +
                             Twine(kMaxShared));
  if (arguments.size() != kernel.parameterTypes.size())
    return createStringError(
        "the kernel has " + Twine(kernel.parameterTypes.size()) +
        " parameters, " + Twine(arguments.size()) + " arguments were given");
  for (auto [index, argument] : llvm::enumerate(arguments)) {
    unsigned width = kernel.parameterWidths[index];
    bool fits = argument.isBuffer
                    ? width == 0
                    : width == argument.width &&
                          argument.isFloat == kernel.parameterIsFloat[index];
    if (!fits)
      return createStringError("parameter " + Twine(index) +
                               " of the kernel has the type " +
                               kernel.parameterTypes[index] + ", " +
                               argument.name + " is not of that type");
  }
  return Error::success();
}

//===----------------------------------------------------------------------===//
// The report
//===----------------------------------------------------------------------===//

static json::Value toJSON(const Dim3 &dims) {
  return json::Array({dims[0], dims[1], dims[2]});
}

static double ratio(uint64_t a, uint64_t b) {
  return b == 0 ? 0.0 : double(a) / double(b);
}

static json::Object globalTraffic(const Traffic &reads, const Traffic &writes) {
  return json::Object{
      {"read_bytes", reads.bytes},
      {"read_requests", reads.requests},
      {"read_sectors", reads.units},
      {"read_sectors_ideal", reads.idealUnits},
      {"written_bytes", writes.bytes},
      {"write_requests", writes.requests},
      {"write_sectors", writes.units},
      {"write_sectors_ideal", writes.idealUnits},
      {"sectors_per_request",
       ratio(reads.units + writes.units, reads.requests + writes.requests)},
      {"sectors_per_request_ideal", ratio(reads.idealUnits + writes.idealUnits,
                                          reads.requests + writes.requests)},
  };
}

/// What was executed in every loop, without the loops in it, and what its
/// accesses moved; the one with the most instructions comes first.
static json::Array loopReport(const Machine &machine,
                              const Instrumented &kernel,
                              const uint64_t *blockCounts) {
  struct Row {
    const Loop *loop = nullptr;
    uint64_t iterations = 0, instructions = 0, flops = 0, exponentials = 0;
    LoopTraffic traffic;
  };
  std::vector<Row> rows(kernel.loops.size());
  for (auto [row, loop] : llvm::zip(rows, kernel.loops))
    row.loop = &loop;
  for (auto [index, cost] : llvm::enumerate(kernel.blocks)) {
    Row &row = rows[cost.loop];
    row.iterations += cost.isHeader ? blockCounts[index] : 0;
    row.instructions += blockCounts[index] * cost.instructions;
    row.flops += blockCounts[index] * cost.flops;
    row.exponentials += blockCounts[index] * cost.exponentials;
  }
  for (auto [row, traffic] : llvm::zip(rows, machine.getLoopTraffic()))
    row.traffic = traffic;
  llvm::sort(rows, [](const Row &lhs, const Row &rhs) {
    return std::tie(rhs.instructions, lhs.loop) <
           std::tie(lhs.instructions, rhs.loop);
  });
  json::Array result;
  for (const Row &row : rows) {
    const Traffic &global = row.traffic.global, &shared = row.traffic.shared;
    if (row.instructions)
      result.push_back(json::Object{
          {"position", row.loop->position},
          {"depth", row.loop->depth},
          {"iterations", row.iterations},
          {"ir_instructions", row.instructions},
          {"flops", row.flops},
          {"exponentials", row.exponentials},
          {"global_bytes", global.bytes},
          {"global_requests", global.requests},
          {"global_sectors", global.units},
          {"shared_bytes", shared.bytes},
          {"shared_requests", shared.requests},
          {"bank_conflicts", shared.units - shared.idealUnits},
      });
  }
  return result;
}

/// How often threads came to each line of the source; of a line in several
/// places, the most frequent one.
static json::Object lineReport(const Instrumented &kernel,
                               const uint64_t *blockCounts) {
  std::map<uint32_t, uint64_t> counts;
  for (auto [index, cost] : llvm::enumerate(kernel.blocks))
    for (uint32_t line : cost.lines)
      counts[line] = std::max(counts[line], blockCounts[index]);
  json::Object result;
  for (auto [line, count] : counts)
    result[std::to_string(line)] = count;
  return result;
}

static json::Object makeReport(const Launch &launch, Machine &machine,
                               const Instrumented &kernel,
                               const uint64_t *blockCounts) {
  uint64_t instructions = 0, flops = 0, exponentials = 0, logarithms = 0;
  uint64_t localBytes = machine.counters.localBytes;
  for (auto [index, cost] : llvm::enumerate(kernel.blocks)) {
    instructions += blockCounts[index] * cost.instructions;
    flops += blockCounts[index] * cost.flops;
    exponentials += blockCounts[index] * cost.exponentials;
    logarithms += blockCounts[index] * cost.logarithms;
    localBytes += blockCounts[index] * cost.localBytes;
  }
  Traffic reads, writes;
  json::Array buffers;
  for (const auto &region : machine.getRegions()) {
    reads += region->reads;
    writes += region->writes;
    json::Object buffer = globalTraffic(region->reads, region->writes);
    buffer["name"] = region->name;
    buffer["bytes"] = region->size;
    buffers.push_back(std::move(buffer));
  }
  const Traffic &sharedReads = machine.getSharedReads();
  const Traffic &sharedWrites = machine.getSharedWrites();
  json::Object shared{
      {"static_bytes", kernel.staticShared},
      {"dynamic_bytes", *launch.dynamicShared},
      {"read_bytes", sharedReads.bytes},
      {"read_requests", sharedReads.requests},
      {"written_bytes", sharedWrites.bytes},
      {"write_requests", sharedWrites.requests},
      {"bank_conflicts", sharedReads.units - sharedReads.idealUnits +
                             sharedWrites.units - sharedWrites.idealUnits},
  };
  json::Array faults;
  for (const Fault &fault : machine.getFaults())
    faults.push_back(
        json::Object{{"kind", fault.kind}, {"message", fault.message}});
  const Machine::Counters &counters = machine.counters;
  return json::Object{
      {"kernel", launch.entry},
      {"grid", toJSON(launch.grid)},
      {"block", toJSON(launch.block)},
      {"seed", launch.seed},
      {"launches", machine.getNumLaunches()},
      {"resident_ctas", machine.getResident()},
      {"global", globalTraffic(reads, writes)},
      {"buffers", std::move(buffers)},
      {"shared", std::move(shared)},
      {"local_bytes", localBytes},
      {"barriers", counters.barriers},
      {"warp_syncs", counters.warpSyncs},
      {"shuffles", counters.shuffles},
      {"votes", counters.votes},
      {"warp_reductions", counters.reductions},
      {"fences", counters.fences},
      {"atomics", counters.atomics},
      {"async_copies", counters.asyncCopies},
      {"matrix_moves", counters.matrixLoads},
      {"matrix_multiplies", counters.matrixMultiplies},
      {"matrix_flops", counters.matrixFlops},
      {"flops", flops},
      {"exponentials", exponentials},
      {"logarithms", logarithms},
      {"ir_instructions", instructions},
      {"loops", loopReport(machine, kernel, blockCounts)},
      {"lines", lineReport(kernel, blockCounts)},
      {"faults", std::move(faults)},
  };
}

//===----------------------------------------------------------------------===//
// The launch
//===----------------------------------------------------------------------===//

namespace {
/// A variable of the module, and what it is before every launch.
struct Variable {
  const DeviceVariable *about;
  char *base;
  std::vector<char> initial;
};
} // namespace

/// A launch, or more until the kernel is done; gives the buffers of the
/// arguments.
static Expected<std::vector<Region *>>
launchOnce(Machine &machine, void (*entry)(void *),
           ArrayRef<KernelArgument> arguments) {
  std::vector<uint64_t> slots;
  std::vector<Region *> regions;
  for (const KernelArgument &argument : arguments) {
    regions.push_back(nullptr);
    slots.push_back(argument.bits);
    if (!argument.isBuffer)
      continue;
    if (argument.isAlias) {
      slots.back() = slots[slots.size() - 2];
      continue;
    }
    Region *region = machine.addBuffer(argument.name, argument.numBytes,
                                       argument.initialized);
    if (!region)
      return createStringError("there is no memory for " + argument.name);
    if (argument.initialized && argument.numBytes)
      std::memcpy(region->base, argument.data, argument.numBytes);
    regions.back() = region;
    slots.back() = reinterpret_cast<uint64_t>(region->base);
  }
  slots.push_back(0);
  if (Error error = machine.run(entry, slots.data()))
    return std::move(error);
  auto isDone = [&] {
    for (auto [argument, region] : llvm::zip_equal(arguments, regions))
      if (region && argument.isState)
        return *reinterpret_cast<const int32_t *>(region->base) == -1;
    return true;
  };
  while (!isDone() && machine.getFaults().empty()) {
    if (machine.getNumLaunches() == kMaxLaunches) {
      machine.giveUp();
      break;
    }
    machine.prepareNext();
    if (Error error = machine.run(entry, slots.data()))
      return std::move(error);
  }
  return std::move(regions);
}

Expected<Result>
scaling::simt::execute(std::unique_ptr<Module> givenModule,
                       std::unique_ptr<LLVMContext> givenContext,
                       const Launch &givenLaunch,
                       MutableArrayRef<KernelArgument> arguments) {
  // In this order: the module goes before its context.
  std::unique_ptr<LLVMContext> context = std::move(givenContext);
  std::unique_ptr<Module> module = std::move(givenModule);
  Expected<Instrumented> kernel = instrument(*module, givenLaunch.entry);
  if (!kernel)
    return kernel.takeError();
  Launch launch = completeLaunch(givenLaunch, *kernel);
  if (Error error = checkLaunch(launch, *kernel, arguments))
    return std::move(error);
  auto jit = compile(std::move(module), std::move(context));
  if (!jit)
    return jit.takeError();
  auto entry = (*jit)->lookup(kEntrySymbol);
  if (!entry)
    return entry.takeError();
  auto blockCounts = (*jit)->lookup(kBlockCounters);
  if (!blockCounts)
    return blockCounts.takeError();

  // A local variable may be indexed past what the compiler thinks.
  uint64_t stackSize =
      alignTo(kMinStack + 4 * kernel->localBytes, uint64_t(4096));
  if (stackSize > kMaxStack)
    return createStringError("the kernel has " + Twine(kernel->localBytes) +
                             " bytes of local variables, too many");
  std::vector<Variable> variables;
  for (const DeviceVariable &variable : kernel->variables) {
    auto address = (*jit)->lookup(variable.symbol);
    if (!address)
      return address.takeError();
    auto *base = address->toPtr<char *>();
    variables.push_back({&variable, base, {base, base + variable.size}});
  }
  auto run = [&](Machine &machine) {
    for (const Variable &variable : variables) {
      // Constants cannot be written.
      const std::vector<char> &initial = variable.initial;
      if (!std::equal(initial.begin(), initial.end(), variable.base))
        llvm::copy(initial, variable.base);
      machine.addRegion("variable '" + variable.about->name + "'",
                        variable.base, variable.about->size);
    }
    return launchOnce(machine, entry->toPtr<void (*)(void *)>(), arguments);
  };
  Machine machine(launch, kernel->sites, kernel->staticShared, stackSize);
  Expected<std::vector<Region *>> regions = run(machine);
  if (!regions)
    return regions.takeError();
  Result result;
  result.report = makeReport(launch, machine, *kernel,
                             blockCounts->toPtr<const uint64_t *>());
  result.faults = std::move(machine.getFaults());
  json::Array orders;
  for (auto [index, site] : llvm::enumerate(kernel->sites)) {
    if (!launch.omitEach || !result.faults.empty() || !site.isOrder)
      continue;
    Order order{site.position, machine.getTimes(index), std::nullopt};
    if (order.times != 0) {
      // One fault is enough.
      Launch again = launch;
      again.maxFaults = 1;
      Machine without(again, kernel->sites, kernel->staticShared, stackSize);
      without.omit(index);
      if (Error error = run(without).takeError())
        return std::move(error);
      if (!without.getFaults().empty())
        order.fault = without.getFaults().front();
    }
    json::Object entry{{"position", order.position}, {"times", order.times}};
    entry["fault"] = order.fault ? json::Value(order.fault->kind) : nullptr;
    orders.push_back(std::move(entry));
    result.orders.push_back(std::move(order));
  }
  if (launch.omitEach)
    result.report["orders"] = std::move(orders);
  for (auto [argument, region] : llvm::zip(arguments, *regions))
    if (region && argument.data && argument.numBytes)
      std::memcpy(argument.data, region->base, argument.numBytes);
  return std::move(result);
}
