// How much worse a model is for one matrix in int4.
#pragma once

#include <vector>

#include "jet/base/threads.h"
#include "jet/model/quantize_plan.h"

namespace jet {

/// Of each matrix that both plans quantize: the mean KL divergence, in nats a token over the rows of `ids`, of the
/// model with it alone rounded to int4 (plainly) from the model as it is. An embedding that is the head too counts as
/// both.
std::vector<Sensitivity> measure_sensitivity(const Checkpoint& c, const QuantizePlan& of_int8,
                                             const QuantizePlan& of_int4, const std::vector<int32_t>& ids, int length,
                                             ThreadPool& pool);

}  // namespace jet
