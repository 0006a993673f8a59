#include "jet/serve/embeddings.h"

#include <bit>

#include "jet/serve/api_error.h"
#include "jet/serve/text_request.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

constexpr int64_t kMostInputs = 2048;  // as OpenAI has it

/// The numbers' bytes (fp32, little-endian) in base64, as OpenAI's clients ask for them.
std::string base64_of(std::span<const float> numbers) {
  static_assert(std::endian::native == std::endian::little);
  constexpr const char* kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto bytes = std::as_bytes(numbers);
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t three = 0;
    for (size_t k = 0; k < 3; ++k)
      three = three << 8 | (i + k < bytes.size() ? std::to_integer<uint32_t>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) text += i + k <= bytes.size() ? kDigits[three >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

bool wants_base64(const Json& body) {
  const auto format = field(body, "encoding_format", std::string("float"));
  if (format != "float" && format != "base64")
    throw ApiError(400, fmt::format("request: 'encoding_format' is {}, expected float or base64", shown(format)));
  return format == "base64";
}

}  // namespace

std::vector<float> mean_hidden(Engine& engine, std::span<const int32_t> ids) {
  std::vector<double> sum(engine.spec().hidden_size);
  engine.observe([&](const char* name, int, std::span<const float> values) {
    if (std::string_view(name) != "hidden.norm") return;
    for (size_t i = 0; i < values.size(); ++i) sum[i % sum.size()] += values[i];
  });
  try {
    const auto sequence = engine.create();
    engine.prefill(*sequence, ids);
  } catch (...) {
    engine.observe({});
    throw;
  }
  engine.observe({});
  std::vector<float> mean;
  for (const double s : sum) mean.push_back(static_cast<float>(s / static_cast<double>(ids.size())));
  return mean;
}

Json embeddings_json(const ServedModel& model, EngineThread& engine, const Json& body,
                     const std::function<bool()>& gone) {
  const bool base64 = wants_base64(body);
  if (has(body, "dimensions") && field<int64_t>(body, "dimensions", 0) != model.engine.spec().hidden_size)
    throw ApiError(400, fmt::format("request: 'dimensions' is {} with this model", model.engine.spec().hidden_size));
  const auto texts = prompts_of(model, body, "input", kMostInputs);
  Json data = Json::array();
  int64_t tokens = 0;
  for (const auto& text : texts)
    if (text.ids.empty()) throw ApiError(400, "request: a text without tokens has no embedding");
  for (const auto& text : texts) {
    if (gone()) break;
    tokens += std::ssize(text.ids);
    std::vector<float> mean;
    engine.run([&](Engine& e) { mean = mean_hidden(e, text.ids); });
    data.push_back({{"object", "embedding"}, {"index", data.size()}});
    data.back()["embedding"] = base64 ? Json(base64_of(mean)) : Json(mean);
  }
  return {{"object", "list"},
          {"data", data},
          {"model", model.name},
          {"pooling", "mean of the last hidden states"},
          {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}};
}

}  // namespace jet
