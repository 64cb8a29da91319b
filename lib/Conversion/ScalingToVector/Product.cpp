//===- Product.cpp - Matrix products of other programs as vector loops ----===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// Contractions of `linalg`: sums of a few rows and two vectors of columns are
// in registers while a block of the inner dimension goes by. The columns of the
// right factor are copied to the stack, one after the other, as they are read
// once for every few rows.
//
//===----------------------------------------------------------------------===//

#include "VectorEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace mlir::scaling;

/// Vectors of columns whose sums are in registers at a time.
static constexpr int64_t kVectors = 2;

/// Of the inner dimension, as much as fits the first cache with the columns.
static constexpr int64_t kPanelBytes = 32 << 10;

/// Rows from which on copying the columns pays.
static constexpr int64_t kFewRows = 8;

/// Marks the one buffer for columns that all products of a function share.
static constexpr StringLiteral kPanelAttrName = "scaling.panel";

namespace {
/// Where the loops of a contraction are in its operands.
struct Contraction {
  /// Of the op's inputs: which has the rows, and which the columns.
  unsigned left = 0, right = 1;
  int64_t rows = 0, cols = 0, inner = 0;
  /// Loops around, outermost first: those that choose columns, the other
  /// reductions, and those that choose rows only.
  SmallVector<int64_t> outer, sums, more;
};
} // namespace

/// Whether the body is `sum + a * b`.
static bool isSumOfProducts(linalg::LinalgOp op) {
  Block *body = op.getBlock();
  if (body->getNumArguments() != 3 || body->getOperations().size() != 3)
    return false;
  auto add =
      body->getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
  if (!add)
    return false;
  Value sum = body->getArgument(2);
  Value term = add.getLhs() == sum ? add.getRhs() : add.getLhs();
  auto product = term.getDefiningOp<arith::MulFOp>();
  if (!product || !llvm::is_contained(add->getOperands(), sum) || term == sum)
    return false;
  Value a = body->getArgument(0), b = body->getArgument(1);
  return (product.getLhs() == a && product.getRhs() == b) ||
         (product.getLhs() == b && product.getRhs() == a);
}

static std::optional<Contraction> findContraction(linalg::LinalgOp op) {
  if (!op.hasPureBufferSemantics() || op.getNumDpsInputs() != 2 ||
      op.getNumDpsInits() != 1 || !isSumOfProducts(op))
    return std::nullopt;
  Type element;
  for (Value operand : op->getOperands()) {
    auto type = dyn_cast<MemRefType>(operand.getType());
    if (!type || (element && type.getElementType() != element))
      return std::nullopt;
    element = type.getElementType();
  }
  if (!element.isF32() && !element.isF64())
    return std::nullopt;

  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  for (AffineMap map : maps)
    if (!map.isProjectedPermutation(/*allowZeroInResults=*/true))
      return std::nullopt;
  AffineMap out = maps[2];
  if (out.getNumResults() == 0 ||
      !cast<MemRefType>(op.getDpsInits()[0].getType()).isLastDimUnitStride())
    return std::nullopt;
  auto last = dyn_cast<AffineDimExpr>(out.getResults().back());
  if (!last || maps[0].isFunctionOfDim(last.getPosition()) ==
                   maps[1].isFunctionOfDim(last.getPosition()))
    return std::nullopt;

  Contraction found;
  found.cols = last.getPosition();
  if (maps[0].isFunctionOfDim(found.cols))
    std::swap(found.left, found.right);
  std::optional<int64_t> rows, inner;
  SmallVector<int64_t> reductions;
  for (auto [dim, type] : llvm::enumerate(op.getIteratorTypesArray())) {
    bool inLeft = maps[found.left].isFunctionOfDim(dim);
    bool inRight = maps[found.right].isFunctionOfDim(dim);
    if (type == utils::IteratorType::reduction) {
      if (!inLeft || !inRight)
        return std::nullopt;
      reductions.push_back(dim);
    } else if (type != utils::IteratorType::parallel ||
               !out.isFunctionOfDim(dim)) {
      return std::nullopt;
    } else if (static_cast<int64_t>(dim) != found.cols) {
      // The last of several, and one with more than one index where there is.
      bool isOne = op.getStaticLoopRanges()[dim] == 1;
      if (inLeft && !inRight && (!rows || !isOne)) {
        if (rows)
          found.more.push_back(*rows);
        rows = dim;
      } else {
        (inRight ? found.outer : found.more).push_back(dim);
      }
    }
  }
  if (!rows || reductions.empty())
    return std::nullopt;
  // The longest sum is the one whose state stays in registers.
  inner = reductions.back();
  auto length = [&](int64_t dim) {
    int64_t size = op.getStaticLoopRanges()[dim];
    return ShapedType::isDynamic(size) ? INT64_MAX : size;
  };
  for (int64_t dim : reductions)
    if (length(dim) > length(*inner))
      inner = dim;
  for (int64_t dim : reductions)
    if (dim != *inner)
      found.sums.push_back(dim);
  found.rows = *rows;
  found.inner = *inner;
  return found;
}

namespace {
class ProductLowering {
public:
  ProductLowering(linalg::LinalgOp op, const Contraction &loops,
                  RewriterBase &rewriter,
                  const ScalingToVectorPassOptions &options)
      : op(op), loops(loops),
        e(rewriter, op->getLoc(),
          cast<FloatType>(getElementTypeOrSelf(op.getDpsInits()[0])),
          loops.cols, options),
        at(op.getNumLoops()) {
    for (OpOperand &operand : op->getOpOperands()) {
      MappedBuffer buffer{operand.get(), {}};
      for (AffineExpr expr : op.getMatchingIndexingMap(&operand).getResults()) {
        auto dim = dyn_cast<AffineDimExpr>(expr);
        buffer.dims.push_back(dim ? dim.getPosition() : kNoDim);
      }
      buffers.push_back(buffer);
    }
    left = buffers[loops.left];
    right = buffers[loops.right];
    out = buffers.back();
    e.chooseLanes(out);
    for (unsigned dim = 0; dim < op.getNumLoops(); ++dim)
      sizes.push_back(e.sizeOf(dim, buffers));
  }

  void lower();

private:
  using Values = SmallVector<Value>;

  /// Whether the columns are read from a copy.
  bool isCopied();
  /// Copies a block of the inner dimension of some columns to the stack.
  void copyColumns(Value begin, Value end, ArrayRef<Value> columns,
                   ArrayRef<Value> masks);
  /// out += left · right, on `count` rows.
  void addProducts(Value first, int64_t count, Value begin, Value end,
                   ArrayRef<Value> columns, ArrayRef<Value> masks);
  Value getPanel(int64_t length);

  linalg::LinalgOp op;
  Contraction loops;
  VectorEmitter e;
  Position at;
  SmallVector<MappedBuffer> buffers;
  MappedBuffer left, right, out;
  Values sizes;
  /// Columns on the stack; null where they are read where they are.
  Value panel;
};
} // namespace

bool ProductLowering::isCopied() {
  bool contiguous = e.isContiguousAlong(right, loops.cols);
  if (!contiguous)
    return e.lanes > 1;
  std::optional<int64_t> rows = VectorEmitter::known(sizes[loops.rows]);
  std::optional<int64_t> cols = VectorEmitter::known(sizes[loops.cols]);
  std::optional<int64_t> inner = VectorEmitter::known(sizes[loops.inner]);
  bool few = rows && *rows <= kFewRows;
  bool small =
      cols && inner && *cols * *inner * e.compute.getWidth() / 8 <= kPanelBytes;
  return !few && !small;
}

Value ProductLowering::getPanel(int64_t length) {
  Block *frame = e.b.getInsertionBlock();
  while (!isa<FunctionOpInterface, scf::ForallOp>(frame->getParentOp()))
    frame = frame->getParentOp()->getBlock();
  SmallVector<int64_t> shape{length, kVectors * e.lanes};
  for (auto alloca : frame->getOps<memref::AllocaOp>())
    if (alloca->hasAttr(kPanelAttrName) &&
        alloca.getType() == MemRefType::get(shape, e.compute))
      return alloca;
  Value made = e.scratch(shape);
  made.getDefiningOp()->setAttr(kPanelAttrName, e.b.getUnitAttr());
  return made;
}

void ProductLowering::copyColumns(Value begin, Value end,
                                  ArrayRef<Value> columns,
                                  ArrayRef<Value> masks) {
  auto place = [&](Value inner, int64_t column) -> Values {
    return {e.sub(inner, begin), e.index(column)};
  };
  if (e.isContiguousAlong(right, loops.cols)) {
    e.loop(begin, end, 1, [&](Value inner) {
      at[loops.inner] = inner;
      for (auto [i, column, mask] : llvm::enumerate(columns, masks)) {
        at[loops.cols] = column;
        Value entries = e.load(right, at, mask);
        Values indices = place(inner, i * e.lanes);
        if (e.lanes == 1)
          memref::StoreOp::create(e.b, e.loc, entries, panel, indices);
        else
          vector::StoreOp::create(e.b, e.loc, entries, panel, indices);
      }
    });
    return;
  }
  // Entry by entry. What is behind the last column is read from it again: its
  // sums are stored nowhere.
  Value last = e.sub(sizes[loops.cols], e.index(1));
  for (int64_t i = 0, count = columns.size() * e.lanes; i < count; ++i) {
    Value column = e.add(columns[i / e.lanes], e.index(i % e.lanes));
    at[loops.cols] = e.minimum(column, last);
    e.loop(begin, end, 1, [&](Value inner) {
      at[loops.inner] = inner;
      memref::StoreOp::create(e.b, e.loc, e.loadScalar(right, at), panel,
                              place(inner, i));
    });
  }
}

void ProductLowering::addProducts(Value first, int64_t count, Value begin,
                                  Value end, ArrayRef<Value> columns,
                                  ArrayRef<Value> masks) {
  SmallVector<Position> places;
  Values sums;
  for (int64_t row = 0; row < count; ++row)
    for (auto [column, mask] : llvm::zip_equal(columns, masks)) {
      Position place = at;
      place[loops.rows] = e.add(first, e.index(row));
      place[loops.cols] = column;
      sums.push_back(e.load(out, place, mask));
      places.push_back(place);
    }
  sums = e.loop(begin, end, 1, sums, [&](Value inner, ValueRange carried) {
    Position place = at;
    place[loops.inner] = inner;
    Values values, next;
    for (auto [i, column, mask] : llvm::enumerate(columns, masks)) {
      if (panel) {
        Values indices{e.sub(inner, begin), e.index(i * e.lanes)};
        values.push_back(
            e.lanes == 1
                ? Value(memref::LoadOp::create(e.b, e.loc, panel, indices))
                : Value(vector::LoadOp::create(
                      e.b, e.loc, cast<VectorType>(e.type()), panel, indices)));
        continue;
      }
      place[loops.cols] = column;
      values.push_back(e.load(right, place, mask));
    }
    for (int64_t row = 0; row < count; ++row) {
      place[loops.rows] = e.add(first, e.index(row));
      Value entry = e.splat(e.loadScalar(left, place));
      for (Value value : values) {
        Value sum = carried[next.size()];
        next.push_back(
            e.contract
                ? Value(math::FmaOp::create(e.b, e.loc, entry, value, sum))
                : Value(arith::AddFOp::create(
                      e.b, e.loc, sum,
                      arith::MulFOp::create(e.b, e.loc, entry, value))));
      }
    }
    return next;
  });
  size_t index = 0;
  for (int64_t row = 0; row < count; ++row)
    for (Value mask : masks) {
      e.store(out, places[index], sums[index], mask);
      ++index;
    }
}

void ProductLowering::lower() {
  int64_t width = kVectors * e.lanes;
  int64_t length = kPanelBytes / (width * e.compute.getWidth() / 8);
  if (std::optional<int64_t> inner = VectorEmitter::known(sizes[loops.inner]))
    length = std::min(length, std::max<int64_t>(*inner, 1));
  if (isCopied())
    panel = getPanel(length);

  auto nest = [&](ArrayRef<int64_t> dims, function_ref<void()> body) {
    Values counts;
    for (int64_t dim : dims)
      counts.push_back(sizes[dim]);
    e.nest(at, dims, counts, body);
  };
  auto block = [&](Value begin, Value end) {
    e.vectors(e.index(0), sizes[loops.cols], kVectors, {},
              [&](ArrayRef<Value> columns, ArrayRef<Value> masks,
                  ValueRange) -> Values {
                if (panel)
                  copyColumns(begin, end, columns, masks);
                nest(loops.more, [&] {
                  e.blocks(sizes[loops.rows], e.getRowBlock(),
                           [&](Value first, int64_t count) {
                             addProducts(first, count, begin, end, columns,
                                         masks);
                           });
                });
                return {};
              });
  };
  nest(loops.outer, [&] {
    nest(loops.sums, [&] {
      if (!panel)
        return block(e.index(0), sizes[loops.inner]);
      e.loop(e.index(0), sizes[loops.inner], length, [&](Value begin) {
        Value end =
            e.minimum(e.add(begin, e.index(length)), sizes[loops.inner]);
        block(begin, end);
      });
    });
  });
}

namespace {
struct ProductToVector final : OpInterfaceRewritePattern<linalg::LinalgOp> {
  ProductToVector(MLIRContext *context,
                  const ScalingToVectorPassOptions &options)
      : OpInterfaceRewritePattern(context, /*benefit=*/2), options(options) {}

  LogicalResult matchAndRewrite(linalg::LinalgOp op,
                                PatternRewriter &rewriter) const override {
    std::optional<Contraction> loops = findContraction(op);
    if (!loops)
      return rewriter.notifyMatchFailure(op, "not a matrix product");
    ProductLowering(op, *loops, rewriter, options).lower();
    rewriter.eraseOp(op);
    return success();
  }

  ScalingToVectorPassOptions options;
};
} // namespace

void scaling::populateProductToVectorPatterns(
    RewritePatternSet &patterns, const ScalingToVectorPassOptions &options) {
  patterns.add<ProductToVector>(patterns.getContext(), options);
}
