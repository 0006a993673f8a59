#include "jet/model/spec.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace jet {

Json mixer_to_json(const MixerSpec& m) {
  return BlockList::visit(m, []<class Block>(const typename Block::Config& c) {
    Json j = {{"kind", Block::kind}};
    j.update(to_json_fields(c));
    return j;
  });
}

MixerSpec mixer_from_json(const Json& j, const std::string& where) {
  const auto kind = get<std::string>(j, "kind", where);
  Json rest = j;
  rest.erase("kind");
  MixerSpec m;
  BlockList::with_kind(kind, where, [&]<class Block>() { m = from_json_fields<typename Block::Config>(rest, where); });
  return m;
}

namespace {

// "name:key=value,key=value" -> name, and the options as JSON.
std::string split_kind(const std::string& kind, Json& options) {
  const size_t colon = kind.find(':');
  for (size_t at = colon; at != std::string::npos && at + 1 < kind.size();) {
    const size_t end = std::min(kind.find(',', at + 1), kind.size()), equal = kind.find('=', at + 1);
    require(equal < end, "block '{}': expected key=value after the colon", kind);
    options[kind.substr(at + 1, equal - at - 1)] = parse_json(kind.substr(equal + 1, end - equal - 1), kind);
    at = end;
  }
  return kind.substr(0, colon);
}

}  // namespace

const Attention::Config& attention_of(const ModelSpec& s, int layer) {
  const auto* a = std::get_if<Attention::Config>(&s.layers[layer]);
  require(
      a != nullptr,
      "layer {} of the base is {}: a search replaces attention and wants it in every layer; jet distill trains hybrids",
      layer, mixer_label(s.layers[layer]));
  return *a;
}

bool is_full_attention(const MixerSpec& m) {
  const auto* a = std::get_if<Attention::Config>(&m);
  return a && a->window == 0;
}

ModelSpec with_windows(ModelSpec s, const std::vector<int>& layers, int window, int sinks) {
  for (const int l : layers) {
    auto& a = std::get<Attention::Config>(s.layers[l]);
    a.window = a.window > 0 ? std::min(a.window, window) : window;
    a.sinks = sinks;
  }
  return s;
}

MixerSpec make_mixer(const std::string& given, const Attention::Config& a, const std::vector<int>& dims) {
  const std::string where = "block '" + given + "'";
  Json options = Json::object();
  const std::string kind = split_kind(given, options);
  const MixerDims d = dims.empty() ? MixerDims{a.heads, a.head_dim, a.head_dim} : MixerDims{dims[0], dims[1], dims[2]};
  MixerSpec m;
  BlockList::with_kind(kind, where, [&]<class Block>() {
    Json j = to_json_fields(Block::Config::like(a, d));
    j.update(options);
    m = from_json_fields<typename Block::Config>(j, where);
  });
  return m;
}

namespace {

struct NamedActivation {
  const char* name;
  Activation value;
};
/// The first name of each is what is written; the others are transformers' for the same function.
constexpr NamedActivation kActivations[] = {
    {"silu", Activation::silu},           {"swish", Activation::silu},
    {"gelu_tanh", Activation::gelu_tanh}, {"gelu_pytorch_tanh", Activation::gelu_tanh},
    {"gelu_new", Activation::gelu_tanh},  {"gelu_fast", Activation::gelu_tanh}};

}  // namespace

Activation activation_named(const std::string& name, const std::string& where) {
  std::string known;
  for (const auto& [own, value] : kActivations) {
    if (name == own) return value;
    known += std::string(known.empty() ? "" : ", ") + own;
  }
  fail("{}: activation '{}' is not supported (known: {})", where, name, known);
}

std::string name_of(Activation a) {
  return std::find_if(std::begin(kActivations), std::end(kActivations), [a](const auto& n) { return n.value == a; })
      ->name;
}

void to_json(Json& j, Activation a) { j = name_of(a); }

void to_json(Json& j, Norms n) { j = n == Norms::after ? Json("only") : Json(n == Norms::both); }

void read_field(const Json& j, const std::string& key, Activation& field, const std::string& where) {
  field = activation_named(get_or(j, key, name_of(field), where), where);
}

void read_field(const Json& j, const std::string& key, Norms& field, const std::string& where) {
  if (!j.contains(key) || j.at(key).is_null()) return;
  if (j.at(key) == "only") {
    field = Norms::after;
  } else {
    field = get<bool>(j, key, where) ? Norms::both : Norms::before;
  }
}

Json spec_to_json(const ModelSpec& s) {
  Json j = to_json_fields(s);
  for (const char* key : {"residual_scale", "logits_scale"}) {
    if (j[key] == 1) j.erase(key);
  }
  j["layers"] = Json::array();
  for (int i = 0; i < s.n_layers(); ++i) {
    Json layer = mixer_to_json(s.layers[i]);
    const Json form = s.form(i), usual = LayerForm{s.norms};
    for (const auto& [key, value] : form.items()) {
      if (value != usual[key]) layer[key] = value;
    }
    j["layers"].push_back(layer);
  }
  return j;
}

ModelSpec spec_from_json(const Json& j, const std::string& where) {
  require(j.is_object(), "{}: expected a table of keys, found {}", where, json_text(j).substr(0, 80));
  Json flat = j;
  flat.erase("layers");
  auto s = from_json_fields<ModelSpec>(flat, where);
  for (const auto& layer : get<Json>(j, "layers", where)) {
    const std::string here = fmt::format("{}: layer {}", where, s.layers.size());
    Json mixer = layer;
    LayerForm form{s.norms};
    LayerForm::fields(form, [&](const char* key, auto& field) {
      read_field(layer, key, field, here);
      if (mixer.is_object()) mixer.erase(key);
    });
    s.layers.push_back(mixer_from_json(mixer, here));
    s.forms.push_back(form);
  }
  if (std::all_of(s.forms.begin(), s.forms.end(), [&](const LayerForm& f) { return f == LayerForm{s.norms}; })) {
    s.forms.clear();
  }
  check_spec(s, where);
  return s;
}

bool has_mixer(const MixerSpec& m) {
  return BlockList::visit(m, []<class Block>(const typename Block::Config&) {
    return !requires { Block::leaves_out_the_mixer; };
  });
}

std::string mixer_label(const MixerSpec& m) {
  if (const auto* a = std::get_if<Attention::Config>(&m); a && a->window > 0)
    return fmt::format("swa {}{}", a->window, a->sinks > 0 ? fmt::format(" + {}", a->sinks) : "");
  return BlockList::visit(m, []<class Block>(const typename Block::Config&) { return std::string(Block::kind); });
}

namespace {

// Bounds far above any real model, below which no product of sizes that a block or a file asks for overflows 64 bits:
// of vocabulary, hidden, MLP, context; all parameters and states; what a token adds. A mixer's are in
// jet/blocks/block.cc.
constexpr int64_t kMostSize = int64_t{1} << 30;
constexpr double kMostNumbers = 0x1p50, kMostNumbersPerToken = 0x1p30;

void check_range(const char* key, int64_t value, int64_t most, const std::string& where) {
  require(value > 0 && value <= most, "{}: '{}' is {}, expected a positive number up to {}", where, key, value, most);
}

double numbers_in(const Shape& shape) { return std::accumulate(shape.begin(), shape.end(), 1.0, std::multiplies<>()); }

/// Counts and prices are sums over all layers: they must stay far from overflow, too.
void check_totals(const ModelSpec& s, const std::string& where) {
  struct Nothing {};
  ModelWeights<Nothing> weights;
  double parameters = 0, fixed = 0, rows = 0;
  model_params(s, weights,
               [&](const std::string&, Nothing&, const ParamSpec& p) { parameters += numbers_in(p.shape); });
  ModelState<Nothing> state;
  model_state(s, state, [&](int, const char*, Nothing&, const StateSpec& p) {
    (p.kind == StateSpec::rows ? rows : fixed) += numbers_in(p.shape);
  });
  require(parameters <= kMostNumbers && fixed <= kMostNumbers && rows <= kMostNumbersPerToken,
          "{}: the sizes ask for {:.2g} parameters, {:.2g} numbers of state and {:.2g} more a token; they are damaged",
          where, parameters, fixed, rows);
}

}  // namespace

void check_spec(const ModelSpec& s, const std::string& where) {
  check_range("vocab_size", s.vocab_size, kMostSize, where);
  check_range("hidden_size", s.hidden_size, kMostSize, where);
  require(s.forms.empty() || s.forms.size() == s.layers.size(), "{}: forms of {} layers for {}", where, s.forms.size(),
          s.layers.size());
  const bool any_mlp = s.forms.empty() || std::any_of(s.forms.begin(), s.forms.end(), [](auto& f) { return f.mlp; });
  if (any_mlp || s.intermediate_size != 0) { check_range("intermediate_size", s.intermediate_size, kMostSize, where); }
  check_range("max_position_embeddings", s.max_position_embeddings, kMostSize, where);
  check_range("number of layers", static_cast<int64_t>(s.layers.size()), kMostLayers, where);
  require(s.rms_norm_eps >= 0, "{}: rms_norm_eps {} is negative", where, s.rms_norm_eps);
  for (int i = 0; i < s.n_layers(); ++i) {
    std::visit([&](const auto& c) { c.check(fmt::format("{}: layer {}", where, i)); }, s.layers[i]);
  }
  check_totals(s, where);
}

int64_t cache_bytes(const ModelSpec& s, int64_t context, int row_bytes) {
  struct Nothing {};
  ModelState<Nothing> state;
  int64_t bytes = 0;
  model_state(s, state, [&](int, const char*, Nothing&, const StateSpec& p) {
    if (p.kind == StateSpec::rows) {
      bytes += numel(p.shape) * row_bytes * (p.window > 0 ? std::min<int64_t>(context, p.window) : context);
    } else {
      bytes += numel(p.shape) * 4;
    }
  });
  return bytes;
}

int64_t parameter_count(const ModelSpec& s) {
  struct Nothing {};
  ModelWeights<Nothing> w;
  int64_t n = 0;
  model_params(s, w, [&](const std::string&, Nothing&, const ParamSpec& p) { n += numel(p.shape); });
  return n;
}

}  // namespace jet
