#include "jet/text/decoder.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "jet/text/byte_token.h"
#include "jet/text/text_pattern.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

constexpr size_t kMostSteps = 100;
constexpr std::string_view kMark = "\xe2\x96\x81";  // a space
constexpr const char* kReplacement = "\xef\xbf\xbd";

std::string joined(const std::vector<std::string>& tokens) {
  std::string all;
  for (const auto& t : tokens) all += t;
  return all;
}

/// `text` with every `from`, which is not empty, replaced.
std::string replaced(std::string_view text, std::string_view from, std::string_view by) {
  std::string out;
  size_t done = 0;
  for (size_t at = text.find(from); at != text.npos; at = text.find(from, done)) {
    out.append(text, done, at - done).append(by);
    done = at + from.size();
  }
  return out.append(text, done);
}

class ByteLevelStep : public DecoderStep {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string all;
    for (const auto& t : tokens) all += bytes_from_token(t);
    tokens = {repair_utf8(all)};
  }
  void apply_alone(std::string& token) const override { token = bytes_from_token(token); }
};

class MetaspaceStep : public DecoderStep {
 public:
  explicit MetaspaceStep(const Component& c) : mark_(c.character("replacement")) {
    c.allow({"replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});  // split is for encoding
    const bool adds = c.get_or("add_prefix_space", true);
    const auto scheme = c.get_or<std::string>("prepend_scheme", adds ? "always" : "never");
    require(scheme == "always" || scheme == "first" || scheme == "never",
            "{}: prepend_scheme {} is none of always, first, never", c.where, shown(scheme));
    prepends_ = scheme != "never";
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = replaced(tokens[i], mark_, i == 0 && prepends_ ? "" : " ");
  }
  void apply_alone(std::string& token) const override { token = replaced(token, mark_, " "); }

 private:
  std::string mark_;
  bool prepends_ = true;
};

class ReplaceStep : public DecoderStep {
 public:
  explicit ReplaceStep(const Component& c) : pattern_(c), content_(c.get<std::string>("content")) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (auto& t : tokens) apply_alone(t);
  }
  void apply_alone(std::string& token) const override {
    if (is_valid_utf8(token)) token = pattern_.replaced(token, content_);  // a lone byte has nothing to replace
  }

 private:
  TextPattern pattern_;
  std::string content_;
};

class SpacesStep : public DecoderStep {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    for (auto& t : tokens) apply_alone(t);
  }
  void apply_alone(std::string& token) const override { token = replaced(token, kMark, " "); }
};

/// Takes the space off the first token's front, or off every one's until there is a text.
class FirstSpaceStep : public DecoderStep {
 public:
  explicit FirstSpaceStep(bool repeats) : repeats_(repeats) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (auto& t : tokens) {
      const bool has_space = t.starts_with(kMark);
      if (has_space) t.erase(0, kMark.size());
      if (!t.empty() || (has_space && !repeats_)) return;
    }
  }

 private:
  bool repeats_;
};

/// A run of bytes that is no text becomes a U+FFFD for each byte; `by_character`, for each byte that is in none.
class ByteFallbackStep : public DecoderStep {
 public:
  explicit ByteFallbackStep(bool by_character) : by_character_(by_character) {}
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    std::string bytes;
    const auto flush = [&] {
      if (is_valid_utf8(bytes)) {
        if (!bytes.empty()) out.push_back(std::exchange(bytes, {}));
        return;
      }
      for (size_t at = 0; at < bytes.size();) {
        const int length = by_character_ ? utf8_length(bytes, at) : 0;
        out.push_back(length > 0 ? bytes.substr(at, length) : kReplacement);
        at += std::max(length, 1);
      }
      bytes.clear();
    };
    for (auto& t : tokens) {
      if (const auto byte = byte_of_token(t)) {
        bytes += static_cast<char>(*byte);
        continue;
      }
      flush();
      out.push_back(std::move(t));
    }
    flush();
    tokens = std::move(out);
  }
  void apply_alone(std::string& token) const override {
    if (const auto byte = byte_of_token(token)) token.assign(1, static_cast<char>(*byte));
  }

 private:
  bool by_character_;
};

class FuseStep : public DecoderStep {
 public:
  void apply(std::vector<std::string>& tokens) const override { tokens = {joined(tokens)}; }
};

class StripStep : public DecoderStep {
 public:
  StripStep(std::string content, size_t start, size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (auto& t : tokens) {
      size_t begin = 0, end = t.size(), n = 0;
      for (; n < start_ && std::string_view(t).substr(begin).starts_with(content_); ++n) begin += content_.size();
      for (n = 0; n < stop_ && end >= begin + content_.size() && std::string_view(t).substr(0, end).ends_with(content_);
           ++n)
        end -= content_.size();
      t = t.substr(begin, end - begin);
    }
  }

 private:
  std::string content_;
  size_t start_, stop_;
};

std::unique_ptr<DecoderStep> make(const Component& c) {
  if (c.type == "Metaspace") return std::make_unique<MetaspaceStep>(c);
  if (c.type == "Replace") {
    c.allow({"pattern", "content"});
    return std::make_unique<ReplaceStep>(c);
  }
  if (c.type == "Strip") {
    c.allow({"content", "start", "stop"});
    return std::make_unique<StripStep>(c.character("content"), c.get<uint32_t>("start"), c.get<uint32_t>("stop"));
  }
  if (c.type == "ByteLevel") {
    c.allow({"add_prefix_space", "trim_offsets", "use_regex"});  // for encoding
    return std::make_unique<ByteLevelStep>();
  }
  if (c.type == "ByteFallback" || c.type == "Fuse") {
    c.allow({});
    if (c.type == "Fuse") return std::make_unique<FuseStep>();
    return std::make_unique<ByteFallbackStep>(false);
  }
  c.refuse("ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip and Sequence");
}

}  // namespace

std::optional<unsigned char> byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  int byte = 0;
  for (const char c : token.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return std::nullopt;
    byte = byte << 4 | digit;
  }
  return static_cast<unsigned char>(byte);
}

Decoder::Decoder(const Json& j, const std::string& where) {
  read(j, where);
  byte_level_ = steps_.size() == 1 && dynamic_cast<const ByteLevelStep*>(steps_[0].get());
}

void Decoder::read(const Json& j, const std::string& where) {
  if (j.is_null()) return;
  const Component c(j, where);
  if (c.type == "Sequence") {
    for (const Json& step : c.list("decoders")) read(step, where);
    return;
  }
  require(steps_.size() < kMostSteps, "{}: more than {} steps", where, kMostSteps);
  steps_.push_back(make(c));
}

std::string Decoder::decode(std::vector<std::string> tokens) const {
  if (steps_.empty())
    for (size_t i = 1; i < tokens.size(); ++i) tokens[i].insert(0, 1, ' ');
  for (const auto& step : steps_) step->apply(tokens);
  const std::string text = joined(tokens);
  return is_valid_utf8(text) ? text : repair_utf8(text);
}

std::string Decoder::bytes_of(std::string token) const {
  for (const auto& step : steps_) step->apply_alone(token);
  return token;
}

Decoder sentencepiece_decoder(bool adds_space, bool removes_spaces) {
  Decoder d;
  if (adds_space || removes_spaces) d.add(std::make_unique<FirstSpaceStep>(removes_spaces));
  d.add(std::make_unique<SpacesStep>());
  d.add(std::make_unique<ByteFallbackStep>(true));
  return d;
}

}  // namespace jet
