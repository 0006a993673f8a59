// A model folder with its matrices in another type: bf16, or int8 and int4 in the layout of jet/tensor/quant.h.
//
//   config.json          the source's, with "quantization_config": {"quant_method": "jet", "type": "int4", "group": 32}
//   model.safetensors    "<name>" U8 and "<name>.scales" F16 of each quantized matrix; all else as in the source
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "jet/blocks/block.h"
#include "jet/model/quantize_plan.h"
#include "jet/tensor/dtype.h"

namespace jet {

/// The type in which a matrix is stored when a model is made `wanted` (f32, bf16, q8 or q4) and the matrix is `now`.
/// Quantized are matrices of whole groups and of 64 rows or more, except the narrow ones that make gates and decays:
/// they cost next to nothing, and their errors pile up in the state. The embedding and the head, where an error meets
/// every token, are never below int8.
DType stored_type(const ParamSpec& matrix, DType wanted, DType now);

/// Rounds the matrix `name` to `type`, [panels][..] as quant.h has it, and returns true; false: plain rounding is asked
/// for. Called layer by layer, for the embedding and the head after all layers.
using RoundMatrix = std::function<bool(const std::string& name, DType type, uint8_t* packed, f16* scales)>;

struct QuantizeOptions {
  DType type = DType::q8;                                       // bf16, q8 or q4
  int threads = 0;                                              // 0: default_threads()
  std::function<void(int64_t done, int64_t total)> progress{};  // parameters
  RoundMatrix round{};                                          // none: plain rounding
  const QuantizePlan* plan = nullptr;                           // null: plan_types() of `type`
};

struct QuantizeReport {
  int64_t source_bytes = 0, bytes = 0;  // of the parameters, scales included
  int matrices = 0, converted = 0;      // all, and those whose type is another now
  double bits = 0;                      // a weight, over all parameters
  std::vector<std::string> remarks{};   // QuantizePlan::remarks
};

/// Writes `source` as the new folder `target`, tensor by tensor; it appears when it is complete. Tokenizer and
/// generation files are copied. Throws where the target exists, the source is quantized already, or a matrix to convert
/// holds a number that is not finite.
QuantizeReport quantize_model(const std::string& source, const std::string& target, const QuantizeOptions& options);

/// Rows [begin, end) of a stored matrix as floats; throws where one is not finite (`path`: the file, for the error).
std::vector<float> matrix_rows(const StoredTensor& t, int64_t begin, int64_t end, const std::string& path);

}  // namespace jet
