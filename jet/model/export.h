// A model folder in a layout that others read, tensor by tensor:
//   hf            our own: config.json holds the ModelSpec, every block can be said
//   jet-nemotron  the official one, which the authors' code and SGLang read: attention, one window, one JetBlock
//
//   config.json          the source's own where it is in that layout already, otherwise made from its ModelSpec
//   model.safetensors    or shards and their index (jet/storage/shards.h); tensors as in the source
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "jet/tensor/dtype.h"

namespace jet {

/// Attention in layers but these sees so many tokens and a text's first ones (StreamingLLM, arXiv:2309.17453), with the
/// weights that it has. What has a window already, or is no attention, stays as it is.
struct ExportWindows {
  int window = 0, sinks = 4;
  std::vector<int> full{};
};

struct ExportOptions {
  std::string format = "hf";                                    // or "jet-nemotron"
  std::optional<ExportWindows> windows{};                       // none: layers as they are
  std::optional<DType> dtype{};                                 // of all tensors, f32 or bf16; none: each as it is
  int64_t shard_bytes = 5'000'000'000;                          // of one file, at most
  std::function<void(int64_t done, int64_t total)> progress{};  // parameters
};

struct ExportReport {
  std::string model_type;
  size_t tensors = 0, files = 0;
  int64_t bytes = 0;                 // of all tensors
  std::vector<std::string> notes{};  // what the reader of the new folder should know
};

/// Names of the layouts, for a command line.
std::vector<std::string> export_formats();

/// Writes `source`, a model folder or a finished run's, as the new folder `target`, which appears when it is complete.
/// Tokenizer, generation and licence files are copied. Throws where the layout cannot express the model (which layer,
/// why, and what to do instead), where a layer is to be full that is not, and where `target` exists and is not empty.
ExportReport export_model(const std::string& source, const std::string& target, const ExportOptions& options);

}  // namespace jet
