// A model's tensors in one file, or in several as Hugging Face names them:
//
//   model.safetensors
//
//   model-00001-of-00003.safetensors
//   model-00002-of-00003.safetensors
//   model-00003-of-00003.safetensors
//   model.safetensors.index.json    {"metadata": {"total_size": bytes of all tensors},
//                                    "weight_map": {"model.norm.weight": "model-00003-of-00003.safetensors", ...}}
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "jet/storage/safetensors.h"

namespace jet {

/// Writes tensors in their order, without holding any. A file takes tensors while it stays within `shard_bytes`; a
/// tensor that is larger has one of its own.
class ShardedSafeTensorsWriter {
 public:
  ShardedSafeTensorsWriter(std::string folder, const std::vector<TensorToWrite>& tensors, int64_t shard_bytes);
  /// The next bytes of the tensor that is being written, all of them or a part.
  void write(std::span<const std::byte> bytes);
  /// Throws where bytes are missing; writes the index.
  void commit();
  size_t files() const { return shards_.size(); }

 private:
  std::string file_name(size_t shard) const;
  void begin(size_t shard);

  std::string folder_;
  std::vector<std::vector<TensorToWrite>> shards_;
  size_t at_ = 0;
  std::unique_ptr<SafeTensorsWriter> file_;
};

}  // namespace jet
