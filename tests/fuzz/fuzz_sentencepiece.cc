// Input: a byte n, a text of n bytes, and a tokenizer.model to encode it with.
#include "jet/text/tokenizer.h"
#include "jet/text/utf8.h"
#include "tests/fuzz/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jet;
  static const fuzz::Folder folder;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.empty()) return 0;
  const size_t n = std::min<size_t>(static_cast<unsigned char>(input[0]), input.size() - 1);
  folder.write("tokenizer.model", input.substr(1 + n));
  fuzz::expect_only_errors([&] {
    const auto t = Tokenizer::load(folder.path());
    const auto ids = t.encode(input.substr(1, n), /*add_special_tokens=*/true);
    for (const int32_t id : ids) fuzz::check(id >= 0 && id < t.vocab_size(), "an id outside the vocabulary");
    fuzz::check(is_valid_utf8(t.decode(ids)), "decoded text is not UTF-8");
  });
  return 0;
}
