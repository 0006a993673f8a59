// A GGUF file as a model folder, which everything else takes:
//
//   config.json              of the Hugging Face family that the architecture is (gguf_architecture.h)
//   model.safetensors        in our order and types (gguf_tensors.h); above 5 GB shards and their index
//   tokenizer.json           and tokenizer_config.json with the chat template (gguf_tokenizer.h)
//   generation_config.json   ends of text, and how the model's makers sample where the file says so
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "jet/tensor/dtype.h"

namespace jet {

struct GgufImportOptions {
  std::optional<DType> type{};                                  // f32, bf16, q8 or q4; none: as the file has them
  int threads = 0;                                              // 0: default_threads()
  std::function<void(int64_t done, int64_t total)> progress{};  // numbers of weights
  std::function<void(const std::string& folder)> check{};       // of the folder, before it appears; may throw
};

struct GgufImportReport {
  std::string architecture;
  size_t files = 0, tensors = 0;  // read
  int64_t bytes = 0;              // of weights, written
  std::string types;              // "210 of Q4_1 as bf16, rounded; 1 of Q8_0 as int8, exact"
};

/// Makes the new folder `target` of the model in `source`, tensor by tensor; it appears when it is complete and can be
/// read. Throws on damage, on what is not known, and where `target` exists and is not empty; nothing is left then.
GgufImportReport import_gguf(const std::string& source, const std::string& target, const GgufImportOptions& options);

}  // namespace jet
