// What commands that serve over HTTP share: their address, their end, and the server of runs without a model.
#pragma once

#include <string>

#include "jet/serve/runs.h"
#include "jet/serve/server.h"

namespace CLI {
class App;
}

namespace jet {

/// --host, --port, --api-key.
void add_address(CLI::App& c, ServeOptions& options);
/// What was given, or JET_API_KEY.
std::string api_key(const std::string& given);
/// glibc's heap gives back what ended requests held. Before any thread is made.
void keep_heap_small();
/// "NAME: http://127.0.0.1:8080NOTE", on standard output.
void tell_address(const std::string& name, const HttpOptions& http, int port, const std::string& note = {});
/// SIGINT and SIGTERM let what runs end; a second one ends the program.
void stop_by_signals(HttpServer& http);
/// The page, and the runs in `folder`, until a signal.
void serve_runs(const std::string& folder, const ServeOptions& options);

}  // namespace jet
