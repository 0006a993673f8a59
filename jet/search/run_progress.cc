#include "jet/search/run_progress.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace jet {

using Clock = std::chrono::steady_clock;

namespace {
double seconds_since(Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); }
}  // namespace

RunProgress::Doing::Doing(RunProgress& run, WorkKind kind, double passes, bool tells)
    : run_(run), kind_(kind), passes_(passes), tells_(tells), done_(tells ? 0 : 1), start_(Clock::now()) {
  run_.now_ = this;
}

// A training that was finished before told nothing: it is done, and says nothing of speed.
RunProgress::Doing::~Doing() {
  run_.now_ = nullptr;
  run_.used_[static_cast<size_t>(kind_)] += passes_;
  run_.learn(kind_, passes_ * (done_ - before_), seconds_since(start_));
}

void RunProgress::plan(std::string run, std::vector<StageWork> stages) {
  run_ = std::move(run);
  stages_ = std::move(stages);
}

void RunProgress::learn(WorkKind kind, double passes, double seconds) {
  if (passes <= 0 || seconds <= 0) return;
  Measured& m = measured_[static_cast<size_t>(kind)];
  m.passes += passes, m.seconds += seconds;
}

void RunProgress::begin(const std::string& stage) {
  const auto it = std::find_if(stages_.begin(), stages_.end(), [&](const StageWork& s) { return s.stage == stage; });
  in_stage_ = it != stages_.end();
  if (!in_stage_) return;
  stage_ = static_cast<size_t>(it - stages_.begin());
  counted_ = 0, used_ = {}, begun_ = Clock::now();
  if (watcher_) watcher_(standing(stage_state(), nullptr));
}

void RunProgress::end() {
  if (in_stage_ && shown_) {
    ProgressState s = stage_state();
    s.finished = true, s.done = s.total = counted_;
    s.whole_left = seconds_left(stage_ + 1, stages_.size());
    shown_->show(s);
  }
  in_stage_ = false;
}

void RunProgress::count(const char* unit, int64_t n) {
  if (!in_stage_ || stages_[stage_].unit != std::string_view(unit)) return;
  counted_ += n;
  tell(stage_state());
}

void RunProgress::found(WorkKind kind, double passes, const char* unit, int64_t n) {
  if (!in_stage_) return;
  StageWork& s = stages_[stage_];
  s[kind] = std::max(0.0, s[kind] - passes);
  if (s.unit == std::string_view(unit)) s.units = std::max(counted_, s.units - n);
}

ProgressState RunProgress::stage_state() const {
  const StageWork& s = stages_[stage_];
  ProgressState out;
  out.stage = fmt::format("{} {}/{} {}", run_, stage_ + 1, stages_.size(), s.stage);
  out.unit = s.unit, out.done = counted_, out.total = std::max(s.units, counted_);
  out.seconds = seconds_since(begun_);
  out.left = stage_left(), out.whole_left = run_left();
  return out;
}

// What a stage says of itself, with what is at work in it beside.
void RunProgress::show(const ProgressState& inner) {
  if (now_ && now_->tells_ && inner.total > 0) {
    now_->done_ = static_cast<double>(inner.done) / static_cast<double>(inner.total);
    now_->before_ = static_cast<double>(inner.before) / static_cast<double>(inner.total);
  }
  if (!in_stage_) {
    if (shown_) shown_->show(inner);
    return;
  }
  ProgressState s = stage_state();
  if (inner.finished) {  // a line of its own
    ProgressState line = inner;
    line.whole_left = s.whole_left;
    if (shown_) shown_->show(line);
    return;
  }
  if (inner.unit == std::string_view(s.unit)) s.done = std::min(s.total, s.done + inner.done);
  const double share = inner.total > 0 ? static_cast<double>(inner.done) / static_cast<double>(inner.total) : 1;
  s.note = fmt::format("{} {:.0f}% {}", inner.stage, 100 * share, inner.note);
  tell(s, &inner);
}

void RunProgress::tell(const ProgressState& stage, const ProgressState* work) {
  if (shown_) shown_->show(stage);
  if (watcher_) watcher_(standing(stage, work));
}

RunStanding RunProgress::standing(const ProgressState& stage, const ProgressState* work) const {
  const auto known = [](double seconds) { return seconds < 0 ? NAN : seconds; };
  RunStanding out;
  out.run = run_, out.stage = stages_[stage_].stage, out.unit = stage.unit;
  out.at = static_cast<int>(stage_) + 1, out.of = static_cast<int>(stages_.size());
  out.done = stage.done, out.total = stage.total;
  const WorkPasses rates = seconds_a_pass();  // of one moment, so that the figures agree
  out.stage_eta_s = known(seconds_of(passes_left(stage_, stage_ + 1), rates));
  out.eta_s = known(seconds_of(passes_left(stage_, stages_.size()), rates));
  WorkPasses all{};
  for (const StageWork& s : stages_)
    for (size_t k = 0; k < kWorkKinds; ++k) all[k] += s.passes[k];
  if (const double whole = seconds_of(all, rates); whole > 0) out.share = std::clamp(1 - out.eta_s / whole, 0.0, 1.0);
  if (work) {
    out.work = work->stage, out.note = work->note;
    if (work->unit == std::string_view("tokens") && work->rate() > 0) out.tokens_per_second = work->rate();
  }
  return out;
}

void RunProgress::give_up() {
  if (shown_) shown_->give_up();
}

// A kind that has not been met is taken to be as fast as all others together.
WorkPasses RunProgress::seconds_a_pass() const {
  WorkPasses seconds{};
  Measured all;
  for (size_t k = 0; k < kWorkKinds; ++k) {
    Measured m = measured_[k];
    if (now_ && static_cast<size_t>(now_->kind_) == k && now_->done_ < 1) {
      m.passes += now_->passes_ * (now_->done_ - now_->before_), m.seconds += seconds_since(now_->start_);
    }
    seconds[k] = m.passes > 0 ? m.seconds / m.passes : -1;
    all.passes += m.passes, all.seconds += m.seconds;
  }
  for (double& s : seconds)
    if (s < 0 && all.passes > 0) s = all.seconds / all.passes;
  return seconds;
}

WorkPasses RunProgress::passes_left(size_t from, size_t to) const {
  WorkPasses left{};
  for (size_t k = 0; k < kWorkKinds; ++k) {
    for (size_t s = from; s < std::min(to, stages_.size()); ++s) {
      double own = stages_[s].passes[k];
      if (s == stage_ && in_stage_) {
        own -= used_[k];
        if (now_ && static_cast<size_t>(now_->kind_) == k && now_->done_ < 1) own -= now_->passes_ * now_->done_;
      }
      left[k] += std::max(0.0, own);
    }
  }
  return left;
}

double RunProgress::seconds_of(const WorkPasses& passes, const WorkPasses& seconds_a_pass) {
  double sum = 0;
  for (size_t k = 0; k < kWorkKinds; ++k) {
    if (passes[k] == 0) continue;
    if (seconds_a_pass[k] < 0) return -1;
    sum += passes[k] * seconds_a_pass[k];
  }
  return sum;
}

}  // namespace jet
