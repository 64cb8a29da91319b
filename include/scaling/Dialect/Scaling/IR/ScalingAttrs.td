//===- ScalingAttrs.td - Attributes of the scaling dialect ----*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_ATTRS
#define SCALING_ATTRS

include "scaling/Dialect/Scaling/IR/ScalingBase.td"
include "scaling/Dialect/Scaling/IR/ScalingEnums.td"
include "scaling/Dialect/Scaling/IR/ScalingInterfaces.td"

class Scaling_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<Scaling_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

//===----------------------------------------------------------------------===//
// Statistics
//===----------------------------------------------------------------------===//

class Scaling_Statistic<string name, string attrMnemonic>
    : Scaling_Attr<name, attrMnemonic,
        [DeclareAttrInterfaceMethods<Scaling_StatisticAttrInterface>]>;

def Scaling_SumAttr : Scaling_Statistic<"Sum", "sum"> {
  let summary = "Σ y";
}
def Scaling_LogSumExpAttr : Scaling_Statistic<"LogSumExp", "lse"> {
  let summary = "log Σ exp y, the maximum subtracted";
}
def Scaling_MaxAttr : Scaling_Statistic<"Max", "max"> {
  let summary = "max y of logarithms; where kernels of logarithms start from";
}
def Scaling_L1Attr : Scaling_Statistic<"L1", "l1"> {
  let summary = "Σ |y|";
}
def Scaling_L2Attr : Scaling_Statistic<"L2", "l2"> {
  let summary = "√Σ y²";
}
def Scaling_LInfAttr : Scaling_Statistic<"LInf", "linf"> {
  let summary = "max |y|";
}
def Scaling_MeanSquareAttr : Scaling_Statistic<"MeanSquare", "mean_square"> {
  let summary = "Σ y² / N, of degree 2";
}
def Scaling_StdAttr : Scaling_Statistic<"Std", "std"> {
  let summary = "the unbiased standard deviation; 0 for fewer than two entries";
}
def Scaling_GeoMeanAttr : Scaling_Statistic<"GeoMean", "geomean"> {
  let summary = "the geometric mean of the nonzero magnitudes; 0 when there is none";
}

//===----------------------------------------------------------------------===//
// The six structured attributes
//===----------------------------------------------------------------------===//

def Scaling_RuleAttr : Scaling_Attr<"Rule", "rule"> {
  let summary = "how one axis' factor is updated";
  let description = [{
    With s the statistic of the matrix scaled by the other factor, h the own
    factor, t the target and d the statistic's degree: σ = h^d·s; `limit` and
    `round` act on σ; the guarded proposal is h·(t/σ)^exponent; then `step`,
    `tau` with its `reference`, `omega` and `clamp`, in this order.
    `docs/semantics.md` has the formulas.

    ```mlir
    #scaling.rule<sum>
    #scaling.rule<sum, guard = add_plan(1.0e-6)>
    #scaling.rule<linf, exponent = 0.5, limit = [1.0e-4, 1.0e4, 1.0]>
    #scaling.rule<sum, target = uniform, tau = 0.9, omega = 1.5>
    ```

    Constraints:
    * (C1) exponent, a guard's ε > 0 and finite; 0 < tau ≤ 1; 0 < omega < 2;
      bounds come in pairs lo ≤ hi, are not negative, and may be `inf`.
    * (C2) `add_kernel` needs exponent 1, a statistic of degree 1, and neither
      limit nor rounding.
    * (C3) `target = min_stat` needs a limit.
  }];
  let parameters = (ins
    AttrParameter<"::mlir::scaling::StatisticAttrInterface", "the statistic">:$stat,
    EnumParameter<Scaling_Guard>:$guard,
    AttrParameter<"::mlir::scaling::Number", "the guard's ε">:$guardEps,
    EnumParameter<Scaling_Target>:$target,
    AttrParameter<"::mlir::scaling::Number", "">:$exponent,
    AttrParameter<"::mlir::scaling::Number", "">:$tau,
    EnumParameter<Scaling_Reference>:$reference,
    AttrParameter<"::mlir::scaling::Number", "">:$omega,
    ArrayRefParameter<"::mlir::scaling::Number", "none, or lo, hi, below">:$limit,
    ArrayRefParameter<"::mlir::scaling::Number", "none, or lo, hi">:$step,
    ArrayRefParameter<"::mlir::scaling::Number", "none, or lo, hi">:$clamp,
    AttrParameter<"bool", "round σ to a power of two">:$roundPow2
  );
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The rule with every field but the statistic at its default.
    static RuleAttr getPlain(::mlir::MLIRContext *context,
                             StatisticAttrInterface stat);
    /// Whether the update is t/s, nothing else.
    bool isPlain();
    /// The statistic reduced in a domain: the sum is a log-sum-exp in the log
    /// domain.
    StatisticAttrInterface getReducedStat(Domain domain);
  }];
}

def Scaling_StopAttr : Scaling_Attr<"Stop", "stop"> {
  let summary = "when an iteration stops, in half-steps";
  let description = [{
    ```mlir
    #scaling.stop<fixed 20>
    #scaling.stop<fixed 20, measure = last>
    #scaling.stop<until 1.0e-6, what = marginal, axis = cols, norm = l1, every = 2, start = 2, limit = 2000>
    #scaling.stop<until 1.0e-6, axis = rows, limit = 2000, relax = none>
    #scaling.stop<until 1.0e-6, axis = cols, limit = 2000, relax = anderson(8)>
    #scaling.stop<best 32, what = imbalance, patience = first, last = false>
    ```

    `relax`: whether an `until` that looks at marginals over-relaxes its updates
    with an ω of its own, which takes fewer half-steps; `docs/semantics.md` has
    the algorithm. `auto` demands it, `none` forbids it; where nothing is said
    it happens wherever it is defined: rules that are `sum` and at most a
    target, and an order that is `rows_first` or `cols_first`. `anderson(m)`, m
    being 5 where it is not given, takes Anderson's steps instead, which look
    at the last m of them; it is defined where `auto` is.

    Constraints:
    * (C1) counts are between 0 and 2³¹ − 1; `every` ≥ 1.
    * (C2) `until` needs a limit; its tolerance is finite and not negative.
    * (C3) `until` looks at marginal, change, ratio or relative_change;
      `best` at imbalance or imbalance_sum.
    * (C4) `measure` goes with `fixed`; tolerance, cadence and limit with
      `until`; `axis` and `norm` with both; `patience` and `last` with `best`.
    * (C5) `relax` goes with `until` and marginal; `anderson` looks at 1 to 8
      steps.
  }];
  let parameters = (ins
    EnumParameter<Scaling_StopMode>:$mode,
    AttrParameter<"int64_t", "the count of fixed; the limit of until and best">:$limit,
    AttrParameter<"bool", "fixed: measure the residual of the last iterate">:$measureLast,
    AttrParameter<"::mlir::scaling::Number", "">:$tol,
    EnumParameter<Scaling_What>:$what,
    EnumParameter<Scaling_Judged>:$axis,
    EnumParameter<Scaling_Norm>:$norm,
    AttrParameter<"int64_t", "cadence of the checks">:$every,
    AttrParameter<"int64_t", "half-steps before the first check">:$start,
    AttrParameter<"bool", "best: stop updating at the first worsening">:$patienceFirst,
    AttrParameter<"bool", "best: the last update is measured too">:$last,
    EnumParameter<Scaling_Relax>:$relax,
    AttrParameter<"int64_t", "the steps anderson looks at; 0 without it">:$depth
  );
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    static StopAttr getFixed(::mlir::MLIRContext *context, int64_t halfSteps,
                             bool measureLast = false);
    bool isFixed() { return getMode() == StopMode::fixed; }
    /// Whether over-relaxation is defined for an iteration that stops so.
    bool canRelax(RuleAttr rows, RuleAttr cols, Order order);
    /// Whether an iteration over-relaxes.
    bool relaxes(RuleAttr rows, RuleAttr cols, Order order) {
      return getRelax() != Relax::none && getRelax() != Relax::anderson &&
             canRelax(rows, cols, order);
    }
    /// How many steps `anderson` looks at where nothing is said.
    static constexpr int64_t kDefaultDepth = 5;
  }];
}

def Scaling_NumericsAttr : Scaling_Attr<"Numerics", "numerics"> {
  let summary = "the domain and precision of the arithmetic";
  let description = [{
    ```mlir
    #scaling.numerics<kernel>
    #scaling.numerics<log, accumulate = f64, strict>
    #scaling.numerics<log, products = tf32>
    ```

    `kernel`: the matrix is exponentiated once. `log`: an exponential per entry
    and half-step, always safe. `absorb`: kernel arithmetic that gives the
    results of the log domain: the factors are split in a gauge that is part of
    a stored kernel and in what they moved by since, sums that may have lost
    something are found, and their half-steps are done on logarithms. A lowering
    without it uses `log`.
    `accumulate` is the type of factors and sums: f64, or by default f64 for
    f64 matrices and f32 for all others. `strict`: true division, no
    contraction. `products = tf32`: where costs or logits are products of 16
    coordinates and more, these may be rounded to eleven significant bits, for
    tensor cores; what is made of the rounded points, norms too, is f32.
    `products = bf16`: the same with eight bits, where the number of coordinates
    is known and even, and elsewhere as `tf32`. `products = f16`: eleven bits in
    half of the memory, likewise, of coordinates up to 65504, from their middle
    where costs are squared distances; larger ones are infinite. What is applied
    to a plan of such costs is a product too, of entries of the plan and of the
    operand that are rounded to tf32, or, with `bf16`, to eight bits, where the
    number of the operand's columns is known and even. A lowering without tensor
    cores does not round.

    Constraints:
    * (C1) `accumulate` is f32 or f64 and not narrower than the matrix' element
      type.
    * (C2) `strict` goes with products of f32.
  }];
  let parameters = (ins
    EnumParameter<Scaling_Domain>:$domain,
    OptionalParameter<"::mlir::FloatType", "null for the default">:$accumulate,
    AttrParameter<"bool", "">:$strict,
    EnumParameter<Scaling_Products>:$products
  );
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    static NumericsAttr getDefault(::mlir::MLIRContext *context, Domain domain);
    /// Whether the matrix of the iteration holds logarithms.
    bool isLog() { return getDomain() != Domain::kernel; }
    /// The type of factors and sums for a matrix of `element`.
    ::mlir::FloatType getAccumulateType(::mlir::Type element);
  }];
}

def Scaling_FormAttr : Scaling_Attr<"Form", "form"> {
  let summary = "how the matrix of a named op enters and leaves";
  let description = [{
    ```mlir
    #scaling.form<cost>
    #scaling.form<logits, map = softmax_rows, entry_eps = 1.0e-6>
    #scaling.form<logits, epsilon = 0.05, normalize_total = 0.0, scale = rows>
    #scaling.form<cost, epsilon = 0.01, anneal = geometric(1.0, 0.5)>
    ```

    The steps, in order: standardize, divide by ε (negated for a cost), map
    with its shift, add entry_eps, divide by the total; `start` names the
    factors the iteration starts from where no operand gives them; on leaving:
    the plan or its logarithm, times the scale. `anneal` gives one ε for each
    pair of half-steps, the first of which is taken with ω = 1; `extrapolate`
    adds one simultaneous pair with ω = 1. With an `until` the pairs are those
    of all ε but the last, which is the judged iteration's.
    `anneal = geometric(first, factor)` stands for first·factor^k, as long as
    that is above `epsilon`, and `epsilon`.

    Constraints:
    * (C1) epsilon > 0, entry_eps ≥ 0, normalize_total ≥ 0, every annealed
      ε > 0; all finite. `geometric`: a finite first, 0 < factor < 1, at most
      1000 ε.
    * (C2) `map = identity` and `input = kernel` go together.
    * (C3) `shift` goes with `map = exp`; `standardize` with a cost.
    * (C4) `extrapolate` needs `anneal`.
  }];
  let parameters = (ins
    EnumParameter<Scaling_Input>:$input,
    EnumParameter<Scaling_Map>:$map,
    EnumParameter<Scaling_Shift>:$shift,
    AttrParameter<"::mlir::scaling::Number", "the temperature where no operand gives one">:$epsilon,
    AttrParameter<"bool", "">:$standardize,
    AttrParameter<"::mlir::scaling::Number", "">:$entryEps,
    ArrayRefParameter<"::mlir::scaling::Number", "none, or δ">:$normalizeTotal,
    EnumParameter<Scaling_Start>:$start,
    EnumParameter<Scaling_Output>:$output,
    EnumParameter<Scaling_OutputScale>:$scale,
    ArrayRefParameter<"::mlir::scaling::Number", "one ε per pair of half-steps">:$anneal,
    AttrParameter<"bool", "">:$extrapolate
  );
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    static FormAttr getDefault(::mlir::MLIRContext *context, Input input);
  }];
}

def Scaling_ScheduleAttr : Scaling_Attr<"Schedule", "schedule"> {
  let summary = "how an iteration is laid out on the machine";
  let description = [{
    Written by `--scaling-select-schedule`, obeyed by what comes after; may be
    written by hand to override the choice.

    ```mlir
    #scaling.schedule<resident>
    #scaling.schedule<tiny_batched, lanes = 16>
    #scaling.schedule<streaming, row_block = 8, matrix = recomputed>
    ```

    Constraint: (C1) lanes and row_block are positive where given.
  }];
  let parameters = (ins
    EnumParameter<Scaling_Regime>:$regime,
    AttrParameter<"int64_t", "matrices side by side; 0: not given">:$lanes,
    AttrParameter<"int64_t", "rows taken at once; 0: not given">:$rowBlock,
    AttrParameter<"bool", "make the matrix anew in every sweep">:$recompute
  );
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

#endif // SCALING_ATTRS
