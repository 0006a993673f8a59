// A model is data: a ModelSpec lists its layers, each naming its mixer and dimensions. Weights and states are walked by
// name through params() and state(): load, save, count, initialise and price are all this one walk.
//
//   x = embed_scale embed(ids)
//   each layer    x += residual_scale after(mixer(before(x)))
//                 x += residual_scale after(mlp(before(x))),   mlp(h) = down(act(gate(h)) * up(h))
//   logits = head(logits_scale norm(x)),   head = embed where tied
//
// before, after: norms, each there or not (Norms). A layer may lack its MLP; it lacks a mixer where its block is one
// that leaves it out, and then has no norms for one either.
#pragma once

#include <string>
#include <vector>

#include "jet/base/json.h"
#include "jet/blocks/list.h"
#include "jet/blocks/math.h"

namespace jet {

/// Where a layer's norms stand: before its mixer and its MLP, after both (before the sum), or in both places. In JSON
/// the key "post_norms": false, "only", true.
enum class Norms { before, after, both };

/// What of a layer is not its mixer.
struct LayerForm {
  Norms norms = Norms::before;
  bool mlp = true;
  template <class V>
  static void fields(LayerForm& f, V&& v) {
    v("post_norms", f.norms), v("mlp", f.mlp);
  }
  bool operator==(const LayerForm&) const = default;
};

struct ModelSpec {
  int vocab_size = 0, hidden_size = 0, intermediate_size = 0, max_position_embeddings = 0;
  float rms_norm_eps = 1e-6f;
  bool tie_word_embeddings = true;
  Norms norms = Norms::before;  // of all layers, unless `forms` says otherwise
  Activation hidden_act = Activation::silu;
  float embed_scale = 1, residual_scale = 1, logits_scale = 1;
  std::vector<int> eos_token_id;
  int bos_token_id = -1;
  std::vector<MixerSpec> layers;   // what a search replaces
  std::vector<LayerForm> forms{};  // what a layer keeps: one each where they are not all alike, otherwise empty

  template <class V>
  static void fields(ModelSpec& s, V&& v) {
    v("vocab_size", s.vocab_size), v("hidden_size", s.hidden_size), v("intermediate_size", s.intermediate_size);
    v("max_position_embeddings", s.max_position_embeddings), v("rms_norm_eps", s.rms_norm_eps);
    v("tie_word_embeddings", s.tie_word_embeddings), v("post_norms", s.norms), v("hidden_act", s.hidden_act);
    v("embed_scale", s.embed_scale), v("residual_scale", s.residual_scale), v("logits_scale", s.logits_scale);
    v("eos_token_id", s.eos_token_id), v("bos_token_id", s.bos_token_id);
  }
  int n_layers() const { return static_cast<int>(layers.size()); }
  LayerForm form(int layer) const { return forms.empty() ? LayerForm{norms} : forms[layer]; }
};

/// The activation of this name in a config.json; throws where there is none.
Activation activation_named(const std::string& name, const std::string& where);
std::string name_of(Activation a);

// JSON of the two enums, for fields().
void to_json(Json& j, Activation a);
void to_json(Json& j, Norms n);
void read_field(const Json& j, const std::string& key, Activation& field, const std::string& where);
void read_field(const Json& j, const std::string& key, Norms& field, const std::string& where);

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
/// Whether a layer is attention to all that came before.
bool is_full_attention(const MixerSpec& m);
/// Attention in these layers with a window of so many tokens, or its own where that is narrower, and a text's first
/// `sinks` (StreamingLLM, arXiv:2309.17453). No weight changes.
ModelSpec with_windows(ModelSpec s, const std::vector<int>& layers, int window, int sinks);
/// A mixer of `kind` in the place of attention `a` (the block's Config::like): as many heads, dk = dv = head_dim, or
/// the given [heads, dk, dv]. A kind may set options of its block: "gated_delta_net:qk_conv=false,conv=2".
MixerSpec make_mixer(const std::string& kind, const Attention::Config& a, const std::vector<int>& dims = {});

/// Far above any real model: names of all layers' tensors are made before a file is refused.
inline constexpr int64_t kMostLayers = 1024;

/// Whether a layer of this block has a mixer at all.
bool has_mixer(const MixerSpec& m);

template <class T>
struct NormWeights {
  T before, after;
};

template <class T>
struct LayerWeights {
  MixerWeights<T> mixer;
  NormWeights<T> mixer_norms, mlp_norms;
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

/// How the parameters of a layer's mixer begin.
inline std::string mixer_prefix(int layer) { return "model.layers." + std::to_string(layer) + ".self_attn."; }

/// Visits the parameters of one layer.
template <class T, class Visit>
void layer_params(const ModelSpec& s, int layer, LayerWeights<T>& l, Visit&& visit) {
  const int64_t hidden = s.hidden_size, mlp = s.intermediate_size;
  const ParamSpec norm = ParamSpec::norm(hidden);
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  const LayerForm form = s.form(layer);
  const bool before = form.norms != Norms::after, after = form.norms != Norms::before;
  const bool mixes = has_mixer(s.layers[layer]);
  if (mixes && before) visit(prefix + "input_layernorm.weight", l.mixer_norms.before, norm);
  mixer_params(s.layers[layer], s.hidden_size, l.mixer,
               [&](const char* name, T& t, const ParamSpec& p) { visit(mixer_prefix(layer) + name, t, p); });
  // Models without norms after the mixer name the one before the MLP so.
  if (mixes && after) visit(prefix + "post_attention_layernorm.weight", l.mixer_norms.after, norm);
  if (!form.mlp) return;
  if (before) {
    visit(prefix + (after ? "pre_feedforward_layernorm.weight" : "post_attention_layernorm.weight"), l.mlp_norms.before,
          norm);
  }
  if (after) visit(prefix + "post_feedforward_layernorm.weight", l.mlp_norms.after, norm);
  visit(prefix + "mlp.gate_proj.weight", l.gate, ParamSpec::matrix(mlp, hidden));
  visit(prefix + "mlp.up_proj.weight", l.up, ParamSpec::matrix(mlp, hidden));
  visit(prefix + "mlp.down_proj.weight", l.down, ParamSpec::output(hidden, mlp));
}

inline constexpr const char* kEmbedding = "model.embed_tokens.weight";
inline constexpr const char* kHead = "lm_head.weight";

/// Visits all parameters as visit(name, T&, ParamSpec), named as Hugging Face names those of Llama and Qwen.
template <class T, class Visit>
void model_params(const ModelSpec& s, ModelWeights<T>& w, Visit&& visit) {
  const ParamSpec table{ParamRole::vocabulary, {s.vocab_size, s.hidden_size}, {Init::normal, 0.02}};
  w.layers.resize(s.layers.size());
  visit(std::string(kEmbedding), w.embed, table);
  for (int i = 0; i < s.n_layers(); ++i) layer_params(s, i, w.layers[i], visit);
  visit(std::string("model.norm.weight"), w.norm, ParamSpec::norm(s.hidden_size));
  if (!s.tie_word_embeddings) visit(std::string(kHead), w.head, table);
}

/// Whether model_params() names a parameter of a mixer so.
inline bool is_mixer_parameter(const std::string& name) { return name.find(".self_attn.") != std::string::npos; }
/// Whether it names the embedding or the head so.
inline bool is_vocabulary_parameter(const std::string& name) { return name == kEmbedding || name == kHead; }

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
