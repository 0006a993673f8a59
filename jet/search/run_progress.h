// How far a run of several stages is, in each stage's own units, and how long stage and run have to go:
//
//   postnas 4/9 placement               23%  61/260 paths  2.1/s  ETA 1m35s (run 45m10s)
//
// A stage's plan (run_plan.h) says how many units it takes at most, and how much work of each kind. Work is counted in
// passes: one token once forward through the base is one. A kind's seconds a pass are measured as it goes; a kind that
// has not been met is taken to be as fast as all others together. What the ledger holds already is no work: it is taken
// off the plan.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "jet/base/json.h"
#include "jet/base/progress.h"

namespace jet {

enum class WorkKind { align, distill, gates, paths, scores, engine };
constexpr size_t kWorkKinds = 6;
using WorkPasses = std::array<double, kWorkKinds>;

struct StageWork {
  std::string stage;
  const char* unit = "";
  int64_t units = 0;
  WorkPasses passes{};
  double& operator[](WorkKind kind) { return passes[static_cast<size_t>(kind)]; }
};

/// Where a run stands, for those who watch it (run_watch.h); NaN is what is not known.
struct RunStanding {
  std::string run, stage, unit;  // unit: what the stage counts
  int at = 0, of = 0;            // the stage's number, and how many there are
  int64_t done = 0, total = 0;
  double stage_eta_s = NAN, eta_s = NAN;  // of the stage, and of the run
  double share = NAN;                     // of the run's work that is done
  std::string work, note;                 // what is at work in the stage, and what that says of itself
  double tokens_per_second = NAN;         // of a training
  template <class V>
  static void fields(RunStanding& s, V&& v) {
    v("run", s.run), v("stage", s.stage), v("unit", s.unit), v("at", s.at), v("of", s.of), v("done", s.done);
    v("total", s.total), v("stage_eta_s", s.stage_eta_s), v("eta_s", s.eta_s), v("share", s.share);
    v("work", s.work), v("note", s.note), v("tokens_per_second", s.tokens_per_second);
  }
};

/// Stands between what is at work and the program's sink while it lives. Without a plan it only hands on.
class RunProgress : public ProgressSink {
 public:
  RunProgress() : shown_(set_progress_sink(this)) {}
  ~RunProgress() override { set_progress_sink(shown_); }
  RunProgress(const RunProgress&) = delete;
  RunProgress& operator=(const RunProgress&) = delete;

  void plan(std::string run, std::vector<StageWork> stages);
  /// Who is told of every change within a stage, often.
  void watched_by(std::function<void(const RunStanding&)> watcher) { watcher_ = std::move(watcher); }
  /// Work of an earlier process, for the rates.
  void learn(WorkKind kind, double passes, double seconds);
  /// Stages are begun and ended in the order of the plan; some may be left out.
  void begin(const std::string& stage);
  void end();

  /// `n` of the current stage's units are done, where `unit` is what it counts.
  void count(const char* unit, int64_t n = 1);
  /// Work that the plan has and the ledger has the result of.
  void found(WorkKind kind, double passes, const char* unit, int64_t n = 1);

  /// Work being done, timed until it goes out of scope.
  class Doing {
   public:
    Doing(RunProgress& run, WorkKind kind, double passes, bool tells);
    ~Doing();
    Doing(const Doing&) = delete;
    Doing& operator=(const Doing&) = delete;
    /// It was `times` the passes that it was begun with.
    void came_to(double times) { passes_ *= times; }

   private:
    friend class RunProgress;
    RunProgress& run_;
    WorkKind kind_;
    double passes_;
    bool tells_;
    double done_, before_ = 0;  // shares of the work: done, and when it was taken up
    std::chrono::steady_clock::time_point start_;
  };
  Doing doing(WorkKind kind, double passes) { return {*this, kind, passes, false}; }
  /// A training, whose own Progress tells how much of it is done, and how much was when it was taken up.
  Doing training(WorkKind kind, double passes) { return {*this, kind, passes, true}; }

  void show(const ProgressState& state) override;
  void give_up() override;
  /// Until the stage's end, and until the run's; negative while nothing has been measured.
  double stage_left() const { return seconds_left(stage_, stage_ + 1); }
  double run_left() const { return seconds_left(stage_, stages_.size()); }

 private:
  struct Measured {
    double passes = 0, seconds = 0;
  };
  double seconds_left(size_t from, size_t to) const { return seconds_of(passes_left(from, to), seconds_a_pass()); }
  WorkPasses passes_left(size_t from, size_t to) const;
  /// By kind; negative while nothing has been measured.
  WorkPasses seconds_a_pass() const;
  static double seconds_of(const WorkPasses& passes, const WorkPasses& seconds_a_pass);
  ProgressState stage_state() const;
  RunStanding standing(const ProgressState& stage, const ProgressState* work) const;
  void tell(const ProgressState& stage, const ProgressState* work = nullptr);

  ProgressSink* shown_;
  std::function<void(const RunStanding&)> watcher_;
  std::string run_;
  std::vector<StageWork> stages_;
  size_t stage_ = 0;
  bool in_stage_ = false;
  int64_t counted_ = 0;  // units of the stage
  WorkPasses used_{};    // of its plan
  std::array<Measured, kWorkKinds> measured_{};
  Doing* now_ = nullptr;
  std::chrono::steady_clock::time_point begun_;
};

}  // namespace jet
