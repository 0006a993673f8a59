// What the stages of a search leave in the ledger, each as one struct: its fields are the JSON's keys, so what reads a
// ledger (report.cc, the page, scripts) finds here what there is. Optional fields stand where they mean something.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jet/base/json.h"
#include "jet/search/placement.h"
#include "jet/train/trainer.h"

namespace jet {

/// Of a model on the reported items and the held-out texts.
struct Evaluation {
  ByName<Json> tasks;  // TaskScore's JSON
  ByName<double> losses;
  double loss = NAN;  // mean over the sources, nats a token
  template <class V>
  static void fields(Evaluation& e, V&& v) {
    v("tasks", e.tasks), v("losses", e.losses), v("loss", e.loss);
  }
};

/// A model's speeds in the engine, by context.
struct ModelSpeeds {
  std::vector<double> decode_tps, speedup, prefill_tps;
  std::vector<int64_t> cache_bytes;
  template <class V>
  static void fields(ModelSpeeds& s, V&& v) {
    v("decode_tps", s.decode_tps), v("speedup", s.speedup), v("prefill_tps", s.prefill_tps);
    v("cache_bytes", s.cache_bytes);
  }
};
struct SpeedTable {
  std::vector<int64_t> contexts;
  ModelSpeeds base;
  std::optional<ModelSpeeds> hybrid;
  template <class V>
  static void fields(SpeedTable& s, V&& v) {
    v("contexts", s.contexts), v("base", s.base), v("hybrid", s.hybrid);
  }
};

struct BaseResult : Evaluation {
  int64_t parameters = 0;
  SpeedTable speed;
  template <class V>
  static void fields(BaseResult& r, V&& v) {
    Evaluation::fields(r, v);
    v("parameters", r.parameters), v("speed", r.speed);
  }
};

struct SupernetResult {
  TrainResult paths;
  std::optional<TrainResult> align;
  double lr = 0;
  template <class V>
  static void fields(SupernetResult& r, V&& v) {
    TrainResult::fields(r.paths, v);  // its tokens are those of both trainings
    v("align", r.align), v("lr", r.lr);
  }
};

struct HeatMap {
  std::vector<std::string> tasks;
  int layers = 0;
  std::vector<std::vector<double>> value, loss;  // [task][layer]: accuracy, and loss, of this layer alone full
  ByName<double> all_linear, base;               // accuracy by task
  template <class V>
  static void fields(HeatMap& h, V&& v) {
    v("tasks", h.tasks), v("layers", h.layers), v("value", h.value), v("loss", h.loss);
    v("all_linear", h.all_linear), v("base", h.base);
  }
};

/// What a selection cost, beside training the supernet that all of them share.
struct Spent {
  int evaluations = 0;
  int64_t forward_tokens = 0;  // through one path
  int64_t train_tokens = 0;    // forward and backward
  double flops = 0;            // of both, as the cost model counts them; the base's where it teaches included
  template <class V>
  static void fields(Spent& s, V&& v) {
    v("evaluations", s.evaluations), v("forward_tokens", s.forward_tokens), v("train_tokens", s.train_tokens);
    v("flops", s.flops);
  }
};

/// How a selector came to its choice: a beam's depths, a number a layer, or nothing.
struct SelectionTrace {
  std::vector<BeamDepth> beam{};
  std::vector<double> by_layer{};
};
void to_json(Json& j, const SelectionTrace& t);
void from_json(const Json& j, SelectionTrace& t);

/// Layers that keep full attention, judged by the common objective.
struct SelectedRow {
  std::string name;
  LayerSet layers;
  double score = 0, loss = 0;
  std::optional<Spent> spent;  // of a selector
  std::optional<SelectionTrace> trace;
  std::optional<std::string> note;
  std::optional<int> rank;  // among all sets of as many layers
  Score as_score() const { return {score, loss}; }
  template <class V>
  static void fields(SelectedRow& r, V&& v) {
    v("name", r.name), v("layers", r.layers), v("score", r.score), v("loss", r.loss), v("spent", r.spent);
    v("trace", r.trace), v("note", r.note), v("rank", r.rank);
  }
};

/// Layers chosen by a beam of its own.
struct ChosenLayers {
  LayerSet layers;
  std::string objective;
  std::optional<int> window;
  std::vector<BeamDepth> trace;
  template <class V>
  static void fields(ChosenLayers& c, V&& v) {
    v("layers", c.layers), v("objective", c.objective), v("window", c.window), v("trace", c.trace);
  }
};

/// Where full attention and sliding windows go, and which layers have no mixer; everything else is linear.
struct Placement {
  LayerSet full{}, swa{};
  std::optional<LayerSet> none{};
  template <class V>
  static void fields(Placement& p, V&& v) {
    v("full", p.full), v("swa", p.swa), v("none", p.none);
  }
};

struct PlacementResult {
  int k = 0;
  std::string objective;
  std::vector<std::string> why;        // what its terms go by, where that was left to the search
  std::vector<SelectedRow> selectors;  // the first one's choice counts
  std::optional<int64_t> exhaustive_count;
  std::optional<std::vector<BeamDepth>> beam;
  std::string selector;
  ChosenLayers swa;
  std::optional<ChosenLayers> eliminated;  // where the recipe asks for it
  LayerSet full;
  Placement chosen;
  template <class V>
  static void fields(PlacementResult& r, V&& v) {
    v("k", r.k), v("objective", r.objective), v("why", r.why), v("selectors", r.selectors);
    v("exhaustive_count", r.exhaustive_count);
    v("beam", r.beam), v("selector", r.selector), v("swa", r.swa), v("eliminated", r.eliminated);
    v("full", r.full), v("chosen", r.chosen);
  }
};

struct MeanSd {
  double mean = 0, sd = 0;
  template <class V>
  static void fields(MeanSd& m, V&& v) {
    v("mean", m.mean), v("sd", m.sd);
  }
};

/// A placement distilled from several seeds.
struct ValidationRow {
  LayerSet layers;
  std::vector<std::string> chosen_by;
  double supernet = 0, supernet_loss = 0;  // by the supernet
  double accuracy = 0, accuracy_sd = 0;    // distilled
  std::vector<double> accuracies;
  double loss = 0, loss_sd = 0;
  double answers_loss = 0;  // of the objective's tasks, distilled
  /// One number for correlations, as Score's.
  double as_number() const { return Score{accuracy, answers_loss}.as_number(); }
  template <class V>
  static void fields(ValidationRow& r, V&& v) {
    v("layers", r.layers), v("chosen_by", r.chosen_by), v("supernet", r.supernet);
    v("supernet_loss", r.supernet_loss), v("accuracy", r.accuracy), v("accuracy_sd", r.accuracy_sd);
    v("accuracies", r.accuracies), v("loss", r.loss), v("loss_sd", r.loss_sd), v("answers_loss", r.answers_loss);
  }
};

/// A supernet trained on paths of one kind (path_sampling.h): how well its scores predict those of the rows, distilled.
struct SamplingResult {
  std::string paths;
  std::vector<double> scores, losses;  // of the rows, by this supernet
  // Rank correlations: of score with score, of the answers' loss with the answers' loss, of score with held-out loss.
  double spearman = NAN, spearman_answers = NAN, spearman_loss = NAN;
  int64_t tokens = 0;
  double seconds = 0;  // of training
  template <class V>
  static void fields(SamplingResult& r, V&& v) {
    v("paths", r.paths), v("scores", r.scores), v("losses", r.losses), v("spearman", r.spearman);
    v("spearman_answers", r.spearman_answers), v("spearman_loss", r.spearman_loss), v("tokens", r.tokens);
    v("seconds", r.seconds);
  }
};

/// The search against even spacing at k full layers.
struct CurvePoint {
  struct Side {
    LayerSet layers;
    ByName<MeanSd> tasks;
    MeanSd loss;
    template <class V>
    static void fields(Side& s, V&& v) {
      v("layers", s.layers), v("tasks", s.tasks), v("loss", s.loss);
    }
  };
  int k = 0;
  Side searched, uniform;
  template <class V>
  static void fields(CurvePoint& p, V&& v) {
    v("k", p.k), v("searched", p.searched), v("uniform", p.uniform);
  }
};

struct ValidationResult {
  int seeds = 0;
  std::string objective;
  std::optional<std::vector<ValidationRow>> rows;
  std::optional<double> spearman, spearman_loss;
  std::optional<std::vector<SamplingResult>> samplings;
  std::optional<std::vector<CurvePoint>> curve;
  template <class V>
  static void fields(ValidationResult& r, V&& v) {
    v("seeds", r.seeds), v("objective", r.objective), v("rows", r.rows), v("spearman", r.spearman);
    v("spearman_loss", r.spearman_loss), v("samplings", r.samplings), v("curve", r.curve);
  }
};

/// A trained candidate (candidate/NAME). Of one that diverged there are no scores.
struct CandidateResult : Evaluation {
  double lr = 0;
  bool diverged = false;
  int spikes = 0;
  TrainResult align, distill;
  double train_tps = 0;
  int64_t parameters = 0;
  std::vector<std::string> layers;    // labels
  std::optional<bool> from_supernet;  // whether it began as the supernet's branches; none: nothing does
  template <class V>
  static void fields(CandidateResult& r, V&& v) {
    Evaluation::fields(r, v);
    v("lr", r.lr), v("diverged", r.diverged), v("spikes", r.spikes), v("align", r.align), v("distill", r.distill);
    v("train_tps", r.train_tps), v("parameters", r.parameters), v("layers", r.layers);
    v("from_supernet", r.from_supernet);
  }
};

/// Its speed in the engine (speed/NAME/N threads).
struct CandidateSpeed {
  double decode_tps = 0, speedup = 0, prefill_tps = 0;
  int64_t cache_bytes = 0;
  template <class V>
  static void fields(CandidateSpeed& s, V&& v) {
    v("decode_tps", s.decode_tps), v("speedup", s.speedup), v("prefill_tps", s.prefill_tps);
    v("cache_bytes", s.cache_bytes);
  }
};

/// A block's dimensions, as the search varies them.
struct Dimensions {
  std::optional<int> heads, dk, dv, window, conv;  // conv: of a block that has one
  std::optional<double> predicted_speedup;         // by the cost model, over the base
  template <class V>
  static void fields(Dimensions& d, V&& v) {
    v("heads", d.heads), v("dk", d.dk), v("dv", d.dv), v("window", d.window), v("conv", d.conv);
    v("predicted_speedup", d.predicted_speedup);
  }
  bool same_shape(const Dimensions& o) const {
    return heads == o.heads && dk == o.dk && dv == o.dv && window == o.window && conv == o.conv;
  }
};
struct PricedDimensions {
  std::vector<Dimensions> kept, pruned;
  template <class V>
  static void fields(PricedDimensions& p, V&& v) {
    v("kept", p.kept), v("pruned", p.pruned);
  }
};

struct RateTried {
  double lr = 0, loss = NAN;
  bool diverged = false;
  template <class V>
  static void fields(RateTried& r, V&& v) {
    v("lr", r.lr), v("loss", r.loss), v("diverged", r.diverged);
  }
};

/// A row of a table: a model, or a candidate with what the stages found out about it.
struct Row {
  ByName<double> accuracy;
  double loss = NAN;
  // Of a candidate.
  std::optional<double> lr, train_tps, decode_tps, speedup, prefill_tps;
  std::optional<int64_t> cache_bytes, parameters;
  std::optional<bool> diverged, from_supernet;
  std::optional<int> spikes;
  std::optional<std::string> name, kind;
  std::optional<std::vector<RateTried>> rates;
  // Over several seeds: the figures above are means then.
  std::optional<int> seeds, seeds_diverged;
  std::optional<double> loss_spread, spread;
  std::optional<double> stability, score;
  std::optional<Placement> layers;  // of the uniform baseline
  std::optional<std::vector<std::pair<int64_t, double>>> curve;
  Dimensions dimensions{};
  std::optional<double> predicted_error;
  std::optional<bool> fast_enough;
  template <class V>
  static void fields(Row& r, V&& v) {
    v("accuracy", r.accuracy), v("loss", r.loss), v("lr", r.lr), v("train_tps", r.train_tps);
    v("decode_tps", r.decode_tps), v("speedup", r.speedup), v("prefill_tps", r.prefill_tps);
    v("cache_bytes", r.cache_bytes), v("diverged", r.diverged), v("spikes", r.spikes), v("parameters", r.parameters);
    v("from_supernet", r.from_supernet);
    v("rates", r.rates), v("name", r.name), v("kind", r.kind), v("seeds", r.seeds);
    v("seeds_diverged", r.seeds_diverged), v("loss_spread", r.loss_spread), v("spread", r.spread);
    v("stability", r.stability), v("score", r.score), v("layers", r.layers), v("curve", r.curve);
    Dimensions::fields(r.dimensions, v);
    v("predicted_error", r.predicted_error), v("fast_enough", r.fast_enough);
  }
  bool is_diverged() const { return diverged.value_or(false); }
};
Row row_of(const Evaluation& e);
Row row_of(const CandidateResult& c);
void add_speed(Row& row, const CandidateSpeed& s);
/// Accuracy averaged over the tasks.
double mean_accuracy(const Row& row);
/// By "score" where both have one, else by mean accuracy; ties by held-out loss. One that has no loss is worst.
bool better_row(const Row& a, const Row& b);

/// null where there is none.
struct RowOrNone {
  std::optional<Row> row{};
};
void to_json(Json& j, const RowOrNone& r);
void from_json(const Json& j, RowOrNone& r);

struct BlocksResult {
  struct Start {
    Row inherited, random;
    template <class V>
    static void fields(Start& s, V&& v) {
      v("inherited", s.inherited), v("random", s.random);
    }
  };
  std::vector<Row> candidates;
  Row all_linear, uniform;          // the baselines
  std::optional<Row> last, sinks;   // full layers at the end; windows with sinks, untrained (baselines.h)
  std::optional<Row> placed_sinks;  // the same but in the placement's full layers
  std::optional<Row> placed;        // the supernet's block before layers were eliminated, where some were
  Row best;
  RowOrNone best_without_jet;
  std::string chosen;  // its kind
  std::optional<Start> start;
  template <class V>
  static void fields(BlocksResult& r, V&& v) {
    v("candidates", r.candidates), v("all_linear", r.all_linear), v("uniform", r.uniform), v("last", r.last);
    v("sinks", r.sinks), v("placed_sinks", r.placed_sinks), v("placed", r.placed);
    v("best", r.best);
    v("best_without_jet", r.best_without_jet), v("chosen", r.chosen), v("start", r.start);
  }
};

struct DimensionsResult {
  std::vector<Row> candidates;
  std::vector<Dimensions> pruned;
  int context = 0, batch = 0;
  double worst_error = 0;
  Row chosen;
  template <class V>
  static void fields(DimensionsResult& r, V&& v) {
    v("candidates", r.candidates), v("pruned", r.pruned), v("context", r.context), v("batch", r.batch);
    v("worst_error", r.worst_error), v("chosen", r.chosen);
  }
};

struct DistillResult {
  struct Part : TrainResult {
    double lr = 0;
    Row result;
    template <class V>
    static void fields(Part& p, V&& v) {
      TrainResult::fields(p, v);
      v("lr", p.lr), v("result", p.result);
    }
  };
  Part stage1, stage2;
  template <class V>
  static void fields(DistillResult& r, V&& v) {
    v("stage1", r.stage1), v("stage2", r.stage2);
  }
};

struct FinalResult : BaseResult {
  std::vector<std::string> layers;  // labels
  std::vector<Row> ablations;
  template <class V>
  static void fields(FinalResult& r, V&& v) {
    BaseResult::fields(r, v);
    v("layers", r.layers), v("ablations", r.ablations);
  }
};

}  // namespace jet
