#include "jet/model/spec.h"

#include <algorithm>

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

Json spec_to_json(const ModelSpec& s) {
  Json j = to_json_fields(s);
  j["layers"] = Json::array();
  for (const auto& m : s.layers) j["layers"].push_back(mixer_to_json(m));
  return j;
}

ModelSpec spec_from_json(const Json& j, const std::string& where) {
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

void check_positive(const char* key, int64_t value, const std::string& where) {
  require(value > 0 && value <= (int64_t{1} << 30), "{}: '{}' is {}, expected a positive number", where, key, value);
}

template <class Block>
void check_mixer(const typename Block::Config& c, const std::string& where) {
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
    require(c.v_heads > 0 && c.v_heads % c.heads == 0, "{}: {} v_heads are no multiple of {} heads", where, c.v_heads,
            c.heads);
  }
  if constexpr (std::is_same_v<Block, Gla>) {
    check_positive("kv_heads", c.kv_heads, where);
    require(c.heads % c.kv_heads == 0, "{}: {} heads are no multiple of {} kv_heads", where, c.heads, c.kv_heads);
    require(c.conv >= 0, "{}: conv {} is negative", where, c.conv);
  } else if constexpr (requires { c.conv; }) {
    check_positive("conv", c.conv, where);
  }
  if constexpr (requires { c.groups; }) {
    check_positive("groups", c.groups, where);
    require(c.heads % c.groups == 0, "{}: {} heads are no multiple of {} groups", where, c.heads, c.groups);
  }
  if constexpr (std::is_same_v<Block, RetNet>) {
    require(c.dk % 2 == 0, "{}: dk {} is odd, rotary embedding needs pairs", where, c.dk);
  }
  if constexpr (requires { c.generator; }) check_positive("generator", c.generator, where);
  if constexpr (requires { c.gate_rank; }) check_positive("gate_rank", c.gate_rank, where);
  if constexpr (requires { c.decay_rank; }) {
    check_positive("decay_rank", c.decay_rank, where);
    check_positive("a_rank", c.a_rank, where);
  }
}

}  // namespace

void check_spec(const ModelSpec& s, const std::string& where) {
  check_positive("vocab_size", s.vocab_size, where);
  check_positive("hidden_size", s.hidden_size, where);
  check_positive("intermediate_size", s.intermediate_size, where);
  check_positive("max_position_embeddings", s.max_position_embeddings, where);
  check_positive("number of layers", s.n_layers(), where);
  require(s.hidden_act == "silu" || s.hidden_act == "gelu_tanh",
          "{}: activation '{}' is not supported (known: silu, gelu_tanh)", where, s.hidden_act);
  for (int i = 0; i < s.n_layers(); ++i) {
    BlockList::visit(s.layers[i], [&]<class Block>(const typename Block::Config& c) {
      check_mixer<Block>(c, fmt::format("{}: layer {}", where, i));
    });
  }
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
