#include "jet/serve/server.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <regex>
#include <set>

#include "jet/engine/test_models.h"
#include "jet/serve/page.h"

namespace jet {
namespace {

/// "/slots/{id}" and R"(/slots/(\d+))" are both "/slots/*".
std::string general(const std::string& path) {
  return std::regex_replace(path, std::regex(R"(\([^)]*\)|\{[^}]*\})"), "*");
}

TEST(ModelServer, HasTheRoutesThatItsDocumentTellsOf) {
  const auto engine = Engine::random(test_models().back().spec, 1, DType::f32, {.threads = 1});
  const Tokenizer tokenizer = Tokenizer::load("models/base");
  const ServedModel model{.name = "m", .version = "", .engine = *engine, .tokenizer = tokenizer};
  const ModelServer server(*engine, model, {.http = {.port = 0}});
  std::set<std::string> routes, told;
  for (const auto& [method, path] : server.routes()) routes.insert(method + " " + general(path));
  const std::map<std::string, std::string> methods{{"get", "GET "}, {"post", "POST "}};
  const Json document = parse_json(openapi_json(), "web/openapi.json");
  for (const auto& [path, operations] : document["paths"].items())
    for (const auto& [method, operation] : operations.items()) told.insert(methods.at(method) + general(path));
  EXPECT_EQ(routes, told);
}

}  // namespace
}  // namespace jet
