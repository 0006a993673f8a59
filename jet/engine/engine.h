// The CPU engine: weights as they are stored (fp32, bf16, f16, int8, int4), any number of sequences, ragged batches.
//
// A Sequence holds everything that its past left behind: KV rows, all or of a window (attention), fixed states and
// convolution tails (linear blocks). Engine::forward runs any mixture of prefill chunks and single steps:
//
//   steps:   [seq A: 512 tokens] [seq B: 1 token] [seq C: 1 token]   ->  one pass over the weights
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "jet/engine/op_meter.h"
#include "jet/model/generation_config.h"
#include "jet/model/model_cost.h"
#include "jet/model/spec.h"
#include "jet/tensor/dtype.h"

namespace jet {

struct EngineOptions {
  int threads = 0;           // 0: default_threads()
  DType kv = DType::bf16;    // type of KV rows: bf16, f32, or i8 with a scale per head and row
  DType state = DType::f32;  // type of recurrent states between passes: f32 or bf16
  int prefill_chunk = 512;   // tokens of one prompt that one pass takes at most
  // Activations stay fp32 beside bf16 weights, also where rounding them is faster; a token's numbers are the same to
  // the bit in any batch and however its sequence is cut into passes.
  bool exact = false;
  bool poison = false;  // scratch memory starts as NaN in every pass (tests)
  bool traced = false;  // passes are interpreted from a recording (tests: jet/engine/trace)
};

/// What passes on the way through a forward pass: name ("hidden.embed", "hidden.layer", "hidden.norm"), layer or -1,
/// values [rows of all steps, hidden].
using See = std::function<void(const char* name, int layer, std::span<const float> values)>;

class Engine;

/// A moment of a sequence to roll back to: its length and copies of what later tokens overwrite (see rollback.cc).
/// Copies of a checkpoint share its memory.
class SequenceCheckpoint {
 public:
  int64_t length() const;  // tokens seen
  int64_t bytes() const;   // memory held; nothing for KV rows without a window

 private:
  friend class Sequence;
  friend class PrefixCache;
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

/// One sequence's state. Made by Engine::create; used with that engine only.
class Sequence {
 public:
  ~Sequence();
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  int64_t length() const;  // tokens seen
  int64_t bytes() const;   // memory held
  void reset();            // back to an empty sequence; memory is kept
  /// Room for `tokens` in all: up to there, passes allocate nothing for it.
  void reserve(int64_t tokens);
  /// Becomes a sequence of `length` tokens with random keys, values and states: what a speed at that depth needs.
  void fill_synthetic(int64_t length, uint64_t seed);
  std::unique_ptr<Sequence> fork() const;
  SequenceCheckpoint checkpoint() const;
  /// Exactly back to a checkpoint of this sequence, or of the one it was forked from since. All tokens up to the
  /// checkpoint must still be those of then: a checkpoint later than one rolled back to has no meaning any more.
  void rollback(const SequenceCheckpoint& checkpoint);
  /// The whole state as a safetensors file; load throws where it does not fit the engine's model.
  void save(const std::string& path) const;
  void load(const std::string& path);
  /// A copy of one state as fp32: fixed states in their shape; rows as [tokens kept, ...shape], oldest first.
  std::vector<float> read(int layer, const std::string& name) const;

 private:
  friend class Engine;
  friend class PrefixCache;
  struct Impl;
  explicit Sequence(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

enum class Want { nothing, last, all };

/// One sequence's share of a pass: `ids` are appended to it. `logits` becomes a view of the engine's memory, [1 or
/// ids.size(), vocab] where wanted, that holds until the engine's next pass.
struct Step {
  Sequence* sequence = nullptr;
  std::span<const int32_t> ids;
  Want want = Want::last;
  std::span<const float> logits{};
};

/// One thread at a time may run it; its work is shared out among options().threads.
class Engine {
 public:
  /// Loads a model folder; weights stay memory-mapped where their type allows.
  static std::shared_ptr<Engine> load(const std::string& folder, EngineOptions options = {});
  /// Random weights of a spec's shapes (for speed and memory measurements), matrices in f32, bf16, int8 or int4, where
  /// the latter two quantize what `jet quantize` would.
  static std::shared_ptr<Engine> random(const ModelSpec& spec, uint64_t seed, DType weights,
                                        EngineOptions options = {});
  ~Engine();

  const ModelSpec& spec() const;
  /// Ends of text and sampling settings: the folder's, or of random weights the spec's ends.
  const GenerationConfig& generation() const;
  /// What the user should know of the model's files (Checkpoint::notes).
  const std::vector<std::string>& notes() const;
  const EngineOptions& options() const;
  int64_t weight_bytes() const;
  /// How it holds weights, rows and states: what the cost model counts by.
  CountTypes count_types() const;
  std::unique_ptr<Sequence> create() const;
  /// Bytes of a sequence that has room for so many tokens.
  int64_t sequence_bytes(int64_t tokens) const;

  /// Runs all steps in one pass. Throws Error on an empty step, an id outside the vocabulary, or a context overrun;
  /// sequences are then as before.
  void forward(std::span<Step> steps);
  /// Time, bytes and FLOPs by kind of op; counts while meter().on.
  OpMeter& meter();
  /// Calls `see` in every pass from now on; an empty function ends that.
  void observe(See see);
  /// Appends a prompt in chunks of at most `chunk` tokens (0: options().prefill_chunk); logits of the last token, or of
  /// all, a view that holds until the next pass. Throws where the prompt is empty or beyond max_position_embeddings.
  std::span<const float> prefill(Sequence& sequence, std::span<const int32_t> ids, Want want = Want::last,
                                 int chunk = 0);

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace jet
