#include "jet/data/overlap.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "jet/base/error.h"
#include "jet/base/threads.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
constexpr int64_t kRound = 1 << 14;  // documents between two reports of progress

bool is_ascii_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// Calls word(text) for each word of `text`; invalid bytes separate.
template <class Word>
void for_each_word(std::string_view text, Word&& word) {
  std::string w;
  const auto end_word = [&] {
    if (!w.empty()) word(std::string_view(w));
    w.clear();
  };
  for (size_t at = 0; at < text.size();) {
    if (const char ascii = text[at]; static_cast<unsigned char>(ascii) < 128) {  // nearly all there is, and much faster
      ++at;
      if (is_ascii_word(ascii)) {
        w += static_cast<char>(to_lower(ascii));
      } else {
        end_word();
      }
      continue;
    }
    const int length = utf8_length(text, at);
    const char32_t c = length > 0 ? utf8_code_point(text, at, length) : U' ';
    at += std::max(length, 1);
    if (!is_word_character(c)) {
      end_word();
      continue;
    }
    if (c >= 0x2e80) end_word();
    append_utf8(w, to_lower(c));
    if (c >= 0x2e80) end_word();
  }
  end_word();
}

/// Hash of the last n words: sum of h(word) * B^(words after it), modulo 2^64.
class Window {
 public:
  explicit Window(int n) : words_(n) {
    for (int i = 0; i < n; ++i) power_ *= kBase;
  }
  /// Whether n words have come.
  bool add(std::string_view word) {
    uint64_t& oldest = words_[next_];
    if (++next_ == words_.size()) next_ = 0, full_ = true;
    const uint64_t h = content_hash(word);
    value_ = value_ * kBase + h - oldest * power_;
    oldest = h;
    return full_;
  }
  uint64_t value() const { return value_; }

 private:
  static constexpr uint64_t kBase = 0x9e3779b97f4a7c15ull;
  std::vector<uint64_t> words_;
  size_t next_ = 0;
  bool full_ = false;
  uint64_t power_ = 1, value_ = 0;
};

/// The runs of all items, numbered.
struct Runs {
  struct Run {
    size_t item;
    int64_t word;  // where it first stands
  };
  std::unordered_map<uint64_t, uint32_t> numbers;  // by the window's hash
  std::vector<Run> runs;
  std::vector<std::vector<uint32_t>> of_item;  // each once

  Runs(const std::vector<GradedItem>& items, int n) : of_item(items.size()) {
    for (size_t i = 0; i < items.size(); ++i) {
      Window window(n);
      int64_t word = -n;
      for_each_word(items[i].text, [&](std::string_view w) {
        ++word;
        if (!window.add(w)) return;
        const auto [at, is_new] = numbers.emplace(window.value(), static_cast<uint32_t>(runs.size()));
        if (is_new) runs.push_back({i, word});
        of_item[i].push_back(at->second);
      });
      std::sort(of_item[i].begin(), of_item[i].end());
      of_item[i].erase(std::unique(of_item[i].begin(), of_item[i].end()), of_item[i].end());
    }
  }
};

/// What the documents hold of the runs. The same for any number of threads: sums, minima, and a set.
class Search {
 public:
  Search(const TokenStore& store, const Tokenizer& tokenizer, const Runs& runs, const OverlapOptions& options)
      : store_(store), tokenizer_(tokenizer), runs_(runs), options_(options), documents_(runs.runs.size()),
        first_(runs.runs.size()) {
    for (auto& f : first_) f.store(kNone, std::memory_order_relaxed);
  }

  void read_all() {
    ThreadPool pool(options_.threads);
    if (options_.progress) options_.progress(0, store_.documents());
    for (int64_t done = 0; done < store_.documents();) {
      const int64_t n = std::min(kRound, store_.documents() - done);
      pool.parallel_for(n, 16, [&](int64_t begin, int64_t end) { read(done + begin, done + end); });
      done += n;
      if (options_.progress) options_.progress(done, store_.documents());
    }
  }

  bool is_common(uint32_t run) const {
    return options_.common > 0 && documents_[run].load(std::memory_order_relaxed) > options_.common;
  }
  bool is_shared(uint32_t run) const { return first(run) != kNone && !is_common(run); }
  int64_t first(uint32_t run) const { return first_[run].load(std::memory_order_relaxed); }

  std::vector<int64_t> documents_with_shared_runs() const {
    std::vector<int64_t> documents;
    for (const auto& [run, document] : found_)
      if (!is_common(run)) documents.push_back(document);
    std::sort(documents.begin(), documents.end());
    documents.erase(std::unique(documents.begin(), documents.end()), documents.end());
    return documents;
  }

 private:
  void read(int64_t begin, int64_t end) {
    std::vector<std::pair<uint32_t, int64_t>> found;
    std::vector<int32_t> ids;
    std::vector<uint32_t> here;
    for (int64_t d = begin; d < end; ++d) {
      ids.resize(store_.size(d));
      store_.copy(d, 0, ids);
      ids.erase(ids.begin());  // the separator
      here.clear();
      Window window(options_.ngram);
      for_each_word(tokenizer_.decode(ids), [&](std::string_view w) {
        if (!window.add(w)) return;
        const auto run = runs_.numbers.find(window.value());
        if (run != runs_.numbers.end()) here.push_back(run->second);
      });
      std::sort(here.begin(), here.end());
      here.erase(std::unique(here.begin(), here.end()), here.end());
      for (const uint32_t run : here) count(run, d, found);
    }
    const std::lock_guard lock(mutex_);
    found_.insert(found_.end(), found.begin(), found.end());
  }

  void count(uint32_t run, int64_t document, std::vector<std::pair<uint32_t, int64_t>>& found) {
    const int64_t before = documents_[run].fetch_add(1, std::memory_order_relaxed);
    if (store_.is_marked(document)) return;
    int64_t first = first_[run].load(std::memory_order_relaxed);
    while (document < first && !first_[run].compare_exchange_weak(first, document, std::memory_order_relaxed)) {}
    // What comes after the run became common need not be kept, so that memory stays bounded.
    if (options_.common == 0 || before < options_.common) found.emplace_back(run, document);
  }

  const TokenStore& store_;
  const Tokenizer& tokenizer_;
  const Runs& runs_;
  const OverlapOptions& options_;
  std::vector<std::atomic<int64_t>> documents_, first_;  // [runs] in how many documents; the first to train on
  std::mutex mutex_;
  std::vector<std::pair<uint32_t, int64_t>> found_;  // run, document to train on
};

}  // namespace

std::string graded_hash(const std::vector<GradedItem>& items) {
  Hasher hasher;
  for (const auto& item : items) hasher.add(item.text.c_str(), item.text.size() + 1);
  return hash_text(hasher.value());
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for_each_word(text, [&](std::string_view w) { words.emplace_back(w); });
  return words;
}

Overlap find_overlap(const TokenStore& store, const Tokenizer& tokenizer, const std::vector<GradedItem>& items,
                     const OverlapOptions& options) {
  require(options.ngram >= 1 && options.common >= 0, "runs of {} words, common in over {}: expected 1 and 0 or more",
          options.ngram, options.common);
  store.require_tokenizer(tokenizer);
  const Runs runs(items, options.ngram);
  Search search(store, tokenizer, runs, options);
  search.read_all();

  Overlap o;
  for (uint32_t r = 0; r < runs.runs.size(); ++r) o.common_runs += search.is_common(r);
  for (size_t i = 0; i < items.size(); ++i) {
    Overlap::Hit hit{i, 0, static_cast<int64_t>(runs.of_item[i].size()), 0, {}};
    if (hit.runs == 0) o.too_short.push_back(i);
    for (const uint32_t r : runs.of_item[i]) {
      if (!search.is_shared(r) || hit.shared++ > 0) continue;
      const auto words = words_of(items[runs.runs[r].item].text);
      const auto at = words.begin() + runs.runs[r].word;
      hit.document = search.first(r);
      hit.words = fmt::to_string(fmt::join(at, at + options.ngram, " "));
    }
    if (hit.shared > 0) o.hits.push_back(std::move(hit));
  }
  o.documents = search.documents_with_shared_runs();
  return o;
}

}  // namespace jet
