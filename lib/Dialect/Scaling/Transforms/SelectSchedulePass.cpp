//===- SelectSchedulePass.cpp - --scaling-select-schedule -------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Transforms/Passes.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

namespace mlir::scaling {
#define GEN_PASS_DEF_SCALINGSELECTSCHEDULEPASS
#include "scaling/Dialect/Scaling/Transforms/Passes.h.inc"
} // namespace mlir::scaling

using namespace mlir;

namespace {
struct SelectSchedulePass
    : scaling::impl::ScalingSelectSchedulePassBase<SelectSchedulePass> {
  void runOnOperation() override {
    WalkResult fits =
        getOperation()->walk([](scaling::ScalingBatchedOpInterface op) {
          scaling::ScheduleAttr schedule = scaling::selectSchedule(op);
          if (failed(scaling::verifySchedule(op, schedule)))
            return WalkResult::interrupt();
          scaling::setScheduleOf(op, schedule);
          return WalkResult::advance();
        });
    if (fits.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace
