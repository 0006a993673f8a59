// A whole search on another device than the CPU (test_device.h) takes the same steps: its losses are those of the CPU.
#include <gtest/gtest.h>

#include <filesystem>

#include "jet/base/file.h"
#include "jet/search/device.h"
#include "jet/search/postnas.h"
#include "jet/search/train_bench.h"
#include "jet/train/test_device.h"

namespace jet {
namespace {

const char* const kDeviceRecipe = R"(
held_out_tokens = 2048
precision = "fp32"
separate_documents = true
[[data]]
name = "skills"
path = "data/train/skills.txt"
answers = '(?:\?|=|Answer:) (\S+)$'
answer_weight = 8
[eval]
search_items = 1
items = 2
held_out_rows = 1
held_out_length = 128
[supernet.budget]
align = {tokens = 128, batch = 2, length = 64}
distill = {train = {tokens = 128, batch = 2, length = 64}}
[placement]
full = 1
swa = 1
window = 16
beam = 1
selectors = ["gates", "importance"]
gates = {train = {tokens = 128, batch = 2, length = 64, lr = 0.1}}
[blocks]
kinds = ["jet"]
weights = {accuracy = 1}
[blocks.budget]
align = {tokens = 128, batch = 2, length = 64}
distill = {feature_weight = 0, teacher_top = 8, train = {tokens = 128, batch = 2, length = 64}}
[distill]
stage1 = {train = {tokens = 128, batch = 2, length = 64}}
stage2 = {train = {tokens = 128, batch = 2, length = 64}}
[speed]
contexts = [0]
decode = 2
repeats = 1
prefill = 8
)";

// {".../loss": 3.2, ...}: every loss in the run's ledger; of the learned gates, which one step of training leaves level
// but for rounding, their values and not what the greatest of them was worth.
Json search(const std::string& folder, const std::string& device) {
  const std::string path = folder + "/" + device + ".toml", out = folder + "/" + device;
  write_file(path, fmt::format("device = \"{}\"\n{}", device, kDeviceRecipe));
  PostnasOptions options;
  options.base = "models/base", options.recipe = path, options.out = out;
  run_postnas(options);
  const std::string machine = read_json(out + "/report.json").at("machine");
  EXPECT_EQ(machine.ends_with(", training on " + device), device != "cpu") << machine;
  const Json all = read_json(out + "/ledger.json").flatten();
  Json losses;
  const std::string gates = "/results/placement/selectors/1/";
  EXPECT_EQ(all.at(gates + "name"), "gates");
  for (const auto& [key, value] : all.items()) {
    const bool loss = key.ends_with("/loss") || key.ends_with("/nll");
    if (key.starts_with(gates) ? key.starts_with(gates + "trace/") : loss) losses[key] = value;
  }
  return losses;
}

TEST(Device, AWholeSearchRunsThere) {
  const std::string device = other_device().str();
  const std::string folder = testing::TempDir() + "jet_search_device";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const Json here = search(folder, "cpu"), there = search(folder, device);
  EXPECT_GT(here.size(), 15u);
  for (const auto& [key, loss] : here.items()) {
    ASSERT_TRUE(there.contains(key)) << key;
    const double want = loss;
    EXPECT_NEAR(there.at(key).get<double>(), want, 0.01 * want) << key;
  }
  std::filesystem::remove_all(folder);
}

TEST(Device, TrainingStepsAreTimedThere) {
  TrainBenchOptions o;
  o.model = "models/base", o.device = other_device().str(), o.precision = "fp32", o.length = 16;
  o.lines = train_bench_lines();
  const Json report = train_bench(o);
  EXPECT_EQ(report.at("device"), o.device);
  EXPECT_EQ(report.at("lines").size(), o.lines.size());
}

TEST(Device, NamesThatAreNoDeviceAreRefused) {
  for (const char* name : {"gpu", "cuda:99", "cuda:x", ""}) EXPECT_THROW(device_named(name, "recipe"), Error) << name;
  EXPECT_EQ(device_named("cpu", "recipe"), at::Device(at::kCPU));
}

}  // namespace
}  // namespace jet
