// RUN: scaling-opt %s --scaling-describe-gpu=chip=sm_90 --scaling-sweep-points --split-input-file | FileCheck %s

#cloud = #scaling.schedule<cloud, row_block = 8>

// Few coordinates: differences. Columns: the points change places.
// CHECK-LABEL: func.func @few
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<30x3xf32>, %[[Y:[a-z0-9]+]]: tensor<40x3xf32>
// CHECK-NOT: scaling.pairwise
// CHECK: scaling.reduce_points sqeuclidean points(%[[Y]], %[[X]] : {{.*}}) factor(%{{.*}} : tensor<30xf32>) scale(
// CHECK-NOT: scaling.reduce along
func.func @few(%x: tensor<30x3xf32>, %y: tensor<40x3xf32>, %g: tensor<30xf32>) -> (tensor<40xf32>, tensor<40xf32>) {
  %least = arith.constant 0xFF7FFFFF : f32
  %zero = arith.constant 0.0 : f32
  %half = arith.constant 0.5 : f32
  %e = tensor.empty() : tensor<30x40xf32>
  %C = scaling.pairwise sqeuclidean points(%x, %y : tensor<30x3xf32>, tensor<40x3xf32>) outs(%e : tensor<30x40xf32>) -> tensor<30x40xf32>
  %L = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%C : tensor<30x40xf32>) outs(%e : tensor<30x40xf32>) {
  ^bb0(%in: f32, %out: f32):
    %n = arith.negf %in : f32
    %q = arith.divf %n, %half : f32
    linalg.yield %q : f32
  } -> tensor<30x40xf32>
  %v = tensor.empty() : tensor<40xf32>
  %m0 = linalg.fill ins(%least : f32) outs(%v : tensor<40xf32>) -> tensor<40xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%v : tensor<40xf32>) -> tensor<40xf32>
  %r:2 = scaling.reduce along(cols) stat(#scaling.lse) matrix(%L : tensor<30x40xf32>) factor(%g : tensor<30xf32>) outs(%m0, %s0 : tensor<40xf32>, tensor<40xf32>) {scaling.schedule = #cloud} -> tensor<40xf32>, tensor<40xf32>
  return %r#0, %r#1 : tensor<40xf32>, tensor<40xf32>
}

// -----

#cloud = #scaling.schedule<cloud, row_block = 8>

// Many: products of points near the origin, and their squares. A mask is a
// factor of -inf. What is made of the plan is made of the points as well.
// CHECK-LABEL: func.func @many
// CHECK: arith.subf
// CHECK: arith.subf
// CHECK: scaling.reduce_points dot
// CHECK: scaling.apply_points dot
// CHECK-NOT: scaling.apply product
func.func @many(%x: tensor<30x16xf32>, %y: tensor<40x16xf32>, %mask: tensor<40xi1>, %V: tensor<40x5xf32>) -> tensor<30x5xf32> {
  %least = arith.constant 0xFF7FFFFF : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<30x40xf32>
  %C = scaling.pairwise sqeuclidean points(%x, %y : tensor<30x16xf32>, tensor<40x16xf32>) outs(%e : tensor<30x40xf32>) -> tensor<30x40xf32>
  %v = tensor.empty() : tensor<30xf32>
  %m0 = linalg.fill ins(%least : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%C : tensor<30x40xf32>) mask(%mask : tensor<40xi1>) outs(%m0, %s0 : tensor<30xf32>, tensor<30xf32>) {scaling.schedule = #cloud} -> tensor<30xf32>, tensor<30xf32>
  %o = tensor.empty() : tensor<30x5xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%o : tensor<30x5xf32>) -> tensor<30x5xf32>
  %P = scaling.apply product domain(log) matrix(%C : tensor<30x40xf32>) row(%r#0 : tensor<30xf32>) operand(%V : tensor<40x5xf32>) outs(%o0 : tensor<30x5xf32>) -> tensor<30x5xf32>
  return %P : tensor<30x5xf32>
}

// -----

#cloud = #scaling.schedule<cloud, row_block = 8>

// Cosines: products of points over their norms, which are cast, and a cost of
// one for every point.
// CHECK-LABEL: func.func @cosines
// CHECK: arith.extf %{{.*}} : f16 to f32
// CHECK: math.sqrt
// CHECK: math.sqrt
// CHECK: scaling.reduce_points dot points(%{{.*}} : tensor<30x5xf32>, tensor<40x5xf32>) scale(
// CHECK: arith.addf
// CHECK-NOT: scaling.pairwise
func.func @cosines(%x: tensor<30x5xf16>, %y: tensor<40x5xf16>) -> tensor<30xf32> {
  %least = arith.constant 0xFF7FFFFF : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<30x40xf32>
  %C = scaling.pairwise cosine points(%x, %y : tensor<30x5xf16>, tensor<40x5xf16>) outs(%e : tensor<30x40xf32>) -> tensor<30x40xf32>
  %v = tensor.empty() : tensor<30xf32>
  %m0 = linalg.fill ins(%least : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%C : tensor<30x40xf32>) outs(%m0, %s0 : tensor<30xf32>, tensor<30xf32>) {scaling.schedule = #cloud} -> tensor<30xf32>, tensor<30xf32>
  return %r#0 : tensor<30xf32>
}

// -----

#cloud = #scaling.schedule<cloud, row_block = 8>

// Rounded to eleven bits before squares are taken.
// CHECK-LABEL: func.func @rounded
// CHECK: arith.subf
// CHECK: arith.subf
// CHECK: %[[HALF:.*]] = arith.constant 4096 : i32
// CHECK: %[[KEPT:.*]] = arith.constant -8192 : i32
// CHECK: arith.bitcast
// CHECK: arith.addi %{{.*}}, %[[HALF]]
// CHECK: arith.andi %{{.*}}, %[[KEPT]]
// CHECK: arith.cmpf ord
// CHECK: arith.mulf
// CHECK: scaling.reduce_points dot {{.*}} products(tf32)
func.func @rounded(%x: tensor<30x16xf32>, %y: tensor<40x16xf32>) -> tensor<30xf32> attributes {scaling.products = "tf32"} {
  %least = arith.constant 0xFF7FFFFF : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<30x40xf32>
  %C = scaling.pairwise sqeuclidean points(%x, %y : tensor<30x16xf32>, tensor<40x16xf32>) outs(%e : tensor<30x40xf32>) -> tensor<30x40xf32>
  %v = tensor.empty() : tensor<30xf32>
  %m0 = linalg.fill ins(%least : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%C : tensor<30x40xf32>) outs(%m0, %s0 : tensor<30xf32>, tensor<30xf32>) {scaling.schedule = #cloud} -> tensor<30xf32>, tensor<30xf32>
  return %r#0 : tensor<30xf32>
}

// -----

#cloud = #scaling.schedule<cloud, row_block = 8>

// Points of bf16, squares of f32.
// CHECK-LABEL: func.func @narrow
// CHECK: arith.truncf {{.*}} : f32 to bf16
// CHECK: arith.truncf {{.*}} : f32 to bf16
// CHECK: arith.extf {{.*}} : bf16 to f32
// CHECK: arith.mulf {{.*}} : f32
// CHECK: scaling.reduce_points dot points({{.*}} : tensor<30x16xbf16>, tensor<40x16xbf16>) {{.*}} products(bf16)
func.func @narrow(%x: tensor<30x16xf32>, %y: tensor<40x16xf32>) -> tensor<30xf32> attributes {scaling.products = "bf16"} {
  %least = arith.constant 0xFF7FFFFF : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<30x40xf32>
  %C = scaling.pairwise sqeuclidean points(%x, %y : tensor<30x16xf32>, tensor<40x16xf32>) outs(%e : tensor<30x40xf32>) -> tensor<30x40xf32>
  %v = tensor.empty() : tensor<30xf32>
  %m0 = linalg.fill ins(%least : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%C : tensor<30x40xf32>) outs(%m0, %s0 : tensor<30xf32>, tensor<30xf32>) {scaling.schedule = #cloud} -> tensor<30xf32>, tensor<30xf32>
  return %r#0 : tensor<30xf32>
}

// -----

#cloud = #scaling.schedule<cloud, row_block = 8>

// An unknown number of coordinates, on either side, may be odd.
// CHECK-LABEL: func.func @unpaired
// CHECK: scaling.reduce_points dot {{.*}} products(tf32)
func.func @unpaired(%x: tensor<30x?xf32>, %y: tensor<40x16xf32>) -> tensor<30xf32> attributes {scaling.products = "bf16"} {
  %least = arith.constant 0xFF7FFFFF : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<30x40xf32>
  %C = scaling.pairwise sqeuclidean points(%x, %y : tensor<30x?xf32>, tensor<40x16xf32>) outs(%e : tensor<30x40xf32>) -> tensor<30x40xf32>
  %v = tensor.empty() : tensor<30xf32>
  %m0 = linalg.fill ins(%least : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%C : tensor<30x40xf32>) outs(%m0, %s0 : tensor<30xf32>, tensor<30xf32>) {scaling.schedule = #cloud} -> tensor<30xf32>, tensor<30xf32>
  return %r#0 : tensor<30xf32>
}

// -----

#cloud = #scaling.schedule<cloud, row_block = 8>

// A bias is added tile by tile, in its own type; of columns, it is transposed.
// CHECK-LABEL: func.func @bias
// CHECK-SAME: %[[B:[a-z0-9]+]]: tensor<30x40xf16>,
// CHECK-NOT: scaling.pairwise
// CHECK: scaling.reduce_points dot points(%{{.*}}) scale(%{{.*}} : f32) bias(%[[B]] : tensor<30x40xf16>) bias_scale(%{{.*}} : f32) outs(
// CHECK: scaling.reduce_points dot points(%{{.*}}) bias(%[[B]] : tensor<30x40xf16>) transposed bias_scale(%{{.*}} : f32) outs(
// CHECK: scaling.apply_points dot points(%{{.*}}) bias(%[[B]] : tensor<30x40xf16>) bias_scale(%{{.*}} : f32) operand(
// CHECK-NOT: scaling.apply product
func.func @bias(%x: tensor<2x30x16xf32>, %y: tensor<2x40x16xf32>, %B: tensor<30x40xf16>, %V: tensor<40x5xf32>) -> (tensor<2x40xf32>, tensor<2x30x5xf32>) {
  %least = arith.constant 0xFF7FFFFF : f32
  %zero = arith.constant 0.0 : f32
  %half = arith.constant 0.5 : f32
  %two = arith.constant 2.0 : f32
  %e = tensor.empty() : tensor<2x30x40xf32>
  %C = scaling.pairwise dot points(%x, %y : tensor<2x30x16xf32>, tensor<2x40x16xf32>) outs(%e : tensor<2x30x40xf32>) -> tensor<2x30x40xf32>
  %L = linalg.generic {indexing_maps = [affine_map<(b, i, j) -> (b, i, j)>, affine_map<(b, i, j) -> (i, j)>, affine_map<(b, i, j) -> (b, i, j)>], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%C, %B : tensor<2x30x40xf32>, tensor<30x40xf16>) outs(%e : tensor<2x30x40xf32>) {
  ^bb0(%in: f32, %b: f16, %out: f32):
    %m = arith.mulf %in, %half : f32
    %w = arith.extf %b : f16 to f32
    %s = arith.addf %m, %w : f32
    linalg.yield %s : f32
  } -> tensor<2x30x40xf32>
  %S = linalg.generic {indexing_maps = [affine_map<(b, i, j) -> (b, i, j)>, affine_map<(b, i, j) -> (b, i, j)>], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%L : tensor<2x30x40xf32>) outs(%e : tensor<2x30x40xf32>) {
  ^bb0(%in: f32, %out: f32):
    %q = arith.divf %in, %two : f32
    linalg.yield %q : f32
  } -> tensor<2x30x40xf32>
  %v = tensor.empty() : tensor<2x30xf32>
  %m0 = linalg.fill ins(%least : f32) outs(%v : tensor<2x30xf32>) -> tensor<2x30xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%v : tensor<2x30xf32>) -> tensor<2x30xf32>
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%S : tensor<2x30x40xf32>) outs(%m0, %s0 : tensor<2x30xf32>, tensor<2x30xf32>) {scaling.schedule = #cloud} -> tensor<2x30xf32>, tensor<2x30xf32>
  %w = tensor.empty() : tensor<2x40xf32>
  %m1 = linalg.fill ins(%least : f32) outs(%w : tensor<2x40xf32>) -> tensor<2x40xf32>
  %s1 = linalg.fill ins(%zero : f32) outs(%w : tensor<2x40xf32>) -> tensor<2x40xf32>
  %c:2 = scaling.reduce along(cols) stat(#scaling.lse) matrix(%S : tensor<2x30x40xf32>) factor(%r#0 : tensor<2x30xf32>) outs(%m1, %s1 : tensor<2x40xf32>, tensor<2x40xf32>) {scaling.schedule = #cloud} -> tensor<2x40xf32>, tensor<2x40xf32>
  %o = tensor.empty() : tensor<2x30x5xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%o : tensor<2x30x5xf32>) -> tensor<2x30x5xf32>
  %P = scaling.apply product domain(log) matrix(%S : tensor<2x30x40xf32>) row(%r#0 : tensor<2x30xf32>) operand(%V : tensor<40x5xf32>) outs(%o0 : tensor<2x30x5xf32>) -> tensor<2x30x5xf32>
  return %c#0, %P : tensor<2x40xf32>, tensor<2x30x5xf32>
}

// -----

#stored = #scaling.schedule<streaming, row_block = 8>

// Another schedule.
// CHECK-LABEL: func.func @stored
// CHECK: scaling.pairwise
// CHECK: scaling.reduce along(rows)
func.func @stored(%x: tensor<30x3xf32>, %y: tensor<40x3xf32>) -> tensor<30xf32> {
  %least = arith.constant 0xFF7FFFFF : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<30x40xf32>
  %C = scaling.pairwise dot points(%x, %y : tensor<30x3xf32>, tensor<40x3xf32>) outs(%e : tensor<30x40xf32>) -> tensor<30x40xf32>
  %v = tensor.empty() : tensor<30xf32>
  %m0 = linalg.fill ins(%least : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%C : tensor<30x40xf32>) outs(%m0, %s0 : tensor<30xf32>, tensor<30xf32>) {scaling.schedule = #stored} -> tensor<30xf32>, tensor<30xf32>
  return %r#0 : tensor<30xf32>
}

// -----

#cloud = #scaling.schedule<cloud>

// What a plan is applied to is rounded as well; in pairs, to bf16.
// CHECK-LABEL: func.func @applied_to_pairs
// CHECK: scaling.apply_points dot {{.*}} products(bf16) operand(%{{.*}} : tensor<40x6xbf16>)
func.func @applied_to_pairs(%x: tensor<30x16xf32>, %y: tensor<40x16xf32>, %V: tensor<40x6xf32>) -> tensor<30x6xf32> attributes {scaling.products = "bf16"} {
  %least = arith.constant 0xFF7FFFFF : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<30x40xf32>
  %C = scaling.pairwise dot points(%x, %y : tensor<30x16xf32>, tensor<40x16xf32>) outs(%e : tensor<30x40xf32>) -> tensor<30x40xf32>
  %v = tensor.empty() : tensor<30xf32>
  %m0 = linalg.fill ins(%least : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%C : tensor<30x40xf32>) outs(%m0, %s0 : tensor<30xf32>, tensor<30xf32>) {scaling.schedule = #cloud} -> tensor<30xf32>, tensor<30xf32>
  %o = tensor.empty() : tensor<30x6xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%o : tensor<30x6xf32>) -> tensor<30x6xf32>
  %P = scaling.apply product domain(log) matrix(%C : tensor<30x40xf32>) row(%r#0 : tensor<30xf32>) operand(%V : tensor<40x6xf32>) outs(%o0 : tensor<30x6xf32>) -> tensor<30x6xf32>
  return %P : tensor<30x6xf32>
}

// -----

#cloud = #scaling.schedule<cloud>

// By way of f32.
// CHECK-LABEL: func.func @applied_to_f16
// CHECK: arith.extf %{{.*}} : f16 to f32
// CHECK: arith.truncf %{{.*}} : f32 to bf16
// CHECK: scaling.apply_points dot {{.*}} products(bf16) operand(%{{.*}} : tensor<40x6xbf16>)
func.func @applied_to_f16(%x: tensor<30x16xf32>, %y: tensor<40x16xf32>, %V: tensor<40x6xf16>) -> tensor<30x6xf32> attributes {scaling.products = "bf16"} {
  %least = arith.constant 0xFF7FFFFF : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<30x40xf32>
  %C = scaling.pairwise dot points(%x, %y : tensor<30x16xf32>, tensor<40x16xf32>) outs(%e : tensor<30x40xf32>) -> tensor<30x40xf32>
  %v = tensor.empty() : tensor<30xf32>
  %m0 = linalg.fill ins(%least : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%C : tensor<30x40xf32>) outs(%m0, %s0 : tensor<30xf32>, tensor<30xf32>) {scaling.schedule = #cloud} -> tensor<30xf32>, tensor<30xf32>
  %o = tensor.empty() : tensor<30x6xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%o : tensor<30x6xf32>) -> tensor<30x6xf32>
  %P = scaling.apply product domain(log) matrix(%C : tensor<30x40xf32>) row(%r#0 : tensor<30xf32>) operand(%V : tensor<40x6xf16>) outs(%o0 : tensor<30x6xf32>) -> tensor<30x6xf32>
  return %P : tensor<30x6xf32>
}

// -----

#cloud = #scaling.schedule<cloud>

// CHECK-LABEL: func.func @applied_to_others
// CHECK-SAME: %[[V:[a-zA-Z0-9]+]]: tensor<40x5xf32>)
// CHECK: %[[R:.*]] = linalg.generic {{.*}} ins(%[[V]] :
// CHECK: arith.bitcast
// CHECK: scaling.apply_points dot {{.*}} products(bf16) operand(%[[R]] : tensor<40x5xf32>)
func.func @applied_to_others(%x: tensor<30x16xf32>, %y: tensor<40x16xf32>, %V: tensor<40x5xf32>) -> tensor<30x5xf32> attributes {scaling.products = "bf16"} {
  %least = arith.constant 0xFF7FFFFF : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<30x40xf32>
  %C = scaling.pairwise dot points(%x, %y : tensor<30x16xf32>, tensor<40x16xf32>) outs(%e : tensor<30x40xf32>) -> tensor<30x40xf32>
  %v = tensor.empty() : tensor<30xf32>
  %m0 = linalg.fill ins(%least : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%C : tensor<30x40xf32>) outs(%m0, %s0 : tensor<30xf32>, tensor<30xf32>) {scaling.schedule = #cloud} -> tensor<30xf32>, tensor<30xf32>
  %o = tensor.empty() : tensor<30x5xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%o : tensor<30x5xf32>) -> tensor<30x5xf32>
  %P = scaling.apply product domain(log) matrix(%C : tensor<30x40xf32>) row(%r#0 : tensor<30xf32>) operand(%V : tensor<40x5xf32>) outs(%o0 : tensor<30x5xf32>) -> tensor<30x5xf32>
  return %P : tensor<30x5xf32>
}

// -----

#cloud = #scaling.schedule<cloud>

// Of f16 are points alone.
// CHECK-LABEL: func.func @applied_to_points_of_f16
// CHECK-SAME: %[[V:[a-zA-Z0-9]+]]: tensor<40x6xf32>)
// CHECK: %[[R:.*]] = linalg.generic {{.*}} ins(%[[V]] :
// CHECK: scaling.apply_points dot points({{.*}} : tensor<30x16xf16>, tensor<40x16xf16>) {{.*}} products(f16) operand(%[[R]] : tensor<40x6xf32>)
func.func @applied_to_points_of_f16(%x: tensor<30x16xf32>, %y: tensor<40x16xf32>, %V: tensor<40x6xf32>) -> tensor<30x6xf32> attributes {scaling.products = "f16"} {
  %least = arith.constant 0xFF7FFFFF : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<30x40xf32>
  %C = scaling.pairwise dot points(%x, %y : tensor<30x16xf32>, tensor<40x16xf32>) outs(%e : tensor<30x40xf32>) -> tensor<30x40xf32>
  %v = tensor.empty() : tensor<30xf32>
  %m0 = linalg.fill ins(%least : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%C : tensor<30x40xf32>) outs(%m0, %s0 : tensor<30xf32>, tensor<30xf32>) {scaling.schedule = #cloud} -> tensor<30xf32>, tensor<30xf32>
  %o = tensor.empty() : tensor<30x6xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%o : tensor<30x6xf32>) -> tensor<30x6xf32>
  %P = scaling.apply product domain(log) matrix(%C : tensor<30x40xf32>) row(%r#0 : tensor<30xf32>) operand(%V : tensor<40x6xf32>) outs(%o0 : tensor<30x6xf32>) -> tensor<30x6xf32>
  return %P : tensor<30x6xf32>
}

// -----

#cloud = #scaling.schedule<cloud, row_block = 8>

// Rows and columns of the same costs, under factors that are there before: one
// sweep. There are more columns, which become rows; what blocks of 128 of them
// find of the others is joined.
// CHECK-LABEL: func.func @both
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<30x3xf32>, %[[Y:[a-z0-9]+]]: tensor<300x3xf32>
// CHECK: %[[R:.*]]:4 = scaling.reduce_points l1 points(%[[Y]], %[[X]] : {{.*}}) factor(%{{.*}} : tensor<30xf32>) row_factor(%{{.*}} : tensor<300xf32>) block(128) outs({{.*}} : tensor<300xf32>, tensor<300xf32>, tensor<3x30xf32>, tensor<3x30xf32>)
// CHECK: linalg.generic {{.*}} iterator_types = ["reduction", "parallel"]{{.*}} ins(%[[R]]#2, %[[R]]#3 :
// CHECK: math.exp
// CHECK-NOT: scaling.reduce
func.func @both(%x: tensor<30x3xf32>, %y: tensor<300x3xf32>, %f: tensor<30xf32>, %g: tensor<300xf32>) -> (tensor<30xf32>, tensor<30xf32>, tensor<300xf32>, tensor<300xf32>) {
  %least = arith.constant 0xFF7FFFFF : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<30x300xf32>
  %C = scaling.pairwise l1 points(%x, %y : tensor<30x3xf32>, tensor<300x3xf32>) outs(%e : tensor<30x300xf32>) -> tensor<30x300xf32>
  %v = tensor.empty() : tensor<30xf32>
  %m0 = linalg.fill ins(%least : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%C : tensor<30x300xf32>) factor(%g : tensor<300xf32>) outs(%m0, %s0 : tensor<30xf32>, tensor<30xf32>) {scaling.schedule = #cloud} -> tensor<30xf32>, tensor<30xf32>
  %w = tensor.empty() : tensor<300xf32>
  %m1 = linalg.fill ins(%least : f32) outs(%w : tensor<300xf32>) -> tensor<300xf32>
  %s1 = linalg.fill ins(%zero : f32) outs(%w : tensor<300xf32>) -> tensor<300xf32>
  %c:2 = scaling.reduce along(cols) stat(#scaling.lse) matrix(%C : tensor<30x300xf32>) factor(%f : tensor<30xf32>) outs(%m1, %s1 : tensor<300xf32>, tensor<300xf32>) {scaling.schedule = #cloud} -> tensor<300xf32>, tensor<300xf32>
  return %r#0, %r#1, %c#0, %c#1 : tensor<30xf32>, tensor<30xf32>, tensor<300xf32>, tensor<300xf32>
}

// -----

#cloud = #scaling.schedule<cloud, row_block = 8>

// Columns under what the rows gave: two sweeps.
// CHECK-LABEL: func.func @one_after_another
// CHECK: scaling.reduce_points l1 points(%{{.*}}) outs(
// CHECK: scaling.reduce_points l1 points(%{{.*}}) factor(%{{.*}} : tensor<30xf32>) outs(
func.func @one_after_another(%x: tensor<30x3xf32>, %y: tensor<300x3xf32>) -> (tensor<300xf32>, tensor<300xf32>) {
  %least = arith.constant 0xFF7FFFFF : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<30x300xf32>
  %C = scaling.pairwise l1 points(%x, %y : tensor<30x3xf32>, tensor<300x3xf32>) outs(%e : tensor<30x300xf32>) -> tensor<30x300xf32>
  %v = tensor.empty() : tensor<30xf32>
  %m0 = linalg.fill ins(%least : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%C : tensor<30x300xf32>) outs(%m0, %s0 : tensor<30xf32>, tensor<30xf32>) {scaling.schedule = #cloud} -> tensor<30xf32>, tensor<30xf32>
  %w = tensor.empty() : tensor<300xf32>
  %m1 = linalg.fill ins(%least : f32) outs(%w : tensor<300xf32>) -> tensor<300xf32>
  %s1 = linalg.fill ins(%zero : f32) outs(%w : tensor<300xf32>) -> tensor<300xf32>
  %c:2 = scaling.reduce along(cols) stat(#scaling.lse) matrix(%C : tensor<30x300xf32>) factor(%r#0 : tensor<30xf32>) outs(%m1, %s1 : tensor<300xf32>, tensor<300xf32>) {scaling.schedule = #cloud} -> tensor<300xf32>, tensor<300xf32>
  return %c#0, %c#1 : tensor<300xf32>, tensor<300xf32>
}

// -----

#cloud = #scaling.schedule<cloud, row_block = 8>

// The cost of a plan, its mass and its dual value, from the points as well.
// CHECK-LABEL: func.func @sums
// CHECK: scaling.sum_points dot {{.*}} x_cost(%{{.*}} : tensor<30xf32>) y_cost(%{{.*}} : tensor<40xf32>)
// CHECK: scaling.sum_points dot
// CHECK: scaling.sum_points dot
// CHECK: math.log
// CHECK-NOT: scaling.apply
// CHECK-NOT: scaling.pairwise
func.func @sums(%x: tensor<30x16xf32>, %y: tensor<40x16xf32>, %a: tensor<30xf32>, %b: tensor<40xf32>) -> (tensor<f32>, tensor<f32>, tensor<f32>) {
  %least = arith.constant 0xFF7FFFFF : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<30x40xf32>
  %C = scaling.pairwise sqeuclidean points(%x, %y : tensor<30x16xf32>, tensor<40x16xf32>) outs(%e : tensor<30x40xf32>) -> tensor<30x40xf32>
  %L = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%C : tensor<30x40xf32>) outs(%e : tensor<30x40xf32>) {
  ^bb0(%in: f32, %out: f32):
    %n = arith.negf %in : f32
    linalg.yield %n : f32
  } -> tensor<30x40xf32>
  %v = tensor.empty() : tensor<30xf32>
  %m0 = linalg.fill ins(%least : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%L : tensor<30x40xf32>) outs(%m0, %s0 : tensor<30xf32>, tensor<30xf32>) {scaling.schedule = #cloud} -> tensor<30xf32>, tensor<30xf32>
  %t = tensor.empty() : tensor<f32>
  %none = linalg.fill ins(%zero : f32) outs(%t : tensor<f32>) -> tensor<f32>
  %value = scaling.apply value domain(log) matrix(%L : tensor<30x40xf32>) row(%r#0 : tensor<30xf32>) operand(%C : tensor<30x40xf32>) outs(%none : tensor<f32>) -> tensor<f32>
  %mass = scaling.apply mass domain(log) matrix(%L : tensor<30x40xf32>) row(%r#0 : tensor<30xf32>) outs(%none : tensor<f32>) -> tensor<f32>
  %dual = scaling.apply dual domain(log) matrix(%L : tensor<30x40xf32>) row(%r#0 : tensor<30xf32>) col(%b : tensor<40xf32>) row_weight(%a : tensor<30xf32>) col_weight(%b : tensor<40xf32>) outs(%none : tensor<f32>) -> tensor<f32>
  return %value, %mass, %dual : tensor<f32>, tensor<f32>, tensor<f32>
}

// -----

#cloud = #scaling.schedule<cloud, row_block = 8>

// The largest entry of a row of the plan and its column.
// CHECK-LABEL: func.func @largest
// CHECK: scaling.argmax_points dot {{.*}} factor(%{{.*}} : tensor<40xf32>) {{.*}} outs({{.*}} : tensor<30xf32>, tensor<30xi64>)
// CHECK: math.exp
// CHECK-NOT: scaling.apply
// CHECK-NOT: scaling.pairwise
func.func @largest(%x: tensor<30x16xf32>, %y: tensor<40x16xf32>) -> (tensor<30xf32>, tensor<30xi64>) {
  %least = arith.constant 0xFF7FFFFF : f32
  %zero = arith.constant 0.0 : f32
  %below = arith.constant -1.0 : f32
  %nowhere = arith.constant -1 : i64
  %e = tensor.empty() : tensor<30x40xf32>
  %C = scaling.pairwise sqeuclidean points(%x, %y : tensor<30x16xf32>, tensor<40x16xf32>) outs(%e : tensor<30x40xf32>) -> tensor<30x40xf32>
  %v = tensor.empty() : tensor<30xf32>
  %m0 = linalg.fill ins(%least : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%C : tensor<30x40xf32>) outs(%m0, %s0 : tensor<30xf32>, tensor<30xf32>) {scaling.schedule = #cloud} -> tensor<30xf32>, tensor<30xf32>
  %w = tensor.empty() : tensor<30xi64>
  %p0 = linalg.fill ins(%below : f32) outs(%v : tensor<30xf32>) -> tensor<30xf32>
  %j0 = linalg.fill ins(%nowhere : i64) outs(%w : tensor<30xi64>) -> tensor<30xi64>
  %p:2 = scaling.apply argmax domain(log) matrix(%C : tensor<30x40xf32>) row(%r#0 : tensor<30xf32>) outs(%p0, %j0 : tensor<30xf32>, tensor<30xi64>) -> tensor<30xf32>, tensor<30xi64>
  return %p#0, %p#1 : tensor<30xf32>, tensor<30xi64>
}
