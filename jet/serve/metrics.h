// How the server stands, as JSON (/stats) and for Prometheus (/metrics); what the model is (/props, served_model.h).
#pragma once

#include <string>

#include "jet/base/json.h"
#include "jet/serve/engine_thread.h"

namespace jet {

Json stats_json(const EngineThread& engine);
/// https://prometheus.io/docs/instrumenting/exposition_formats
std::string metrics_text(const EngineThread& engine);

}  // namespace jet
