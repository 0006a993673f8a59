#include "jet/model/shapes.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "jet/base/error.h"

namespace jet {
namespace {

TEST(Shapes, HaveTheirPublishedSizes) {
  const std::pair<const char*, double> wanted[] = {{"jet-2b", 1.96e9},        {"jet-4b", 3.97e9},
                                                   {"qwen2.5-0.5b", 0.494e9}, {"qwen2.5-1.5b", 1.544e9},
                                                   {"qwen3-1.7b", 1.72e9},    {"qwen3.5-0.8b", 0.752e9},
                                                   {"qwen3.5-2b", 1.88e9},    {"llama-3.2-1b", 1.236e9},
                                                   {"gemma-3-1b", 1.0e9},     {"granite-4.0-h-350m", 0.34e9},
                                                   {"olmo-hybrid-7b", 7.43e9}};
  ASSERT_EQ(shape_names().size(), std::size(wanted));
  for (const auto& [name, parameters] : wanted) {
    EXPECT_NEAR(static_cast<double>(parameter_count(shape_spec(name))) / parameters, 1, 0.03) << name;
  }
  // Bytes a token of context adds, far behind every window.
  const auto growth = [](const char* name) {
    const ModelSpec s = shape_spec(name);
    return cache_bytes(s, 65537) - cache_bytes(s, 65536);
  };
  EXPECT_EQ(growth("jet-2b"), 2048);
  EXPECT_EQ(growth("qwen2.5-1.5b"), 28672);
  EXPECT_EQ(growth("qwen3-1.7b"), 114688);
}

TEST(Shapes, UnknownOnesAreRefusedByName) {
  try {
    shape_spec("jet-3b");
    FAIL();
  } catch (const Error& e) { EXPECT_NE(std::string(e.what()).find("jet-2b"), std::string::npos) << e.what(); }
}

}  // namespace
}  // namespace jet
