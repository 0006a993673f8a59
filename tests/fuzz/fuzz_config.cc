// Input: a config.json of any family, and a generation_config.json. What the first is read as must survive our own
// layout, and the official one where that can express it, and be counted without overflow.
#include "jet/model/checkpoint.h"
#include "tests/fuzz/support.h"

namespace {

/// What the official layout can express is read from it as it was.
void check_official(const jet::ModelSpec& spec) {
  const auto write = [](const jet::ModelSpec& s) { return jet::family_named("jet_nemotron", "").write(s, "official"); };
  jet::Json official;
  try {
    official = write(spec);
  } catch (const jet::Error&) { return; }
  try {
    jet::fuzz::check(write(jet::read_spec(official, "official")) == official, "the official layout is read otherwise");
  } catch (const jet::Error& e) { throw std::logic_error(e.what()); }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jet;
  const std::string input(reinterpret_cast<const char*>(data), size);
  fuzz::expect_only_errors([&] { read_generation_config(parse_json(input, "file"), "file", ModelSpec()); });
  fuzz::expect_only_errors([&] {
    const ModelSpec spec = read_spec(parse_json(input, "config.json"), "config.json");
    const Json own = spec_to_json(spec);
    fuzz::check(spec_to_json(spec_from_json(own, "own")) == own, "the spec changed in our own layout");
    check_official(spec);
    fuzz::check(parameter_count(spec) > 0, "no parameters");
    fuzz::check(cache_bytes(spec, spec.max_position_embeddings) >= 0, "less than no state");
  });
  return 0;
}
