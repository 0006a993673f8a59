// Quantizing by what a model is given: error-feedback rounding (jet/engine/error_feedback.h) with the statistics of a
// calibration text, layer after layer, each layer seeing what the quantized ones before it make of the text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jet/model/quantize.h"

namespace jet {

struct CalibrateOptions {
  std::vector<int32_t> ids;  // the text: rows of `length` tokens
  int length = 512;
  double bits =
      0;  // a weight over the whole model: the matrices that matter most in int8, the rest in int4; 0: no limit
};

/// quantize_model() with matrices rounded by their inputs over the text. The numbers do not depend on how many threads
/// there are. Memory: the text's hidden states, and of one layer X^T X of its matrices' inputs and fp32 weights. What
/// could not be rounded so (inputs all zero) is rounded plainly and stands in the report's remarks.
QuantizeReport quantize_calibrated(const std::string& source, const std::string& target, QuantizeOptions options,
                                   const CalibrateOptions& calibrate);

/// Rows of tokens for it: at most `tokens` of them, in rows of `length` or, where there are fewer, one row.
CalibrateOptions calibration_rows(std::vector<int32_t> ids, int length, int64_t tokens);

}  // namespace jet
