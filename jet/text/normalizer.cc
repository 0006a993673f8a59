#include "jet/text/normalizer.h"

#include <utf8proc.h>

#include <utility>

#include "jet/text/charsmap.h"
#include "jet/text/text_pattern.h"
#include "jet/text/unicode.h"

namespace jet {
namespace {

constexpr size_t kMostSteps = 100;

class ToNormalForm : public Normalizer {
 public:
  explicit ToNormalForm(NormalForm form) : form_(form) {}
  void apply(std::string& text, bool&) const override { text = to_normal_form(text, form_); }

 private:
  NormalForm form_;
};

class Lowercase : public Normalizer {
 public:
  void apply(std::string& text, bool&) const override {
    std::string out;
    for_each_code_point(text, [&](char32_t c, size_t, size_t) { append_lower(out, c); });
    text = std::move(out);
  }
};

class StripAccents : public Normalizer {
 public:
  void apply(std::string& text, bool& first) const override {
    std::string out;
    for_each_code_point(text, [&](char32_t c, size_t at, size_t length) {
      if (!is_mark(c)) {
        out.append(text, at, length);
      } else if (out.empty()) {
        first = false;
      }
    });
    text = std::move(out);
  }
};

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void apply(std::string& text, bool& first) const override {
    size_t begin = 0, end = 0;
    bool inside = false;
    for_each_code_point(text, [&](char32_t c, size_t at, size_t length) {
      if (is_white_space(c)) return;
      if (!std::exchange(inside, true)) begin = at;
      end = at + length;
    });
    if (!inside && (left_ || right_)) {
      text.clear();
    } else {
      if (right_) text.resize(end);
      if (left_) text.erase(0, begin);
      first = first && (!left_ || begin == 0);
    }
  }

 private:
  bool left_, right_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(std::string& text, bool&) const override {
    if (!text.empty()) text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

class Replace : public Normalizer {
 public:
  explicit Replace(const Component& c) : pattern_(c), content_(c.get<std::string>("content")) {}
  void apply(std::string& text, bool& first) const override {
    if (content_.empty())
      pattern_.for_each_match(text, [&](size_t begin, size_t end) { first = first && (begin > 0 || end == 0); });
    text = pattern_.replaced(text, content_);
  }

 private:
  TextPattern pattern_;
  std::string content_;
};

/// SentencePiece's map, applied to clusters of up to five bytes and else to single code points; where only a cluster's
/// beginning is in the map, that replaces all of it. So does the library.
class Precompiled : public Normalizer {
 public:
  explicit Precompiled(const Component& c)
      : map_(from_base64(c.get<std::string>("precompiled_charsmap"), c.where), c.where) {}
  void apply(std::string& text, bool&) const override {
    std::string out;
    utf8proc_int32_t state = 0, last = -1;
    size_t begin = 0;
    for_each_code_point(text, [&](char32_t c, size_t at, size_t) {
      const auto code = static_cast<utf8proc_int32_t>(c);
      if (last >= 0 && utf8proc_grapheme_break_stateful(last, code, &state)) {
        append_cluster(out, std::string_view(text).substr(begin, at - begin));
        begin = at;
      }
      last = code;
    });
    append_cluster(out, std::string_view(text).substr(begin));
    text = std::move(out);
  }

 private:
  void append_cluster(std::string& out, std::string_view cluster) const {
    if (cluster.size() < 6) {
      if (const auto found = map_.shortest(cluster)) {
        out += found->replacement;
        return;
      }
    }
    for_each_code_point(cluster, [&](char32_t, size_t at, size_t length) {
      const auto found = map_.shortest(cluster.substr(at, length));
      out += found ? found->replacement : cluster.substr(at, length);
    });
  }

  Charsmap map_;
};

class ToByteAlphabet : public Normalizer {
 public:
  void apply(std::string& text, bool&) const override {
    std::string out;
    for (const char c : text) out += token_from_byte(static_cast<unsigned char>(c));
    text = std::move(out);
  }
};

std::unique_ptr<Normalizer> make_plain(const std::string& type) {
  if (type == "NFC") return std::make_unique<ToNormalForm>(NormalForm::c);
  if (type == "NFD") return std::make_unique<ToNormalForm>(NormalForm::d);
  if (type == "NFKC") return std::make_unique<ToNormalForm>(NormalForm::kc);
  if (type == "NFKD") return std::make_unique<ToNormalForm>(NormalForm::kd);
  if (type == "Lowercase") return std::make_unique<Lowercase>();
  if (type == "StripAccents") return std::make_unique<StripAccents>();
  if (type == "ByteLevel") return std::make_unique<ToByteAlphabet>();
  return nullptr;
}

std::unique_ptr<Normalizer> make(const Component& c) {
  if (auto plain = make_plain(c.type)) {
    c.allow({});
    return plain;
  }
  if (c.type == "Strip") {
    c.allow({"strip_left", "strip_right"});
    return std::make_unique<Strip>(c.get<bool>("strip_left"), c.get<bool>("strip_right"));
  }
  if (c.type == "Prepend") {
    c.allow({"prepend"});
    return std::make_unique<Prepend>(c.get<std::string>("prepend"));
  }
  if (c.type == "Replace") {
    c.allow({"pattern", "content"});
    return std::make_unique<Replace>(c);
  }
  if (c.type == "Precompiled") {
    c.allow({"precompiled_charsmap"});
    if (c.json.contains("precompiled_charsmap") && c.json["precompiled_charsmap"] == "") return nullptr;
    return std::make_unique<Precompiled>(c);
  }
  c.refuse(
      "NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace, Precompiled, ByteLevel and Sequence");
}

}  // namespace

void read_normalizer(const Json& j, const std::string& where, Normalizers& all) {
  if (j.is_null()) return;
  const Component c(j, where);
  if (c.type == "Sequence") {
    for (const Json& step : c.list("normalizers")) read_normalizer(step, where, all);
    return;
  }
  require(all.size() < kMostSteps, "{}: more than {} steps", where, kMostSteps);
  if (auto made = make(c)) all.push_back(std::move(made));
}

}  // namespace jet
