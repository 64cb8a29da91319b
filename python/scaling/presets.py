"""Names of the presets; made from Presets.td by utils/generate-presets.py."""

from enum import Enum


class Preset(str, Enum):
    """A published convention; `docs/presets.md` says what each does."""

    mhc = "mhc"
    mhc_sigmoid = "mhc_sigmoid"
    mhc_clamp = "mhc_clamp"
    mhc_log = "mhc_log"
    mhc_columns = "mhc_columns"
    mhc_static = "mhc_static"
    mhc_recip = "mhc_recip"
    sinkformer = "sinkformer"
    superglue = "superglue"
    swav = "swav"
    sela = "sela"
    optvq = "optvq"
    megatron_moe = "megatron_moe"
    gumbel = "gumbel"
    sinkgd = "sinkgd"
    sinq = "sinq"
    kvarn = "kvarn"
    ruiz = "ruiz"
    gebal = "gebal"
    geequb = "geequb"
    pot = "pot"
    pot_log = "pot_log"
    pot_stabilized = "pot_stabilized"
    pot_unbalanced = "pot_unbalanced"
    ott = "ott"
    geomloss = "geomloss"


#: Where a preset may be used, and the attributes it stands for.
ATTRIBUTES: dict[str, dict[str, object]] = {
    "mhc": {
        "ops": ["project"],
        "form": "#scaling.form<logits, map = softmax_rows, entry_eps = 1.0e-6>",
        "rows": "#scaling.rule<sum, guard = add_plan(1.0e-6)>",
        "cols": "#scaling.rule<sum, guard = add_plan(1.0e-6)>",
        "order": "cols_first",
        "stop": "#scaling.stop<fixed 39>",
        "numerics": "#scaling.numerics<kernel>",
    },
    "mhc_sigmoid": {
        "ops": ["project"],
        "form": "#scaling.form<logits, map = sigmoid, entry_eps = 1.0e-6>",
        "rows": "#scaling.rule<sum, guard = add_plan(1.0e-6)>",
        "cols": "#scaling.rule<sum, guard = add_plan(1.0e-6)>",
        "order": "rows_first",
        "stop": "#scaling.stop<fixed 40>",
        "numerics": "#scaling.numerics<kernel>",
    },
    "mhc_clamp": {
        "ops": ["project", "sinkhorn"],
        "form": "#scaling.form<logits, shift = row_max>",
        "rows": "#scaling.rule<sum, guard = clamp_plan(1.0e-6)>",
        "cols": "#scaling.rule<sum, guard = clamp_plan(1.0e-6)>",
        "order": "rows_first",
        "stop": "#scaling.stop<fixed 40>",
        "numerics": "#scaling.numerics<kernel>",
    },
    "mhc_log": {
        "ops": ["project", "sinkhorn"],
        "form": "#scaling.form<logits>",
        "rows": "#scaling.rule<sum>",
        "cols": "#scaling.rule<sum>",
        "order": "rows_first",
        "stop": "#scaling.stop<fixed 40>",
        "numerics": "#scaling.numerics<log>",
    },
    "mhc_columns": {
        "ops": ["project", "sinkhorn"],
        "form": "#scaling.form<logits, shift = col_max>",
        "rows": "#scaling.rule<sum, guard = clamp_plan(1.0e-12)>",
        "cols": "#scaling.rule<sum, guard = clamp_plan(1.0e-12)>",
        "order": "cols_first",
        "stop": "#scaling.stop<fixed 40>",
        "numerics": "#scaling.numerics<kernel>",
    },
    "mhc_static": {
        "ops": ["project", "sinkhorn"],
        "form": "#scaling.form<logits, epsilon = 0.05>",
        "rows": "#scaling.rule<sum>",
        "cols": "#scaling.rule<sum>",
        "order": "rows_first",
        "stop": "#scaling.stop<fixed 20>",
        "numerics": "#scaling.numerics<log>",
    },
    "mhc_recip": {
        "ops": ["project", "sinkhorn"],
        "form": "#scaling.form<logits>",
        "rows": "#scaling.rule<sum, guard = add_kernel(1.0e-6)>",
        "cols": "#scaling.rule<sum, guard = add_kernel(1.0e-6)>",
        "order": "rows_first",
        "stop": "#scaling.stop<fixed 40>",
        "numerics": "#scaling.numerics<kernel>",
    },
    "sinkformer": {
        "ops": ["attention", "project"],
        "form": "#scaling.form<logits, scale = cols>",
        "rows": "#scaling.rule<sum, target = uniform>",
        "cols": "#scaling.rule<sum, target = uniform>",
        "order": "rows_first",
        "stop": "#scaling.stop<fixed 3>",
        "numerics": "#scaling.numerics<log>",
    },
    "superglue": {
        "ops": ["project"],
        "form": "#scaling.form<logits, output = log_plan, scale = rows_plus_cols>",
        "rows": "#scaling.rule<sum, target = slack>",
        "cols": "#scaling.rule<sum, target = slack>",
        "order": "rows_first",
        "stop": "#scaling.stop<fixed 200>",
        "numerics": "#scaling.numerics<log>",
    },
    "swav": {
        "ops": ["project"],
        "form": "#scaling.form<logits, epsilon = 0.05, normalize_total = 0.0, scale = rows>",
        "rows": "#scaling.rule<sum, target = uniform>",
        "cols": "#scaling.rule<sum, target = uniform>",
        "order": "cols_first",
        "stop": "#scaling.stop<fixed 6>",
        "numerics": "#scaling.numerics<kernel>",
    },
    "sela": {
        "ops": ["project"],
        "form": "#scaling.form<logits, map = softmax_rows, epsilon = 0.04, start = uniform, scale = rows>",
        "rows": "#scaling.rule<sum, target = uniform>",
        "cols": "#scaling.rule<sum, target = uniform>",
        "order": "cols_first",
        "stop": "#scaling.stop<until 0.1, what = ratio, axis = rows, norm = l1, every = 20, start = 2, limit = 200000>",
        "numerics": "#scaling.numerics<kernel>",
    },
    "optvq": {
        "ops": ["project"],
        "form": "#scaling.form<cost, epsilon = 0.1, standardize, normalize_total = 1.0e-8, scale = rows>",
        "rows": "#scaling.rule<sum, guard = add_plan(1.0e-8), target = uniform>",
        "cols": "#scaling.rule<sum, guard = add_plan(1.0e-8), target = uniform>",
        "order": "cols_first",
        "stop": "#scaling.stop<fixed 10>",
        "numerics": "#scaling.numerics<kernel>",
    },
    "megatron_moe": {
        "ops": ["project", "sinkhorn"],
        "form": "#scaling.form<logits>",
        "rows": "#scaling.rule<sum, guard = add_kernel(1.0e-8), target = uniform>",
        "cols": "#scaling.rule<sum, guard = add_kernel(1.0e-8), target = uniform>",
        "order": "rows_first",
        "stop": "#scaling.stop<until 1.0e-4, what = change, axis = cols, norm = mean, every = 2, start = 2, limit = 200000>",
        "numerics": "#scaling.numerics<kernel>",
    },
    "gumbel": {
        "ops": ["project", "sinkhorn"],
        "form": "#scaling.form<logits>",
        "rows": "#scaling.rule<sum>",
        "cols": "#scaling.rule<sum>",
        "order": "rows_first",
        "stop": "#scaling.stop<fixed 40>",
        "numerics": "#scaling.numerics<log>",
    },
    "sinkgd": {
        "ops": ["balance"],
        "rows": "#scaling.rule<l2, guard = add_plan(1.0e-6)>",
        "cols": "#scaling.rule<l2, guard = add_plan(1.0e-6)>",
        "order": "rows_first",
        "stop": "#scaling.stop<fixed 10>",
        "numerics": "#scaling.numerics<kernel>",
    },
    "sinq": {
        "ops": ["balance"],
        "rows": "#scaling.rule<std, target = min_stat, limit = [1.0e-3, 1.0e3], step = [0.5, 1.4285714285714286], clamp = [4.5399929762484854e-5, 1.3498588075760032]>",
        "cols": "#scaling.rule<std, target = min_stat, limit = [1.0e-3, 1.0e3], step = [0.5, 1.4285714285714286], clamp = [4.5399929762484854e-5, 1.3498588075760032]>",
        "order": "jacobi",
        "stop": "#scaling.stop<best 32, what = imbalance, patience = first, last = false>",
        "numerics": "#scaling.numerics<kernel>",
    },
    "kvarn": {
        "ops": ["balance"],
        "rows": "#scaling.rule<std, limit = [1.0e-3, 1.0e3], clamp = [4.5399929762484854e-5, 1.3498588075760032]>",
        "cols": "#scaling.rule<std, limit = [1.0e-3, 1.0e3], clamp = [4.5399929762484854e-5, 1.3498588075760032]>",
        "order": "cols_first",
        "stop": "#scaling.stop<best 32, what = imbalance_sum>",
        "numerics": "#scaling.numerics<kernel>",
    },
    "ruiz": {
        "ops": ["balance"],
        "rows": "#scaling.rule<linf, exponent = 0.5, limit = [1.0e-4, 1.0e4, 1.0]>",
        "cols": "#scaling.rule<linf, exponent = 0.5, limit = [1.0e-4, 1.0e4, 1.0]>",
        "order": "jacobi",
        "stop": "#scaling.stop<fixed 20>",
        "numerics": "#scaling.numerics<kernel>",
    },
    "gebal": {
        "ops": ["similarity_balance"],
        "order": "rows_first",
    },
    "geequb": {
        "ops": ["balance"],
        "rows": "#scaling.rule<linf, clamp = [1.1754943508222875e-38, 8.507059173023462e37], round = pow2>",
        "cols": "#scaling.rule<linf, clamp = [1.1754943508222875e-38, 8.507059173023462e37], round = pow2>",
        "order": "rows_first",
        "stop": "#scaling.stop<fixed 2>",
        "numerics": "#scaling.numerics<kernel>",
    },
    "pot": {
        "ops": ["project", "sinkhorn"],
        "form": "#scaling.form<cost, start = uniform>",
        "rows": "#scaling.rule<sum, target = uniform>",
        "cols": "#scaling.rule<sum, target = uniform>",
        "order": "cols_first",
        "stop": "#scaling.stop<until 1.0e-9, what = marginal, axis = cols, norm = l2, every = 20, start = 2, limit = 2000, relax = none>",
        "numerics": "#scaling.numerics<kernel>",
    },
    "pot_log": {
        "ops": ["project", "sinkhorn"],
        "form": "#scaling.form<cost>",
        "rows": "#scaling.rule<sum, target = uniform>",
        "cols": "#scaling.rule<sum, target = uniform>",
        "order": "cols_first",
        "stop": "#scaling.stop<until 1.0e-9, what = marginal, axis = cols, norm = l2, every = 20, start = 2, limit = 2000, relax = none>",
        "numerics": "#scaling.numerics<log>",
    },
    "pot_stabilized": {
        "ops": ["project", "sinkhorn"],
        "form": "#scaling.form<cost, start = uniform>",
        "rows": "#scaling.rule<sum, target = uniform>",
        "cols": "#scaling.rule<sum, target = uniform>",
        "order": "cols_first",
        "stop": "#scaling.stop<until 1.0e-9, what = marginal, axis = cols, norm = l2, every = 40, start = 2, limit = 2000, relax = none>",
        "numerics": "#scaling.numerics<absorb>",
    },
    "pot_unbalanced": {
        "ops": ["project", "sinkhorn"],
        "form": "#scaling.form<cost, start = targets>",
        "rows": "#scaling.rule<sum, target = uniform, tau = 0.5, reference = product>",
        "cols": "#scaling.rule<sum, target = uniform, tau = 0.5, reference = product>",
        "order": "rows_first",
        "stop": "#scaling.stop<until 1.0e-6, what = relative_change, axis = both, every = 2, start = 2, limit = 2000>",
        "numerics": "#scaling.numerics<kernel>",
    },
    "ott": {
        "ops": ["project", "sinkhorn"],
        "form": "#scaling.form<cost>",
        "rows": "#scaling.rule<sum, target = uniform>",
        "cols": "#scaling.rule<sum, target = uniform>",
        "order": "cols_first",
        "stop": "#scaling.stop<until 1.0e-3, what = marginal, axis = cols, norm = l1, every = 20, start = 20, limit = 4000, relax = none>",
        "numerics": "#scaling.numerics<absorb>",
    },
    "geomloss": {
        "ops": ["project", "sinkhorn"],
        "form": "#scaling.form<cost, start = targets, anneal = [1.0, 1.0, 1.0, 0.25, 0.0625, 0.015625, 0.00390625, 0.0025], extrapolate>",
        "rows": "#scaling.rule<sum, target = uniform, reference = product, omega = 0.5>",
        "cols": "#scaling.rule<sum, target = uniform, reference = product, omega = 0.5>",
        "order": "jacobi",
        "stop": "#scaling.stop<fixed 18>",
        "numerics": "#scaling.numerics<log>",
    },
}
