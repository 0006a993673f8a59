// Input: tokenizer.json, tokenizer_config.json (may be empty) and a text to encode, with a zero byte between them; or,
// where there is no zero byte, a text for the tokenizer below, which must come back as it was.
#include "jet/base/json.h"
#include "jet/text/tokenizer.h"
#include "jet/text/utf8.h"
#include "tests/fuzz/support.h"

namespace {

using namespace jet;

/// All bytes, a few merges, an added token, GPT-2's split into words.
Tokenizer small_tokenizer(const fuzz::Folder& folder) {
  Json vocab = Json::object();
  for (int b = 0; b < 256; ++b) vocab[token_from_byte(static_cast<unsigned char>(b))] = b;
  for (const char* t : {"he", "ll", "llo", "hello"}) vocab[t] = vocab.size();
  const Json merges = {"h e", "l l", "ll o", "he llo"};
  folder.write("tokenizer.json", Json{{"added_tokens", {{{"id", 260}, {"content", "<s>"}, {"special", true}}}},
                                      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
                                      {"decoder", {{"type", "ByteLevel"}}},
                                      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}}
                                     .dump());
  return Tokenizer::load(folder.path());
}

void encode_and_decode(const Tokenizer& t, std::string_view text) {
  const auto ids = t.encode(text, /*add_special_tokens=*/true);
  for (const int32_t id : ids) fuzz::check(id >= 0 && id < t.vocab_size(), "an id outside the vocabulary");
  fuzz::check(is_valid_utf8(t.decode(ids)), "decoded text is not UTF-8");
  const std::string whole = repair_utf8(text), nfc = normalize_nfc(whole);
  fuzz::check(is_valid_utf8(nfc) && normalize_nfc(nfc) == nfc, "normal form C is not stable");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  static const Tokenizer small = small_tokenizer(folder);
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t first = input.find('\0');
  if (first == std::string_view::npos) {
    encode_and_decode(small, input);
    fuzz::check(small.decode(small.encode(input)) == repair_utf8(input), "the text did not come back");
    return 0;
  }
  const size_t second = std::min(input.find('\0', first + 1), size - 1);
  folder.write("tokenizer.json", input.substr(0, first));
  const std::string config = folder.write("tokenizer_config.json", input.substr(first + 1, second - first - 1));
  if (second <= first + 1) std::filesystem::remove(config);
  fuzz::expect_only_errors([&] { encode_and_decode(Tokenizer::load(folder.path()), input.substr(second + 1)); });
  return 0;
}
