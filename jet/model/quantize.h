// A model folder with its matrices in another type: bf16, or int8 and int4 in the layout of jet/tensor/quant.h.
//
//   config.json          the source's, with "quantization_config": {"quant_method": "jet", "type": "int4", "group": 32}
//   model.safetensors    "<name>" U8 and "<name>.scales" F16 of each quantized matrix; all else as in the source
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "jet/blocks/block.h"
#include "jet/tensor/dtype.h"

namespace jet {

/// The type in which a matrix is stored when a model is made `wanted` (f32, bf16, q8 or q4) and the matrix is `now`.
/// Quantized are matrices of whole groups and of 64 rows or more, except the narrow ones that make gates and decays:
/// they cost next to nothing, and their errors pile up in the state. The embedding and the head, where an error meets
/// every token, are never below int8.
DType stored_type(const ParamSpec& matrix, DType wanted, DType now);

struct QuantizeOptions {
  DType type = DType::q8;                                       // bf16, q8 or q4
  int threads = 0;                                              // 0: default_threads()
  std::function<void(int64_t done, int64_t total)> progress{};  // parameters
};

struct QuantizeReport {
  int64_t source_bytes = 0, bytes = 0;  // of the parameters, scales included
  int matrices = 0, converted = 0;      // all, and those whose type is another now
};

/// Writes `source` as the new folder `target`, tensor by tensor; it appears when it is complete. Tokenizer and
/// generation files are copied. Throws where the target exists, the source is quantized already, or a matrix to convert
/// holds a number that is not finite.
QuantizeReport quantize_model(const std::string& source, const std::string& target, const QuantizeOptions& options);

}  // namespace jet
