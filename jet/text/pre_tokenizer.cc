#include "jet/text/pre_tokenizer.h"

#include <utility>

#include "jet/text/text_pattern.h"
#include "jet/text/unicode.h"

namespace jet {
namespace {

constexpr size_t kMostPreTokenizers = 100;  // each works within the pieces of the one before it, by recursion
constexpr const char* kGpt2Words = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

class Split : public PreTokenizerStep {
 public:
  Split(TextPattern pattern, Splitter::Rule rule) : pattern_(std::move(pattern)), rule_(rule) {}
  void cut(std::string_view text, bool first, PieceSink sink) const override {
    Splitter s(text, first, rule_, sink);
    pattern_.for_each_match(text, [&](size_t begin, size_t end) { s.match(begin, end); });
    s.finish();
  }

 private:
  TextPattern pattern_;
  Splitter::Rule rule_;
};

/// Every code point of a class is a match.
class ClassSplit : public PreTokenizerStep {
 public:
  ClassSplit(bool (*is_match)(char32_t), SplitBehavior behavior) : is_match_(is_match), behavior_(behavior) {}
  void cut(std::string_view text, bool first, PieceSink sink) const override {
    Splitter s(text, first, {behavior_, false}, sink);
    for_each_code_point(text, [&](char32_t c, size_t at, size_t length) {
      if (is_match_(c)) s.match(at, at + length);
    });
    s.finish();
  }

 private:
  bool (*is_match_)(char32_t);
  SplitBehavior behavior_;
};

/// \w+|[^\w\s]+ with the word class of added tokens' borders.
class Whitespace : public PreTokenizerStep {
 public:
  void cut(std::string_view text, bool first, PieceSink sink) const override {
    enum class Kind { none, word, other } last = Kind::none;
    size_t begin = 0;
    const auto end_at = [&](size_t end) {
      if (last != Kind::none) sink(text.substr(begin, end - begin), first && begin == 0);
    };
    for_each_code_point(text, [&](char32_t c, size_t at, size_t) {
      const Kind kind = is_word_of_regex(c) ? Kind::word : is_white_space(c) ? Kind::none : Kind::other;
      if (kind == last) return;
      end_at(at);
      begin = at, last = kind;
    });
    end_at(text.size());
  }
};

class Metaspace : public PreTokenizerStep {
 public:
  enum class Prepend { always, first, never };
  explicit Metaspace(const Component& c) : mark_(c.character("replacement")) {
    c.allow({"replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
    split_ = c.get_or("split", true);
    const bool adds = c.get_or("add_prefix_space", true);
    const auto scheme = c.get_or<std::string>("prepend_scheme", adds ? "always" : "never");
    require(adds || scheme == "never", "{}: add_prefix_space is false and prepend_scheme {}", c.where, shown(scheme));
    require(scheme == "always" || scheme == "first" || scheme == "never",
            "{}: prepend_scheme {} is none of always, first, never", c.where, shown(scheme));
    prepend_ = scheme == "always" ? Prepend::always : scheme == "first" ? Prepend::first : Prepend::never;
    require(c.get_or<std::string>("str_rep", mark_) == mark_, "{}: str_rep is not the replacement", c.where);
  }
  void cut(std::string_view text, bool first, PieceSink sink) const override {
    std::string marked;
    const bool prepends = prepend_ == Prepend::always || (prepend_ == Prepend::first && first);
    if (prepends && text[0] != ' ' && !text.starts_with(mark_)) marked = mark_;
    for (const char c : text) c == ' ' ? marked += mark_ : marked += c;
    if (!split_) return sink(marked, first);
    Splitter s(marked, first, {SplitBehavior::merged_with_next, false}, sink);
    for (size_t at = marked.find(mark_); at != marked.npos; at = marked.find(mark_, at + mark_.size()))
      s.match(at, at + mark_.size());
    s.finish();
  }

 private:
  std::string mark_;
  bool split_ = true;
  Prepend prepend_ = Prepend::always;
};

class PrefixSpace : public PreTokenizerStep {
 public:
  void cut(std::string_view text, bool first, PieceSink sink) const override {
    if (text[0] == ' ') return sink(text, first);
    sink(std::string(1, ' ').append(text), first);
  }
};

class ByteAlphabet : public PreTokenizerStep {
 public:
  void cut(std::string_view text, bool first, PieceSink sink) const override {
    std::string out;
    for (const char c : text) out += token_from_byte(static_cast<unsigned char>(c));
    sink(out, first);
  }
};

std::unique_ptr<PreTokenizerStep> make_pre_tokenizer_step(const Component& c) {
  if (c.type == "Split") {
    c.allow({"pattern", "behavior", "invert"});
    const auto behavior = split_behavior(c.get<std::string>("behavior"), c.where);
    return std::make_unique<Split>(TextPattern(c), Splitter::Rule{behavior, c.get_or("invert", false)});
  }
  if (c.type == "Digits") {
    c.allow({"individual_digits"});
    const bool single = c.get_or("individual_digits", false);
    return std::make_unique<ClassSplit>(is_numeric, single ? SplitBehavior::isolated : SplitBehavior::contiguous);
  }
  if (c.type == "Punctuation") {
    c.allow({"behavior"});
    return std::make_unique<ClassSplit>(is_punctuation,
                                        split_behavior(c.get_or<std::string>("behavior", "Isolated"), c.where));
  }
  if (c.type == "Metaspace") return std::make_unique<Metaspace>(c);
  if (c.type == "Whitespace" || c.type == "WhitespaceSplit") {
    c.allow({});
    if (c.type == "Whitespace") return std::make_unique<Whitespace>();
    return std::make_unique<ClassSplit>(is_white_space, SplitBehavior::removed);
  }
  c.refuse("Split, Digits, Punctuation, Whitespace, WhitespaceSplit, Metaspace, ByteLevel and Sequence");
}

}  // namespace

PreTokenizer::PreTokenizer(const Json& j, const std::string& where, bool bytes) {
  read(j, where);
  if (byte_level_ && !bytes) {
    add(std::make_unique<ByteAlphabet>(), where);
    byte_level_ = false;
  }
}

void PreTokenizer::add(std::unique_ptr<PreTokenizerStep> step, const std::string& where) {
  require(steps_.size() < kMostPreTokenizers, "{}: more than {} steps", where, kMostPreTokenizers);
  steps_.push_back(std::move(step));
}

void PreTokenizer::read(const Json& j, const std::string& where) {
  if (j.is_null()) return;
  const Component c(j, where);
  if (c.type == "Sequence") {
    for (const Json& step : c.list("pretokenizers")) read(step, where);
    return;
  }
  // A step after ByteLevel sees the byte alphabet.
  if (std::exchange(byte_level_, false)) add(std::make_unique<ByteAlphabet>(), where);
  if (c.type == "ByteLevel") {
    read_byte_level(c);
  } else {
    add(make_pre_tokenizer_step(c), where);
  }
}

void PreTokenizer::read_byte_level(const Component& c) {
  c.allow({"add_prefix_space", "trim_offsets", "use_regex"});  // offsets are not given here
  if (c.get_or("add_prefix_space", true)) add(std::make_unique<PrefixSpace>(), c.where);
  if (c.get_or("use_regex", true))
    add(std::make_unique<Split>(TextPattern(kGpt2Words, c.where), Splitter::Rule{}), c.where);
  byte_level_ = true;
}

void PreTokenizer::cut_from(size_t step, std::string_view text, bool first, PieceSink sink) const {
  if (text.empty()) return;
  if (step == steps_.size()) return sink(text, first);
  steps_[step]->cut(text, first,
                    [&](std::string_view piece, bool is_first) { cut_from(step + 1, piece, is_first, sink); });
}

}  // namespace jet
