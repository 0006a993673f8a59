#include "jet/text/tokenizer.h"

#include <mutex>
#include <unordered_map>
#include <utility>

#include "jet/text/tokenizer_file.h"
#include "jet/text/utf8.h"

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
  explicit Impl(TokenizerFile f) : file(std::move(f)), bpe(file.byte_ids, file.merges) {
    ids.reserve(file.bytes.size());
    if (file.ignore_merges) whole_words.reserve(file.bytes.size());
    for (auto& t : file.added) (t.normalized ? normalized_tokens : raw_tokens).add(t);
    for (const auto& t : file.added) ids.emplace(file.bytes[t.id], t.id);
    for (size_t id = 0; id < file.bytes.size(); ++id) {
      if (!file.in_vocabulary[id]) continue;
      ids.emplace(file.bytes[id], static_cast<int32_t>(id));
      if (file.ignore_merges) whole_words.emplace(file.bytes[id], static_cast<int32_t>(id));
    }
  }

  struct Call {
    const Impl& impl;
    WordCache& cache;
    std::vector<int32_t>& ids;

    /// Calls plain(text) between the added tokens and appends their ids.
    template <class Plain>
    void cut(const AddedTokens& tokens, std::string_view text, Plain&& plain) {
      size_t at = 0;
      while (at < text.size()) {
        const auto m = tokens.find(text, at);
        const size_t end = m ? m->begin : text.size();
        if (end > at) plain(text.substr(at, end - at));
        if (m) ids.push_back(m->id);
        at = m ? m->end : text.size();
      }
    }

    void text(std::string_view t) {
      cut(impl.raw_tokens, t, [&](std::string_view given) {
        const std::string nfc = impl.file.nfc ? normalize_nfc(given) : std::string();
        cut(impl.normalized_tokens, impl.file.nfc ? nfc : given, [&](std::string_view plain) {
          const bool space = impl.file.prefix_space && plain[0] != ' ';
          if (space) {
            piece(std::string(1, ' ').append(plain), 0);
          } else {
            piece(plain, 0);
          }
        });
      });
    }

    /// Isolates the matches of split `step` in `t`; what the last split leaves are words.
    void piece(std::string_view t, size_t step) {
      if (step == impl.file.splits.size()) return word(t);
      size_t at = 0;
      for (Regex::Search s(impl.file.splits[step], t); s.next(); at = s.end()) {
        if (s.begin() > at) piece(t.substr(at, s.begin() - at), step + 1);
        piece(t.substr(s.begin(), s.end() - s.begin()), step + 1);
      }
      if (at < t.size()) piece(t.substr(at), step + 1);
    }

    void word(std::string_view w) {
      const auto found = cache.get(w, [&](std::string_view unknown, std::vector<int32_t>& out) {
        const auto whole = impl.whole_words.find(unknown);
        if (whole != impl.whole_words.end()) {
          out.push_back(whole->second);
        } else {
          impl.bpe.encode(unknown, out);
        }
      });
      ids.insert(ids.end(), found.begin(), found.end());
    }
  };

  TokenizerFile file;
  Bpe bpe;
  AddedTokens raw_tokens, normalized_tokens;
  std::unordered_map<std::string_view, int32_t> ids, whole_words;  // views of file.bytes
  CachePool caches;
};

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const std::string& folder) {
  return Tokenizer(std::make_unique<Impl>(read_tokenizer_file(folder)));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  std::string repaired;
  if (!is_valid_utf8(text)) {
    repaired = repair_utf8(text);
    text = repaired;
  }
  std::vector<int32_t> ids;
  const auto& file = impl_->file;
  if (add_special_tokens) ids = file.before;
  auto cache = impl_->caches.take();
  Impl::Call{*impl_, *cache, ids}.text(text);
  impl_->caches.put_back(std::move(cache));
  if (add_special_tokens) ids.insert(ids.end(), file.after.begin(), file.after.end());
  return ids;
}

std::string Tokenizer::decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const {
  std::string bytes;
  for (const int32_t id : ids)
    if (!skip_special_tokens || !is_special(id)) bytes += bytes_of(id);
  return is_valid_utf8(bytes) ? bytes : repair_utf8(bytes);
}

const std::string& Tokenizer::bytes_of(int32_t id) const {
  static const std::string none;
  return id >= 0 && id < vocab_size() ? impl_->file.bytes[id] : none;
}

int32_t Tokenizer::id_of(std::string_view token) const {
  const auto found = impl_->ids.find(token);
  return found == impl_->ids.end() ? -1 : found->second;
}

int Tokenizer::vocab_size() const { return static_cast<int>(impl_->file.bytes.size()); }
bool Tokenizer::is_special(int32_t id) const { return id >= 0 && id < vocab_size() && impl_->file.special[id]; }
uint64_t Tokenizer::hash() const { return impl_->file.hash; }
int32_t Tokenizer::bos_id() const { return impl_->file.bos; }
int32_t Tokenizer::eos_id() const { return impl_->file.eos; }

}  // namespace jet
