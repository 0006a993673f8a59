// Input: a GGUF file. Whatever its header claims, tensors lie within it and decode; what is imported from it is a model
// folder that can be read.
#include "jet/model/checkpoint.h"
#include "jet/model/gguf_import.h"
#include "jet/storage/gguf.h"
#include "tests/fuzz/support.h"

namespace {

using namespace jet;

void read_keys(const Gguf& file) {
  for (const auto& [key, unused] : file.keys()) {
    fuzz::expect_only_errors([&, &key = key] { file.whole(key); });
    fuzz::expect_only_errors([&, &key = key] { file.number(key); });
    fuzz::expect_only_errors([&, &key = key] { file.boolean(key); });
    fuzz::expect_only_errors([&, &key = key] { file.text(key); });
    fuzz::expect_only_errors([&, &key = key] { file.texts(key); });
    fuzz::expect_only_errors([&, &key = key] { file.numbers(key); });
  }
}

void read_tensors(const Gguf& file, size_t most_bytes) {
  size_t total = 0;
  for (const auto& [name, t] : file.tensors()) {
    const int64_t blocks = numel(t.shape) / t.type->columns;
    fuzz::check(static_cast<size_t>(blocks * t.type->bytes) == t.bytes.size(), "a shape belies its bytes");
    std::vector<float> values(numel(t.shape));
    ggml_decode(*t.type, t.bytes.data(), blocks, values.data());
    total += t.bytes.size();
  }
  fuzz::check(total < most_bytes, "tensors reach beyond the file");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  const std::string path = folder.write("m.gguf", {reinterpret_cast<const char*>(data), size});
  fuzz::expect_only_errors([&] {
    const Gguf file = Gguf::open(path);
    read_keys(file);
    read_tensors(file, size);
    const std::string made = folder.path() + "/model";
    std::filesystem::remove_all(made);
    const std::optional<DType> types[] = {{}, DType::bf16, DType::f32, DType::q8, DType::q4};
    import_gguf(path, made, {.type = types[size % std::size(types)], .threads = 1});
    try {
      Checkpoint::open(made);
    } catch (const Error& e) { throw std::logic_error(e.what()); }
  });
  return 0;
}
