#include "jet/cli/serving.h"

#include <malloc.h>
#include <signal.h>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <cstdlib>

#include "jet/cli/options.h"

namespace jet {
namespace {

HttpServer* server = nullptr;  // the signals' handler has no other way to it

}  // namespace

void add_address(CLI::App& c, ServeOptions& o) {
  c.add_option("--host", o.http.host, "address to listen on (0.0.0.0: all)")->capture_default_str();
  add_number(c, "--port", o.http.port, "port to listen on (0: any)", 0, 65535);
  c.add_option("--api-key", o.api_key, "what clients have to send (also JET_API_KEY, which ps does not show)");
  c.add_option("--cors", o.http.cors, "origin whose pages may ask, or * (default: none but the server's own page)");
}

std::string api_key(const std::string& given) {
  const char* set = std::getenv("JET_API_KEY");
  return given.empty() && set ? set : given;
}

// A heap for each of many threads, and a threshold for mappings that grows with what is freed, kept a tenth more after
// minutes of load, and ever more.
void keep_heap_small() {
  constexpr int kHeaps = 2, kMappedFrom = 128 << 10;
  mallopt(M_ARENA_MAX, kHeaps), mallopt(M_MMAP_THRESHOLD, kMappedFrom), mallopt(M_TRIM_THRESHOLD, kMappedFrom);
}

void tell_address(const std::string& name, const HttpOptions& http, int port, const std::string& note) {
  const std::string host = http.host.find(':') == http.host.npos ? http.host : "[" + http.host + "]";
  fmt::print("{}: http://{}:{}{}\n", name, host, port, note);
  std::fflush(stdout);
}

void stop_by_signals(HttpServer& http) {
  server = &http;
  struct sigaction action {};
  action.sa_handler = [](int) { server->stop_serving(); };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

void serve_runs(const std::string& folder, const ServeOptions& o) {
  const auto runs = std::make_shared<RunsFolder>(folder);
  HttpServer http(o.http);
  Routes routes(http, api_key(o.api_key));
  routes.get("/props", [](const auto&, auto& response) {  // the page has no chat then
    send_json(response, {{"model", nullptr}, {"version", JET_VERSION}});
  });
  add_run_routes(routes, runs);
  stop_by_signals(http);
  tell_address(folder, o.http, http.port());
  http.serve(o.grace_seconds);
}

}  // namespace jet
