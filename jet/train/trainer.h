// The one training loop: AdamW with warm-up and cosine decay, gradient clipping, checkpoints that any kill survives.
//
// A step's loss is a sum over parts of its batch: a part's gradients are added to those of the ones before it, so
// memory holds the activations of one part. Parts are some of the rows (gradient accumulation), and of these, where
// `chunk` is set, so many tokens at a time: what a part leaves behind is the next one's start, but no gradient goes
// back to it (truncated backpropagation through time; for the whole gradient of a long row, recompute activations
// instead).
//
// With many processes (world.h) each takes some rows of every batch, gradients are added up (gradients.h), and each
// keeps the moments of some parameters, updates those and hands them to the others. The first one's parameters count at
// the start, it alone reads and writes the checkpoint, which is whole: any number of processes can go on with it.
//
// A checkpoint is a safetensors file in fp32:
//
//   tensors    <parameter>, and until the training is finished m.<parameter>, v.<parameter>: AdamW's moments
//   metadata   config     the TrainConfig, JSON; a checkpoint of another one is refused
//              state      the step, the curve, the seconds spent, ..., JSON
//              finished   "0" or "1"
//
// Data and randomness are functions of the step, so a resumed run takes the very steps that an undisturbed one takes.
// It is written every 15 seconds, or JET_SAVE_SECONDS.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "jet/base/json.h"
#include "jet/train/distill.h"

namespace jet {

struct TrainConfig {
  int64_t tokens = 0;
  int batch = 8, length = 256;
  int accumulate = 1;    // parts that a batch is worked through in
  int chunk = 0;         // > 0: and of each so many tokens at a time, with the state carried over
  bool on_disk = false;  // weights, gradients and moments of what is trained lie in files beside the checkpoint (TMPDIR
                         // without one)
  double lr = 1e-3, min_lr = 0.05;  // min_lr: share of lr at the end
  double warmup = 0.05;             // share of the steps
  double weight_decay = 0, clip = 1, beta1 = 0.9, beta2 = 0.95;
  template <class V>
  static void fields(TrainConfig& c, V&& v) {
    v("tokens", c.tokens, at_least(0, 1e15)), v("batch", c.batch, at_least(1, 1e6));
    v("length", c.length, at_least(2, 1e8)), v("accumulate", c.accumulate, at_least(1, 1e6));
    v("chunk", c.chunk, at_least(0, 1e8)), v("on_disk", c.on_disk);
    v("lr", c.lr, above(0)), v("min_lr", c.min_lr, share()), v("warmup", c.warmup, share_below_one());
    v("weight_decay", c.weight_decay, at_least(0)), v("clip", c.clip, above(0).with("1e9 clips nothing"));
    v("beta1", c.beta1, share_below_one()), v("beta2", c.beta2, share_below_one());
  }
  void check(const std::string& where) const;
  int64_t tokens_per_step() const { return int64_t{batch} * length; }
  /// None of no tokens, else at least one.
  int64_t steps() const { return tokens == 0 ? 0 : std::max<int64_t>(1, tokens / tokens_per_step()); }
  double lr_at(int64_t step) const;
};

struct TrainResult {
  std::vector<std::pair<int64_t, double>> curve;  // (tokens, loss), about 100 points, each the mean since the last
  double seconds = 0;
  bool diverged = false;  // the loss stopped being finite: training ended there, parameters are the last finite ones
  int spikes = 0;         // steps whose loss was over twice the running mean
  int64_t tokens = 0;
  double train_tps = 0;  // tokens a second
  double last_loss() const { return curve.empty() ? 0 : curve.back().second; }
  template <class V>
  static void fields(TrainResult& r, V&& v) {
    v("curve", r.curve), v("seconds", r.seconds), v("diverged", r.diverged), v("spikes", r.spikes);
    v("tokens", r.tokens), v("train_tps", r.train_tps);
  }
};
/// The states of several models on the same rows, by names that the loss gives them.
using CarriedModels = std::map<std::string, std::shared_ptr<CarriedStates>>;

/// The rows [from, from + rows) of a step's batch; of these the tokens [begin, begin + tokens), 0 for all.
struct Part {
  int64_t step = 0;
  int from = 0, rows = 0;
  int begin = 0, tokens = 0;
  std::shared_ptr<CarriedModels> carried{};  // shared by the chunks of these rows; null where they are whole
};
/// `batch` rows in `n` parts, as even as whole rows allow; throws where there are fewer rows than parts.
std::vector<Part> parts_of(int64_t step, int batch, int n);
/// A part's rows of `length` in chunks, from the first to the last; the part itself where chunk is 0.
std::vector<Part> chunks_of(const Part& part, int length, int chunk);

struct TrainJob {
  std::string name;        // the progress line's stage
  std::string checkpoint;  // file; "" for none
  TrainConfig config;
  NamedTensors parameters;
  /// The part's share of the step's loss, a scalar: the shares of a batch's parts add up to the loss of the batch.
  /// Asked for in order, each once.
  std::function<at::Tensor(const Part&)> loss;
  /// Told of every new point of the curve.
  std::function<void(const TrainResult&)> so_far{};
};

/// Trains to the end, or returns at once what a finished checkpoint holds. Throws where the loss stops being finite,
/// where there are no tokens to train on, and where the checkpoint was made with another config or other parameters.
TrainResult train(const TrainJob& job);
/// The same for one of several that are compared: a loss that stops being finite ends the training, and `diverged` says
/// so.
TrainResult train_or_diverge(const TrainJob& job);

}  // namespace jet
