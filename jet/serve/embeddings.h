// /v1/embeddings: the mean of a text's last hidden states, of a language model that was not trained for it.
//
//   {"input": text, ids, or a list of either, "encoding_format": "float" | "base64"}
#pragma once

#include <span>
#include <vector>

#include "jet/serve/engine_thread.h"
#include "jet/serve/served_model.h"

namespace jet {

/// Throws ApiError, and Error on a text beyond the model's context. `gone`: whether there is still somebody to answer.
Json embeddings_json(const ServedModel& model, EngineThread& engine, const Json& body,
                     const std::function<bool()>& gone);

/// The mean of a text's hidden states after the last norm. Throws Error on a text beyond the model's context.
std::vector<float> mean_hidden(Engine& engine, std::span<const int32_t> ids);

}  // namespace jet
