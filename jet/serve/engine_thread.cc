#include "jet/serve/engine_thread.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <utility>

namespace jet {
namespace {

using Clock = Channel::Clock;
constexpr std::chrono::seconds kRateWindow{5};
constexpr int64_t kWorthReading = 16;  // tokens that a file has beyond what memory has
constexpr int64_t kMostClients = 4;    // whose texts may wait, as many as may of each

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// Tells its caches from those of other models and options.
EngineThreadOptions with_owner(EngineThreadOptions o, const Engine& engine, const StateLayout& layout) {
  PrefixOwner& owner = o.folder.owner;
  owner.model = layout.fingerprint + (owner.model.empty() ? "" : "-" + owner.model);
  owner.type = fmt::format("kv {}, state {}{}", name_of(layout.kv), name_of(layout.recurrent),
                           engine.options().exact ? ", exact" : "");
  return o;
}

}  // namespace

/// A text that is being made for somebody.
struct EngineThread::Text {
  std::shared_ptr<Channel> channel;
  int choice = 0;
  std::shared_ptr<const Generation> generation;
  int64_t prompt_tokens = 0;
  size_t told = 0;  // bytes of its text
  Clock::time_point asked = Clock::now(), begun{}, first{};
  bool counted = false;
};

EngineThread::EngineThread(Engine& engine, const EngineThreadOptions& options)
    : engine_(engine), cache_(engine, options.cache_bytes, options.cache_stride),
      options_(with_owner(options, engine, *cache_.empty_state()->layout)),
      folder_(options.folder.path.empty() ? nullptr
                                          : std::make_unique<PrefixFolder>(options_.folder, cache_.empty_state())),
      scheduler_(engine, options.scheduler, &cache_) {
  cache_.spill_to(folder_.get());
  thread_ = std::thread([this] { loop(); });
}

EngineThread::~EngineThread() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  came_.notify_one();
  thread_.join();
}

void EngineThread::post(std::function<void()> mail) {
  {
    const std::lock_guard lock(mutex_);
    require(!stops_, "the server is shutting down");
    mail_.push_back(std::move(mail));
  }
  came_.notify_one();
}

/// Runs what others have handed over; false where the thread is to end.
bool EngineThread::take_mail(bool wait) {
  std::deque<std::function<void()>> mail;
  {
    std::unique_lock lock(mutex_);
    if (wait) came_.wait(lock, [&] { return stops_ || !mail_.empty(); });
    if (stops_) return false;
    mail.swap(mail_);
  }
  for (const auto& work : mail) work();
  return true;
}

void EngineThread::loop() {
  bool more = false;
  while (take_mail(!more)) {
    end_what_is_over();  // those whose client has gone
    pass_began_ = Clock::now();
    try {
      more = scheduler_.step();
    } catch (const std::exception& e) {  // no memory for a sequence
      end_all(e.what());
      more = false;
    }
    end_what_is_over();
    count();
  }
  end_all("the server is shutting down");
  if (folder_) folder_->take_all();
  cache_.spill_all();
  // Whoever waits for mail that is not run finds its promise broken.
  const std::lock_guard lock(mutex_);
  mail_.clear();
}

void EngineThread::end_all(const std::string& why) {
  for (auto& text : texts_) {
    scheduler_.cancel(text->generation);
    text->channel->end(text->choice, {.error = why});
  }
  texts_.clear();
}

void EngineThread::run(const std::function<void(Engine&)>& work) {
  auto done = std::make_shared<std::promise<void>>();
  auto future = done->get_future();
  post([this, work, done] {
    try {
      work(engine_);
      done->set_value();
    } catch (...) { done->set_exception(std::current_exception()); }
  });
  try {
    future.get();
  } catch (const std::future_error&) { fail("the server is shutting down"); }
}

void EngineThread::run_on_cache(const std::function<void(PrefixCache&)>& work) {
  run([&](Engine&) { work(cache_); });
}

/// Brings what the prompts begin with from the folder into the cache, where that has less.
void EngineThread::read_folder(const std::vector<Request>& choices) {
  const std::vector<int32_t>* last = nullptr;
  for (const Request& choice : choices) {
    const auto& ids = choice.prompt;
    if (last && *last == ids) continue;
    last = &ids;
    if (folder_->find(ids) == 0) continue;
    const std::lock_guard lock(reading_);
    PrefixCache::Held held;
    run_on_cache([&](PrefixCache& cache) { held = cache.held(ids); });
    if (folder_->find(ids) < held.state + kWorthReading) continue;
    const auto fetched = folder_->fetch(ids, held.rows, options_.cache_bytes);
    if (fetched) run_on_cache([&](PrefixCache& cache) { cache.insert(fetched->ids, fetched->run); });
  }
}

void EngineThread::submit(std::vector<Request> choices, const std::shared_ptr<Channel>& channel) {
  if (folder_) read_folder(choices);
  run([this, choices = std::move(choices), channel](Engine&) { add(choices, channel); });
}

void EngineThread::add(std::vector<Request> choices, const std::shared_ptr<Channel>& channel) {
  const auto count = static_cast<int64_t>(choices.size());
  const int64_t places = std::max<int64_t>(0, options_.scheduler.most_running - scheduler_.running());
  const int64_t waiting = scheduler_.waiting(), own = scheduler_.waiting_of(choices[0].client);
  if (own + count > options_.most_waiting + places || waiting + count > kMostClients * options_.most_waiting + places)
    throw Busy(fmt::format("{} texts wait already, {} of them yours; ask again later", waiting, own));
  std::vector<std::unique_ptr<Text>> added;
  try {
    for (int i = 0; i < count; ++i) added.push_back(text_of(std::move(choices[i]), i, channel));
  } catch (...) {
    for (const auto& text : added) scheduler_.cancel(text->generation);
    throw;
  }
  tell([](EngineStats& s) { ++s.requests; });
  for (auto& text : added) texts_.push_back(std::move(text));
}

std::unique_ptr<EngineThread::Text> EngineThread::text_of(Request request, int choice,
                                                          const std::shared_ptr<Channel>& channel) {
  auto text = std::make_unique<Text>(Text{.channel = channel, .choice = choice, .generation = nullptr});
  text->prompt_tokens = static_cast<int64_t>(request.prompt.size());
  request.on_token = [this, t = text.get()](const NewToken& token) {
    if (t->first == Clock::time_point()) t->first = Clock::now();
    t->told += token.text.size();
    tell([](EngineStats& s) { ++s.generated_tokens; });
    return t->channel->push(t->choice, token);
  };
  text->generation = scheduler_.submit(std::move(request));
  return text;
}

void EngineThread::end_what_is_over() {
  for (auto& text : texts_) {
    const Generation& g = *text->generation;
    const std::string reason = g.over() ? "" : text->channel->end_reason();
    if (!reason.empty()) scheduler_.cancel(text->generation);
    const bool ran = g.prompt_tokens_run > 0;  // a token of a prompt is always left to run
    if (ran && !std::exchange(text->counted, true)) {
      text->begun = pass_began_;
      tell([&](EngineStats& s) {
        s.prompt_tokens += text->prompt_tokens;
        s.cached_tokens += text->prompt_tokens - g.prompt_tokens_run;
      });
    }
    if (!g.over()) continue;
    const auto end = Clock::now(), first = text->first == Clock::time_point() ? end : text->first;
    if (!ran) text->begun = end;
    Outcome o{.finish = g.finish, .error = reason.empty() ? g.error : reason};
    // A channel that refused a token ends its text as if somebody had stopped it.
    if (o.error.empty() && g.finish == Finish::stopped) o.error = text->channel->end_reason();
    o.tail = g.text.substr(std::min(text->told, g.text.size()));
    o.prompt_tokens = text->prompt_tokens, o.cached_tokens = ran ? text->prompt_tokens - g.prompt_tokens_run : 0;
    o.made_tokens = static_cast<int64_t>(g.ids.size()) + (g.finish == Finish::eos);
    o.queue_seconds = seconds_between(text->asked, text->begun);
    o.read_seconds = seconds_between(text->begun, first), o.decode_seconds = seconds_between(first, end);
    text->channel->end(text->choice, std::move(o));
    text.reset();
  }
  std::erase(texts_, nullptr);
}

void EngineThread::count() {
  const auto now = Clock::now();
  while (!rates_.empty() && now - rates_.front().at > kRateWindow) rates_.pop_front();
  rates_.push_back({now, stats_.generated_tokens, scheduler_.prompt_tokens_run()});
  const Rate &first = rates_.front(), &last = rates_.back();
  const double seconds = seconds_between(first.at, now);
  const auto rate = [&](int64_t n) { return seconds > 0 ? static_cast<double>(n) / seconds : 0; };
  tell([&](EngineStats& s) {
    s.decode_tps = rate(last.made - first.made), s.prefill_tps = rate(last.read - first.read);
    s.running = scheduler_.running(), s.waiting = scheduler_.waiting();
    s.sequence_bytes = scheduler_.bytes();
    s.cache_bytes = cache_.bytes(), s.checkpoints = cache_.checkpoints();
    counted_at_ = now;
  });
}

EngineStats EngineThread::stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats s = stats_;
  if (Clock::now() - counted_at_ > kRateWindow) s.decode_tps = s.prefill_tps = 0;  // it sleeps
  s.uptime_s = seconds_between(started_, Clock::now());
  if (folder_) s.folder = folder_->stats();
  return s;
}

}  // namespace jet
