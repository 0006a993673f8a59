// The safetensors format: a little-endian u64 N, N bytes of JSON {"name": {"dtype", "shape", "data_offsets"}, ...,
// "__metadata__": {string: string}}, then the tensors' bytes at those offsets.
//
//   | N: u64 | header: N bytes of JSON | tensor data: [begin, end) of each, without gaps or overlaps |
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "jet/base/file.h"
#include "jet/tensor/dtype.h"
#include "jet/tensor/shape.h"

namespace jet {

/// A tensor inside a mapped file; valid while its SafeTensors lives.
struct StoredTensor {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::span<const std::byte> bytes;
};

/// All tensors of one file, or of a folder (model.safetensors, or the shards that model.safetensors.index.json names).
/// Everything the header claims is checked before any tensor is handed out. What cannot be read (a type that is not
/// known, a tensor that the index names and no shard has) is an error where it is asked for: models carry buffers that
/// nobody needs.
class SafeTensors {
 public:
  static SafeTensors open(const std::string& file_or_folder);

  bool contains(const std::string& name) const { return tensors_.count(name) > 0; }
  /// Throws where the tensor is missing or cannot be read, naming the file.
  const StoredTensor& at(const std::string& name) const;
  const std::map<std::string, StoredTensor>& all() const { return tensors_; }
  /// Tensors that cannot be read, and why.
  const std::map<std::string, std::string>& unread() const { return unread_; }
  /// Calls the tensor `to`, where there is one named `from`; throws where another has that name.
  void rename(const std::string& from, const std::string& to);
  /// The tensor's rows as several, one after another, by name and rows each; nothing where it is not there. Throws
  /// where the rows do not add up.
  void split(const std::string& from, const std::vector<std::pair<std::string, int64_t>>& parts);
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::string& path() const { return path_; }
  /// Paths of the files that hold the tensors: the shards in the order of their names.
  const std::vector<std::string>& files() const { return paths_; }

 private:
  void add_file(const std::string& path);
  std::string path_;
  std::vector<std::string> paths_;
  std::vector<std::shared_ptr<MappedFile>> files_;
  std::map<std::string, StoredTensor> tensors_;
  std::map<std::string, std::string> unread_;
  std::map<std::string, std::string> metadata_;
};

/// The floats of a stored f32, bf16 or f16 tensor; other types throw.
std::vector<float> to_floats(const StoredTensor& t);
/// The integers of a stored i64 or i32 tensor.
std::vector<int64_t> to_ints(const StoredTensor& t);

/// One tensor for write_safetensors; `data` holds numel(shape) * size_of(dtype) bytes.
struct TensorToWrite {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  const void* data = nullptr;
};

/// Writes a file tensor by tensor, for what does not fit in memory as a whole. Data starts at a multiple of 64 bytes
/// and follows in the order of `tensors`, whose `data` is not looked at. The file appears at commit() (AtomicFile).
class SafeTensorsWriter {
 public:
  SafeTensorsWriter(const std::string& path, const std::vector<TensorToWrite>& tensors,
                    const std::map<std::string, std::string>& metadata = {});
  /// The next tensor's bytes.
  void write(const void* data);
  /// The next bytes of the tensor that is being written; the next tensor begins where all of its bytes are there.
  void write_part(const void* data, size_t bytes);
  bool complete() const { return written_ == sizes_.size(); }
  /// Throws where tensors are missing.
  void commit();

 private:
  std::string path_;
  std::vector<uint64_t> sizes_;
  size_t written_ = 0;  // tensors
  uint64_t part_ = 0;   // bytes of the next one
  AtomicFile file_;
};

/// Writes the file as a whole or not at all, wider types first, so that every tensor is aligned to its element.
void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace jet
