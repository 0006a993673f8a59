// The GGUF format, versions 2 and 3, little-endian:
//
//   "GGUF" | version: u32 | tensors: u64 | keys: u64
//   each key      name: string | type: u32 | value
//   each tensor   name: string | dimensions: u32 | sizes: u64 each, innermost first | type: u32 | offset: u64
//   padding to a multiple of general.alignment (32)
//   data: each tensor at its offset, a multiple of the alignment; rows of whole blocks (jet/tensor/ggml.h)
//
//   string   bytes: u64 | so many bytes         array   type of the elements: u32 | elements: u64 | the elements
//
// A model may lie in several files, NAME-00001-of-00003.gguf and so on, each a whole file with tensors of its own; the
// keys are the first one's, and split.count, split.no and split.tensors.count say so.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jet/base/file.h"
#include "jet/tensor/ggml.h"
#include "jet/tensor/shape.h"

namespace jet {

enum class GgufType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

/// A value as it lies in the file: of an array all elements, of a string its bytes.
struct GgufValue {
  GgufType type = GgufType::u8;
  GgufType element = GgufType::u8;  // of an array
  uint64_t count = 1;               // of an array
  std::span<const std::byte> bytes{};
};

/// A tensor inside a mapped file; valid while its Gguf lives.
struct GgufTensor {
  std::string name;
  const GgmlType* type = nullptr;
  Shape shape;  // outermost first: [rows, columns]
  std::span<const std::byte> bytes;
};

/// The keys and tensors of a file, or of all files of a model given its first. Everything that the headers claim is
/// checked against the files' sizes before any of it is handed out. Errors name the file and the key or tensor.
class Gguf {
 public:
  static Gguf open(const std::string& path);

  const std::string& path() const { return paths_.front(); }
  /// Of all files that the model lies in.
  const std::vector<std::string>& paths() const { return paths_; }
  const std::map<std::string, GgufTensor, std::less<>>& tensors() const { return tensors_; }
  const std::map<std::string, GgufValue, std::less<>>& keys() const { return keys_; }
  bool contains(std::string_view key) const { return keys_.find(key) != keys_.end(); }

  // The value of a key; nothing where the file has no such key. A value of another kind is an error. Whole numbers may
  // have any width; text is UTF-8.
  std::optional<int64_t> whole(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;  // whole or not
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string> text(std::string_view key) const;
  std::optional<std::vector<std::string_view>> texts(std::string_view key) const;
  std::optional<std::vector<double>> numbers(std::string_view key) const;
  bool is_array(std::string_view key) const;

 private:
  class Reader;
  const GgufValue* find(std::string_view key) const;
  void add_file(const std::string& path);
  void add_parts(int64_t count);

  std::vector<std::string> paths_;
  std::vector<std::shared_ptr<MappedFile>> files_;
  std::map<std::string, GgufTensor, std::less<>> tensors_;
  std::map<std::string, GgufValue, std::less<>> keys_;
};

/// Whether the file begins as a GGUF file does. False where it cannot be read.
bool is_gguf(const std::string& path);

}  // namespace jet
