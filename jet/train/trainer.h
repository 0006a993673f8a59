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
    v("tokens", c.tokens), v("batch", c.batch), v("length", c.length), v("accumulate", c.accumulate),
        v("chunk", c.chunk);
    v("on_disk", c.on_disk);
    v("lr", c.lr), v("min_lr", c.min_lr), v("warmup", c.warmup), v("weight_decay", c.weight_decay), v("clip", c.clip);
    v("beta1", c.beta1), v("beta2", c.beta2);
  }
  int64_t tokens_per_step() const { return int64_t{batch} * length; }
  int64_t steps() const { return std::max<int64_t>(1, tokens / tokens_per_step()); }
  double lr_at(int64_t step) const;
};

struct TrainResult {
  std::vector<std::pair<int64_t, double>> curve;  // (tokens, loss), about 100 points, each the mean since the last
  double seconds = 0;
  bool diverged = false;  // the loss stopped being finite: training ended there, parameters are the last finite ones
  int spikes = 0;         // steps whose loss was over twice the running mean
  int64_t tokens = 0;
  double tokens_per_second() const { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }
  double last_loss() const { return curve.empty() ? 0 : curve.back().second; }
};
Json to_json(const TrainResult& r);

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
};

/// Trains to the end, or returns at once what a finished checkpoint holds. Throws where the checkpoint was made with
/// another config or other parameters.
TrainResult train(const TrainJob& job);

}  // namespace jet
