#include "jet/storage/shards.h"

#include <utility>

#include "jet/base/error.h"
#include "jet/base/json.h"

namespace jet {

namespace {

int64_t bytes_of(const TensorToWrite& t) { return numel(t.shape) * static_cast<int64_t>(size_of(t.dtype)); }

}  // namespace

ShardedSafeTensorsWriter::ShardedSafeTensorsWriter(std::string folder, const std::vector<TensorToWrite>& tensors,
                                                   int64_t shard_bytes)
    : folder_(std::move(folder)), shards_(1) {
  require(shard_bytes > 0, "{}: shards of {} bytes cannot be written", folder_, shard_bytes);
  int64_t filled = 0;
  for (const auto& t : tensors) {
    if (!shards_.back().empty() && filled + bytes_of(t) > shard_bytes) {
      shards_.emplace_back();
      filled = 0;
    }
    shards_.back().push_back(t);
    filled += bytes_of(t);
  }
  begin(0);
}

std::string ShardedSafeTensorsWriter::file_name(size_t shard) const {
  if (shards_.size() == 1) return "model.safetensors";
  return fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, shards_.size());
}

void ShardedSafeTensorsWriter::begin(size_t shard) {
  at_ = shard;
  const std::map<std::string, std::string> metadata = {{"format", "pt"}};
  file_ = std::make_unique<SafeTensorsWriter>(folder_ + "/" + file_name(shard), shards_[shard], metadata);
}

void ShardedSafeTensorsWriter::write(std::span<const std::byte> bytes) {
  if (file_->complete() && at_ + 1 < shards_.size()) {
    file_->commit();
    begin(at_ + 1);
  }
  file_->write_part(bytes.data(), bytes.size());
}

void ShardedSafeTensorsWriter::commit() {
  require(at_ + 1 == shards_.size(), "{}: {} of {} files are written", folder_, at_, shards_.size());
  file_->commit();
  if (shards_.size() == 1) return;
  int64_t total = 0;
  SortedJson map = SortedJson::object();
  for (size_t i = 0; i < shards_.size(); ++i) {
    for (const auto& t : shards_[i]) {
      map[t.name] = file_name(i);
      total += bytes_of(t);
    }
  }
  const SortedJson index = {{"metadata", {{"total_size", total}}}, {"weight_map", map}};
  write_file(folder_ + "/model.safetensors.index.json", json_text(index, 2) + "\n");
}

}  // namespace jet
