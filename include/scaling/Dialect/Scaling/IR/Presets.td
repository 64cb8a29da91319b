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

def megatron_moe : Preset<["project", "sinkhorn"]> {
  let whose = "Megatron-LM's MoE router";
  let summary = "exp(z); rows to 1/n, columns to 1/m, 1e-8 added to the kernel's sums; until the mean change of the column factor is at most 1e-4; the number of half-steps is bounded by 20000";
  let form = "#scaling.form<logits>";
  let rows = "#scaling.rule<sum, guard = add_kernel(1.0e-8), target = uniform>";
  let stop = "#scaling.stop<until 1.0e-4, what = change, axis = cols, norm = mean, every = 2, start = 2, limit = 20000>";
  let numerics = "#scaling.numerics<kernel>";
}

//===----------------------------------------------------------------------===//
// Quantization, equilibration
//===----------------------------------------------------------------------===//

def sinq : Preset<["balance"]> {
  let whose = "SINQ (huawei), transformers";
  let summary = "unbiased standard deviations; 16 simultaneous clamped steps towards the smallest of them; the factors of least imbalance, none after the first worsening";
  let rows = "#scaling.rule<std, target = min_stat, limit = [1.0e-3, 1.0e3], step = [0.5, 1.4285714285714286], clamp = [4.5399929762484854e-5, 1.3498588075760032]>";
  let order = "jacobi";
  let stop = "#scaling.stop<best 32, what = imbalance, patience = first, last = false>";
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

//===----------------------------------------------------------------------===//
// Transport
//===----------------------------------------------------------------------===//

def pot : Preset<["project", "sinkhorn"]> {
  let whose = "POT, ot.sinkhorn (method sinkhorn)";
  let summary = "kernel domain; columns, rows; until the 2-norm of the column error is at most 1e-9, looked at every 10 pairs; at most 1000 pairs";
  let form = "#scaling.form<cost>";
  let rows = "#scaling.rule<sum, target = uniform>";
  let order = "cols_first";
  let stop = "#scaling.stop<until 1.0e-9, what = marginal, axis = cols, norm = l2, every = 20, start = 2, limit = 2000>";
  let numerics = "#scaling.numerics<kernel>";
}

def ott : Preset<["project", "sinkhorn"]> {
  let whose = "OTT-JAX, Sinkhorn (log-sum-exp mode)";
  let summary = "log domain; columns, rows; until the 1-norm of the column error is at most 1e-3, looked at every 10 pairs; at most 2000 pairs";
  let form = "#scaling.form<cost>";
  let rows = "#scaling.rule<sum, target = uniform>";
  let order = "cols_first";
  let stop = "#scaling.stop<until 1.0e-3, what = marginal, axis = cols, norm = l1, every = 20, start = 20, limit = 4000>";
  let numerics = "#scaling.numerics<absorb>";
}
