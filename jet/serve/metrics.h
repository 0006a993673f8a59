// How the server stands, as JSON (/stats) and for Prometheus (/metrics); what the model is (/props, served_model.h).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "jet/base/json.h"
#include "jet/serve/engine_thread.h"

namespace jet {

Json stats_json(const EngineThread& engine);
/// https://prometheus.io/docs/instrumenting/exposition_formats
std::string metrics_text(const EngineThread& engine);

/// The mean of a text's hidden states after the last norm. Throws Error on a text beyond the model's context.
std::vector<float> mean_hidden(Engine& engine, std::span<const int32_t> ids);

}  // namespace jet
