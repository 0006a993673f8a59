// A model is data: a ModelSpec lists its layers, each naming its mixer and dimensions. Weights and states are walked by
// name through params() and state(): load, save, count, initialise and price are all this one walk.
//
//   x = embed(ids) * embed_scale
//   each layer:  x += [post_norm] mixer(input_norm(x));   x += [post_norm] down(act(gate(h)) * up(h)), h = mlp_norm(x)
//   logits = head(norm(x)),  head = embed where tied
#pragma once

#include <string>
#include <vector>

#include "jet/base/json.h"
#include "jet/blocks/list.h"

namespace jet {

struct ModelSpec {
  int vocab_size = 0, hidden_size = 0, intermediate_size = 0, max_position_embeddings = 0;
  float rms_norm_eps = 1e-6f;
  bool tie_word_embeddings = true;
  bool post_norms = false;          // Gemma: norms after the mixer and after the MLP, before the residual sum
  std::string hidden_act = "silu";  // or "gelu_tanh"
  float embed_scale = 1;
  std::vector<int> eos_token_id;
  int bos_token_id = -1;
  std::vector<MixerSpec> layers;

  template <class V>
  static void fields(ModelSpec& s, V&& v) {
    v("vocab_size", s.vocab_size), v("hidden_size", s.hidden_size), v("intermediate_size", s.intermediate_size);
    v("max_position_embeddings", s.max_position_embeddings), v("rms_norm_eps", s.rms_norm_eps);
    v("tie_word_embeddings", s.tie_word_embeddings), v("post_norms", s.post_norms), v("hidden_act", s.hidden_act);
    v("embed_scale", s.embed_scale), v("eos_token_id", s.eos_token_id), v("bos_token_id", s.bos_token_id);
  }
  int n_layers() const { return static_cast<int>(layers.size()); }
};

/// {"kind": "gla", "heads": 4, ...} and back.
Json mixer_to_json(const MixerSpec& m);
MixerSpec mixer_from_json(const Json& j, const std::string& where);
Json spec_to_json(const ModelSpec& s);
ModelSpec spec_from_json(const Json& j, const std::string& where);
/// "attention", "swa 64", "gla", ...: how people name a layer.
std::string mixer_label(const MixerSpec& m);
/// Every fault that would make the shapes meaningless: sizes not positive, heads not divisible by kv_heads, ...
void check_spec(const ModelSpec& s, const std::string& where);

/// The attention of a layer, or an error that says which mixer it has instead: what is converted must have attention in
/// every layer.
const Attention::Config& attention_of(const ModelSpec& s, int layer);
/// A mixer of `kind` in the place of attention `a`: as many heads, dk = dv = head_dim, or the given [heads, dk, dv]
/// (attention itself stays as it is).
/// A kind may set options of its block: "gated_delta_net:qk_conv=false,conv=2".
MixerSpec make_mixer(const std::string& kind, const Attention::Config& a, const std::vector<int>& dims = {});

template <class T>
struct LayerWeights {
  MixerWeights<T> mixer;
  T input_norm, mlp_norm, post_mixer_norm, post_mlp_norm;
  T gate, up, down;
};

template <class T>
struct ModelWeights {
  T embed, norm, head;
  std::vector<LayerWeights<T>> layers;
};

template <class S>
using ModelState = std::vector<MixerState<S>>;

/// Visits a mixer's parameters as visit(name, T&, ParamSpec); `w` is set to the alternative of `m` first.
template <class T, class Visit>
void mixer_params(const MixerSpec& m, int hidden, MixerWeights<T>& w, Visit&& visit) {
  BlockList::visit(m, [&]<class Block>(const typename Block::Config& c) {
    using W = typename Block::template Weights<T>;
    if (!std::holds_alternative<W>(w)) w.template emplace<W>();
    Block::params(c, hidden, std::get<W>(w), visit);
  });
}

/// Visits all parameters as visit(name, T&, ParamSpec), named as Hugging Face names those of Llama and Qwen.
template <class T, class Visit>
void model_params(const ModelSpec& s, ModelWeights<T>& w, Visit&& visit) {
  const int64_t hidden = s.hidden_size, mlp = s.intermediate_size;
  const ParamSpec norm{{hidden}, {Init::constant, 1}};
  w.layers.resize(s.layers.size());
  visit(std::string("model.embed_tokens.weight"), w.embed, ParamSpec{{s.vocab_size, hidden}, {Init::normal, 0.02}});
  for (size_t i = 0; i < s.layers.size(); ++i) {
    LayerWeights<T>& l = w.layers[i];
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    visit(prefix + "input_layernorm.weight", l.input_norm, norm);
    mixer_params(s.layers[i], s.hidden_size, l.mixer,
                 [&](const char* name, T& t, const ParamSpec& p) { visit(prefix + "self_attn." + name, t, p); });
    if (s.post_norms) {
      visit(prefix + "post_attention_layernorm.weight", l.post_mixer_norm, norm);
      visit(prefix + "pre_feedforward_layernorm.weight", l.mlp_norm, norm);
      visit(prefix + "post_feedforward_layernorm.weight", l.post_mlp_norm, norm);
    } else {
      visit(prefix + "post_attention_layernorm.weight", l.mlp_norm, norm);
    }
    visit(prefix + "mlp.gate_proj.weight", l.gate, ParamSpec{{mlp, hidden}});
    visit(prefix + "mlp.up_proj.weight", l.up, ParamSpec{{mlp, hidden}});
    visit(prefix + "mlp.down_proj.weight", l.down, ParamSpec{{hidden, mlp}});
  }
  visit(std::string("model.norm.weight"), w.norm, norm);
  if (!s.tie_word_embeddings) {
    visit(std::string("lm_head.weight"), w.head, ParamSpec{{s.vocab_size, hidden}, {Init::normal, 0.02}});
  }
}

/// Whether model_params() names a parameter of a mixer so.
inline bool is_mixer_parameter(const std::string& name) { return name.find(".self_attn.") != std::string::npos; }

/// Visits a mixer's state as visit(name, S&, StateSpec).
template <class S, class Visit>
void mixer_state(const MixerSpec& m, int hidden, MixerState<S>& state, Visit&& visit) {
  BlockList::visit(m, [&]<class Block>(const typename Block::Config& c) {
    using St = typename Block::template State<S>;
    if (!std::holds_alternative<St>(state)) state.template emplace<St>();
    Block::state(c, hidden, std::get<St>(state), visit);
  });
}

/// Visits the state of all layers as visit(layer, name, S&, StateSpec).
template <class S, class Visit>
void model_state(const ModelSpec& s, ModelState<S>& state, Visit&& visit) {
  state.resize(s.layers.size());
  for (size_t i = 0; i < s.layers.size(); ++i) {
    mixer_state(s.layers[i], s.hidden_size, state[i],
                [&](const char* name, S& t, const StateSpec& p) { visit(static_cast<int>(i), name, t, p); });
  }
}

/// Bytes of one sequence's state after `context` tokens: fixed state in fp32, rows (KV) of `row_bytes` a number.
int64_t cache_bytes(const ModelSpec& s, int64_t context, int row_bytes = 2);
int64_t parameter_count(const ModelSpec& s);

}  // namespace jet
