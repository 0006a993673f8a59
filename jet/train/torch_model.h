// A model whose weights are libtorch tensors, and the ways they come to be: loaded (fp32), mapped, drawn, inherited.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "jet/base/rng.h"
#include "jet/model/checkpoint.h"
#include "jet/model/transformer.h"
#include "jet/train/torch_ops.h"

namespace jet {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

struct TorchModel {
  ModelSpec spec;
  ModelWeights<at::Tensor> weights;

  static TorchModel load(const std::string& folder);
  /// Matrices as they lie in the file (bf16, fp16 or fp32), mapped: read where they are touched, shared by every
  /// process that maps them, and not to be trained. All else is small and fp32.
  static TorchModel map(const std::string& folder);
  static TorchModel random(const ModelSpec& spec, uint64_t seed);
  /// The same model on a device; what is there already is shared with this one.
  TorchModel to(at::Device device) const;
  void save(const std::string& folder, const std::string& tokenizer_folder, DType dtype,
            const std::string& model_type = "jet_cpp") const;

  /// All parameters by name; the tensors share storage with the model's.
  NamedTensors parameters() const;
  /// ids [B, T] -> logits [B, T, vocab].
  at::Tensor logits(TorchOps& ops, const at::Tensor& ids) const;
};

/// The model as passes without gradients read it: what is multiplied lies in the type of the products (TorchOps::linear
/// would convert it in every pass), all else is shared. `converted` has what was converted before, by its old address.
using ConvertedTensors = std::map<const void*, at::Tensor>;
TorchModel in_type(const TorchModel& m, at::ScalarType type, ConvertedTensors& converted);

/// Gives the model fp32 tensors of its own for the parameters whose names are `wanted`, and returns them.
NamedTensors own_parameters(
    TorchModel& m, const std::function<bool(const std::string&)>& wanted = [](const std::string&) { return true; });

/// A parameter's first value, drawn from the stream (seed, name).
at::Tensor init_tensor(const ParamSpec& p, uint64_t seed, const std::string& name);

/// A mixer's parameters, drawn (the same on any device); `label` names its random stream.
MixerWeights<at::Tensor> random_mixer(const MixerSpec& m, int hidden, uint64_t seed, const std::string& label,
                                      at::Device device = at::kCPU);

/// Gives `to` the q, k, v, o of the attention layer that it replaces, head by head: head h of n takes head h * N / n of
/// N (so grouped key/value heads are shared out), the first min(dim) rows of each; what is left keeps its random value,
/// scaled to the inherited rows' size.
void inherit_attention(const Attention::Config& from, const MixerWeights<at::Tensor>& attention, const MixerSpec& to,
                       int hidden, MixerWeights<at::Tensor>& weights);

/// Gives `weights` of `to` what they take to compute what the `trained` ones of `from` do: all of them where both are
/// alike, else what the block's takes_over() says. False, with nothing changed, where it cannot.
bool take_over(const MixerSpec& from, const MixerWeights<at::Tensor>& trained, const MixerSpec& to, int hidden,
               MixerWeights<at::Tensor>& weights);

NamedTensors mixer_parameters(const MixerSpec& m, int hidden, MixerWeights<at::Tensor>& w, const std::string& prefix);

at::Tensor to_tensor(const StoredTensor& t);
/// Writes tensors as they are named, in `dtype` (f32 or bf16).
void save_tensors(const std::string& path, const NamedTensors& tensors, DType dtype,
                  const std::map<std::string, std::string>& metadata = {});
/// Copies the file's tensors into `into` by name; throws where one is missing or of another shape.
void load_tensors(const std::string& path, const NamedTensors& into);

}  // namespace jet
