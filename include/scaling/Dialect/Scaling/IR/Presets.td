//===- Presets.td - Published conventions ---------------------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The one place where a preset is written. The table the parser reads, the
// documentation page, the Python names and the test list are made from it by
// utils/generate-presets.py.
//
//===----------------------------------------------------------------------===//

include "scaling/Dialect/Scaling/IR/PresetBase.td"

//===----------------------------------------------------------------------===//
// Manifold-constrained hyper-connections
//===----------------------------------------------------------------------===//

def mhc : Preset<["project"]> {
  let whose = "DeepSeek TileKernels and V4, vLLM, SGLang, Liger, aiter (convention A)";
  let summary = "softmax over rows + 1e-6; columns; then 19 times rows, columns; 1e-6 added to every sum; ends on columns";
  let form = "#scaling.form<logits, map = softmax_rows, entry_eps = 1.0e-6>";
  let rows = "#scaling.rule<sum, guard = add_plan(1.0e-6)>";
  let order = "cols_first";
  let stop = "#scaling.stop<fixed 39>";
  let numerics = "#scaling.numerics<kernel>";
}

def mhc_sigmoid : Preset<["project"]> {
  let whose = "the first release of DeepSeek-V4 in transformers (convention B), since corrected to A";
  let summary = "sigmoid + 1e-6; 20 times rows, columns; 1e-6 added to every sum";
  let form = "#scaling.form<logits, map = sigmoid, entry_eps = 1.0e-6>";
  let rows = "#scaling.rule<sum, guard = add_plan(1.0e-6)>";
  let stop = "#scaling.stop<fixed 40>";
  let numerics = "#scaling.numerics<kernel>";
}

def mhc_clamp : Preset<["project", "sinkhorn"]> {
  let whose = "Megatron-LM (convention C)";
  let summary = "exp(z − row maximum); 20 times rows, columns; sums clamped to at least 1e-6; ends on columns";
  let form = "#scaling.form<logits, shift = row_max>";
  let rows = "#scaling.rule<sum, guard = clamp_plan(1.0e-6)>";
  let stop = "#scaling.stop<fixed 40>";
  let numerics = "#scaling.numerics<kernel>";
}

def mhc_log : Preset<["project", "sinkhorn"]> {
  let whose = "TransformerEngine (convention D), aiter's default in base 2 (E)";
  let summary = "log domain; 20 times rows, columns; no guard; ends on columns";
  let form = "#scaling.form<logits>";
  let rows = "#scaling.rule<sum>";
  let stop = "#scaling.stop<fixed 40>";
  let numerics = "#scaling.numerics<log>";
}

def mhc_columns : Preset<["project", "sinkhorn"]> {
  let whose = "lucidrains mHCv2 (convention F)";
  let summary = "exp(z − column maximum); 20 times columns, rows; sums clamped to at least 1e-12; ends on rows";
  let form = "#scaling.form<logits, shift = col_max>";
  let rows = "#scaling.rule<sum, guard = clamp_plan(1.0e-12)>";
  let order = "cols_first";
  let stop = "#scaling.stop<fixed 40>";
  let numerics = "#scaling.numerics<kernel>";
}

def mhc_static : Preset<["project", "sinkhorn"]> {
  let whose = "tokenbender (convention G)";
  let summary = "log domain at temperature 0.05; 10 times rows, columns";
  let form = "#scaling.form<logits, epsilon = 0.05>";
  let rows = "#scaling.rule<sum>";
  let stop = "#scaling.stop<fixed 20>";
  let numerics = "#scaling.numerics<log>";
}

def mhc_recip : Preset<["project", "sinkhorn"]> {
  let whose = "gaetanX21 sinkhorn-triton (convention H)";
  let summary = "exp(z); 20 times r = 1/(A c + 1e-6), c = 1/(Aᵀ r + 1e-6)";
  let form = "#scaling.form<logits>";
  let rows = "#scaling.rule<sum, guard = add_kernel(1.0e-6)>";
  let stop = "#scaling.stop<fixed 40>";
  let numerics = "#scaling.numerics<kernel>";
}

//===----------------------------------------------------------------------===//
// Attention, matching, assignment
//===----------------------------------------------------------------------===//

def sinkformer : Preset<["attention", "project"]> {
  let whose = "michaelsdr/sinkformers";
  let summary = "log domain, uniform marginals, 3 half-steps from the rows, the plan times the number of keys";
  let form = "#scaling.form<logits, scale = cols>";
  let rows = "#scaling.rule<sum, target = uniform>";
  let stop = "#scaling.stop<fixed 3>";
  let numerics = "#scaling.numerics<log>";
}

def superglue : Preset<["project"]> {
  let whose = "SuperGlue (magicleap), transformers";
  let summary = "dustbin row and column; log domain; 100 times rows, columns; the logarithm of the plan times n + m";
  let form = "#scaling.form<logits, output = log_plan, scale = rows_plus_cols>";
  let rows = "#scaling.rule<sum, target = slack>";
  let stop = "#scaling.stop<fixed 200>";
  let numerics = "#scaling.numerics<log>";
}

def swav : Preset<["project"]> {
  let whose = "facebookresearch/swav, DINOv2 (samples are rows, prototypes columns)";
  let summary = "exp(z/0.05) over its sum; 3 times columns to 1/m, rows to 1/n; the plan times the number of rows";
  let form = "#scaling.form<logits, epsilon = 0.05, normalize_total = 0.0, scale = rows>";
  let rows = "#scaling.rule<sum, target = uniform>";
  let order = "cols_first";
  let stop = "#scaling.stop<fixed 6>";
  let numerics = "#scaling.numerics<kernel>";
}

def sela : Preset<["project"]> {
  let whose = "yukimasano/self-label (samples are rows, classes columns)";
  let summary = "softmax over rows to the power 25; from 1/n and 1/m; columns to 1/m, rows to 1/n; until the row factor changes by a ratio of at most 0.1 in the 1-norm, looked at every 10 pairs; the plan times the number of rows";
  let form = "#scaling.form<logits, map = softmax_rows, epsilon = 0.04, start = uniform, scale = rows>";
  let rows = "#scaling.rule<sum, target = uniform>";
  let order = "cols_first";
  let stop = "#scaling.stop<until 0.1, what = ratio, axis = rows, norm = l1, every = 20, start = 2, limit = 200000>";
  let numerics = "#scaling.numerics<kernel>";
}

def optvq : Preset<["project"]> {
  let whose = "OptVQ (samples are rows, codes columns)";
  let summary = "the cost standardized, exp(−10 c) over its sum + 1e-8; 5 times columns to 1/m, rows to 1/n, 1e-8 added to every sum; the plan times the number of rows";
  let form = "#scaling.form<cost, epsilon = 0.1, standardize, normalize_total = 1.0e-8, scale = rows>";
  let rows = "#scaling.rule<sum, guard = add_plan(1.0e-8), target = uniform>";
  let order = "cols_first";
  let stop = "#scaling.stop<fixed 10>";
  let numerics = "#scaling.numerics<kernel>";
}

def megatron_moe : Preset<["project", "sinkhorn"]> {
  let whose = "Megatron-LM's MoE router";
  let summary = "exp(z); rows to 1/n, columns to 1/m, 1e-8 added to the kernel's sums; until the mean change of the column factor is at most 1e-4; at most 100000 pairs";
  let form = "#scaling.form<logits>";
  let rows = "#scaling.rule<sum, guard = add_kernel(1.0e-8), target = uniform>";
  let stop = "#scaling.stop<until 1.0e-4, what = change, axis = cols, norm = mean, every = 2, start = 2, limit = 200000>";
  let numerics = "#scaling.numerics<kernel>";
}

def gumbel : Preset<["project", "sinkhorn"]> {
  let whose = "google/gumbel_sinkhorn, on logits with the noise already added";
  let summary = "log domain; 20 times rows, columns; ends on columns; the temperature is epsilon";
  let form = "#scaling.form<logits>";
  let rows = "#scaling.rule<sum>";
  let stop = "#scaling.stop<fixed 40>";
  let numerics = "#scaling.numerics<log>";
}

//===----------------------------------------------------------------------===//
// Quantization, equilibration
//===----------------------------------------------------------------------===//

def sinkgd : Preset<["balance"]> {
  let whose = "SinkGD (gradient normalization)";
  let summary = "5 times rows, columns to 2-norm 1; 1e-6 added to every norm";
  let rows = "#scaling.rule<l2, guard = add_plan(1.0e-6)>";
  let stop = "#scaling.stop<fixed 10>";
  let numerics = "#scaling.numerics<kernel>";
}

def sinq : Preset<["balance"]> {
  let whose = "SINQ (huawei), transformers";
  let summary = "unbiased standard deviations; 16 simultaneous clamped steps towards the smallest of them; the factors of least imbalance, none after the first worsening";
  let rows = "#scaling.rule<std, target = min_stat, limit = [1.0e-3, 1.0e3], step = [0.5, 1.4285714285714286], clamp = [4.5399929762484854e-5, 1.3498588075760032]>";
  let order = "jacobi";
  let stop = "#scaling.stop<best 32, what = imbalance, patience = first, last = false>";
  let numerics = "#scaling.numerics<kernel>";
}

def kvarn : Preset<["balance"]> {
  let whose = "KVarN";
  let summary = "unbiased standard deviations, limited to [1e-3, 1e3]; 16 times columns, rows to 1; the factors of least summed imbalance";
  let rows = "#scaling.rule<std, limit = [1.0e-3, 1.0e3], clamp = [4.5399929762484854e-5, 1.3498588075760032]>";
  let order = "cols_first";
  let stop = "#scaling.stop<best 32, what = imbalance_sum>";
  let numerics = "#scaling.numerics<kernel>";
}

def ruiz : Preset<["balance"]> {
  let whose = "Ruiz (2001) as in OSQP, on one matrix";
  let summary = "10 simultaneous divisions by the square roots of the maxima; a maximum below 1e-4 counts as 1, above 1e4 as 1e4";
  let rows = "#scaling.rule<linf, exponent = 0.5, limit = [1.0e-4, 1.0e4, 1.0]>";
  let order = "jacobi";
  let stop = "#scaling.stop<fixed 20>";
  let numerics = "#scaling.numerics<kernel>";
}

def gebal : Preset<["similarity_balance"]> {
  let whose = "LAPACK gebal, job S; SciPy's matrix_balance without permutation";
  let summary = "each index in turn scales its row and its column by a power of two towards equal 2-norms, until nothing changes; at most `limit` sweeps";
}

def geequb : Preset<["balance"]> {
  let whose = "LAPACK geequb";
  let summary = "rows, then columns divided by their maxima rounded to powers of two, the factors within [2^-126, 2^126]";
  let rows = "#scaling.rule<linf, clamp = [1.1754943508222875e-38, 8.507059173023462e37], round = pow2>";
  let stop = "#scaling.stop<fixed 2>";
  let numerics = "#scaling.numerics<kernel>";
}

//===----------------------------------------------------------------------===//
// Transport
//===----------------------------------------------------------------------===//

def pot : Preset<["project", "sinkhorn"]> {
  let whose = "POT, ot.sinkhorn (method sinkhorn)";
  let summary = "kernel domain; from 1/n; columns, rows; until the 2-norm of the column error is at most 1e-9, looked at every 10 pairs; at most 1000 pairs";
  let form = "#scaling.form<cost, start = uniform>";
  let rows = "#scaling.rule<sum, target = uniform>";
  let order = "cols_first";
  let stop = "#scaling.stop<until 1.0e-9, what = marginal, axis = cols, norm = l2, every = 20, start = 2, limit = 2000, relax = none>";
  let numerics = "#scaling.numerics<kernel>";
}

def pot_log : Preset<["project", "sinkhorn"]> {
  let whose = "POT, ot.sinkhorn (method sinkhorn_log)";
  let summary = "as pot, in the log domain from potentials 0";
  let form = "#scaling.form<cost>";
  let rows = "#scaling.rule<sum, target = uniform>";
  let order = "cols_first";
  let stop = "#scaling.stop<until 1.0e-9, what = marginal, axis = cols, norm = l2, every = 20, start = 2, limit = 2000, relax = none>";
  let numerics = "#scaling.numerics<log>";
}

def pot_stabilized : Preset<["project", "sinkhorn"]> {
  let whose = "POT, ot.sinkhorn (method sinkhorn_stabilized)";
  let summary = "as pot, safe for small temperatures, looked at every 20 pairs; the plan is POT's, the potentials differ by a constant";
  let form = "#scaling.form<cost, start = uniform>";
  let rows = "#scaling.rule<sum, target = uniform>";
  let order = "cols_first";
  let stop = "#scaling.stop<until 1.0e-9, what = marginal, axis = cols, norm = l2, every = 40, start = 2, limit = 2000, relax = none>";
  let numerics = "#scaling.numerics<absorb>";
}

def pot_unbalanced : Preset<["project", "sinkhorn"]> {
  let whose = "POT, ot.unbalanced.sinkhorn_unbalanced (regularization kl); tau is reg_m/(reg_m + reg), here that of reg_m = reg";
  let summary = "kernel domain, the kernel taken times both marginals; rows, columns, damped; until the mean relative change of both is at most 1e-6; at most 1000 pairs";
  let form = "#scaling.form<cost, start = targets>";
  let rows = "#scaling.rule<sum, target = uniform, tau = 0.5, reference = product>";
  let stop = "#scaling.stop<until 1.0e-6, what = relative_change, axis = both, every = 2, start = 2, limit = 2000>";
  let numerics = "#scaling.numerics<kernel>";
}

def ott : Preset<["project", "sinkhorn"]> {
  let whose = "OTT-JAX, Sinkhorn (log-sum-exp mode)";
  let summary = "log domain; columns, rows; until the 1-norm of the column error is at most 1e-3, looked at every 10 pairs; at most 2000 pairs";
  let form = "#scaling.form<cost>";
  let rows = "#scaling.rule<sum, target = uniform>";
  let order = "cols_first";
  let stop = "#scaling.stop<until 1.0e-3, what = marginal, axis = cols, norm = l1, every = 20, start = 20, limit = 4000, relax = none>";
  let numerics = "#scaling.numerics<absorb>";
}

def geomloss : Preset<["project", "sinkhorn"]> {
  let whose = "GeomLoss, sinkhorn_loop (cost |x-y|², blur 0.05, scaling 0.5, diameter 1; other diameters need their own anneal)";
  let summary = "log domain relative to the marginals; ε from 1 down to 0.0025, one averaged simultaneous update each after a plain one, and a plain one at the end";
  let form = "#scaling.form<cost, start = targets, anneal = [1.0, 1.0, 1.0, 0.25, 0.0625, 0.015625, 0.00390625, 0.0025], extrapolate>";
  let rows = "#scaling.rule<sum, target = uniform, reference = product, omega = 0.5>";
  let order = "jacobi";
  let stop = "#scaling.stop<fixed 18>";
  let numerics = "#scaling.numerics<log>";
}
