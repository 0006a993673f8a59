#include "jet/model/gguf_tokenizer.h"

#include <algorithm>
#include <unordered_set>

#include "jet/base/error.h"

namespace jet {
namespace {

constexpr const char* kConvertAgain = "convert the model again";
constexpr int kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kByte = 6;  // and 5: unused

/// What ends a turn, by its text: files rarely name it.
constexpr std::string_view kTurnEnds[] = {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>",   "<|endoftext|>",
                                          "<|eom_id|>", "<EOT>",      "_<EOT>",  "<|end_of_text|>", "</s>"};

class GgufTokenizerReader {
 public:
  GgufTokenizerReader(const Gguf& file, int64_t vocabulary) : file_(file), vocabulary_(vocabulary) {}

  GgufTokenizer read() {
    const auto model = file_.text("tokenizer.ggml.model");
    require(model.has_value(), "{}: key 'tokenizer.ggml.model' is missing; {}", where(), kConvertAgain);
    read_tokens();
    if (*model == "gpt2") {
      read_byte_level();
    } else if (*model == "llama") {
      read_sentence_piece();
    } else {
      fail("{}: tokenizer.ggml.model is '{}' (known: gpt2, llama)", where(), model->substr(0, 100));
    }
    out_.tokenizer["added_tokens"] = added_tokens();
    out_.config = config();
    return std::move(out_);
  }

 private:
  const std::string& where() const { return file_.path(); }
  int type(size_t i) const { return types_[i]; }
  void read_tokens();
  void check_texts() const;
  Json::object_t vocabulary() const;
  void read_byte_level();
  void read_sentence_piece();
  void read_ids(bool sentence_piece, bool add_bos);
  std::optional<int> id(const char* key) const;
  Json added_tokens() const;
  Json config() const;
  Json templates() const;
  Json post_processor(bool add_bos, bool add_eos) const;

  const Gguf& file_;
  int64_t vocabulary_;
  std::vector<std::string_view> tokens_;
  std::vector<int> types_;
  std::optional<int> eos_, unknown_;
  GgufTokenizer out_;
};

void GgufTokenizerReader::read_tokens() {
  auto tokens = file_.texts("tokenizer.ggml.tokens");
  require(tokens.has_value(), "{}: key 'tokenizer.ggml.tokens' is missing; {}", where(), kConvertAgain);
  tokens_ = std::move(*tokens);
  require(static_cast<int64_t>(tokens_.size()) == vocabulary_,
          "{}: key 'tokenizer.ggml.tokens' has {} tokens, the embedding {} rows; {}", where(), tokens_.size(),
          vocabulary_, kConvertAgain);
  check_texts();
  types_.assign(tokens_.size(), kNormal);
  const auto types = file_.numbers("tokenizer.ggml.token_type");
  if (!types) return;
  require(types->size() >= tokens_.size(), "{}: key 'tokenizer.ggml.token_type' has {} numbers for {} tokens; {}",
          where(), types->size(), tokens_.size(), kConvertAgain);
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const double t = (*types)[i];
    require(t >= 0 && t <= kByte && t == static_cast<int>(t), "{}: token {} is of the unknown type {}; {}", where(), i,
            t, kConvertAgain);
    types_[i] = static_cast<int>(t);
  }
}

void GgufTokenizerReader::check_texts() const {
  std::unordered_set<std::string_view> seen;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const std::string text(tokens_[i]);
    require(!text.empty(), "{}: token {} is empty; {}", where(), i, kConvertAgain);
    require(seen.insert(tokens_[i]).second, "{}: token {}, '{}', is there twice; {}", where(), i, text.substr(0, 100),
            kConvertAgain);
    const bool ascii = std::all_of(text.begin(), text.end(), [](unsigned char c) { return c < 128; });
    // json_text replaces what is no UTF-8.
    require(ascii || parse_json(json_text(Json(text)), where()).get<std::string>() == text,
            "{}: token {} is not valid UTF-8; {}", where(), i, kConvertAgain);
  }
}

/// By id; the map of a Json would search for each.
Json::object_t GgufTokenizerReader::vocabulary() const {
  Json::object_t vocabulary;
  for (size_t i = 0; i < tokens_.size(); ++i) vocabulary.push_back({std::string(tokens_[i]), Json(i)});
  return vocabulary;
}

std::optional<int> GgufTokenizerReader::id(const char* key) const {
  const std::string name = std::string("tokenizer.ggml.") + key;
  const auto value = file_.whole(name);
  if (!value) return {};
  require(*value >= 0 && *value < vocabulary_, "{}: key '{}' is {}, outside the vocabulary of {}; {}", where(), name,
          *value, vocabulary_, kConvertAgain);
  return static_cast<int>(*value);
}

void GgufTokenizerReader::read_ids(bool sentence_piece, bool add_bos) {
  // SentencePiece's own numbers where the file is silent.
  const auto usual = [&](int n) -> std::optional<int> {
    if (sentence_piece && n < vocabulary_ && (type(n) == kControl || type(n) == kUnknown)) return n;
    return {};
  };
  const auto or_usual = [&](std::optional<int> value, int n) { return value ? value : usual(n); };
  out_.bos = or_usual(id("bos_token_id"), 1);
  eos_ = or_usual(id("eos_token_id"), 2);
  unknown_ = or_usual(id("unknown_token_id"), 0);
  out_.pad = id("padding_token_id");
  const auto add_end = [&](std::optional<int> end) {
    const bool known = end && std::find(out_.ends.begin(), out_.ends.end(), *end) != out_.ends.end();
    if (end && !known) out_.ends.push_back(*end);
  };
  add_end(eos_);
  for (const char* key : {"eot_token_id", "eom_token_id"}) add_end(id(key));
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const bool ends = std::find(std::begin(kTurnEnds), std::end(kTurnEnds), tokens_[i]) != std::end(kTurnEnds);
    if (ends && (type(i) == kControl || type(i) == kUserDefined)) add_end(static_cast<int>(i));
  }
  add_bos = file_.boolean("tokenizer.ggml.add_bos_token").value_or(add_bos);
  const bool add_eos = file_.boolean("tokenizer.ggml.add_eos_token").value_or(false);
  require(!add_bos || out_.bos, "{}: text shall begin with a token that no key names (tokenizer.ggml.bos_token_id); {}",
          where(), kConvertAgain);
  require(!add_eos || eos_, "{}: text shall end with a token that no key names (tokenizer.ggml.eos_token_id); {}",
          where(), kConvertAgain);
  out_.tokenizer["post_processor"] = post_processor(add_bos, add_eos);
}

Json GgufTokenizerReader::post_processor(bool add_bos, bool add_eos) const {
  if (!add_bos && !add_eos) return nullptr;
  Json single = Json::array(), pair = Json::array(), special = Json::object();
  const auto add = [&](int i, int side) {
    const std::string text(tokens_[i]);
    const Json item{{"SpecialToken", {{"id", text}, {"type_id", side}}}};
    if (side == 0) single.push_back(item);
    pair.push_back(item);
    special[text] = {{"id", text}, {"ids", {i}}, {"tokens", {text}}};
  };
  for (const int side : {0, 1}) {
    if (add_bos) add(*out_.bos, side);
    const Json text{{"Sequence", {{"id", side == 0 ? "A" : "B"}, {"type_id", side}}}};
    if (side == 0) single.push_back(text);
    pair.push_back(text);
    if (add_eos) add(*eos_, side);
  }
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", special}};
}

Json GgufTokenizerReader::added_tokens() const {
  Json list = Json::array();
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const bool special = type(i) == kControl || type(i) == kUnknown;
    if (!special && type(i) != kUserDefined) continue;
    list.push_back({{"id", i},
                    {"content", std::string(tokens_[i])},
                    {"single_word", false},
                    {"lstrip", false},
                    {"rstrip", false},
                    {"normalized", false},
                    {"special", special}});
  }
  return list;
}

Json model_of(Json::object_t vocabulary, std::vector<std::string> merges, bool byte_fallback, Json unknown) {
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", std::move(unknown)},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", byte_fallback},
          {"byte_fallback", byte_fallback},
          {"ignore_merges", false},
          {"vocab", std::move(vocabulary)},
          {"merges", std::move(merges)}};
}

void GgufTokenizerReader::read_byte_level() {
  const auto pre = file_.text("tokenizer.ggml.pre");
  require(pre.has_value(), "{}: key 'tokenizer.ggml.pre' is missing: how text is split is not known; {}", where(),
          kConvertAgain);
  const GgufPreTokenizer how = gguf_pre_tokenizer(*pre, where());
  const auto merges = file_.texts("tokenizer.ggml.merges");
  require(merges.has_value(), "{}: key 'tokenizer.ggml.merges' is missing; {}", where(), kConvertAgain);
  Json& t = out_.tokenizer;
  t = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}, {"added_tokens", nullptr}};
  t["normalizer"] = nullptr;
  t["pre_tokenizer"] = how.pre_tokenizer;
  read_ids(/*sentence_piece=*/false, how.add_bos);
  t["decoder"] = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
  t["model"] = model_of(vocabulary(), {merges->begin(), merges->end()}, false, nullptr);
  t["model"]["ignore_merges"] = how.ignore_merges;
}

void GgufTokenizerReader::read_sentence_piece() {
  const auto scores = file_.numbers("tokenizer.ggml.scores");
  require(scores && scores->size() >= tokens_.size(), "{}: key 'tokenizer.ggml.scores' {} for {} tokens; {}", where(),
          scores ? fmt::format("has {} numbers", scores->size()) : "is missing", tokens_.size(), kConvertAgain);
  const bool prefix = file_.boolean("tokenizer.ggml.add_space_prefix").value_or(true);
  constexpr const char* kSpace = "\xe2\x96\x81";
  const Json replace{{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpace}};
  const Json back{{"type", "Replace"}, {"pattern", {{"String", kSpace}}}, {"content", " "}};
  Json decoders = {back, {{"type", "ByteFallback"}}, {{"type", "Fuse"}}};
  Json& t = out_.tokenizer;
  t = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}, {"added_tokens", nullptr}};
  t["normalizer"] = replace;
  if (prefix) {
    t["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "Prepend"}, {"prepend", kSpace}}, replace}}};
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  t["pre_tokenizer"] = nullptr;
  read_ids(/*sentence_piece=*/true, /*add_bos=*/true);
  t["decoder"] = {{"type", "Sequence"}, {"decoders", decoders}};
  std::vector<bool> mergeable(tokens_.size());
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const bool spaced = tokens_[i].find(' ') != std::string_view::npos;  // no text has spaces where merges are done
    mergeable[i] = type(i) != kControl && type(i) != kUnknown && type(i) != kByte && !spaced;
  }
  const Json unknown = unknown_ ? Json(std::string(tokens_[*unknown_])) : Json();
  t["model"] = model_of(vocabulary(), merges_of_scores(tokens_, *scores, mergeable), true, unknown);
}

Json GgufTokenizerReader::templates() const {
  const auto plain = file_.text("tokenizer.chat_template");
  const auto names = file_.texts("tokenizer.chat_templates");
  if (!names || names->empty()) return plain ? Json(*plain) : Json();
  Json list = Json::array();
  if (plain) list.push_back({{"name", "default"}, {"template", *plain}});
  for (const auto name : *names) {
    const auto text = file_.text("tokenizer.chat_template." + std::string(name));
    if (text) list.push_back({{"name", std::string(name)}, {"template", *text}});
  }
  return list;
}

Json GgufTokenizerReader::config() const {
  Json j = Json::object();
  const auto name = [&](const char* key, std::optional<int> i) {
    if (i) j[key] = std::string(tokens_[*i]);
  };
  name("bos_token", out_.bos), name("eos_token", eos_), name("unk_token", unknown_), name("pad_token", out_.pad);
  for (const char* key : {"add_bos_token", "add_eos_token"}) {
    if (const auto value = file_.boolean(std::string("tokenizer.ggml.") + key)) j[key] = *value;
  }
  j["clean_up_tokenization_spaces"] = false;
  j["tokenizer_class"] = "PreTrainedTokenizerFast";
  const Json chat = templates();
  if (!chat.is_null()) j["chat_template"] = chat;
  return j;
}

int64_t character_count(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](unsigned char c) { return (c & 0xc0) != 0x80; });
}

}  // namespace

GgufTokenizer gguf_tokenizer(const Gguf& file, int64_t vocabulary) {
  return GgufTokenizerReader(file, vocabulary).read();
}

std::vector<std::string> merges_of_scores(const std::vector<std::string_view>& pieces,
                                          const std::vector<double>& scores, const std::vector<bool>& mergeable) {
  struct Pair {
    uint32_t piece, left_bytes;
    int64_t left, right;  // characters
  };
  std::unordered_set<std::string_view> known;
  for (size_t i = 0; i < pieces.size(); ++i)
    if (mergeable[i]) known.insert(pieces[i]);
  std::vector<Pair> pairs;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const std::string_view text = pieces[i];
    for (size_t at = 1; at < text.size() && mergeable[i]; ++at) {
      if ((static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) continue;
      const auto left = text.substr(0, at), right = text.substr(at);
      if (!known.contains(left) || !known.contains(right)) continue;
      pairs.push_back(
          {static_cast<uint32_t>(i), static_cast<uint32_t>(at), character_count(left), character_count(right)});
    }
  }
  std::stable_sort(pairs.begin(), pairs.end(), [&](const Pair& a, const Pair& b) {
    if (scores[a.piece] != scores[b.piece]) return scores[a.piece] > scores[b.piece];
    return std::pair(a.left, a.right) > std::pair(b.left, b.right);
  });
  std::vector<std::string> merges;
  merges.reserve(pairs.size());
  for (const Pair& p : pairs) {
    const auto text = pieces[p.piece];
    merges.push_back(std::string(text.substr(0, p.left_bytes)) + " " + std::string(text.substr(p.left_bytes)));
  }
  return merges;
}

}  // namespace jet
