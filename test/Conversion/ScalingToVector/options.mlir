// RUN: not scaling-opt %s --scaling-lower-to-vector=vector-bits=100 2>&1 | FileCheck %s
// CHECK: 'vector-bits' must be 128, 256 or 512
module {}
