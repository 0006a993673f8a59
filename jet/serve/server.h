// The server of one model: OpenAI's API, what others ask for (llama.cpp's /tokenize, /props, Prometheus), and the page.
//
//   GET  / /health /v1/models /props /stats /metrics /openapi.json
//   POST /v1/chat/completions /v1/completions /v1/responses /v1/messages /v1/messages/count_tokens /v1/embeddings
//        /tokenize /detokenize /apply-template
//   GET  /slots, POST /slots/ID?action=save|restore|erase     llama.cpp's (slots.h)
//   GET  /runs /runs/NAME          of searches, where a folder of them is given (runs.h)
//
// web/openapi.json describes them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "jet/serve/engine_thread.h"
#include "jet/serve/http_server.h"
#include "jet/serve/served_model.h"
#include "jet/serve/slots.h"
#include "jet/serve/text_request.h"

namespace jet {

class RunsFolder;

struct ServeOptions {
  HttpOptions http{};
  EngineThreadOptions engine{};
  std::string api_key{};               // empty: none is asked for
  std::string slots{};                 // the folder of saved slots; empty: beside the cache's files, where it has any
  std::shared_ptr<RunsFolder> runs{};  // null: none are shown
  int grace_seconds = 60;              // for what runs when the server is told to end
};

class ModelServer {
 public:
  /// Binds the port and starts the engine's thread; engine and model must outlive it.
  ModelServer(Engine& engine, const ServedModel& model, const ServeOptions& options);
  int port() const { return http_.port(); }
  const std::vector<HttpServer::Route>& routes() const { return http_.routes(); }
  /// Serves until stop().
  void serve() { http_.serve(options_.grace_seconds); }
  HttpServer& http() { return http_; }

 private:
  void add_routes();
  void answer_text(TextRequest request, uint64_t client, httplib::Response& response);
  void stream(httplib::Response& response, std::shared_ptr<TextRequest> request, std::shared_ptr<Channel> channel);

  const ServedModel& model_;
  ServeOptions options_;
  EngineThread engine_;
  Slots slots_;
  HttpServer http_;
};

}  // namespace jet
