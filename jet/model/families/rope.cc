// Rotary embeddings as transformers' configs describe them (modeling_rope_utils.py). With theta^(-2i/dims) the
// frequency of pair i, i in [0, dims/2), and n the original context:
//
//   default    as they are
//   linear     divided by factor
//   llama3     in Rope itself
//   yarn       divided by factor / (1 - r_i + r_i factor),  r_i = 1 - clamp((i - low) / (high - low), 0, 1)
//              low, high = dims ln(n / (2 pi beta)) / (2 ln theta) at beta_fast and beta_slow, rounded outwards
//              cos and sin times attention_factor, or 0.1 ln(factor) + 1
//   longrope   divided by short_factor_i up to n tokens, by long_factor_i beyond;
//              cos and sin times attention_factor, or sqrt(1 + ln(factor) / ln n)
//   dynamic    as they are up to max_position_embeddings, another theta at every length beyond
//
// The last two change all keys when a text grows beyond a length, which no cache of keys can follow: such models are
// read with the shorter context, where all readers agree.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "jet/model/families/families.h"

namespace jet {

namespace {

constexpr const char* kKnown[] = {"rope_theta", "rope_type", "type", "factor", "original_max_position_embeddings",
                                  "attention_factor", "beta_fast", "beta_slow", "short_factor", "long_factor",
                                  "low_freq_factor", "high_freq_factor", "mscale", "mscale_all_dim", "truncate",
                                  "partial_rotary_factor",
                                  // positions of images; of text all three are one
                                  "mrope_section", "mrope_interleaved"};

struct Asked {
  const Json& j;  // the table of rope's keys
  const RopeContext& of;
  const std::string& where;
  Rope rope{};

  double number(const char* key, double otherwise) const { return get_or(j, key, otherwise, where); }
  double positive(const char* key) const {
    const double value = get<double>(j, key, where);
    require(value > 0 && std::isfinite(value), "{}: rope {} {} is not positive", where, key, value);
    return value;
  }
  int pairs() const { return rope.turning(of.head_dim) / 2; }
  double original() const {
    const double n = of.original > 0 ? of.original : number("original_max_position_embeddings", of.context);
    require(n > 1, "{}: rope original_max_position_embeddings {} is no length", where, n);
    return n;
  }
};

double yarn_scale(double factor, double weight) { return factor <= 1 ? 1 : 0.1 * weight * std::log(factor) + 1; }

void read_yarn(Asked& a) {
  const double n = a.original(), dims = 2.0 * a.pairs();
  const double factor = a.j.contains("factor") && a.j["factor"].is_null() ? a.of.context / n : a.positive("factor");
  const double mscale = a.number("mscale", 0), all = a.number("mscale_all_dim", 0);
  const double scale =
      mscale != 0 && all != 0 ? yarn_scale(factor, mscale) / yarn_scale(factor, all) : yarn_scale(factor, 1);
  a.rope.magnitude = a.number("attention_factor", scale);
  const auto turns_at = [&](const char* key, double otherwise) {
    const double given = a.number(key, otherwise), beta = given == 0 ? otherwise : given;
    require(beta > 0, "{}: rope {} {} is not positive", a.where, key, beta);
    return dims * std::log(n / (beta * 2 * std::numbers::pi)) / (2 * std::log(a.rope.theta));
  };
  double low = turns_at("beta_fast", 32), high = turns_at("beta_slow", 1);
  if (get_or(a.j, "truncate", true, a.where)) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, dims - 1);
  if (low == high) high += 0.001;
  std::vector<double> divide;
  for (int i = 0; i < a.pairs(); ++i) {
    const double ramp = std::clamp((i - low) / (high - low), 0.0, 1.0);
    divide.push_back(1 / (ramp / factor + 1 - ramp));
  }
  a.rope.divide = divide;
}

int read_longrope(Asked& a) {
  const double n = a.original();
  const double factor = a.number("factor", a.of.context / n);
  require(factor > 0, "{}: rope factor {} is not positive", a.where, factor);
  a.rope.magnitude = a.number("attention_factor", factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(n)));
  a.rope.divide = get<std::vector<double>>(a.j, "short_factor", a.where);
  get<std::vector<double>>(a.j, "long_factor", a.where);
  return static_cast<int>(std::min(n, static_cast<double>(a.of.context)));
}

void read_llama3(Asked& a) {
  a.rope.factor = a.positive("factor");
  a.rope.low_freq_factor = a.positive("low_freq_factor");
  a.rope.high_freq_factor = a.positive("high_freq_factor");
  a.rope.original_context = a.original();
}

std::string type_of(const Json& j, const std::string& where) {
  const auto now = get_or(j, "rope_type", std::string(), where), before = get_or(j, "type", std::string(), where);
  require(now.empty() || before.empty() || now == before, "{}: rope_type is '{}', its older spelling type is '{}'",
          where, now, before);
  const std::string type = now.empty() ? before : now;
  return type.empty() || type == "mrope" ? "default" : type == "su" ? "longrope" : type;
}

}  // namespace

ReadRope read_rope_table(const Json& j, const RopeContext& of, const std::string& where) {
  require(j.is_object(), "{}: rope_parameters is not an object", where);
  for (const auto& [key, value] : j.items()) {
    const bool known = std::find(std::begin(kKnown), std::end(kKnown), key) != std::end(kKnown);
    require(known || value.is_null(), "{}: rope key '{}' is not known", where, key);
  }
  Asked a{j, of, where};
  a.rope.theta = get_or(j, "rope_theta", of.theta, where);
  const double share = a.number("partial_rotary_factor", of.partial);
  require(share > 0 && share <= 1, "{}: partial_rotary_factor {} is not in (0, 1]", where, share);
  require(share == 1 || of.may_be_partial, "{}: partial_rotary_factor {} is not supported (1 is)", where, share);
  if (share < 1) a.rope.dims = static_cast<int>(of.head_dim * share);
  require(a.rope.turning(of.head_dim) > 0, "{}: partial_rotary_factor {} leaves no channel to turn", where, share);
  require(a.rope.theta > 1, "{}: rope_theta {} makes no frequencies", where, a.rope.theta);
  ReadRope out{.rope = {}, .context = of.context};
  const std::string type = type_of(j, where);
  if (type == "linear") {
    a.rope.divide = std::vector<double>(a.pairs(), a.positive("factor"));
  } else if (type == "llama3") {
    read_llama3(a);
  } else if (type == "yarn") {
    read_yarn(a);
  } else if (type == "longrope") {
    out.context = read_longrope(a);
  } else {
    require(type == "default" || type == "dynamic",
            "{}: rope type '{}' is not supported (known: default, linear, llama3, yarn, longrope, dynamic)", where,
            type);
  }
  out.rope = a.rope;
  return out;
}

ReadRope read_rope(const Json& config, RopeContext of, const std::string& where) {
  of.theta = get_or(config, "rope_theta", of.theta, where);
  of.partial = get_or(config, "partial_rotary_factor", of.partial, where);
  of.original = get_or(config, "original_max_position_embeddings", 0, where);
  // As in transformers: what was added by hand counts, and the other table is not looked at.
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!config.contains(key) || config[key].is_null() || config[key].empty()) continue;
    require(!config[key].contains("full_attention"), "{}: {} by kind of layer is not supported here", where, key);
    return read_rope_table(config[key], of, where);
  }
  return read_rope_table(Json::object(), of, where);
}

}  // namespace jet
