#include "jet/eval/bench_report.h"

#include <algorithm>

#include "jet/base/error.h"
#include "jet/eval/machine_info.h"

namespace jet {
namespace {

constexpr const char* kFormat = "jet bench 1";

struct Peak {
  double read = 0, read_low = 0, fma = 0, gemm = 0;
};

Peak peak_of(const std::vector<Probe>& probes) {
  Peak p;
  for (const Probe& x : probes) {
    p.read = std::max(p.read, x.read.best);
    p.read_low = p.read_low > 0 ? std::min(p.read_low, x.read.median) : x.read.median;
    p.fma = std::max(p.fma, x.fma.best);
    p.gemm = std::max(p.gemm, x.gemm.best);
  }
  return p;
}

/// What the machine gave beside repeat i (the last: the metered one).
Moment beside(const Timing& t, size_t i) {
  const Moment &a = t.moments.at(i), &b = t.moments.at(i + 1);
  return {(a.read + b.read) / 2, (a.gemm + b.gemm) / 2};
}

/// The numbers that follow from a time, and from the bytes and FLOPs in it.
void add_rates(Json& j, double seconds, double bytes, double flops, const Moment& machine) {
  j["bytes"] = bytes;
  j["flops"] = flops;
  j["read_share"] = seconds > 0 ? bytes / seconds / machine.read : 0;
  j["gemm_share"] = seconds > 0 ? flops / seconds / machine.gemm : 0;
}

Json kinds_of(const Timing& t) {
  Json kinds = Json::array();
  const Moment machine = beside(t, t.seconds.size());
  const auto passes = static_cast<double>(t.metered_passes);
  double rest = t.metered_seconds;
  const auto add = [&](const std::string& name, double calls, const OpTotals& o) {
    Json j = {{"kind", name},
              {"calls", calls / passes},
              {"seconds", o.seconds / passes},
              {"share", o.seconds / t.metered_seconds}};
    add_rates(j, o.seconds / passes, o.bytes / passes, o.flops / passes, machine);
    kinds.push_back(std::move(j));
  };
  for (const auto& [name, o] : t.kinds) {
    add(name, static_cast<double>(o.calls), o);
    rest -= o.seconds;
  }
  if (!t.kinds.empty()) add("rest", passes, {.seconds = std::max(0.0, rest)});
  std::stable_sort(kinds.begin(), kinds.end(), [](const Json& a, const Json& b) {
    return a["seconds"].get<double>() > b["seconds"].get<double>();
  });
  return kinds;
}

Json stage_of(const Timing& t) {
  const double tokens = static_cast<double>(t.stage.tokens) * t.stage.batch, seconds = median(t.seconds);
  const auto [fast, slow] = std::minmax_element(t.seconds.begin(), t.seconds.end());
  Json j = {{"stage", t.stage.label()},   {"kind", t.stage.kind == Stage::prefill ? "prefill" : "decode"},
            {"depth", t.stage.depth},     {"batch", t.stage.batch},
            {"tokens", t.stage.tokens},   {"seconds", t.seconds},
            {"tps", tokens / seconds},    {"tps_low", tokens / *slow},
            {"tps_high", tokens / *fast}, {"cache_bytes", t.cache_bytes},
            {"held_bytes", t.held_bytes}};
  std::vector<double> read, gemm;  // shares, a repeat
  for (size_t i = 0; i < t.seconds.size(); ++i) {
    const Moment machine = beside(t, i);
    read.push_back(t.work.bytes / t.seconds[i] / machine.read);
    gemm.push_back(t.work.flops / t.seconds[i] / machine.gemm);
  }
  j.update({{"bytes", t.work.bytes},
            {"flops", t.work.flops},
            {"read_share", median(read)},
            {"gemm_share", median(gemm)},
            {"read_shares", read},
            {"gemm_shares", gemm}});
  j["kinds"] = kinds_of(t);
  return j;
}

void add_prediction(Json& stage, const Timing& t, double seconds) {
  stage["predicted_tps"] = static_cast<double>(t.stage.tokens) * t.stage.batch / seconds;
  stage["predicted_error"] = seconds / median(t.seconds) - 1;
}

double number(const Json& j, const char* key) { return get<double>(j, key, "bench report"); }
std::string text(const Json& j, const char* key) { return get<std::string>(j, key, "bench report"); }
Json list(const Json& j, const char* key) { return get<Json>(j, key, "bench report"); }

/// Of one prompt or step.
double stage_seconds(const Json& stage) {
  return number(stage, "tokens") * number(stage, "batch") / number(stage, "tps");
}

std::string rates(const Json& j, double seconds) {
  const double per = seconds > 0 ? 1e-9 / seconds : 0;
  return fmt::format("{:>10.4f} {:>7.2f} {:>5.1f}% {:>10.3f} {:>8.1f} {:>5.1f}%", number(j, "bytes") * 1e-9,
                     number(j, "bytes") * per, 100 * number(j, "read_share"), number(j, "flops") * 1e-9,
                     number(j, "flops") * per, 100 * number(j, "gemm_share"));
}

std::string head_text(const Json& r) {
  const Json peak = list(r, "peak");
  std::string out = fmt::format("{}; kernels {}\n", text(r, "machine"), text(r, "isa"));
  out += fmt::format("{}, weights {} ({:.2f} M, {:.3f} GB), KV {}, state {}\n", text(r, "model"), text(r, "type"),
                     number(r, "parameters") * 1e-6, number(r, "weight_bytes") * 1e-9, text(r, "kv"), text(r, "state"));
  out += fmt::format(
      "read {:.1f} GB/s, fp32 FMA {:.0f} GFLOP/s, {} products {:.0f} GFLOP/s: best of all probes; shares are of the "
      "looks beside each repeat\n",
      number(peak, "read") * 1e-9, number(peak, "fma") * 1e-9, text(r, "type"), number(peak, "gemm") * 1e-9);
  const Json probes = list(r, "probes");
  for (const size_t i : {size_t{0}, probes.size() - 1}) {
    const Json& p = probes[i];
    out += fmt::format("  {:<22} read {:.1f} GB/s, fp32 FMA {:.0f}, {} products {:.0f} GFLOP/s\n",
                       i == 0 ? "before" : "after", number(p, "read") * 1e-9, number(p, "fma") * 1e-9, text(r, "type"),
                       number(p, "gemm") * 1e-9);
  }
  return out + fmt::format("  {:<22} read {:.1f} .. {:.1f} GB/s\n", fmt::format("all {} probes", probes.size()),
                           number(peak, "read_low") * 1e-9, number(peak, "read") * 1e-9);
}

std::string stages_text(const Json& stages) {
  std::string out =
      fmt::format("\n{:<22} {:>9} {:>19} {:>10} {:>10} {:>7} {:>6} {:>10} {:>8} {:>6} {:>10}\n", "stage", "tok/s",
                  "(min .. max)", "ms", "GB", "GB/s", "read", "GFLOP", "GFLOP/s", "peak", "cache MB");
  for (const Json& s : stages) {
    const std::string spread = fmt::format("({:.1f} .. {:.1f})", number(s, "tps_low"), number(s, "tps_high"));
    const double seconds = stage_seconds(s);
    out += fmt::format("{:<22} {:>9.1f} {:>19} {:>10.2f} {} {:>10.2f}\n", text(s, "stage"), number(s, "tps"), spread,
                       seconds * 1e3, rates(s, seconds), number(s, "cache_bytes") * 1e-6);
  }
  return out;
}

std::string predictions_text(const Json& stages) {
  std::string out;
  for (const Json& s : stages) {
    if (!s.contains("predicted_tps")) continue;
    if (out.empty()) out = fmt::format("\n{:<22} {:>9} {:>10} {:>12}\n", "stage", "tok/s", "predicted", "time off by");
    out += fmt::format("{:<22} {:>9.1f} {:>10.1f} {:>+11.1f}%\n", text(s, "stage"), number(s, "tps"),
                       number(s, "predicted_tps"), 100 * number(s, "predicted_error"));
  }
  return out;
}

std::string kinds_text(const Json& stages) {
  std::string out;
  for (const Json& s : stages) {
    const Json kinds = list(s, "kinds");
    if (kinds.empty()) continue;
    out += fmt::format("\n{:<22} {:>8} {:>6} {:>10} {:>10} {:>7} {:>6} {:>10} {:>8} {:>6}\n", text(s, "stage"), "calls",
                       "time", "ms", "GB", "GB/s", "read", "GFLOP", "GFLOP/s", "peak");
    for (const Json& k : kinds) {
      const double seconds = number(k, "seconds");
      out += fmt::format("  {:<20} {:>8.0f} {:>5.1f}% {:>10.3f} {}\n", text(k, "kind"), number(k, "calls"),
                         100 * number(k, "share"), seconds * 1e3, rates(k, seconds));
    }
  }
  return out;
}

void check_format(const Json& r) {
  const bool ours = r.is_object() && r.contains("format") && r["format"] == kFormat;
  require(ours, "a report to compare is none of `jet bench --json` (its format is not '{}')", kFormat);
}

/// The entry whose `key` is `name`; null where there is none.
Json find(const Json& entries, const char* key, const std::string& name) {
  for (const Json& e : entries) {
    if (text(e, key) == name) return e;
  }
  return nullptr;
}

std::string compare_kinds(const Json& before, const Json& after, double normal) {
  std::string out;
  for (const Json& k : list(after, "kinds")) {
    const Json old = find(list(before, "kinds"), "kind", text(k, "kind"));
    if (old.is_null()) continue;
    const double a = number(old, "seconds"), b = number(k, "seconds");
    if (a <= 0 || b <= 0) continue;
    out += fmt::format("  {:<20} {:>10.3f} {:>10.3f} ms {:>11.3f} {:>11.3f}\n", text(k, "kind"), a * 1e3, b * 1e3,
                       a / b, a / b * normal);
  }
  return out;
}

}  // namespace

Json bench_report(const std::string& model, const Engine& engine, const BenchPlan& plan, const BenchRun& run) {
  const EngineOptions& o = engine.options();
  const Peak peak = peak_of(run.probes);
  Json r = {{"format", kFormat},
            {"machine", machine_name(o.threads)},
            {"isa", machine_info().chosen},
            {"threads", o.threads},
            {"model", model},
            {"type", name_of(plan.type)},
            {"kv", name_of(o.kv)},
            {"state", name_of(o.state)},
            {"parameters", parameter_count(engine.spec())},
            {"weight_bytes", engine.weight_bytes()},
            {"seed", plan.speed.seed},
            {"steps", plan.speed.decode},
            {"repeats", plan.speed.repeats},
            {"prefill_chunk", o.prefill_chunk},
            {"peak", {{"read", peak.read}, {"read_low", peak.read_low}, {"fma", peak.fma}, {"gemm", peak.gemm}}},
            {"probes", Json::array()},
            {"stages", Json::array()},
            {"left_out", run.left_out}};
  for (const Probe& p : run.probes) {
    r["probes"].push_back(
        {{"before", p.before}, {"read", p.read.median}, {"fma", p.fma.median}, {"gemm", p.gemm.median}});
  }
  for (size_t i = 0; i < run.timings.size(); ++i) {
    const Timing& t = run.timings[i];
    r["stages"].push_back(stage_of(t));
    if (i < run.predicted.size()) add_prediction(r["stages"].back(), t, run.predicted[i]);
  }
  return r;
}

std::string bench_text(const Json& report) {
  const Json stages = list(report, "stages");
  std::string out = head_text(report) + stages_text(stages) + predictions_text(stages) + kinds_text(stages);
  for (const Json& line : list(report, "left_out")) out += "left out: " + line.get<std::string>() + "\n";
  return out;
}

std::string compare_benches(const Json& old_report, const Json& new_report) {
  std::string out;
  for (const Json* r : {&old_report, &new_report}) {
    check_format(*r);
    const Json peak = list(*r, "peak");
    out += fmt::format("{}: {} {}, KV {}; {}; kernels {}; read {:.1f} GB/s, products {:.0f} GFLOP/s\n",
                       r == &old_report ? "old" : "new", text(*r, "model"), text(*r, "type"), text(*r, "kv"),
                       text(*r, "machine"), text(*r, "isa"), number(peak, "read") * 1e-9, number(peak, "gemm") * 1e-9);
  }
  out += fmt::format("\n{:<22} {:>10} {:>10} {:>14} {:>11}\n", "", "old", "new", "ratio", "normalised");
  const Json olds = list(old_report, "stages");
  for (const Json& s : list(new_report, "stages")) {
    const Json old = find(olds, "stage", text(s, "stage"));
    if (old.is_null()) {
      out += fmt::format("{:<22} only in new\n", text(s, "stage"));
      continue;
    }
    const char* probe = text(s, "kind") == "prefill" ? "gemm" : "read";
    const double ratio = number(s, "tps") / number(old, "tps");
    const double normal = number(list(old_report, "peak"), probe) / number(list(new_report, "peak"), probe);
    out += fmt::format("{:<22} {:>10.1f} {:>10.1f} tok/s {:>8.3f} {:>11.3f}\n", text(s, "stage"), number(old, "tps"),
                       number(s, "tps"), ratio, ratio * normal);
    out += compare_kinds(old, s, normal);
  }
  for (const Json& s : olds) {
    if (find(list(new_report, "stages"), "stage", text(s, "stage")).is_null()) {
      out += fmt::format("{:<22} only in old\n", text(s, "stage"));
    }
  }
  return out;
}

}  // namespace jet
