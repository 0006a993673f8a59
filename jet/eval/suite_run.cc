#include "jet/eval/suite_run.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "jet/base/error.h"
#include "jet/base/file.h"
#include "jet/base/hash.h"
#include "jet/base/progress.h"
#include "jet/base/rng.h"
#include "jet/eval/pair_scorer.h"
#include "jet/eval/tasks.h"
#include "jet/text/jinja/text.h"

namespace jet {
namespace {

using Tokens = std::vector<int32_t>;

constexpr int64_t kSharedPrompts = int64_t{512} << 20;  // bytes of states

/// What texts that follow nothing follow.
int32_t first_token(const Tokenizer& t) {
  const int32_t id = t.bos_id() >= 0 ? t.bos_id() : t.eos_id();
  require(id >= 0, "a text that follows nothing needs a token to begin with; the tokenizer names no bos and no eos");
  return id;
}

/// With what the tokenizer puts before texts, unless that is written there.
Tokens encode_text(const Tokenizer& t, const std::string& text) {
  const bool begun = t.bos_id() >= 0 && text.starts_with(t.decode({t.bos_id()}));
  return t.encode(text, !begun);
}

/// White space at the end of a context belongs to what follows; both are cut into tokens as one text.
Pair encode_pair(const Tokenizer& t, const SuiteRequest& r) {
  if (r.context->empty()) {
    Tokens text = t.encode(r.continuation);
    require(!text.empty(), "a request without any text");
    if (text.front() != first_token(t)) return {{first_token(t)}, std::move(text)};
    return {{text.front()}, {text.begin() + 1, text.end()}};
  }
  const std::string context = jinja::utf8_from(jinja::stripped(jinja::text_from(*r.context), jinja::Side::right));
  const Tokens whole = encode_text(t, *r.context + r.continuation);
  const auto before = static_cast<std::ptrdiff_t>(std::min(encode_text(t, context).size(), whole.size()));
  return {{whole.begin(), whole.begin() + before}, {whole.begin() + before, whole.end()}};
}

/// As many of the last tokens as fit: a pass is fed all but the last one.
void cut_left(Pair& p, int64_t most) {
  const auto over = static_cast<int64_t>(p.first.size() + p.second.size()) - most - 1;
  if (over > 0) p.first.erase(p.first.begin(), p.first.begin() + std::min<int64_t>(over, std::ssize(p.first) - 1));
}

/// A whole text in windows, each token priced once, with as much before it as the window holds.
std::vector<Pair> rolling_windows(const Tokens& ids, int32_t first, int64_t most) {
  std::vector<Pair> windows;
  const auto size = static_cast<int64_t>(ids.size());
  for (int64_t done = 0; done < size;) {
    const int64_t end = std::min(size, done + most), from = done == 0 ? 0 : end - most - 1;
    Tokens before(ids.begin() + from, ids.begin() + done);
    if (done == 0) before = {first};
    windows.push_back({std::move(before), {ids.begin() + done, ids.begin() + end}});
    done = end;
  }
  return windows;
}

struct Asked {
  size_t item, request;
  std::string key;
};

std::string key_of(const Suite& suite, const SuiteRequest& r, int64_t most) {
  Hasher h;
  h.add(fmt::format("{}|{}|{}|", suite.output_type, most, r.context.has_value()));
  const std::string context = r.context.value_or("");
  h.add(fmt::format("{}|{}|{}", context.size(), context, r.continuation));
  if (suite.output_type == "generate_until") h.add(json_text(to_json_fields(suite.generation_kwargs)));
  if (r.repeat > 0) h.add(fmt::format("|{}", r.repeat));
  return hash_text(h.value());
}

class Asking {
 public:
  Asking(const SuiteTask& task, const SuiteAsker& asker)
      : task_(task), asker_(asker), most_(asker.engine.spec().max_position_embeddings) {
    if (asker.max_length > 0) most_ = std::min<int64_t>(most_, asker.max_length);
    if (task.suite->output_type == "generate_until")
      generate_ = engine_generator(asker.engine, asker.tokenizer, kSharedPrompts);
  }
  int64_t most() const { return most_; }

  std::vector<Json> answers(std::span<const Asked> part) const {
    if (generate_) return texts(part);
    std::vector<Pair> pairs;
    std::vector<size_t> first;  // of each request's pairs
    const bool rolling = task_.suite->output_type == "loglikelihood_rolling";
    for (const auto& a : part) {
      first.push_back(pairs.size());
      const SuiteRequest& r = request(a);
      if (rolling) {
        const Tokens ids = encode_text(asker_.tokenizer, r.continuation);
        for (auto& w : rolling_windows(ids, first_token(asker_.tokenizer), most_)) pairs.push_back(std::move(w));
      } else {
        pairs.push_back(encode_pair(asker_.tokenizer, r));
        cut_left(pairs.back(), most_);
      }
    }
    first.push_back(pairs.size());
    const auto scores = score_pairs(asker_.engine, pairs);
    std::vector<Json> out;
    for (size_t i = 0; i < part.size(); ++i) {
      double sum = 0;
      for (size_t p = first[i]; p < first[i + 1]; ++p) sum += scores[p].logprob;
      out.push_back(rolling ? Json(sum) : Json{sum, scores[first[i]].is_greedy});
    }
    return out;
  }

 private:
  const SuiteRequest& request(const Asked& a) const { return task_.items[a.item].requests[a.request]; }

  std::vector<Json> texts(std::span<const Asked> part) const {
    const auto& kwargs = task_.suite->generation_kwargs;
    const int64_t room = most_ - kwargs.max_gen_toks;
    require(room > 0, "{}: max_gen_toks {} leaves no room for a prompt in {} tokens", task_.name, kwargs.max_gen_toks,
            most_);
    std::vector<Prompt> prompts;
    for (const auto& a : part) {
      Tokens ids = encode_text(asker_.tokenizer, *request(a).context);
      if (std::ssize(ids) > room) ids.erase(ids.begin(), ids.end() - room);
      SamplerOptions sampling{.temperature = kwargs.temperature, .top_p = kwargs.top_p, .seed = hash64(a.key)};
      prompts.push_back({std::move(ids), kwargs.until, kwargs.max_gen_toks, std::move(sampling)});
    }
    const auto made = generate_(prompts);
    return {made.begin(), made.end()};
  }

  const SuiteTask& task_;
  const SuiteAsker& asker_;
  int64_t most_;
  GenerateFn generate_;
};

}  // namespace

SuiteJournal::SuiteJournal(std::string path, const std::string& model) : path_(std::move(path)) {
  if (path_.empty()) return;
  std::string kept = json_text(Json{{"model", model}}) + "\n";
  const std::string text = file_exists(path_) ? read_file(path_) : "";
  if (text.starts_with(kept)) {
    for (size_t begin = kept.size(), end; (end = text.find('\n', begin)) != text.npos; begin = end + 1) {
      const Json line = parse_json(text.substr(begin, end - begin), path_);  // a line without its end was not written
      answers_[get<std::string>(line, "key", path_)] = line.at("answer");
      kept += text.substr(begin, end + 1 - begin);
    }
  }
  write_file(path_, kept);
}

const Json* SuiteJournal::find(const std::string& key) const {
  const auto at = answers_.find(key);
  return at == answers_.end() ? nullptr : &at->second;
}

void SuiteJournal::add(const std::vector<std::pair<std::string, Json>>& answers) {
  std::ofstream file;
  if (!path_.empty()) file.open(path_, std::ios::app | std::ios::binary);
  for (const auto& [key, answer] : answers) {
    answers_[key] = answer;
    if (!path_.empty()) file << json_text(Json{{"key", key}, {"answer", answer}}) << '\n';
  }
  file.flush();
  require(path_.empty() || file.good(), "{}: cannot write what was answered; is the disk full?", path_);
}

void SuiteJournal::remove() {
  if (!path_.empty()) std::filesystem::remove(path_);
}

std::vector<Json> ask_suite(const SuiteTask& task, const SuiteAsker& asker, SuiteJournal& journal) {
  const Asking asking(task, asker);
  std::vector<Asked> all, open;
  for (size_t i = 0; i < task.items.size(); ++i)
    for (size_t r = 0; r < task.items[i].requests.size(); ++r)
      all.push_back({i, r, key_of(*task.suite, task.items[i].requests[r], asking.most())});
  for (const auto& a : all)
    if (!journal.find(a.key)) open.push_back(a);
  const auto total = static_cast<int64_t>(all.size());
  auto done = total - static_cast<int64_t>(open.size());
  Progress progress("eval " + task.name, total, "requests", done);
  for (size_t begin = 0; begin < open.size();) {
    size_t end = std::min(open.size(), begin + static_cast<size_t>(asker.batch));
    while (end < open.size() && open[end].item == open[end - 1].item) ++end;  // what shares a prompt is asked together
    const auto part = std::span(open).subspan(begin, end - begin);
    const auto answers = asking.answers(part);
    std::vector<std::pair<std::string, Json>> lines;
    for (size_t i = 0; i < part.size(); ++i) lines.emplace_back(part[i].key, answers[i]);
    journal.add(lines);
    progress.update(done += static_cast<int64_t>(part.size()));
    begin = end;
  }
  progress.finish();
  std::vector<Json> answers(task.items.size(), Json::array());
  for (const auto& a : all) answers[a.item].push_back(*journal.find(a.key));
  return answers;
}

}  // namespace jet
