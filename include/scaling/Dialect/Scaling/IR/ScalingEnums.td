//===- ScalingEnums.td - Enumerations of the scaling dialect -*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_ENUMS
#define SCALING_ENUMS

include "mlir/IR/EnumAttr.td"

class Scaling_Enum<string name, string summary, list<I32EnumAttrCase> cases>
    : I32EnumAttr<name, summary, cases> {
  let cppNamespace = "::mlir::scaling";
}

def Scaling_Axis : Scaling_Enum<"Axis", "the axis a statistic or factor belongs to", [
  I32EnumAttrCase<"rows", 0>, I32EnumAttrCase<"cols", 1>]>;

def Scaling_Order : Scaling_Enum<"Order", "how half-steps follow each other", [
  I32EnumAttrCase<"rows_first", 0>, I32EnumAttrCase<"cols_first", 1>,
  I32EnumAttrCase<"jacobi", 2>, I32EnumAttrCase<"symmetric", 3>]>;

def Scaling_Guard : Scaling_Enum<"Guard", "how a sum is kept away from zero", [
  I32EnumAttrCase<"none", 0>, I32EnumAttrCase<"add_plan", 1>,
  I32EnumAttrCase<"clamp_plan", 2>, I32EnumAttrCase<"add_kernel", 3>]>;

def Scaling_Target : Scaling_Enum<"Target", "the target where no operand gives one", [
  I32EnumAttrCase<"one", 0>, I32EnumAttrCase<"uniform", 1>,
  I32EnumAttrCase<"slack", 2>, I32EnumAttrCase<"min_stat", 3>]>;

def Scaling_Reference : Scaling_Enum<"Reference", "what damping pulls the factor towards", [
  I32EnumAttrCase<"kernel", 0>, I32EnumAttrCase<"product", 1>]>;

def Scaling_StopMode : Scaling_Enum<"StopMode", "when an iteration stops", [
  I32EnumAttrCase<"fixed", 0>, I32EnumAttrCase<"until", 1>,
  I32EnumAttrCase<"best", 2>]>;

def Scaling_What : Scaling_Enum<"What", "what a check looks at", [
  I32EnumAttrCase<"marginal", 0>, I32EnumAttrCase<"change", 1>,
  I32EnumAttrCase<"ratio", 2>, I32EnumAttrCase<"relative_change", 3>,
  I32EnumAttrCase<"imbalance", 4>, I32EnumAttrCase<"imbalance_sum", 5>]>;

def Scaling_Relax : Scaling_Enum<"Relax", "how an until makes more of its updates", [
  I32EnumAttrCase<"where_possible", 0>, I32EnumAttrCase<"none", 1>,
  I32EnumAttrCase<"automatic", 2, "auto">, I32EnumAttrCase<"anderson", 3>]>;

def Scaling_Judged : Scaling_Enum<"Judged", "the axis a check looks at", [
  I32EnumAttrCase<"rows", 0>, I32EnumAttrCase<"cols", 1>,
  I32EnumAttrCase<"both", 2>]>;

def Scaling_Norm : Scaling_Enum<"Norm", "how a check turns a vector into a number", [
  I32EnumAttrCase<"l1", 0>, I32EnumAttrCase<"l2", 1>,
  I32EnumAttrCase<"linf", 2>, I32EnumAttrCase<"mean", 3>]>;

def Scaling_Domain : Scaling_Enum<"Domain", "what matrix and factors hold", [
  I32EnumAttrCase<"kernel", 0>, I32EnumAttrCase<"log", 1>,
  I32EnumAttrCase<"absorb", 2>]>;

def Scaling_Input : Scaling_Enum<"Input", "what the matrix operand of a named op is", [
  I32EnumAttrCase<"cost", 0>, I32EnumAttrCase<"logits", 1>,
  I32EnumAttrCase<"kernel", 2>]>;

def Scaling_Map : Scaling_Enum<"Map", "how the iteration's matrix is made from the input", [
  I32EnumAttrCase<"exp", 0>, I32EnumAttrCase<"softmax_rows", 1>,
  I32EnumAttrCase<"sigmoid", 2>, I32EnumAttrCase<"identity", 3>]>;

def Scaling_Shift : Scaling_Enum<"Shift", "what is subtracted before the exponential", [
  I32EnumAttrCase<"none", 0>, I32EnumAttrCase<"row_max", 1>,
  I32EnumAttrCase<"col_max", 2>]>;

def Scaling_Start : Scaling_Enum<"Start", "the factors an iteration starts from", [
  I32EnumAttrCase<"neutral", 0>, I32EnumAttrCase<"uniform", 1>,
  I32EnumAttrCase<"targets", 2>]>;

def Scaling_Output : Scaling_Enum<"Output", "what a projection returns", [
  I32EnumAttrCase<"plan", 0>, I32EnumAttrCase<"log_plan", 1>]>;

def Scaling_OutputScale : Scaling_Enum<"OutputScale", "the number a plan is multiplied by", [
  I32EnumAttrCase<"one", 0>, I32EnumAttrCase<"rows", 1>,
  I32EnumAttrCase<"cols", 2>, I32EnumAttrCase<"rows_plus_cols", 3>]>;

def Scaling_Metric : Scaling_Enum<"Metric", "the cost between two points", [
  I32EnumAttrCase<"sqeuclidean", 0>, I32EnumAttrCase<"euclidean", 1>,
  I32EnumAttrCase<"l1", 2>, I32EnumAttrCase<"dot", 3>,
  I32EnumAttrCase<"cosine", 4>]>;

def Scaling_Products : Scaling_Enum<"Products", "what coordinates are rounded to before they are multiplied", [
  I32EnumAttrCase<"f32", 0>, I32EnumAttrCase<"tf32", 1>,
  I32EnumAttrCase<"bf16", 2>, I32EnumAttrCase<"f16", 3>]>;

def Scaling_ApplyKind : Scaling_Enum<"ApplyKind", "what is computed from the plan", [
  I32EnumAttrCase<"product", 0>, I32EnumAttrCase<"value", 1>,
  I32EnumAttrCase<"mass", 2>, I32EnumAttrCase<"argmax", 3>,
  I32EnumAttrCase<"dual", 4>]>;

def Scaling_Regime : Scaling_Enum<"Regime", "the family of schedules", [
  I32EnumAttrCase<"tiny_batched", 0>, I32EnumAttrCase<"resident", 1>,
  I32EnumAttrCase<"streaming", 2>, I32EnumAttrCase<"cloud", 3>]>;

#endif // SCALING_ENUMS
