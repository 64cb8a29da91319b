//===- Evaluate.cpp - From operations to formulas -------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Evaluate.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "llvm/ADT/TypeSwitch.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>

using namespace mlir;
using namespace mlir::scaling::raise;

/// Loops with more iterations, and functions with more formulas, are not
/// followed.
static constexpr int64_t kMostIterations = 10000;
static constexpr size_t kMostFormulas = 8000000;

/// The number that was written: 1e-6 where an f32 is closest to 1e-6.
static double readNumber(const APFloat &value) {
  if (&value.getSemantics() != &APFloat::IEEEsingle() || !value.isFinite())
    return value.convertToDouble();
  float number = value.convertToFloat();
  char text[32];
  for (int digits = 6; digits <= 9; ++digits) {
    std::snprintf(text, sizeof text, "%.*g", digits, number);
    if (std::strtof(text, nullptr) == number)
      break;
  }
  return std::strtod(text, nullptr);
}

static std::optional<double> readConstant(Attribute attribute) {
  if (auto number = dyn_cast<FloatAttr>(attribute))
    return readNumber(number.getValue());
  if (auto number = dyn_cast<IntegerAttr>(attribute)) {
    if (number.getValue().getBitWidth() > 64)
      return std::nullopt;
    return static_cast<double>(number.getType().isInteger(1)
                                   ? number.getValue().getZExtValue()
                                   : number.getValue().getSExtValue());
  }
  if (auto splat = dyn_cast<SplatElementsAttr>(attribute))
    if (splat.getElementType().isIntOrIndexOrFloat())
      return readConstant(splat.getSplatValue<Attribute>());
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

Term Evaluator::makeLeaf(Value value) {
  // It may be another value in every iteration.
  Operation *parent = value.getParentBlock()->getParentOp();
  unknown |= followed && followed->isAncestor(parent);
  auto tensor = dyn_cast<RankedTensorType>(value.getType());
  SmallVector<Label> labels;
  SmallVector<int64_t> sizes;
  if (tensor)
    for (auto [dim, extent] : llvm::enumerate(tensor.getShape()))
      if (extent != 1) {
        labels.push_back(static_cast<Label>(dim));
        sizes.push_back(extent);
      }
  return expressions.leaf(value, getElementTypeOrSelf(value.getType()), labels,
                          sizes);
}

Term Evaluator::getTerm(Value value) {
  if (auto it = terms.find(value); it != terms.end())
    return it->second;
  Term term;
  Attribute attribute;
  std::optional<double> number;
  if (matchPattern(value, m_Constant(&attribute)))
    number = readConstant(attribute);
  term = number ? expressions.constant(*number) : makeLeaf(value);
  setTerm(value, term);
  return term;
}

void Evaluator::setTerm(Value value, Term term) {
  if (!term)
    return;
  // A value that is constant along a dimension holds more than its node.
  auto tensor = dyn_cast<RankedTensorType>(value.getType());
  bool whole = tensor && (!followed || term.node->kind == Kind::Leaf);
  if (whole)
    for (auto [dim, extent] : llvm::enumerate(tensor.getShape()))
      whole &= extent == 1 || term.has(static_cast<Label>(dim));
  if (whole && (!term.node->type || term.node->type == tensor.getElementType()))
    values.try_emplace(term.node, value);
  terms[value] = std::move(term);
}

void Evaluator::forget(Operation *op) {
  for (Value result : op->getResults()) {
    auto it = terms.find(result);
    if (it == terms.end())
      continue;
    if (values.lookup(it->second.node) == result)
      values.erase(it->second.node);
    terms.erase(it);
  }
}

void Evaluator::evaluate(Block &block) {
  for (Operation &op : block)
    evaluate(&op);
}

void Evaluator::evaluate(Operation *op) {
  // What the loop's last iteration left.
  for (Value result : op->getResults())
    terms.erase(result);
  if (expressions.getSize() > kMostFormulas)
    return;
  if (auto structured = dyn_cast<linalg::LinalgOp>(op)) {
    if (structured.hasPureTensorSemantics())
      evaluateStructured(structured);
    return;
  }
  llvm::TypeSwitch<Operation *>(op)
      .Case<tensor::ExpandShapeOp>([&](tensor::ExpandShapeOp reshape) {
        evaluateReshape(op, reshape.getReassociationIndices(), reshape.getSrc(),
                        reshape.getResult(), /*expands=*/true);
      })
      .Case<tensor::CollapseShapeOp>([&](tensor::CollapseShapeOp reshape) {
        evaluateReshape(op, reshape.getReassociationIndices(),
                        reshape.getResult(), reshape.getSrc(),
                        /*expands=*/false);
      })
      .Case<tensor::CastOp>([&](tensor::CastOp cast) {
        auto from = dyn_cast<RankedTensorType>(cast.getSource().getType());
        auto to = dyn_cast<RankedTensorType>(cast.getType());
        if (from && to &&
            llvm::all_of(llvm::zip_equal(from.getShape(), to.getShape()),
                         [](auto sizes) {
                           auto [x, y] = sizes;
                           return (x == 1) == (y == 1);
                         }))
          setTerm(cast, getTerm(cast.getSource()));
      })
      .Case<tensor::ExtractOp>([&](tensor::ExtractOp extract) {
        Term term = getTerm(extract.getTensor());
        if (term.at.empty())
          setTerm(extract, term);
      })
      .Case<tensor::FromElementsOp>([&](tensor::FromElementsOp from) {
        if (from.getElements().size() == 1)
          setTerm(from, getTerm(from.getElements()[0]));
      })
      .Case<tensor::ConcatOp>(
          [&](tensor::ConcatOp concat) { evaluateConcat(op, concat.getDim()); })
      .Case<scf::ForOp>([&](scf::ForOp loop) { evaluateFor(loop); })
      .Case<scf::WhileOp>([&](scf::WhileOp loop) { evaluateWhile(loop); })
      .Default([&](Operation *) {
        if (op->getNumRegions() || op->getNumResults() != 1 ||
            op->getNumOperands() == 0 || !isMemoryEffectFree(op))
          return;
        bool numbers = op->getResult(0).getType().isIntOrIndexOrFloat() &&
                       llvm::all_of(op->getOperandTypes(), [](Type type) {
                         return type.isIntOrIndexOrFloat();
                       });
        bool entries = op->hasTrait<OpTrait::Elementwise>() &&
                       isa<RankedTensorType>(op->getResult(0).getType());
        if (numbers || entries) {
          SmallVector<Term> operands = llvm::map_to_vector(
              op->getOperands(), [&](Value v) { return getTerm(v); });
          setTerm(op->getResult(0), apply(op, operands));
        }
      });
}

//===----------------------------------------------------------------------===//
// Entry by entry
//===----------------------------------------------------------------------===//

/// A comparison of floats as a condition; none where it is another one.
static Term compare(Expressions &e, arith::CmpFPredicate predicate,
                    ArrayRef<Term> operands) {
  const Term &x = operands[0], &y = operands[1];
  switch (predicate) {
  case arith::CmpFPredicate::OGT:
  case arith::CmpFPredicate::UGT:
    return e.greater(x, y);
  case arith::CmpFPredicate::OLT:
  case arith::CmpFPredicate::ULT:
    return e.greater(y, x);
  case arith::CmpFPredicate::OGE:
  case arith::CmpFPredicate::UGE:
    return e.negate(e.greater(y, x));
  case arith::CmpFPredicate::OLE:
  case arith::CmpFPredicate::ULE:
    return e.negate(e.greater(x, y));
  case arith::CmpFPredicate::ONE:
  case arith::CmpFPredicate::UNE:
    return getConstant(y) == 0.0 && isCondition(x) ? x : Term{};
  default:
    return {};
  }
}

/// The same of whole numbers.
static Term compare(Expressions &e, arith::CmpIPredicate predicate,
                    ArrayRef<Term> operands) {
  const Term &x = operands[0], &y = operands[1];
  std::optional<double> xNumber = getConstant(x), yNumber = getConstant(y);
  switch (predicate) {
  case arith::CmpIPredicate::sgt:
  case arith::CmpIPredicate::ugt:
    return e.greater(x, y);
  case arith::CmpIPredicate::slt:
  case arith::CmpIPredicate::ult:
    return e.greater(y, x);
  case arith::CmpIPredicate::sge:
  case arith::CmpIPredicate::uge:
    return e.negate(e.greater(y, x));
  case arith::CmpIPredicate::sle:
  case arith::CmpIPredicate::ule:
    return e.negate(e.greater(x, y));
  case arith::CmpIPredicate::eq:
    return xNumber && yNumber ? e.constant(*xNumber == *yNumber) : Term{};
  case arith::CmpIPredicate::ne:
    return xNumber && yNumber ? e.constant(*xNumber != *yNumber) : Term{};
  }
  llvm_unreachable("all predicates are handled");
}

/// Sums in f64 of f32 numbers are what sums of f32 numbers should be: PyTorch
/// makes variances in that way. What is more than statistics in f64 stays so.
Term Evaluator::narrow(const Term &wide, bool summed) {
  const Node &node = *wide.node;
  switch (node.kind) {
  case Kind::Constant:
    return wide;
  case Kind::Other: {
    Term operand = getOperand(wide, 0);
    bool widens = summed && node.name->getStringRef() == "arith.extf" &&
                  operand.node->type && operand.node->type.isF32();
    return widens ? operand : Term{};
  }
  case Kind::Linear:
  case Kind::Product: {
    SmallVector<Operand> operands;
    for (unsigned i = 0, end = node.operands.size(); i < end; ++i) {
      Term operand = narrow(getOperand(wide, i), summed);
      if (!operand)
        return {};
      operands.push_back({operand, node.operands[i].weight});
    }
    return node.kind == Kind::Linear ? expressions.linear(operands, node.number)
                                     : expressions.product(operands);
  }
  case Kind::Sum: {
    Label fresh = 0;
    for (Label label : wide.at)
      fresh = std::max(fresh, label + 1);
    SmallVector<Label> lost;
    SmallVector<int64_t> sizes;
    const Term &inner = node.operands[0].term;
    for (auto [label, extent] : llvm::zip_equal(inner.at, inner.node->sizes))
      if (label < 0) {
        lost.push_back(fresh++);
        sizes.push_back(extent);
      }
    Term operand = narrow(getOperand(wide, 0, lost), /*summed=*/true);
    return operand ? expressions.sum(operand, lost, sizes) : Term{};
  }
  default:
    return {};
  }
}

Term Evaluator::apply(Operation *op, ArrayRef<Term> operands) {
  Expressions &e = expressions;
  auto number = [&](unsigned i) { return getConstant(operands[i]); };
  Type type = getElementTypeOrSelf(op->getResult(0).getType());
  bool constant = llvm::all_of(
      operands, [](const Term &term) { return getConstant(term).has_value(); });
  Term known =
      llvm::TypeSwitch<Operation *, Term>(op)
          .Case<arith::AddFOp>(
              [&](auto) { return e.add(operands[0], operands[1]); })
          .Case<arith::SubFOp>(
              [&](auto) { return e.subtract(operands[0], operands[1]); })
          .Case<arith::MulFOp>([&](auto) {
            return e.product({Operand{operands[0]}, Operand{operands[1]}});
          })
          .Case<arith::DivFOp>([&](auto) -> Term {
            if (number(1) == 0.0)
              return {};
            return e.product(
                {Operand{operands[0], 1}, Operand{operands[1], -1}});
          })
          .Case<arith::NegFOp>([&](auto) { return e.scale(-1, operands[0]); })
          .Case<math::ExpOp>([&](auto) { return e.exp(operands[0]); })
          .Case<math::LogOp>([&](auto) { return e.log(operands[0]); })
          .Case<math::Exp2Op>(
              [&](auto) { return e.exp(e.scale(std::log(2.0), operands[0])); })
          .Case<math::Log2Op>([&](auto) {
            return e.scale(1 / std::log(2.0), e.log(operands[0]));
          })
          .Case<math::SqrtOp>([&](auto) { return e.power(operands[0], 0.5); })
          .Case<math::RsqrtOp>([&](auto) { return e.power(operands[0], -0.5); })
          .Case<math::AbsFOp>([&](auto) -> Term {
            return operands[0].node->nonNegative
                       ? operands[0]
                       : e.power(e.power(operands[0], 2.0), 0.5);
          })
          .Case<math::PowFOp, math::FPowIOp>([&](auto) -> Term {
            std::optional<double> power = number(1);
            if (!power || *power == 0.0)
              return {};
            return e.power(operands[0], *power);
          })
          .Case<arith::MaximumFOp, arith::MaxNumFOp>(
              [&](auto) { return e.larger(operands[0], operands[1]); })
          .Case<arith::MinimumFOp, arith::MinNumFOp>(
              [&](auto) { return e.smaller(operands[0], operands[1]); })
          .Case<arith::SelectOp>([&](auto) {
            return e.choose(operands[0], operands[1], operands[2]);
          })
          .Case<arith::CmpFOp>([&](arith::CmpFOp cmp) -> Term {
            if (Term condition = compare(e, cmp.getPredicate(), operands))
              return condition;
            Builder builder(op->getContext());
            return e.other(op->getName(),
                           builder.getI64IntegerAttr(
                               static_cast<int64_t>(cmp.getPredicate())),
                           type, operands);
          })
          .Case<arith::TruncFOp>([&](auto) -> Term {
            if (constant)
              return operands[0];
            return type.isF32() ? narrow(operands[0], /*summed=*/false)
                                : Term{};
          })
          // Numbers keep their digits when they are converted.
          .Case<arith::ExtFOp, arith::SIToFPOp, arith::IndexCastOp,
                arith::ExtSIOp, arith::TruncIOp>(
              [&](auto) -> Term { return constant ? operands[0] : Term{}; })
          .Case<arith::UIToFPOp, arith::ExtUIOp>([&](auto) -> Term {
            return constant || isCondition(operands[0]) ? operands[0] : Term{};
          })
          .Case<arith::AndIOp>([&](auto) -> Term {
            if (!isCondition(operands[0]) || !isCondition(operands[1]))
              return {};
            return e.product({Operand{operands[0]}, Operand{operands[1]}});
          })
          .Case<arith::OrIOp>([&](auto) -> Term {
            if (!isCondition(operands[0]) || !isCondition(operands[1]))
              return {};
            return e.either(operands);
          })
          .Case<arith::XOrIOp>([&](auto) -> Term {
            if (!type.isInteger(1) || number(1) != 1.0 ||
                !isCondition(operands[0]))
              return {};
            return e.negate(operands[0]);
          })
          .Case<arith::AddIOp>([&](auto) -> Term {
            return constant ? e.constant(*number(0) + *number(1)) : Term{};
          })
          .Case<arith::SubIOp>([&](auto) -> Term {
            return constant ? e.constant(*number(0) - *number(1)) : Term{};
          })
          .Case<arith::CmpIOp>([&](arith::CmpIOp cmp) {
            return compare(e, cmp.getPredicate(), operands);
          })
          .Default([](Operation *) { return Term{}; });
  if (known)
    return known;
  return e.other(op->getName(), op->getAttrDictionary(), type, operands);
}

//===----------------------------------------------------------------------===//
// Structured operations
//===----------------------------------------------------------------------===//

/// The term of an operand, its dimensions replaced by the loops of a map.
static Term throughMap(Term term, AffineMap map) {
  for (Label &label : term.at) {
    auto loop = dyn_cast<AffineDimExpr>(map.getResult(label));
    if (!loop)
      return {};
    label = static_cast<Label>(loop.getPosition());
  }
  return term;
}

Term Evaluator::evaluateResult(linalg::LinalgOp op, unsigned result) {
  Block *body = op.getBlock();
  OpOperand *init = op.getDpsInitOperand(result);
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  BlockArgument accumulator = op.getMatchingBlockArgument(init);

  SmallVector<Label> reduced;
  for (auto [loop, kind] : llvm::enumerate(op.getIteratorTypesArray()))
    if (kind != utils::IteratorType::parallel)
      reduced.push_back(static_cast<Label>(loop));

  DenseMap<Value, Term> known;
  auto evaluateScalar = [&](auto &self, Value value) -> Term {
    if (auto it = known.find(value); it != known.end())
      return it->second;
    Term term;
    if (auto argument = dyn_cast<BlockArgument>(value);
        argument && argument.getOwner() == body) {
      OpOperand *operand = op.getMatchingOpOperand(argument);
      // Nothing but the combiner may read what has been accumulated.
      if (!reduced.empty() && op.isDpsInit(operand))
        return {};
      term = throughMap(getTerm(operand->get()),
                        op.getMatchingIndexingMap(operand));
    } else if (Operation *definition = value.getDefiningOp();
               definition && definition->getBlock() == body &&
               !matchPattern(value, m_Constant())) {
      if (definition->getNumRegions() || definition->getNumResults() != 1 ||
          definition->getNumOperands() == 0)
        return {};
      SmallVector<Term> operands;
      for (Value operand : definition->getOperands()) {
        operands.push_back(self(self, operand));
        if (!operands.back())
          return {};
      }
      term = apply(definition, operands);
    } else {
      term = getTerm(value);
      if (!term.at.empty())
        return {};
    }
    known[value] = term;
    return term;
  };

  Value yielded = body->getTerminator()->getOperand(result);
  Term term;
  if (reduced.empty()) {
    term = evaluateScalar(evaluateScalar, yielded);
  } else {
    Operation *combiner = yielded.getDefiningOp();
    if (!combiner || combiner->getNumOperands() != 2)
      return {};
    Value entry;
    if (combiner->getOperand(0) == accumulator)
      entry = combiner->getOperand(1);
    else if (combiner->getOperand(1) == accumulator)
      entry = combiner->getOperand(0);
    else
      return {};
    Term inner = evaluateScalar(evaluateScalar, entry);
    Term start =
        throughMap(getTerm(init->get()), op.getMatchingIndexingMap(init));
    if (!inner || !start)
      return {};
    if (isa<arith::AddFOp>(combiner)) {
      SmallVector<int64_t> extents = llvm::map_to_vector(
          reduced, [&](Label loop) { return ranges[loop]; });
      term = expressions.sum(inner, reduced, extents);
      if (term)
        term = expressions.add(start, term);
    } else if (isa<arith::MaximumFOp, arith::MaxNumFOp>(combiner)) {
      term = expressions.max(inner, reduced);
      std::optional<double> lowest = getConstant(start);
      if (!lowest || *lowest > -3.0e38)
        term = expressions.larger(start, term);
    } else if (isa<arith::MinimumFOp, arith::MinNumFOp>(combiner)) {
      term = expressions.min(inner, reduced);
      std::optional<double> highest = getConstant(start);
      if (!highest || *highest < 3.0e38)
        term = expressions.smaller(start, term);
    } else if (isa<arith::OrIOp>(combiner) && isCondition(inner) &&
               getConstant(start) == 0.0) {
      term = expressions.max(inner, reduced);
    }
  }
  if (!term)
    return {};
  AffineMap output = op.getMatchingIndexingMap(init);
  for (Label &label : term.at) {
    std::optional<unsigned> position =
        output.getResultPosition(getAffineDimExpr(label, op->getContext()));
    if (!position)
      return {};
    label = static_cast<Label>(*position);
  }
  return term;
}

void Evaluator::evaluateStructured(linalg::LinalgOp op) {
  for (OpResult result : op->getResults())
    setTerm(result, evaluateResult(op, result.getResultNumber()));
}

void Evaluator::evaluateReshape(Operation *op,
                                ArrayRef<ReassociationIndices> groups,
                                Value narrow, Value wide, bool expands) {
  Term term = getTerm(op->getOperand(0));
  auto wideType = cast<RankedTensorType>(wide.getType());
  // For every dimension of the wide side, that of the narrow one, where the
  // others of its group have size 1.
  SmallVector<Label> mapping(wideType.getRank(), -1);
  SmallVector<Label> inverse(groups.size(), -1);
  for (auto [outer, group] : llvm::enumerate(groups)) {
    SmallVector<int64_t> longer;
    for (int64_t dim : group)
      if (wideType.getDimSize(dim) != 1)
        longer.push_back(dim);
    if (longer.size() != 1)
      continue;
    mapping[longer[0]] = static_cast<Label>(outer);
    inverse[outer] = static_cast<Label>(longer[0]);
  }
  for (Label &label : term.at) {
    label = expands ? inverse[label] : mapping[label];
    if (label < 0)
      return setTerm(op->getResult(0), {});
  }
  setTerm(op->getResult(0), term);
}

void Evaluator::evaluateConcat(Operation *op, int64_t dim) {
  SmallVector<Term> operands;
  SmallVector<int64_t> parts;
  for (Value operand : op->getOperands()) {
    operands.push_back(getTerm(operand));
    parts.push_back(cast<RankedTensorType>(operand.getType()).getDimSize(dim));
    if (ShapedType::isDynamic(parts.back()))
      return;
  }
  setTerm(op->getResult(0),
          expressions.concat(operands, static_cast<Label>(dim), parts));
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

/// Loops whose trip count is known are followed, iteration by iteration, unless
/// something in them is not a formula of what is outside.
void Evaluator::evaluateLoop(LoopLikeOpInterface op,
                             function_ref<bool(SmallVector<Term> &)> iterate) {
  SmallVector<Term> carried =
      llvm::map_to_vector(op.getInits(), [&](Value v) { return getTerm(v); });
  // A loop in a loop that is followed is followed as part of it.
  bool outermost = !followed;
  if (outermost)
    followed = op;
  bool finished = false;
  for (int64_t i = 0; i <= kMostIterations && !finished && !unknown &&
                      expressions.getSize() <= kMostFormulas;
       ++i)
    finished = iterate(carried);
  bool known = finished && !unknown;
  if (outermost) {
    followed = nullptr;
    unknown = false;
    forgetWithin(op);
  }
  if (known)
    for (auto [result, term] : llvm::zip_equal(op->getResults(), carried))
      setTerm(result, term);
}

/// What is in the loop is looked at for itself later.
void Evaluator::forgetWithin(Operation *loop) {
  loop->walk([&](Block *block) {
    for (Value argument : block->getArguments())
      terms.erase(argument);
    for (Operation &inner : *block)
      for (Value result : inner.getResults())
        terms.erase(result);
  });
}

Evaluator::LoopStep Evaluator::evaluateStep(scf::WhileOp loop) {
  auto getTerms = [&](ValueRange values) {
    return llvm::map_to_vector(values, [&](Value v) { return getTerm(v); });
  };
  followed = loop;
  LoopStep step;
  step.arguments = getTerms(loop.getBeforeArguments());
  unknown = false;
  evaluate(*loop.getBeforeBody());
  step.goesOn = getTerm(loop.getConditionOp().getCondition());
  step.handedOut = getTerms(loop.getConditionOp().getArgs());
  for (auto [argument, term] :
       llvm::zip_equal(loop.getAfterArguments(), step.handedOut))
    terms[argument] = term;
  evaluate(*loop.getAfterBody());
  step.next = getTerms(loop.getYieldOp().getOperands());
  followed = nullptr;
  unknown = false;
  forgetWithin(loop);
  return step;
}

void Evaluator::evaluateFor(scf::ForOp op) {
  std::optional<double> lower = getConstant(getTerm(op.getLowerBound()));
  std::optional<double> upper = getConstant(getTerm(op.getUpperBound()));
  std::optional<double> step = getConstant(getTerm(op.getStep()));
  if (!lower || !upper || !step || *step <= 0.0)
    return;
  double i = *lower;
  evaluateLoop(
      cast<LoopLikeOpInterface>(op.getOperation()),
      [&](SmallVector<Term> &carried) {
        if (i >= *upper)
          return true;
        terms[op.getInductionVar()] = expressions.constant(i);
        i += *step;
        for (auto [argument, term] :
             llvm::zip_equal(op.getRegionIterArgs(), carried))
          terms[argument] = term;
        evaluate(*op.getBody());
        for (auto [value, term] : llvm::zip_equal(
                 op.getBody()->getTerminator()->getOperands(), carried))
          term = getTerm(value);
        return false;
      });
}

void Evaluator::evaluateWhile(scf::WhileOp op) {
  evaluateLoop(cast<LoopLikeOpInterface>(op.getOperation()),
               [&](SmallVector<Term> &carried) {
                 for (auto [argument, term] :
                      llvm::zip_equal(op.getBeforeArguments(), carried))
                   terms[argument] = term;
                 evaluate(*op.getBeforeBody());
                 scf::ConditionOp condition = op.getConditionOp();
                 std::optional<double> goesOn =
                     getConstant(getTerm(condition.getCondition()));
                 if (!goesOn) {
                   unknown = true;
                   return true;
                 }
                 carried = llvm::map_to_vector(
                     condition.getArgs(), [&](Value v) { return getTerm(v); });
                 if (*goesOn == 0.0)
                   return true;
                 for (auto [argument, term] :
                      llvm::zip_equal(op.getAfterArguments(), carried))
                   terms[argument] = term;
                 evaluate(*op.getAfterBody());
                 carried =
                     llvm::map_to_vector(op.getYieldOp().getOperands(),
                                         [&](Value v) { return getTerm(v); });
                 return false;
               });
}
