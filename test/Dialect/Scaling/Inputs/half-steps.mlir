// Half-steps as programs write them, for raise.mlir and raise-near-misses.mlir,
// where they are inlined.

func.func private @sum_rows(%x: tensor<4x6xf32>) -> tensor<4xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %s = linalg.reduce { arith.addf } ins(%x : tensor<4x6xf32>)
      outs(%f : tensor<4xf32>) dimensions = [1]
  return %s : tensor<4xf32>
}
func.func private @sum_cols(%x: tensor<4x6xf32>) -> tensor<6xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<6xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<6xf32>) -> tensor<6xf32>
  %s = linalg.reduce { arith.addf } ins(%x : tensor<4x6xf32>)
      outs(%f : tensor<6xf32>) dimensions = [0]
  return %s : tensor<6xf32>
}
func.func private @max_rows(%x: tensor<4x6xf32>) -> tensor<4xf32> {
  %lowest = arith.constant 0xFF800000 : f32
  %e = tensor.empty() : tensor<4xf32>
  %f = linalg.fill ins(%lowest : f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %s = linalg.reduce { arith.maximumf } ins(%x : tensor<4x6xf32>)
      outs(%f : tensor<4xf32>) dimensions = [1]
  return %s : tensor<4xf32>
}
func.func private @spread_rows(%v: tensor<4xf32>) -> tensor<4x6xf32> {
  %e = tensor.empty() : tensor<4x6xf32>
  %b = linalg.broadcast ins(%v : tensor<4xf32>) outs(%e : tensor<4x6xf32>) dimensions = [1]
  return %b : tensor<4x6xf32>
}
func.func private @spread_cols(%v: tensor<6xf32>) -> tensor<4x6xf32> {
  %e = tensor.empty() : tensor<4x6xf32>
  %b = linalg.broadcast ins(%v : tensor<6xf32>) outs(%e : tensor<4x6xf32>) dimensions = [0]
  return %b : tensor<4x6xf32>
}
func.func private @exp(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %y = math.exp %x : tensor<4x6xf32>
  return %y : tensor<4x6xf32>
}
// x / Σ x
func.func private @divide_rows(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %s = call @sum_rows(%x) : (tensor<4x6xf32>) -> tensor<4xf32>
  %b = call @spread_rows(%s) : (tensor<4xf32>) -> tensor<4x6xf32>
  %y = arith.divf %x, %b : tensor<4x6xf32>
  return %y : tensor<4x6xf32>
}
func.func private @divide_cols(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %s = call @sum_cols(%x) : (tensor<4x6xf32>) -> tensor<6xf32>
  %b = call @spread_cols(%s) : (tensor<6xf32>) -> tensor<4x6xf32>
  %y = arith.divf %x, %b : tensor<4x6xf32>
  return %y : tensor<4x6xf32>
}
// x / (Σ x + 1e-6)
func.func private @guard_rows(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %eps = arith.constant dense<1.0e-6> : tensor<4xf32>
  %s = call @sum_rows(%x) : (tensor<4x6xf32>) -> tensor<4xf32>
  %g = arith.addf %s, %eps : tensor<4xf32>
  %b = call @spread_rows(%g) : (tensor<4xf32>) -> tensor<4x6xf32>
  %y = arith.divf %x, %b : tensor<4x6xf32>
  return %y : tensor<4x6xf32>
}
func.func private @guard_cols(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %eps = arith.constant dense<1.0e-6> : tensor<6xf32>
  %s = call @sum_cols(%x) : (tensor<4x6xf32>) -> tensor<6xf32>
  %g = arith.addf %s, %eps : tensor<6xf32>
  %b = call @spread_cols(%g) : (tensor<6xf32>) -> tensor<4x6xf32>
  %y = arith.divf %x, %b : tensor<4x6xf32>
  return %y : tensor<4x6xf32>
}
// x − logsumexp(x)
func.func private @lse_rows(%x: tensor<4x6xf32>) -> tensor<4xf32> {
  %m = call @max_rows(%x) : (tensor<4x6xf32>) -> tensor<4xf32>
  %mb = call @spread_rows(%m) : (tensor<4xf32>) -> tensor<4x6xf32>
  %d = arith.subf %x, %mb : tensor<4x6xf32>
  %e = math.exp %d : tensor<4x6xf32>
  %s = call @sum_rows(%e) : (tensor<4x6xf32>) -> tensor<4xf32>
  %l = math.log %s : tensor<4xf32>
  %r = arith.addf %l, %m : tensor<4xf32>
  return %r : tensor<4xf32>
}
func.func private @lse_cols(%x: tensor<4x6xf32>) -> tensor<6xf32> {
  %e = math.exp %x : tensor<4x6xf32>
  %s = call @sum_cols(%e) : (tensor<4x6xf32>) -> tensor<6xf32>
  %l = math.log %s : tensor<6xf32>
  return %l : tensor<6xf32>
}
func.func private @subtract_rows(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %l = call @lse_rows(%x) : (tensor<4x6xf32>) -> tensor<4xf32>
  %b = call @spread_rows(%l) : (tensor<4xf32>) -> tensor<4x6xf32>
  %y = arith.subf %x, %b : tensor<4x6xf32>
  return %y : tensor<4x6xf32>
}
func.func private @subtract_cols(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %l = call @lse_cols(%x) : (tensor<4x6xf32>) -> tensor<6xf32>
  %b = call @spread_cols(%l) : (tensor<6xf32>) -> tensor<4x6xf32>
  %y = arith.subf %x, %b : tensor<4x6xf32>
  return %y : tensor<4x6xf32>
}
// √(Σ (x − mean)² / 5), the sums in f64, as PyTorch's.
func.func private @plain_deviation_rows(%x: tensor<4x6xf32>) -> tensor<4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4xf64>
  %six = arith.constant dense<6.0> : tensor<4xf64>
  %five = arith.constant dense<5.0> : tensor<4xf64>
  %w = arith.extf %x : tensor<4x6xf32> to tensor<4x6xf64>
  %s = linalg.reduce { arith.addf } ins(%w : tensor<4x6xf64>)
      outs(%zero : tensor<4xf64>) dimensions = [1]
  %m = arith.divf %s, %six : tensor<4xf64>
  %e = tensor.empty() : tensor<4x6xf64>
  %b = linalg.broadcast ins(%m : tensor<4xf64>) outs(%e : tensor<4x6xf64>) dimensions = [1]
  %d = arith.subf %w, %b : tensor<4x6xf64>
  %q = arith.mulf %d, %d : tensor<4x6xf64>
  %t = linalg.reduce { arith.addf } ins(%q : tensor<4x6xf64>)
      outs(%zero : tensor<4xf64>) dimensions = [1]
  %v = arith.divf %t, %five : tensor<4xf64>
  %n = arith.truncf %v : tensor<4xf64> to tensor<4xf32>
  %r = math.sqrt %n : tensor<4xf32>
  return %r : tensor<4xf32>
}
// Within [1e-3, 1e3].
func.func private @deviation_rows(%x: tensor<4x6xf32>) -> tensor<4xf32> {
  %low = arith.constant dense<1.0e-3> : tensor<4xf32>
  %high = arith.constant dense<1.0e3> : tensor<4xf32>
  %r = call @plain_deviation_rows(%x) : (tensor<4x6xf32>) -> tensor<4xf32>
  %l = arith.maximumf %r, %low : tensor<4xf32>
  %h = arith.minimumf %l, %high : tensor<4xf32>
  return %h : tensor<4xf32>
}
// √(Σ (x − mean)² / 3)
func.func private @plain_deviation_cols(%x: tensor<4x6xf32>) -> tensor<6xf32> {
  %four = arith.constant dense<4.0> : tensor<6xf32>
  %three = arith.constant dense<3.0> : tensor<6xf32>
  %s = call @sum_cols(%x) : (tensor<4x6xf32>) -> tensor<6xf32>
  %m = arith.divf %s, %four : tensor<6xf32>
  %b = call @spread_cols(%m) : (tensor<6xf32>) -> tensor<4x6xf32>
  %d = arith.subf %x, %b : tensor<4x6xf32>
  %q = arith.mulf %d, %d : tensor<4x6xf32>
  %t = call @sum_cols(%q) : (tensor<4x6xf32>) -> tensor<6xf32>
  %v = arith.divf %t, %three : tensor<6xf32>
  %r = math.sqrt %v : tensor<6xf32>
  return %r : tensor<6xf32>
}
// Within [1e-3, 1e3], as a comparison and a choice.
func.func private @deviation_cols(%x: tensor<4x6xf32>) -> tensor<6xf32> {
  %low = arith.constant dense<1.0e-3> : tensor<6xf32>
  %high = arith.constant dense<1.0e3> : tensor<6xf32>
  %r = call @plain_deviation_cols(%x) : (tensor<4x6xf32>) -> tensor<6xf32>
  %above = arith.cmpf ogt, %r, %high : tensor<6xf32>
  %h = arith.select %above, %high, %r : tensor<6xi1>, tensor<6xf32>
  %below = arith.cmpf olt, %h, %low : tensor<6xf32>
  %l = arith.select %below, %low, %h : tensor<6xi1>, tensor<6xf32>
  return %l : tensor<6xf32>
}
// One pair of half-steps on potentials: ε = 1, targets 1.
func.func private @pair(%z: tensor<4x6xf32>, %g: tensor<6xf32>) -> (tensor<4xf32>, tensor<6xf32>) {
  %gb = call @spread_cols(%g) : (tensor<6xf32>) -> tensor<4x6xf32>
  %y0 = arith.addf %z, %gb : tensor<4x6xf32>
  %l0 = call @lse_rows(%y0) : (tensor<4x6xf32>) -> tensor<4xf32>
  %f1 = arith.negf %l0 : tensor<4xf32>
  %fb = call @spread_rows(%f1) : (tensor<4xf32>) -> tensor<4x6xf32>
  %y1 = arith.addf %z, %fb : tensor<4x6xf32>
  %l1 = call @lse_cols(%y1) : (tensor<4x6xf32>) -> tensor<6xf32>
  %g1 = arith.negf %l1 : tensor<6xf32>
  return %f1, %g1 : tensor<4xf32>, tensor<6xf32>
}
// exp(z + f + g)
func.func private @plan(%z: tensor<4x6xf32>, %f: tensor<4xf32>, %g: tensor<6xf32>) -> tensor<4x6xf32> {
  %fb = call @spread_rows(%f) : (tensor<4xf32>) -> tensor<4x6xf32>
  %gb = call @spread_cols(%g) : (tensor<6xf32>) -> tensor<4x6xf32>
  %x = arith.addf %z, %fb : tensor<4x6xf32>
  %y = arith.addf %x, %gb : tensor<4x6xf32>
  %p = math.exp %y : tensor<4x6xf32>
  return %p : tensor<4x6xf32>
}
// Σ |1 − Σ p| of the rows
func.func private @error_rows(%p: tensor<4x6xf32>) -> f32 {
  %one = arith.constant dense<1.0> : tensor<4xf32>
  %zero = arith.constant dense<0.0> : tensor<f32>
  %s = call @sum_rows(%p) : (tensor<4x6xf32>) -> tensor<4xf32>
  %d = arith.subf %one, %s : tensor<4xf32>
  %a = math.absf %d : tensor<4xf32>
  %r = linalg.reduce { arith.addf } ins(%a : tensor<4xf32>) outs(%zero : tensor<f32>) dimensions = [0]
  %e = tensor.extract %r[] : tensor<f32>
  return %e : f32
}
// max |1 − Σ p| of the columns
func.func private @error_cols(%p: tensor<4x6xf32>) -> f32 {
  %one = arith.constant dense<1.0> : tensor<6xf32>
  %lowest = arith.constant dense<0xFF800000> : tensor<f32>
  %s = call @sum_cols(%p) : (tensor<4x6xf32>) -> tensor<6xf32>
  %d = arith.subf %one, %s : tensor<6xf32>
  %a = math.absf %d : tensor<6xf32>
  %r = linalg.reduce { arith.maximumf } ins(%a : tensor<6xf32>) outs(%lowest : tensor<f32>) dimensions = [0]
  %e = tensor.extract %r[] : tensor<f32>
  return %e : f32
}
// The largest of all deviations over the smallest one.
func.func private @imbalance(%x: tensor<4x6xf32>) -> f32 {
  %floor = arith.constant 1.0e-12 : f32
  %large = arith.constant dense<0xFF800000> : tensor<f32>
  %small = arith.constant dense<0x7F800000> : tensor<f32>
  %r = call @plain_deviation_rows(%x) : (tensor<4x6xf32>) -> tensor<4xf32>
  %c = call @plain_deviation_cols(%x) : (tensor<4x6xf32>) -> tensor<6xf32>
  %r0 = linalg.reduce { arith.minimumf } ins(%r : tensor<4xf32>) outs(%small : tensor<f32>) dimensions = [0]
  %c0 = linalg.reduce { arith.minimumf } ins(%c : tensor<6xf32>) outs(%small : tensor<f32>) dimensions = [0]
  %r1 = linalg.reduce { arith.maximumf } ins(%r : tensor<4xf32>) outs(%large : tensor<f32>) dimensions = [0]
  %c1 = linalg.reduce { arith.maximumf } ins(%c : tensor<6xf32>) outs(%large : tensor<f32>) dimensions = [0]
  %rl = tensor.extract %r0[] : tensor<f32>
  %cl = tensor.extract %c0[] : tensor<f32>
  %rm = tensor.extract %r1[] : tensor<f32>
  %cm = tensor.extract %c1[] : tensor<f32>
  %least = arith.minimumf %rl, %cl : f32
  %safe = arith.maximumf %least, %floor : f32
  %most = arith.maximumf %rm, %cm : f32
  %ratio = arith.divf %most, %safe : f32
  return %ratio : f32
}
// A round of both axes at once: the logarithms of what they are divided by.
func.func private @round(%x: tensor<4x6xf32>, %lr: tensor<4xf32>, %lc: tensor<6xf32>) -> (tensor<4xf32>, tensor<6xf32>) {
  %lo4 = arith.constant dense<-0.3> : tensor<4xf32>
  %hi4 = arith.constant dense<10.0> : tensor<4xf32>
  %lo6 = arith.constant dense<-0.3> : tensor<6xf32>
  %hi6 = arith.constant dense<10.0> : tensor<6xf32>
  %y = call @divided(%x, %lr, %lc) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  %dr = call @deviation_rows(%y) : (tensor<4x6xf32>) -> tensor<4xf32>
  %dc = call @deviation_cols(%y) : (tensor<4x6xf32>) -> tensor<6xf32>
  %sr = math.log %dr : tensor<4xf32>
  %sc = math.log %dc : tensor<6xf32>
  %nr = arith.addf %lr, %sr : tensor<4xf32>
  %nc = arith.addf %lc, %sc : tensor<6xf32>
  %mr = arith.maximumf %nr, %lo4 : tensor<4xf32>
  %mc = arith.maximumf %nc, %lo6 : tensor<6xf32>
  %cr = arith.minimumf %mr, %hi4 : tensor<4xf32>
  %cc = arith.minimumf %mc, %hi6 : tensor<6xf32>
  return %cr, %cc : tensor<4xf32>, tensor<6xf32>
}
func.func private @divided(%x: tensor<4x6xf32>, %lr: tensor<4xf32>, %lc: tensor<6xf32>) -> tensor<4x6xf32> {
  %r = math.exp %lr : tensor<4xf32>
  %c = math.exp %lc : tensor<6xf32>
  %rb = call @spread_rows(%r) : (tensor<4xf32>) -> tensor<4x6xf32>
  %cb = call @spread_cols(%c) : (tensor<6xf32>) -> tensor<4x6xf32>
  %y = arith.divf %x, %rb : tensor<4x6xf32>
  %z = arith.divf %y, %cb : tensor<4x6xf32>
  return %z : tensor<4x6xf32>
}
