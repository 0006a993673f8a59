#include "jet/grammar/grammar_compiler.h"

#ifdef JET_XGRAMMAR
#include <xgrammar/xgrammar.h>

#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>
#include <unordered_map>

#include "jet/grammar/rehearsal.h"
#include "jet/grammar/schema_check.h"

// Where xgrammar says what it would else print, and what it would else throw with the place in its source.
namespace xgrammar {

namespace {
thread_local std::string first_warning;
}

[[noreturn]] void LogFatalImpl(const std::string&, int, const std::string& message) {
  constexpr std::string_view kEnd = ") is false: ";
  const size_t end = message.starts_with("Check failed: (") ? message.find(kEnd) : std::string::npos;
  throw jet::Error(end == std::string::npos ? message : message.substr(end + kEnd.size()));
}

void LogMessageImpl(const std::string&, int, int, const std::string& message) {
  if (first_warning.empty()) first_warning = message;
}

}  // namespace xgrammar

namespace jet {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kMostCached = 256, kLongestError = 500;
constexpr std::chrono::seconds kLongestWait{20};

/// What grammars of a compiler have in common.
struct Shared {
  std::vector<int> ends;  // within the vocabulary
  int64_t vocab;
  GrammarLimits limits;
};

class Matcher : public TokenMatcher {
 public:
  Matcher(const xgrammar::CompiledGrammar& compiled, std::shared_ptr<const Shared> shared)
      : matcher_(compiled), shared_(std::move(shared)), allowed_(shared_->vocab) {}

  const TokenSet& allowed(std::span<const int32_t> made) override {
    const auto begin = Clock::now();
    follow(made);
    if (!filled_) fill();
    spent_ += std::chrono::duration<double>(Clock::now() - begin).count();
    const GrammarLimits& limits = shared_->limits;
    require(spent_ <= limits.free_seconds + limits.token_seconds * static_cast<double>(made.size()),
            "the grammar can be read in too many ways: its texts take too long to follow");
    return allowed_;
  }

  bool is_whole(std::span<const int32_t> made) override {
    allowed(made);
    if (!matcher_.IsCompleted()) return false;
    TokenSet rest = allowed_;
    for (const int end : shared_->ends) rest.remove(end);
    return std::all_of(rest.words().begin(), rest.words().end(), [](uint32_t w) { return w == 0; });
  }

 private:
  void follow(std::span<const int32_t> made) {
    const size_t common = std::mismatch(seen_.begin(), seen_.end(), made.begin(), made.end()).first - seen_.begin();
    if (common < seen_.size()) matcher_.Rollback(static_cast<int>(seen_.size() - common));
    filled_ = filled_ && common == seen_.size() && common == made.size();
    seen_.resize(common);
    for (const int32_t id : made.subspan(common)) {
      require(matcher_.AcceptToken(id), "token {} is not one that the grammar allows there", id);
      seen_.push_back(id);
    }
  }

  void fill() {
    int64_t size = std::ssize(allowed_.words());
    DLTensor t{allowed_.words().data(), {kDLCPU, 0}, 1, xgrammar::GetBitmaskDLType(), &size, nullptr, 0};
    matcher_.FillNextTokenBitmask(&t);
    filled_ = true;
  }

  xgrammar::GrammarMatcher matcher_;
  std::shared_ptr<const Shared> shared_;
  std::vector<int32_t> seen_;
  TokenSet allowed_;  // after seen_, where filled_
  bool filled_ = false;
  double spent_ = 0;
};

class CompiledTokenGrammar : public TokenGrammar {
 public:
  CompiledTokenGrammar(xgrammar::CompiledGrammar compiled, std::shared_ptr<const Shared> shared)
      : compiled_(std::move(compiled)), shared_(std::move(shared)) {}
  std::unique_ptr<TokenMatcher> start() const override { return std::make_unique<Matcher>(compiled_, shared_); }
  int64_t bytes() const { return static_cast<int64_t>(compiled_.MemorySizeBytes()); }

 private:
  xgrammar::CompiledGrammar compiled_;
  std::shared_ptr<const Shared> shared_;
};

/// Of all schemas in a form.
void check_schemas(const Json& form) {
  if (form.is_object() && form.contains("json_schema")) return check_schema(form["json_schema"]);
  if (!form.is_structured()) return;
  for (const Json& part : form) check_schemas(part);
}

/// The tokens' bytes; none for those that are no part of a text.
xgrammar::TokenizerInfo vocabulary(const Tokenizer& tokenizer, const Shared& shared) {
  std::vector<std::string> texts(std::min<int64_t>(tokenizer.vocab_size(), shared.vocab));
  for (int32_t id = 0; id < std::ssize(texts); ++id)
    if (!tokenizer.is_special(id)) texts[id] = tokenizer.bytes_of(id);
  return xgrammar::TokenizerInfo(texts, xgrammar::VocabType::RAW, static_cast<int>(shared.vocab), shared.ends);
}

}  // namespace

bool GrammarCompiler::is_built_in() { return true; }

struct GrammarCompiler::Impl {
  struct Entry {
    std::string key;
    std::shared_ptr<const CompiledTokenGrammar> grammar{};  // null: it failed
    std::string error{};
  };

  const Tokenizer& tokenizer;
  std::shared_ptr<const Shared> shared{};

  std::optional<xgrammar::GrammarCompiler> compiler{};  // used by one thread at a time: who has the turn

  std::mutex mutex{};  // of what follows
  std::condition_variable given_back{};
  bool turn_taken = false;
  std::list<Entry> entries{};  // the last used first
  std::unordered_map<std::string_view, std::list<Entry>::iterator> by_key{};
  int64_t bytes = 0;

  /// The turn, until it is let go; null where others have it for too long.
  std::shared_ptr<void> turn() {
    std::unique_lock lock(mutex);
    if (!given_back.wait_for(lock, kLongestWait, [&] { return !turn_taken; })) return {};
    turn_taken = true;
    return {this, [this](void*) {
              const std::lock_guard again(mutex);
              turn_taken = false;
              given_back.notify_one();
            }};
  }

  std::optional<Entry> find(const std::string& key) {
    const std::lock_guard lock(mutex);
    const auto found = by_key.find(key);
    if (found == by_key.end()) return std::nullopt;
    entries.splice(entries.begin(), entries, found->second);
    return entries.front();
  }

  void add(Entry entry) {
    const std::lock_guard lock(mutex);
    if (entry.grammar) bytes += entry.grammar->bytes();
    entries.push_front(std::move(entry));
    by_key[entries.front().key] = entries.begin();
    while (entries.size() > 1 && (entries.size() > kMostCached || bytes > shared->limits.cache_bytes)) {
      if (entries.back().grammar) bytes -= entries.back().grammar->bytes();
      by_key.erase(entries.back().key);
      entries.pop_back();
    }
  }

  xgrammar::CompiledGrammar build(const std::string& tag) {
    xgrammar::first_warning.clear();
    auto compiled = compiler->CompileStructuralTag(tag);
    require(xgrammar::first_warning.empty(), "{}", xgrammar::first_warning);
    return compiled;
  }

  Entry made(const std::string& key) {
    const GrammarLimits& limits = shared->limits;
    if (!compiler) compiler.emplace(vocabulary(tokenizer, *shared), 1, true, limits.cache_bytes);
    Entry entry{key};
    const std::string tag = R"({"type": "structural_tag", "format": )" + key + "}";
    entry.error = one_line(rehearse([&] { build(tag); }, {limits.compile_seconds, limits.compile_bytes}));
    if (entry.error.size() > kLongestError) entry.error = entry.error.substr(0, kLongestError) + " ...";
    if (!entry.error.empty()) return entry;
    entry.grammar = std::make_shared<const CompiledTokenGrammar>(build(tag), shared);
    return entry;
  }
};

GrammarCompiler::GrammarCompiler(const Tokenizer& tokenizer, int64_t vocab, std::span<const int> ends,
                                 const GrammarLimits& limits)
    : impl_(new Impl{.tokenizer = tokenizer}) {
  Shared shared{{}, vocab, limits};
  std::copy_if(ends.begin(), ends.end(), std::back_inserter(shared.ends),
               [&](int id) { return id >= 0 && id < vocab; });
  impl_->shared = std::make_shared<const Shared>(std::move(shared));
}

GrammarCompiler::~GrammarCompiler() = default;

std::shared_ptr<const TokenGrammar> GrammarCompiler::compile(const Json& form) {
  const std::string key = json_text(form);
  const GrammarLimits& limits = impl_->shared->limits;
  require(key.size() <= limits.most_form_bytes, "the grammar has {} bytes, at most {}", key.size(),
          limits.most_form_bytes);
  check_schemas(form);
  auto entry = impl_->find(key);
  if (!entry) {
    const auto turn = impl_->turn();
    if (!turn) throw GrammarBusy("other grammars are being compiled; ask again later");
    entry = impl_->find(key);
    if (!entry) impl_->add(*(entry = impl_->made(key)));
  }
  require(entry->error.empty(), "the grammar cannot be used: {}", entry->error);
  return entry->grammar;
}

}  // namespace jet

#else

namespace jet {

bool GrammarCompiler::is_built_in() { return false; }

struct GrammarCompiler::Impl {};

GrammarCompiler::GrammarCompiler(const Tokenizer&, int64_t, std::span<const int>, const GrammarLimits&) {}

GrammarCompiler::~GrammarCompiler() = default;

std::shared_ptr<const TokenGrammar> GrammarCompiler::compile(const Json&) {
  fail("this program was built without grammars (xgrammar); run `make setup` and build it again");
}

}  // namespace jet

#endif
