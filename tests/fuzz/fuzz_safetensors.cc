// Input: a safetensors file; or, where it begins with '{' (as no file of ours does), the index of a folder with the
// shards a.safetensors and b.safetensors.
#include "jet/storage/safetensors.h"
#include "tests/fuzz/support.h"

namespace {

using namespace jet;

std::string shard(const std::string& name) {
  std::string header = R"({")" + name + R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  return std::string(1, static_cast<char>(header.size())) + std::string(7, '\0') + header + "x";
}

void read_all(const SafeTensors& file, size_t most_bytes) {
  size_t total = 0;
  for (const auto& [name, t] : file.all()) {
    fuzz::check(static_cast<size_t>(numel(t.shape)) * size_of(t.dtype) == t.bytes.size(), "a shape belies its bytes");
    total += t.bytes.size();
    fuzz::expect_only_errors([&, &t = t] { to_floats(t); });
    fuzz::expect_only_errors([&, &t = t] { to_ints(t); });
  }
  fuzz::check(total < most_bytes, "tensors reach beyond the file");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  static const std::string shards[] = {folder.write("a.safetensors", shard("a")),
                                       folder.write("b.safetensors", shard("b"))};
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  fuzz::expect_only_errors([&] {
    if (input.starts_with('{')) {
      folder.write("model.safetensors.index.json", input);
      read_all(SafeTensors::open(folder.path()), std::size(shards) + 1);
    } else {
      read_all(SafeTensors::open(folder.write("one.safetensors", input)), size);
    }
  });
  return 0;
}
