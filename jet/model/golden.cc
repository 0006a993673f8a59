#include "jet/model/golden.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <limits>

#include "jet/base/error.h"
#include "jet/base/file.h"
#include "jet/base/json.h"

namespace jet {

namespace {

namespace fs = std::filesystem;

bool is_golden(const std::string& folder) { return file_exists(folder + "/golden.safetensors"); }

// A file that is no model's and no layer's. One that cannot be read is taken for an operator's, so that it is told of.
bool is_op(const fs::path& path) {
  if (path.extension() != ".safetensors" || is_golden(path.parent_path().string())) return false;
  try {
    return SafeTensors::open(path.string()).metadata().contains("rule");
  } catch (const Error&) { return !file_exists((path.parent_path() / "config.json").string()); }
}

std::vector<std::string> golden_paths(const std::string& root) {
  require(fs::is_directory(root), "{}: no such folder", root);
  const std::string clean = fs::path(root + "/.").lexically_normal().parent_path().string();
  if (is_golden(clean)) return {clean};
  std::vector<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(clean)) {
    if (entry.is_directory() ? is_golden(entry.path().string()) : is_op(entry.path())) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  require(!found.empty(), "{}: holds no golden data: expected folders with golden.safetensors", root);
  return found;
}

GoldenKind kind_of(const std::string& path) {
  if (!fs::is_directory(path)) return GoldenKind::op;
  return read_json(path + "/config.json").contains("source_class") ? GoldenKind::block : GoldenKind::model;
}

/// Keeps those that `wanted` holds for, where there are any.
template <class F>
void narrow(std::vector<const GoldenInput*>& inputs, F&& wanted) {
  std::vector<const GoldenInput*> kept;
  std::copy_if(inputs.begin(), inputs.end(), std::back_inserter(kept), wanted);
  if (!kept.empty()) inputs = std::move(kept);
}

bool is_hidden(const std::string& name) { return name.starts_with("hidden.") || name.starts_with("mixer_out."); }
bool is_cache(const std::string& name) { return name.starts_with("cache."); }

}  // namespace

VerifyCase failed(std::string name, const std::string& why) {
  return {std::move(name), std::numeric_limits<double>::infinity(), 0, false, one_line(why)};
}

std::vector<VerifyCase> verify_all(const std::string& root, const VerifyFn& verify) {
  std::vector<VerifyCase> all;
  for (const std::string& path : golden_paths(root)) {
    std::vector<VerifyCase> cases;
    try {
      verify(path, kind_of(path), cases);
    } catch (const std::exception& e) { cases.push_back(failed("all", e.what())); }
    for (VerifyCase& c : cases) {
      c.name = fs::path(path).filename().string() + ": " + c.name;
      all.push_back(std::move(c));
    }
  }
  return all;
}

std::vector<GoldenInput> golden_inputs(const SafeTensors& golden) {
  constexpr std::string_view prefix = "input_ids";
  std::vector<GoldenInput> inputs;
  for (const auto& [name, t] : golden.all()) {
    if (!name.starts_with(prefix)) continue;
    require(t.shape.size() == 2 && numel(t.shape) > 0, "{}: '{}' has shape {}, expected [batch, tokens]", golden.path(),
            name, to_string(t.shape));
    inputs.push_back({name.substr(prefix.size()), t.shape[0], t.shape[1]});
  }
  require(!inputs.empty(), "{}: holds no input_ids to run", golden.path());
  return inputs;
}

const GoldenInput* traced_input(const SafeTensors& golden, const std::vector<GoldenInput>& inputs) {
  bool traced = false;
  int64_t longest = 0;  // cached keys
  std::vector<const GoldenInput*> fitting;
  for (const GoldenInput& in : inputs) fitting.push_back(&in);
  for (const auto& [name, t] : golden.all()) {
    traced = traced || is_hidden(name) || is_cache(name) || name.starts_with("grad.");
    if (is_cache(name) && name.ends_with(".key") && t.shape.size() == 4) longest = std::max(longest, t.shape[2]);
    if (!is_hidden(name)) continue;
    std::erase_if(fitting, [&, &shape = t.shape](const GoldenInput* in) {
      return shape.size() != 3 || in->batch != shape[0] || in->tokens != shape[1];
    });
    require(!fitting.empty(), "{}: '{}' has shape {}, which is that of no input", golden.path(), name,
            to_string(t.shape));
  }
  if (!traced) return nullptr;
  narrow(fitting, [&](const GoldenInput* in) { return in->tokens == longest; });
  narrow(fitting, [&](const GoldenInput* in) { return golden.contains("loss" + in->suffix); });
  require(fitting.size() == 1,
          "{}: cache.* and grad.* can be those of {} inputs: hidden.norm [batch, tokens, hidden]"
          " tells which",
          golden.path(), fitting.size());
  return fitting.front();
}

CacheEntry cache_entry(const std::string& name) {
  const std::string_view rest = std::string_view(name).substr(std::string_view("cache.").size());
  int layer = -1;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), layer);
  const std::string_view kind(end, rest.data() + rest.size() - end);
  if (error == std::errc() && layer >= 0) {
    if (kind == ".recurrent_state") return {layer, "recurrent", false};
    if (kind == ".conv_state") return {layer, "conv", true};
    if (kind == ".key") return {layer, "keys", true};
    if (kind == ".value") return {layer, "values", true};
  }
  fail("'{}' is no cache entry that is known: cache.<layer>.recurrent_state, .conv_state, .key, .value", name);
}

}  // namespace jet
