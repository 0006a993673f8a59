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
  bool found = false;
  std::string known;
  BlockList::for_each([&]<class Block>() {
    known += std::string(known.empty() ? "" : ", ") + Block::kind;
    if (kind != Block::kind) return;
    m = from_json_fields<typename Block::Config>(rest, where);
    found = true;
  });
  require(found, "{}: unknown mixer kind '{}' (known: {})", where, kind, known);
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
  require(a != nullptr, "layer {} of the base is {}: it must have attention in every layer", layer,
          mixer_label(s.layers[layer]));
  return *a;
}

MixerSpec make_mixer(const std::string& given, const Attention::Config& a, const std::vector<int>& dims) {
  Json options = Json::object();
  const std::string kind = split_kind(given, options);
  const int heads = dims.empty() ? a.heads : dims[0];
  const int dk = dims.empty() ? a.head_dim : dims[1], dv = dims.empty() ? a.head_dim : dims[2];
  if (kind == GatedHybrid::kind) {
    return GatedHybrid::Config{a, std::get<GatedDeltaNet::Config>(make_mixer(GatedDeltaNet::kind, a, dims))};
  }
  Json j = {{"kind", kind}, {"heads", heads}, {"dk", dk}, {"dv", dv}};
  if (kind == Attention::kind) j = {{"kind", kind}}, j.update(to_json_fields(a));
  if (kind == "gla") j["kv_heads"] = heads;
  if (kind == "gated_delta_net") j["v_heads"] = heads;
  if (kind == "mamba2") j["groups"] = heads;  // a B and a C for every head, as attention has
  if (kind == "rwkv7") j["v_rank"] = 32;
  if (kind == "linear_attention") j["rope"] = to_json_fields(a.rope);
  if (kind == "jet") j["generator"] = std::max(1, heads * dv / 8);
  j.update(options);
  return mixer_from_json(j, "block '" + given + "'");
}

Json spec_to_json(const ModelSpec& s) {
  Json j = to_json_fields(s);
  j["layers"] = Json::array();
  for (const auto& m : s.layers) j["layers"].push_back(mixer_to_json(m));
  return j;
}

ModelSpec spec_from_json(const Json& j, const std::string& where) {
  require(j.is_object(), "{}: expected a table of keys, found {}", where, j.dump().substr(0, 80));
  Json flat = j;
  flat.erase("layers");
  auto s = from_json_fields<ModelSpec>(flat, where);
  for (const auto& layer : get<Json>(j, "layers", where)) {
    s.layers.push_back(mixer_from_json(layer, fmt::format("{}: layer {}", where, s.layers.size())));
  }
  check_spec(s, where);
  return s;
}

std::string mixer_label(const MixerSpec& m) {
  if (const auto* a = std::get_if<Attention::Config>(&m); a && a->window > 0) return fmt::format("swa {}", a->window);
  return BlockList::visit(m, []<class Block>(const typename Block::Config&) { return std::string(Block::kind); });
}

namespace {

// Bounds far above any real model, below which no product of sizes that a block or a file asks for overflows 64 bits.
constexpr int64_t kMostSize = int64_t{1} << 30;       // vocabulary, hidden, MLP, context
constexpr int64_t kMostMixerSize = int64_t{1} << 20;  // heads, dimensions, widths of a mixer: three are multiplied
constexpr int64_t kMostLayers = 10000;
constexpr double kMostNumbers = 0x1p50, kMostNumbersPerToken = 0x1p30;

void check_size(const char* key, int64_t value, int64_t most, const std::string& where) {
  require(value > 0 && value <= most, "{}: '{}' is {}, expected a positive number up to {}", where, key, value, most);
}

void check_positive(const char* key, int64_t value, const std::string& where) {
  check_size(key, value, kMostMixerSize, where);
}

void check_rope(const Rope& r, const std::string& where) {
  require(r.theta > 0, "{}: rope theta {} is not positive", where, r.theta);
  require(r.factor > 0, "{}: rope factor {} is not positive", where, r.factor);
  require(r.low_freq_factor > 0 && r.high_freq_factor > r.low_freq_factor && r.original_context > 0,
          "{}: rope: low_freq_factor {}, high_freq_factor {}, original context {} must be positive and ascend", where,
          r.low_freq_factor, r.high_freq_factor, r.original_context);
}

template <class Block>
void check_simple_mixer(const typename Block::Config& c, const std::string& where) {
  check_positive("heads", c.heads, where);
  if constexpr (std::is_same_v<Block, Attention>) {
    check_positive("kv_heads", c.kv_heads, where);
    check_positive("head_dim", c.head_dim, where);
    require(c.heads % c.kv_heads == 0, "{}: {} heads are no multiple of {} kv_heads", where, c.heads, c.kv_heads);
    require(c.head_dim % 2 == 0, "{}: head_dim {} is odd, rotary embedding needs pairs", where, c.head_dim);
    require(c.window >= 0, "{}: window {} is negative", where, c.window);
  } else {
    check_positive("dk", c.dk, where);
    check_positive("dv", c.dv, where);
  }
  if constexpr (requires { c.v_heads; }) {
    check_positive("v_heads", c.v_heads, where);
    require(c.v_heads % c.heads == 0, "{}: {} v_heads are no multiple of {} heads", where, c.v_heads, c.heads);
  }
  if constexpr (std::is_same_v<Block, Gla>) {
    check_positive("kv_heads", c.kv_heads, where);
    require(c.heads % c.kv_heads == 0, "{}: {} heads are no multiple of {} kv_heads", where, c.heads, c.kv_heads);
    require(c.conv >= 0 && c.conv <= kMostMixerSize, "{}: conv {} is negative or too wide", where, c.conv);
  } else if constexpr (requires { c.conv; }) {
    check_positive("conv", c.conv, where);
  }
  if constexpr (requires { c.groups; }) {
    check_positive("groups", c.groups, where);
    require(c.heads % c.groups == 0, "{}: {} heads are no multiple of {} groups", where, c.heads, c.groups);
  }
  if constexpr (std::is_same_v<Block, RetNet> || std::is_same_v<Block, LinearAttention>) {
    require(c.dk % 2 == 0, "{}: dk {} is odd, rotary embedding needs pairs", where, c.dk);
  }
  if constexpr (requires { c.rope; }) check_rope(c.rope, where);
  if constexpr (requires { c.norm_eps; }) require(c.norm_eps >= 0, "{}: norm_eps {} is negative", where, c.norm_eps);
  if constexpr (std::is_same_v<Block, JetBlock>) check_positive("generator", c.generator, where);
  if constexpr (std::is_same_v<Block, GatedDeltaNet>) {
    require(c.generator >= 0 && c.generator <= kMostMixerSize, "{}: generator {} is negative or too wide", where,
            c.generator);
  }
  if constexpr (requires { c.gate_rank; }) check_positive("gate_rank", c.gate_rank, where);
  if constexpr (requires { c.decay_rank; }) {
    check_positive("decay_rank", c.decay_rank, where);
    check_positive("a_rank", c.a_rank, where);
    require(c.v_rank >= 0 && c.v_rank <= kMostMixerSize, "{}: v_rank {} is negative or too wide", where, c.v_rank);
  }
}

template <class Block>
void check_mixer(const typename Block::Config& c, const std::string& where) {
  if constexpr (std::is_same_v<Block, GatedHybrid>) {
    check_mixer<Attention>(c.full, where + ": full");
    check_mixer<GatedHybrid::Linear>(c.linear, where + ": linear");
  } else {
    check_simple_mixer<Block>(c, where);
  }
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
    (p.kind == StateSpec::fixed ? fixed : rows) += numbers_in(p.shape);
  });
  require(parameters <= kMostNumbers && fixed <= kMostNumbers && rows <= kMostNumbersPerToken,
          "{}: the sizes ask for {:.2g} parameters, {:.2g} numbers of state and {:.2g} more a token; they are damaged",
          where, parameters, fixed, rows);
}

}  // namespace

void check_spec(const ModelSpec& s, const std::string& where) {
  check_size("vocab_size", s.vocab_size, kMostSize, where);
  check_size("hidden_size", s.hidden_size, kMostSize, where);
  check_size("intermediate_size", s.intermediate_size, kMostSize, where);
  check_size("max_position_embeddings", s.max_position_embeddings, kMostSize, where);
  check_size("number of layers", static_cast<int64_t>(s.layers.size()), kMostLayers, where);
  require(s.rms_norm_eps >= 0, "{}: rms_norm_eps {} is negative", where, s.rms_norm_eps);
  require(s.hidden_act == "silu" || s.hidden_act == "gelu_tanh",
          "{}: activation '{}' is not supported (known: silu, gelu_tanh)", where, s.hidden_act);
  for (int i = 0; i < s.n_layers(); ++i) {
    BlockList::visit(s.layers[i], [&]<class Block>(const typename Block::Config& c) {
      check_mixer<Block>(c, fmt::format("{}: layer {}", where, i));
    });
  }
  check_totals(s, where);
}

int64_t cache_bytes(const ModelSpec& s, int64_t context, int row_bytes) {
  struct Nothing {};
  ModelState<Nothing> state;
  int64_t bytes = 0;
  model_state(s, state, [&](int, const char*, Nothing&, const StateSpec& p) {
    if (p.kind == StateSpec::fixed) {
      bytes += numel(p.shape) * 4;
    } else {
      bytes += numel(p.shape) * row_bytes * (p.window > 0 ? std::min<int64_t>(context, p.window) : context);
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
