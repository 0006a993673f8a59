#include "jet/eval/sample_text.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <optional>

#include "jet/base/rng.h"
#include "jet/data/folder_lock.h"
#include "jet/engine/scheduler.h"
#include "jet/text/chat_template.h"

namespace jet {
namespace {

using Ids = std::vector<int32_t>;
constexpr const char* kKinds[] = {"start", "chat", "text"};
constexpr int kLeastPrefix = 8, kMostPrefix = 64;
constexpr const char* kUsersWords = "@@";  // stands for them in the template

/// What documents are begun with, and gone on with where the model ends a turn.
class Beginnings {
 public:
  Beginnings(const SampleOptions& o, const Tokenizer& tokenizer)
      : o_(o), tokenizer_(tokenizer), separator_(separator_id(tokenizer)) {
    for (const auto& kind : o.from) {
      require(std::find(std::begin(kKinds), std::end(kKinds), kind) != std::end(kKinds), "--from: '{}' is none of {}",
              kind, fmt::join(kKinds, ", "));
      require(kind != "text" || !o.text.empty(), "--from text: give the text with --text FILE");
    }
    const bool chat = std::count(o.from.begin(), o.from.end(), "chat") > 0;
    if (const auto found = ChatTemplate::find(o.model); found && (chat || o.from.empty())) read_template(*found);
    require(!chat || !before_.empty(), "--from chat: {} has no chat template that begins with a user's words", o.model);
    kinds_ = o.from;
    if (kinds_.empty())
      kinds_ = before_.empty() ? std::vector<std::string>{"start"} : std::vector<std::string>{"start", "chat"};
    if (std::count(kinds_.begin(), kinds_.end(), "text") == 0) return;
    text_ = tokenizer.encode(read_file(o.text));
    require(std::ssize(text_) > kMostPrefix, "{}: {} tokens are too few to begin texts with", o.text, text_.size());
  }

  int32_t separator() const { return separator_; }
  const std::vector<std::string>& kinds() const { return kinds_; }
  /// What of document `i` comes before anything is drawn.
  Ids first(int64_t i) const {
    const std::string& kind = kinds_[i % std::ssize(kinds_)];
    if (kind == "chat") return before_;
    Ids ids = tokenizer_.encode("", /*add_special_tokens=*/true);
    if (ids.empty()) ids = {separator_};
    if (kind == "text") {
      Rng rng(o_.seed, fmt::format("prefix {}", i));
      const auto n = static_cast<int64_t>(kLeastPrefix + rng.below(kMostPrefix - kLeastPrefix + 1));
      const auto from = text_.begin() + static_cast<int64_t>(rng.below(text_.size() - n));
      ids.insert(ids.end(), from, from + n);
    }
    return ids;
  }
  /// What follows the end of document i's first turn, where it has another.
  const Ids& second(int64_t i) const {
    static const Ids kNone;
    return kinds_[i % std::ssize(kinds_)] == "chat" ? after_ : kNone;
  }

 private:
  void read_template(const ChatTemplate& chat) {
    const ChatInput input{.messages = Json::array({{{"role", "user"}, {"content", kUsersWords}}}),
                          .add_generation_prompt = true};
    jinja::Rendered whole = chat.render(input);
    const size_t at = whole.text.find(kUsersWords);
    require(at != std::string::npos, "{}: its chat template leaves out a user's words", o_.model);
    before_ = encode_chat(tokenizer_, {.text = whole.text.substr(0, at)});
    after_ = encode_chat(tokenizer_, {.text = whole.text.substr(at + std::string_view(kUsersWords).size())});
  }

  const SampleOptions& o_;
  const Tokenizer& tokenizer_;
  int32_t separator_;
  std::vector<std::string> kinds_;
  Ids before_, after_, text_;
};

struct Document {
  int64_t number = 0;
  Ids ids;           // so far
  bool turn = true;  // a second turn may follow
  std::shared_ptr<const Generation> drawn{};
};

class TextSampler {
 public:
  explicit TextSampler(const SampleOptions& o)
      : o_(o), tokenizer_(Tokenizer::load(o.model)), beginnings_(o, tokenizer_) {
    require(o.tokens > 0 && o.length > kMostPrefix && o.at_once > 0 && o.shard_tokens > 0,
            "{} tokens in documents of {}, {} at once: expected at least 1, {} and 1", o.tokens, o.length, o.at_once,
            kMostPrefix + 1);
    require(o.held_out_tokens < o.tokens,
            "{} tokens are to be drawn and {} of them held out: raise --tokens or lower "
            "--held-out",
            o.tokens, o.held_out_tokens);
  }

  Manifest run() {
    std::filesystem::create_directories(o_.out);
    const FolderLock lock(o_.out);
    Manifest& m = manifest_ = begin();
    if (!file_exists(finished())) {
      if (m.tokens < o_.tokens) draw();
      const TokenStore store(o_.out, m);
      m.held_out = write_marks(store, o_.out, kHeldOutFile, held_out_documents(store, o_.held_out_tokens, {}));
      require(m.held_out.tokens < m.tokens, "{}: all {} tokens are held out; lower --held-out", o_.out, m.tokens);
      m.dropped = write_marks(store, o_.out, kDroppedFile, {});
      write_file(finished(), json_text(to_json_fields(m), 1) + "\n");
      std::filesystem::remove(journal());
    }
    return m;
  }

 private:
  std::string journal() const { return o_.out + "/journal.json"; }
  std::string finished() const { return o_.out + "/manifest.json"; }

  /// What the folder holds, or nothing yet; of other options it is refused.
  Manifest begin() {
    Manifest m;
    m.tokenizer = {o_.model, hash_text(tokenizer_.hash()), tokenizer_.vocab_size(), beginnings_.separator()};
    m.settings.shard_tokens = o_.shard_tokens, m.settings.held_out_tokens = o_.held_out_tokens;
    Manifest::Source drawn;
    drawn.path = fmt::format("drawn from {}: {} tokens from {}{}, documents of {}, temperature {}, top-p {}, seed {}",
                             o_.model, o_.tokens, fmt::join(beginnings_.kinds(), ","),
                             o_.text.empty() ? "" : " " + o_.text, o_.length, o_.temperature, o_.top_p, o_.seed);
    m.sources = {drawn};
    for (const auto& file : {finished(), journal()}) {
      if (!file_exists(file)) continue;
      const auto was = from_json_fields<Manifest>(parse_json(read_file(file), file), file);
      require(was.tokenizer.hash == m.tokenizer.hash && was.sources.size() == 1 &&
                  was.sources[0].path == m.sources[0].path &&
                  was.settings.held_out_tokens == m.settings.held_out_tokens,
              "{}: was begun with other settings ({}); give another --out, or remove this folder", o_.out,
              was.sources.empty() ? "none" : was.sources[0].path);
      return was;
    }
    return m;
  }

  void draw() {
    engine_ = Engine::load(o_.model, {.threads = o_.threads});
    cache_.emplace(*engine_, int64_t{64} << 20);
    scheduler_.emplace(*engine_, SchedulerOptions{.most_running = o_.at_once}, &*cache_);
    int64_t next = manifest_.documents;
    while (manifest_.tokens + (writer_ ? writer_->tokens() : 0) < o_.tokens) {
      while (std::ssize(open_) < 2 * o_.at_once) open_.push_back(started(next++));
      scheduler_->step();
      for (Document& d : open_) go_on(d);
      while (!open_.empty() && !open_.front().drawn) keep(std::move(open_.front().ids)), open_.pop_front();
    }
    if (writer_) end_shard();
  }

  Document started(int64_t number) {
    Document d{.number = number, .ids = beginnings_.first(number)};
    submit(d);
    return d;
  }

  void submit(Document& d) {
    GenerateOptions g{.max_new_tokens = static_cast<int>(o_.length - std::ssize(d.ids))};
    g.sampler.temperature = o_.temperature, g.sampler.top_p = o_.top_p;
    g.sampler.seed = Rng(o_.seed, fmt::format("document {}, {}", d.number, d.turn)).below(uint64_t{1} << 62);
    d.drawn = scheduler_->submit({.prompt = d.ids, .options = g});
  }

  /// Where the model is done with a turn: the next one, or the end.
  void go_on(Document& d) {
    if (!d.drawn || !d.drawn->over()) return;
    require(d.drawn->status == Generation::finished, "document {}: {}", d.number, d.drawn->error);
    const bool ended = d.drawn->finish == Finish::eos;
    d.ids.insert(d.ids.end(), d.drawn->ids.begin(), d.drawn->ids.end());
    d.drawn.reset();
    const Ids& more = beginnings_.second(d.number);
    if (!d.turn || !ended || more.empty() || std::ssize(d.ids) + std::ssize(more) >= o_.length) return;
    d.turn = false;
    d.ids.insert(d.ids.end(), more.begin(), more.end());
    submit(d);
  }

  void keep(Ids ids) {
    if (manifest_.tokens + (writer_ ? writer_->tokens() : 0) >= o_.tokens) return;
    if (ids.front() != beginnings_.separator()) ids.insert(ids.begin(), beginnings_.separator());
    if (!writer_) writer_.emplace(o_.out, std::ssize(manifest_.shards), manifest_.token_bytes());
    writer_->add(ids);
    if (o_.progress) o_.progress(std::min(o_.tokens, manifest_.tokens + writer_->tokens()), o_.tokens);
    if (writer_->tokens() >= o_.shard_tokens) end_shard();
  }

  void end_shard() {
    manifest_.shards.push_back(writer_->finish());
    writer_.reset();
    manifest_.documents += manifest_.shards.back().documents, manifest_.tokens += manifest_.shards.back().tokens;
    manifest_.sources[0].documents = manifest_.documents, manifest_.sources[0].tokens = manifest_.tokens;
    write_file(journal(), json_text(to_json_fields(manifest_), 1) + "\n");
  }

  const SampleOptions& o_;
  Tokenizer tokenizer_;
  Beginnings beginnings_;
  Manifest manifest_;
  std::shared_ptr<Engine> engine_;
  std::optional<PrefixCache> cache_;
  std::optional<Scheduler> scheduler_;
  std::optional<TokenShardWriter> writer_;
  std::deque<Document> open_;
};

}  // namespace

Manifest sample_text(const SampleOptions& options) { return TextSampler(options).run(); }

}  // namespace jet
