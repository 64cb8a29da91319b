//===- Expression.cpp - What tensors hold, as formulas --------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Expression.h"

#include "mlir/IR/BuiltinTypeInterfaces.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>

using namespace mlir;
using namespace mlir::scaling;
using namespace mlir::scaling::raise;

/// Numbers are compared by twelve digits: what is left of another order of
/// operations is no difference.
static double roundDigits(double x) {
  if (x == std::floor(x) || !std::isfinite(x))
    return x;
  char text[32];
  std::snprintf(text, sizeof text, "%.12g", x);
  return std::strtod(text, nullptr);
}

Term raise::getOperand(const Term &term, unsigned index, ArrayRef<Label> lost) {
  Term operand = term.node->operands[index].term;
  for (Label &label : operand.at)
    label = label >= 0 ? term.at[label] : lost[-label - 1];
  return operand;
}

bool raise::isMultiple(const Term &term) {
  return term.node->kind == Kind::Linear && term.node->number == 0.0 &&
         term.node->operands.size() == 1;
}

std::optional<double> raise::getConstant(const Term &term) {
  if (term.node->kind == Kind::Constant)
    return term.node->number;
  return std::nullopt;
}

Label raise::getFreshLabel(const Term &term) {
  Label fresh = 0;
  for (Label label : term.at)
    fresh = std::max(fresh, label + 1);
  return fresh;
}

bool raise::isCondition(const Term &term) {
  const Node &node = *term.node;
  auto isPart = [](const Operand &o) { return isCondition(o.term); };
  switch (node.kind) {
  case Kind::Greater:
    return true;
  case Kind::Constant:
    return node.number == 0.0 || node.number == 1.0;
  case Kind::Linear:
    return node.number == 1.0 && node.operands.size() == 1 &&
           node.operands[0].weight == -1.0 && isPart(node.operands[0]);
  case Kind::Product:
    return llvm::all_of(node.operands, [&](const Operand &o) {
      return o.weight > 0.0 && isPart(o);
    });
  default:
    return false;
  }
}

/// Matrices before vectors before numbers; the older before the newer.
static bool precedes(const Operand &x, const Operand &y) {
  size_t xRank = x.term.at.size(), yRank = y.term.at.size();
  if (xRank != yRank)
    return xRank > yRank;
  if (x.term.node != y.term.node)
    return x.term.node->id < y.term.node->id;
  return std::lexicographical_compare(x.term.at.begin(), x.term.at.end(),
                                      y.term.at.begin(), y.term.at.end());
}

/// Whole numbers are what they are.
static double snap(double x) {
  double whole = std::round(x);
  return std::abs(x - whole) <= 1e-12 * std::abs(x) ? whole : x;
}

/// Equal terms become one with the sum of their weights.
static void merge(SmallVectorImpl<Operand> &operands) {
  llvm::sort(operands, precedes);
  SmallVector<Operand> merged;
  for (size_t i = 0, end = operands.size(); i < end;) {
    Operand total = operands[i];
    double largest = std::abs(total.weight);
    for (++i; i < end && operands[i].term == total.term; ++i) {
      total.weight += operands[i].weight;
      largest = std::max(largest, std::abs(operands[i].weight));
    }
    if (std::abs(total.weight) <= 1e-11 * largest)
      continue;
    total.weight = snap(total.weight);
    merged.push_back(std::move(total));
  }
  operands.assign(merged.begin(), merged.end());
}

static bool findSign(const Node &node) {
  auto all = [&](auto accept) { return llvm::all_of(node.operands, accept); };
  auto nonNegative = [](const Operand &o) { return o.term.node->nonNegative; };
  switch (node.kind) {
  case Kind::Exp:
  case Kind::Greater:
    return true;
  case Kind::Constant:
    return node.number >= 0.0;
  case Kind::Linear:
    return node.number >= 0.0 && all([&](const Operand &o) {
             return o.weight >= 0.0 && nonNegative(o);
           });
  case Kind::Product:
    return all([&](const Operand &o) {
      return nonNegative(o) || std::fmod(o.weight, 2.0) == 0.0;
    });
  case Kind::Sum:
  case Kind::Max:
  case Kind::Concat:
  case Kind::Smaller:
    return all(nonNegative);
  case Kind::Larger:
    return llvm::any_of(node.operands, nonNegative);
  case Kind::Choice:
    return nonNegative(node.operands[1]) && nonNegative(node.operands[2]);
  default:
    return false;
  }
}

Term Expressions::find(Formula formula, ArrayRef<Label> labels,
                       ArrayRef<int64_t> sizes) {
  llvm::FoldingSetNodeID profile;
  profile.AddInteger(static_cast<int>(formula.kind));
  profile.AddInteger(llvm::bit_cast<uint64_t>(roundDigits(formula.number)));
  profile.AddPointer(formula.leaf.getAsOpaquePointer());
  profile.AddPointer(formula.name ? formula.name->getAsOpaquePointer()
                                  : nullptr);
  profile.AddPointer(formula.attributes.getAsOpaquePointer());
  profile.AddPointer(formula.type.getAsOpaquePointer());
  for (int64_t part : formula.parts)
    profile.AddInteger(part);
  for (const Operand &operand : formula.operands) {
    profile.AddInteger(operand.term.node->id);
    profile.AddInteger(llvm::bit_cast<uint64_t>(roundDigits(operand.weight)));
    for (Label label : operand.term.at)
      profile.AddInteger(label);
  }
  void *position;
  Node *node = nodes.FindNodeOrInsertPos(profile, position);
  if (!node) {
    size += formula.operands.size() + 1;
    node = &storage.emplace_back(profile, std::move(formula));
    node->id = storage.size();
    node->sizes.assign(sizes.begin(), sizes.end());
    for (const Operand &operand : node->operands)
      if (!node->type)
        node->type = operand.term.node->type;
    node->nonNegative = findSign(*node);
    nodes.InsertNode(node, position);
  }
  return {node, SmallVector<Label, 4>(labels)};
}

/// Axes are numbered in the order in which the operands name them.
Term Expressions::make(Formula formula, bool ordered, ArrayRef<Label> lost) {
  if (!ordered)
    llvm::sort(formula.operands, precedes);
  SmallVector<Label, 4> labels;
  SmallVector<int64_t, 4> sizes;
  for (Operand &operand : formula.operands)
    for (auto [place, extent] :
         llvm::zip_equal(operand.term.at, operand.term.node->sizes)) {
      Label label = place;
      if (const auto *gone = llvm::find(lost, label); gone != lost.end()) {
        place = -1 - static_cast<Label>(gone - lost.begin());
        continue;
      }
      place = static_cast<Label>(llvm::find(labels, label) - labels.begin());
      if (place == static_cast<Label>(labels.size())) {
        labels.push_back(label);
        sizes.push_back(extent);
      } else if (ShapedType::isDynamic(sizes[place])) {
        sizes[place] = extent;
      }
    }
  return find(std::move(formula), labels, sizes);
}

Term Expressions::leaf(Value value, Type element, ArrayRef<Label> labels,
                       ArrayRef<int64_t> sizes) {
  Formula formula(Kind::Leaf);
  formula.leaf = value;
  formula.type = element;
  return find(std::move(formula), labels, sizes);
}

Term Expressions::constant(double number) {
  Formula formula(Kind::Constant);
  formula.number = number;
  return find(std::move(formula), {}, {});
}

Term Expressions::linear(ArrayRef<Operand> operands, double number) {
  SmallVector<Operand> flat;
  double largest = std::abs(number);
  auto addNumber = [&](double summand) {
    number += summand;
    largest = std::max(largest, std::abs(summand));
  };
  for (const Operand &operand : operands) {
    const Node &node = *operand.term.node;
    if (node.kind == Kind::Constant) {
      addNumber(operand.weight * node.number);
      continue;
    }
    if (node.kind != Kind::Linear) {
      flat.push_back(operand);
      continue;
    }
    addNumber(operand.weight * node.number);
    for (unsigned i = 0, end = node.operands.size(); i < end; ++i)
      flat.push_back({getOperand(operand.term, i),
                      operand.weight * node.operands[i].weight});
  }
  merge(flat);
  number = std::abs(number) <= 1e-11 * largest ? 0.0 : snap(number);
  if (flat.empty())
    return constant(number);
  if (flat.size() == 1 && flat[0].weight == 1.0 && number == 0.0)
    return flat[0].term;
  Formula formula(Kind::Linear, flat);
  formula.number = number;
  return make(std::move(formula));
}

Term Expressions::product(ArrayRef<Operand> operands) {
  SmallVector<Operand> flat;
  double factor = 1.0;
  auto add = [&](auto &self, const Term &term, double power) -> void {
    const Node &node = *term.node;
    // A root of a product is a product of roots where nothing is negative.
    bool splits = power == std::floor(power) || node.nonNegative;
    if (node.kind == Kind::Constant) {
      factor *= std::pow(node.number, power);
    } else if (isMultiple(term) && (splits || node.operands[0].weight > 0.0)) {
      factor *= std::pow(node.operands[0].weight, power);
      self(self, getOperand(term, 0), power);
    } else if (node.kind == Kind::Product && splits &&
               llvm::all_of(node.operands, [&](const Operand &o) {
                 return power == std::floor(power) || o.term.node->nonNegative;
               })) {
      for (unsigned i = 0, end = node.operands.size(); i < end; ++i)
        self(self, getOperand(term, i), power * node.operands[i].weight);
    } else if (node.kind == Kind::Linear && std::fmod(power, 2.0) == 0.0 &&
               node.operands[0].weight != 1.0) {
      // Which one is subtracted from which makes no difference.
      double weight = node.operands[0].weight;
      factor *= std::pow(weight, power);
      flat.push_back({scale(1.0 / weight, term), power});
    } else {
      flat.push_back({term, power});
    }
  };
  for (const Operand &operand : operands)
    add(add, operand.term, operand.weight);
  merge(flat);
  Term monic;
  if (flat.empty())
    return constant(factor);
  if (flat.size() == 1 && flat[0].weight == 1.0)
    monic = flat[0].term;
  else
    monic = make(Formula(Kind::Product, flat));
  return linear({Operand{monic, factor}});
}

/// Whether a node is made of logarithms of numbers, not of sums of
/// exponentials, and of bounds: the logarithm of a product.
static bool isLogarithm(const Node &node) {
  auto isPart = [](const Operand &o) { return isLogarithm(*o.term.node); };
  switch (node.kind) {
  case Kind::Log:
    return node.operands[0].term.node->nonNegative;
  case Kind::Larger:
  case Kind::Smaller:
    return isPart(node.operands[0]) &&
           node.operands[1].term.node->kind == Kind::Constant;
  case Kind::Linear:
    return llvm::all_of(node.operands, isPart);
  default:
    return false;
  }
}

Term Expressions::exp(const Term &x) {
  if (std::optional<double> number = getConstant(x))
    return constant(std::exp(*number));
  if (x.node->kind == Kind::Log && x.node->operands[0].term.node->nonNegative)
    return getOperand(x, 0);
  if (x.node->kind == Kind::Choice)
    return choose(getOperand(x, 0), exp(getOperand(x, 1)),
                  exp(getOperand(x, 2)));
  if (isLogarithm(*x.node)) {
    if (x.node->kind != Kind::Linear) {
      // The exponential of a bound is one.
      Term bounded = exp(getOperand(x, 0)), bound = exp(getOperand(x, 1));
      return x.node->kind == Kind::Larger ? larger(bounded, bound)
                                          : smaller(bounded, bound);
    }
    SmallVector<Operand> factors;
    for (unsigned i = 0, end = x.node->operands.size(); i < end; ++i)
      factors.push_back({exp(getOperand(x, i)), x.node->operands[i].weight});
    factors.push_back({constant(std::exp(x.node->number))});
    return product(factors);
  }
  return make(Formula(Kind::Exp, Operand{x}));
}

Term Expressions::log(const Term &x) {
  if (std::optional<double> number = getConstant(x))
    return constant(std::log(*number));
  const Node &node = *x.node;
  if (isMultiple(x) && node.operands[0].weight > 0.0)
    return linear({Operand{log(getOperand(x, 0))}},
                  std::log(node.operands[0].weight));
  if (node.kind == Kind::Exp)
    return getOperand(x, 0);
  if (node.kind == Kind::Sum && node.operands[0].term.node->kind == Kind::Exp) {
    // The lost axes get labels of their own.
    size_t lost = node.operands[0].term.at.size() - x.at.size();
    Label fresh = 0;
    for (Label label : x.at)
      fresh = std::max(fresh, label + 1);
    SmallVector<Label> labels;
    for (size_t i = 0; i < lost; ++i)
      labels.push_back(fresh + static_cast<Label>(i));
    return logSumExp(getOperand(getOperand(x, 0, labels), 0), labels);
  }
  return make(Formula(Kind::Log, Operand{x}));
}

static bool hasAny(const Term &term, ArrayRef<Label> labels) {
  return llvm::any_of(labels, [&](Label label) { return term.has(label); });
}

Term Expressions::logSumExp(const Term &x, ArrayRef<Label> labels) {
  if (x.node->kind != Kind::Linear)
    return reduce(Kind::LogSumExp, x, labels);
  SmallVector<Operand> inside, outside;
  for (unsigned i = 0, end = x.node->operands.size(); i < end; ++i) {
    Operand operand{getOperand(x, i), x.node->operands[i].weight};
    (hasAny(operand.term, labels) ? inside : outside).push_back(operand);
  }
  outside.push_back({reduce(Kind::LogSumExp, linear(inside), labels)});
  return linear(outside, x.node->number);
}

/// The axes that are lost are in the order of the operand's axes, so that equal
/// reductions are the same node.
Term Expressions::reduce(Kind kind, const Term &x, ArrayRef<Label> labels) {
  SmallVector<Label> lost;
  for (Label label : x.at)
    if (llvm::is_contained(labels, label))
      lost.push_back(label);
  return make(Formula(kind, Operand{x}), /*ordered=*/true, lost);
}

Term Expressions::sum(const Term &x, ArrayRef<Label> labels,
                      ArrayRef<int64_t> sizes) {
  double factor = 1.0;
  SmallVector<Label> present;
  for (auto [label, extent] : llvm::zip_equal(labels, sizes)) {
    if (x.has(label)) {
      present.push_back(label);
      continue;
    }
    if (ShapedType::isDynamic(extent))
      return {};
    factor *= static_cast<double>(extent);
  }
  if (present.empty())
    return scale(factor, x);
  Term inner = x;
  if (isMultiple(x)) {
    factor *= x.node->operands[0].weight;
    inner = getOperand(x, 0);
  }
  SmallVector<Operand> outside;
  if (inner.node->kind == Kind::Product) {
    SmallVector<Operand> inside;
    for (unsigned i = 0, end = inner.node->operands.size(); i < end; ++i) {
      Operand operand{getOperand(inner, i), inner.node->operands[i].weight};
      (hasAny(operand.term, present) ? inside : outside).push_back(operand);
    }
    inner = product(inside);
  }
  // A sum of sums is one sum.
  if (inner.node->kind == Kind::Sum) {
    const Operand &nested = inner.node->operands[0];
    Label fresh = 0;
    for (Label label : inner.at)
      fresh = std::max(fresh, label + 1);
    for (Label label : present)
      fresh = std::max(fresh, label + 1);
    SmallVector<Label> lost;
    for (Label label : nested.term.at)
      if (label < 0)
        lost.push_back(fresh++);
    inner = getOperand(inner, 0, lost);
    present.append(lost);
  }
  outside.push_back({reduce(Kind::Sum, inner, present)});
  return scale(factor, product(outside));
}

Term Expressions::max(const Term &x, ArrayRef<Label> labels) {
  SmallVector<Label> present;
  for (Label label : labels)
    if (x.has(label))
      present.push_back(label);
  if (present.empty())
    return x;
  if (isMultiple(x)) {
    double weight = x.node->operands[0].weight;
    if (weight != -1.0)
      return scale(std::abs(weight),
                   max(scale(1.0 / std::abs(weight), x), present));
  }
  return reduce(Kind::Max, x, present);
}

static bool isInfinite(std::optional<double> number, double sign) {
  return number && std::isinf(*number) && *number * sign > 0.0;
}

Term Expressions::larger(const Term &x, const Term &y) {
  std::optional<double> xNumber = getConstant(x), yNumber = getConstant(y);
  if (xNumber && yNumber)
    return constant(std::max(*xNumber, *yNumber));
  if (x == y || isInfinite(yNumber, -1.0))
    return x;
  if (isInfinite(xNumber, -1.0))
    return y;
  if (isCondition(x) && isCondition(y))
    return either({x, y});
  // Within bounds, the lower one is inside.
  for (auto [bounded, least] : {std::pair(x, yNumber), std::pair(y, xNumber)})
    if (least && bounded.node->kind == Kind::Smaller) {
      std::optional<double> most = getConstant(getOperand(bounded, 1));
      if (most && *least <= *most)
        return smaller(larger(getOperand(bounded, 0), constant(*least)),
                       constant(*most));
    } else if (least && bounded.node->kind == Kind::Larger) {
      // Of two bounds the stricter one.
      if (std::optional<double> other = getConstant(getOperand(bounded, 1)))
        return make(Formula(Kind::Larger,
                            {Operand{getOperand(bounded, 0)},
                             Operand{constant(std::max(*least, *other))}}));
    }
  return make(Formula(Kind::Larger, {Operand{x}, Operand{y}}));
}

Term Expressions::smaller(const Term &x, const Term &y) {
  std::optional<double> xNumber = getConstant(x), yNumber = getConstant(y);
  if (xNumber && yNumber)
    return constant(std::min(*xNumber, *yNumber));
  if (x == y || isInfinite(yNumber, 1.0))
    return x;
  if (isInfinite(xNumber, 1.0))
    return y;
  if (isCondition(x) && isCondition(y))
    return product({Operand{x}, Operand{y}});
  // A count of conditions, at most 1: whether there is one.
  for (auto [count, most] : {std::pair(x, yNumber), std::pair(y, xNumber)})
    if (most == 1.0 && count.node->kind == Kind::Linear) {
      SmallVector<Term> conditions;
      double negated = 0.0;
      for (unsigned i = 0, end = count.node->operands.size(); i < end; ++i) {
        Term condition = getOperand(count, i);
        double weight = count.node->operands[i].weight;
        if (!isCondition(condition) || (weight < 1.0 && weight != -1.0))
          break;
        negated += weight < 0.0;
        conditions.push_back(weight < 0.0 ? negate(condition) : condition);
      }
      if (conditions.size() == count.node->operands.size() &&
          count.node->number == negated)
        return either(conditions);
    }
  for (auto [bounded, most] : {std::pair(x, yNumber), std::pair(y, xNumber)})
    if (most && bounded.node->kind == Kind::Smaller)
      if (std::optional<double> other = getConstant(getOperand(bounded, 1)))
        return make(Formula(Kind::Smaller,
                            {Operand{getOperand(bounded, 0)},
                             Operand{constant(std::min(*most, *other))}}));
  return make(Formula(Kind::Smaller, {Operand{x}, Operand{y}}));
}

Term Expressions::greater(const Term &x, const Term &y) {
  std::optional<double> xNumber = getConstant(x), yNumber = getConstant(y);
  if (xNumber && yNumber)
    return constant(*xNumber > *yNumber);
  if (x == y)
    return constant(0.0);
  // Greater than the smaller of itself and another: than the other.
  if (y.node->kind == Kind::Smaller)
    for (unsigned i : {0u, 1u})
      if (getOperand(y, i) == x)
        return greater(x, getOperand(y, 1 - i));
  if (x.node->kind == Kind::Larger)
    for (unsigned i : {0u, 1u})
      if (getOperand(x, i) == y)
        return greater(getOperand(x, 1 - i), y);
  return make(Formula(Kind::Greater, {Operand{x}, Operand{y}}),
              /*ordered=*/true);
}

Term Expressions::either(ArrayRef<Term> conditions) {
  SmallVector<Operand> none;
  for (const Term &condition : conditions)
    none.push_back({negate(condition)});
  return negate(product(none));
}

Term Expressions::choose(const Term &condition, const Term &x, const Term &y) {
  if (std::optional<double> number = getConstant(condition))
    return *number != 0.0 ? x : y;
  if (x == y)
    return x;
  if (isCondition(condition) && condition.node->kind == Kind::Linear)
    return choose(negate(condition), y, x);
  if (condition.node->kind == Kind::Greater) {
    Term left = getOperand(condition, 0), right = getOperand(condition, 1);
    if (x == left && y == right)
      return larger(x, y);
    if (x == right && y == left)
      return smaller(x, y);
  }
  return make(
      Formula(Kind::Choice, {Operand{condition}, Operand{x}, Operand{y}}),
      /*ordered=*/true);
}

Term Expressions::concat(ArrayRef<Term> operands, Label along,
                         ArrayRef<int64_t> parts) {
  // Parts of the same number are that number.
  if (llvm::all_of(operands, [&](const Term &term) {
        return term == operands[0] && term.at.empty();
      }))
    return operands[0];
  Formula formula(Kind::Concat);
  formula.parts.assign(parts.begin(), parts.end());
  SmallVector<Label, 4> labels;
  SmallVector<int64_t, 4> sizes;
  // The operands' axes along which they are joined differ in size: the axis is
  // named by itself.
  labels.push_back(along);
  int64_t total = 0;
  for (int64_t part : parts)
    total += part;
  sizes.push_back(total);
  for (const Term &term : operands) {
    Operand operand{term};
    for (auto [place, extent] :
         llvm::zip_equal(operand.term.at, term.node->sizes)) {
      Label label = place;
      place = static_cast<Label>(llvm::find(labels, label) - labels.begin());
      if (place == static_cast<Label>(labels.size())) {
        labels.push_back(label);
        sizes.push_back(extent);
      }
    }
    formula.operands.push_back(operand);
  }
  return find(std::move(formula), labels, sizes);
}

Term Expressions::other(OperationName name, Attribute attributes, Type type,
                        ArrayRef<Term> operands) {
  Formula formula(Kind::Other);
  formula.name = name;
  formula.attributes = attributes;
  formula.type = type;
  for (const Term &term : operands)
    formula.operands.push_back({term});
  return make(std::move(formula), /*ordered=*/true);
}
