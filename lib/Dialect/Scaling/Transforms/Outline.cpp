//===- Outline.cpp - Ops of the dialect in functions of their own ---------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/IR/Scaling.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace mlir::scaling;

namespace {
/// Ops of one block, in order, that become one function.
using Group = SmallVector<Operation *>;

/// Moves groups into functions.
class Outliner {
public:
  explicit Outliner(ModuleOp module) : module(module), symbols(module) {}

  void outline(const Group &group);

private:
  ModuleOp getLibrary();

  ModuleOp module, library;
  SymbolTable symbols;
};
} // namespace

static bool isOfDialect(Operation *op) {
  return isa<ScalingDialect>(op->getDialect()) &&
         llvm::all_of(op->getOperandTypes(),
                      [](Type type) { return !isa<BaseMemRefType>(type); });
}

/// Whether the op can be done together with the group: it takes one of its
/// results, and nothing in between waits for the group.
static bool joins(Operation *op, const Group &group) {
  if (group.front()->getBlock() != op->getBlock())
    return false;
  bool takes = false;
  for (Value operand : op->getOperands())
    takes |= llvm::is_contained(group, operand.getDefiningOp());
  if (!takes)
    return false;
  for (Operation *member : group)
    for (Operation *user : member->getUsers()) {
      Operation *top = op->getBlock()->findAncestorOpInBlock(*user);
      if (top != op && !llvm::is_contained(group, top) &&
          top->isBeforeInBlock(op))
        return false;
    }
  return true;
}

/// What is made again in the function instead of passed to it: destinations,
/// numbers, and sizes.
static bool isRepeated(Operation *op) {
  if (!op)
    return false;
  if (isa<tensor::EmptyOp, tensor::DimOp>(op))
    return true;
  return op->hasTrait<OpTrait::ConstantLike>() &&
         !isa<ShapedType>(op->getResult(0).getType());
}

/// Collects what the value is made of, the values that are passed among it.
static void collect(Value value, llvm::SetVector<Operation *> &repeated,
                    llvm::SetVector<Value> &passed) {
  Operation *op = value.getDefiningOp();
  if (!isRepeated(op)) {
    passed.insert(value);
    return;
  }
  if (repeated.contains(op))
    return;
  for (Value operand : op->getOperands())
    collect(operand, repeated, passed);
  repeated.insert(op);
}

ModuleOp Outliner::getLibrary() {
  if (library)
    return library;
  library = ModuleOp::create(module.getLoc(), "scaling");
  symbols.insert(library);
  return library;
}

void Outliner::outline(const Group &group) {
  Operation *last = group.back();
  Location loc = last->getLoc();
  llvm::SetVector<Operation *> repeated;
  llvm::SetVector<Value> passed;
  for (Operation *op : group) {
    auto collectOutside = [&](Value value) {
      if (!llvm::is_contained(group, value.getDefiningOp()))
        collect(value, repeated, passed);
    };
    llvm::for_each(op->getOperands(), collectOutside);
    // Regions are arithmetic on their arguments and on numbers from outside.
    op->walk([&](Operation *inner) {
      for (Value value : inner->getOperands())
        if (!op->isAncestor(value.getParentRegion()->getParentOp()))
          collectOutside(value);
    });
  }
  SmallVector<Value> results;
  for (Operation *op : group)
    for (Value result : op->getResults())
      if (llvm::any_of(result.getUsers(), [&](Operation *user) {
            return llvm::none_of(group, [&](Operation *member) {
              return member->isAncestor(user);
            });
          }))
        results.push_back(result);

  OpBuilder b(module.getContext());
  auto type = b.getFunctionType(
      llvm::map_to_vector(passed, [](Value v) { return v.getType(); }),
      llvm::map_to_vector(results, [](Value v) { return v.getType(); }));
  auto parent = last->getParentOfType<func::FuncOp>();
  StringRef op = group.front()->getName().stripDialect();
  for (Operation *member : group)
    if (isa<ScalingBatchedOpInterface>(member))
      op = member->getName().stripDialect();
  std::string stem = (parent.getSymName() + "_" + op).str(), name = stem;
  for (unsigned i = 0; symbols.lookup("scaling." + name); ++i)
    name = stem + "_" + std::to_string(i);
  auto function = func::FuncOp::create(loc, name, type);
  getLibrary().push_back(function);
  Block *body = function.addEntryBlock();
  b.setInsertionPointToEnd(body);
  IRMapping mapping;
  mapping.map(passed.getArrayRef(), body->getArguments());
  for (Operation *op : repeated)
    b.clone(*op, mapping);
  for (Operation *op : group)
    b.clone(*op, mapping);
  func::ReturnOp::create(b, loc, llvm::map_to_vector(results, [&](Value value) {
                           return mapping.lookup(value);
                         }));

  auto declaration = func::FuncOp::create(loc, "scaling." + name, type);
  declaration.setPrivate();
  symbols.insert(declaration);
  b.setInsertionPointAfter(last);
  auto call = func::CallOp::create(b, loc, declaration, passed.getArrayRef());
  for (auto [value, result] : llvm::zip_equal(results, call.getResults()))
    value.replaceAllUsesWith(result);
  for (Operation *op : llvm::reverse(group))
    op->erase();
  for (Operation *op : llvm::reverse(repeated))
    if (op->use_empty())
      op->erase();
}

LogicalResult scaling::outline(ModuleOp module) {
  SmallVector<Group> groups;
  for (auto function : module.getOps<func::FuncOp>()) {
    function.walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (!isOfDialect(op))
        return WalkResult::advance();
      auto *group = llvm::find_if(
          groups, [&](const Group &group) { return joins(op, group); });
      if (group == groups.end())
        groups.push_back({op});
      else
        group->push_back(op);
      return WalkResult::skip();
    });
  }
  if (groups.empty())
    return success();
  if (Operation *taken = SymbolTable::lookupSymbolIn(module, "scaling"))
    return taken->emitError("the name 'scaling' is needed for the module of "
                            "the functions that are outlined");
  Outliner outliner(module);
  for (const Group &group : groups)
    outliner.outline(group);
  return success();
}
