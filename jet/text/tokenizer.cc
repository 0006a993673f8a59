#include "jet/text/tokenizer.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "jet/base/file.h"
#include "jet/base/threads.h"
#include "jet/text/sentencepiece_file.h"
#include "jet/text/text_cache.h"
#include "jet/text/tokenizer_file.h"
#include "jet/text/utf8.h"
#include "jet/text/word_cache.h"

namespace jet {
namespace {

/// Word caches lent to the calls of encode: each call has one to itself, and it outlives the call.
class CachePool {
 public:
  std::unique_ptr<WordCache> take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return std::make_unique<WordCache>();
    auto cache = std::move(free_.back());
    free_.pop_back();
    return cache;
  }
  void put_back(std::unique_ptr<WordCache> cache) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(cache));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<WordCache>> free_;
};

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerParts p) : parts(std::move(p)) {
    constexpr int64_t kTokensAThread = 16384;
    bytes.resize(parts.tokens.texts.size());
    ThreadPool pool(default_threads());
    pool.parallel_for(std::ssize(bytes), kTokensAThread, [&](int64_t begin, int64_t end) {
      for (int64_t id = begin; id < end; ++id) bytes[id] = parts.decoder.bytes_of(parts.tokens.texts[id]);
    });
    for (int32_t id = 0; id < std::ssize(bytes); ++id)
      if (parts.tokens.special[id]) specials.push_back(id);
  }

  struct Call {
    const TokenizerParts& parts;
    WordCache& cache;
    std::vector<int32_t>& ids;
    TextCache* texts = nullptr;

    void text(std::string_view t) {
      const auto token = [&](int32_t id) { ids.push_back(id); };
      parts.raw_tokens.cut(
          t, [&](size_t begin, size_t end) { perhaps_known(t.substr(begin, end - begin), begin == 0); }, token);
    }

    void perhaps_known(std::string_view t, bool first) {
      if (!texts) return given(t, first);
      if (texts->find(t, first, ids)) return;
      const size_t before = ids.size();
      given(t, first);
      texts->keep(t, first, std::span(ids).subspan(before));
    }

    /// What stands between the tokens that are found in the text as given.
    void given(std::string_view t, bool first) {
      std::string rewritten;
      if (!parts.normalizers.empty()) {
        rewritten = t;
        for (const auto& n : parts.normalizers) n->apply(rewritten, first);
        t = rewritten;
      }
      const auto token = [&](int32_t id) { ids.push_back(id); };
      parts.normalized_tokens.cut(
          t,
          [&](size_t begin, size_t end) {
            parts.pre_tokenizer.cut(t.substr(begin, end - begin), first && begin == 0,
                                    [&](std::string_view w, bool) { word(w); });
          },
          token);
    }

    void word(std::string_view w) {
      parts.model->cut(w, [&](std::string_view part) {
        const auto found = cache.get(
            part, [&](std::string_view unknown, std::vector<int32_t>& out) { parts.model->encode(unknown, out); });
        ids.insert(ids.end(), found.begin(), found.end());
      });
    }
  };

  /// Puts the text's ids behind `ids`.
  void encode(std::string_view text, std::vector<int32_t>& to, TextCache* known) {
    std::string repaired;
    if (!is_valid_utf8(text)) {
      repaired = repair_utf8(text);
      text = repaired;
    }
    auto cache = caches.take();
    Call{parts, *cache, to, known}.text(text);
    caches.put_back(std::move(cache));
  }

  TokenizerParts parts;
  std::vector<std::string> bytes;  // [ids]
  std::vector<int32_t> specials;
  // Searched for by few: made when the first asks.
  mutable std::once_flag ids_made;
  mutable TokenMap ids;  // of `bytes`
  CachePool caches;
  TextCache texts;
};

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const std::string& folder) {
  const std::string file = folder + "/tokenizer.json", model = folder + "/tokenizer.model";
  const std::string config = folder + "/tokenizer_config.json";
  if (file_exists(file)) return Tokenizer(std::make_unique<Impl>(read_tokenizer_file(file, config)));
  require(file_exists(model),
          "{}: is missing, and tokenizer.model, too; point to a folder with a model and its tokenizer", file);
  return Tokenizer(std::make_unique<Impl>(read_sentencepiece_file(model, config)));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  std::vector<int32_t> ids;
  if (add_special_tokens) ids = impl_->parts.before;
  impl_->encode(text, ids, nullptr);
  if (add_special_tokens) ids.insert(ids.end(), impl_->parts.after.begin(), impl_->parts.after.end());
  return ids;
}

std::vector<int32_t> Tokenizer::encode_again(std::string_view text) const {
  std::vector<int32_t> ids;
  impl_->encode(text, ids, &impl_->texts);
  return ids;
}

const std::vector<int32_t>& Tokenizer::beginning() const { return impl_->parts.before; }

std::string Tokenizer::decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const {
  const auto& decoder = impl_->parts.decoder;
  std::vector<std::string> texts;
  std::string bytes;
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab_size() || (skip_special_tokens && is_special(id))) continue;
    if (decoder.is_byte_level()) {
      bytes += bytes_of(id);
    } else if (const std::string& text = impl_->parts.tokens.texts[id]; !text.empty()) {
      texts.push_back(text);
    }
  }
  if (!decoder.is_byte_level()) return decoder.decode(std::move(texts));
  return is_valid_utf8(bytes) ? bytes : repair_utf8(bytes);
}

const std::string& Tokenizer::bytes_of(int32_t id) const {
  static const std::string none;
  return id >= 0 && id < vocab_size() ? impl_->bytes[id] : none;
}

int32_t Tokenizer::id_of(std::string_view token) const {
  std::call_once(impl_->ids_made, [&] {
    impl_->ids.reserve(impl_->bytes.size());
    // Of two tokens of the same bytes the added one counts, else the lower id.
    for (const bool of_model : {false, true})
      for (int32_t id = 0; id < vocab_size(); ++id)
        if (impl_->parts.tokens.in_vocabulary[id] == of_model && !impl_->bytes[id].empty())
          impl_->ids.add(impl_->bytes[id], id);
  });
  return impl_->ids.find(token);
}

int Tokenizer::vocab_size() const { return static_cast<int>(impl_->parts.tokens.texts.size()); }
bool Tokenizer::is_special(int32_t id) const { return id >= 0 && id < vocab_size() && impl_->parts.tokens.special[id]; }
const std::vector<int32_t>& Tokenizer::specials() const { return impl_->specials; }
uint64_t Tokenizer::hash() const { return impl_->parts.hash; }
int32_t Tokenizer::bos_id() const { return impl_->parts.bos; }
int32_t Tokenizer::eos_id() const { return impl_->parts.eos; }

std::vector<int32_t> encode_rows(const Tokenizer& tokenizer, std::string_view text, int length, int64_t most_rows) {
  const auto ids = tokenizer.encode(text);
  const auto& beginning = tokenizer.beginning();
  const int64_t of_text = length - std::ssize(beginning);
  require(of_text > 0, "rows of {} tokens have no room behind the {} that begin a text", length, beginning.size());
  const int64_t whole = std::min(most_rows, std::ssize(ids) / of_text);
  std::vector<int32_t> rows;
  for (int64_t row = 0; row < std::max<int64_t>(1, whole); ++row) {
    rows.insert(rows.end(), beginning.begin(), beginning.end());
    const auto begin = ids.begin() + row * of_text;
    rows.insert(rows.end(), begin, begin + std::min(of_text, ids.end() - begin));
  }
  return rows;
}

}  // namespace jet
