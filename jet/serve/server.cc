#include "jet/serve/server.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "jet/base/hash.h"
#include "jet/serve/answer.h"
#include "jet/serve/api_error.h"
#include "jet/serve/embeddings.h"
#include "jet/serve/metrics.h"
#include "jet/serve/page.h"
#include "jet/serve/routes.h"
#include "jet/serve/runs.h"

namespace jet {
namespace {

constexpr std::chrono::milliseconds kPoll{100};  // between looks whether a client has gone
constexpr const char* kJson = "application/json";

/// Who asks, as far as can be told: what texts wait for in turn.
uint64_t client_of(const httplib::Request& request) {
  return content_hash(request.remote_addr + '\n' + request.get_header_value("Authorization") + '\n' +
                      request.get_header_value("x-api-key"));
}

/// Objects are searched key by key, so one of a million keys would take a processor for an hour.
void check_keys(const std::string& text) {
  constexpr int64_t kMostComparisons = int64_t{1} << 27, kList = -1;
  std::vector<int64_t> keys;  // of each object that is open, beyond its first; or a list
  int64_t comparisons = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    if (in_string) {
      i += c == '\\';
    } else if (c == '{' || c == '[') {
      keys.push_back(c == '{' ? 0 : kList);
    } else if (!keys.empty() && (c == '}' || c == ']')) {
      keys.pop_back();
    } else if (!keys.empty() && c == ',' && keys.back() != kList) {
      comparisons += ++keys.back();
      if (comparisons > kMostComparisons) throw ApiError(400, "request: its JSON has too many keys");
    }
  }
}

bool is_json(std::string type) {
  type.resize(std::min(type.size(), type.find_first_of("; \t")));
  std::transform(type.begin(), type.end(), type.begin(), [](unsigned char c) { return std::tolower(c); });
  return type == kJson;
}

Json body_of(const httplib::Request& request) {
  if (!is_json(request.get_header_value("Content-Type")))
    throw ApiError(415,
                   "the body is not plain application/json; send the header Content-Type: application/json, and no "
                   "Content-Encoding");
  check_keys(request.body);
  Json body;
  try {
    body = parse_json(request.body, "request");
  } catch (const Error& e) { throw ApiError(400, e.what()); }
  if (!body.is_object()) throw ApiError(400, "request: is no JSON object");
  return body;
}

Json models_json(const ServedModel& model) {
  return {
      {"object", "list"},
      {"data",
       Json::array({{{"id", model.name}, {"object", "model"}, {"created", model.created}, {"owned_by", "jet.cpp"}}})}};
}

Json tokenized(const ServedModel& model, const Json& body) {
  if (!body.contains("content") || !body["content"].is_string()) throw ApiError(400, "request: 'content' is no text");
  const bool special = body.contains("add_special") && body["add_special"] == true;
  return {{"tokens", model.tokenizer.encode(body["content"].get<std::string>(), special)}};
}

Json detokenized(const ServedModel& model, const Json& body) {
  if (!has(body, "tokens")) throw ApiError(400, "request: key 'tokens' is missing");
  return {{"content", model.tokenizer.decode(ids_from(model, body["tokens"], "tokens"))}};
}

std::string slot_folder(const ServeOptions& o) {
  return o.slots.empty() && !o.engine.folder.path.empty() ? o.engine.folder.path + "/slots" : o.slots;
}

}  // namespace

ModelServer::ModelServer(Engine& engine, const ServedModel& model, const ServeOptions& options)
    : model_(model), options_(options), engine_(engine, options.engine),
      slots_(engine_, model, slot_folder(options), options.engine.folder.bytes), http_(options.http) {
  add_routes();
}

void ModelServer::add_routes() {
  Routes routes(http_, options_.api_key);
  const auto get = [&](const char* path, Handler handler) { routes.get(path, std::move(handler)); };
  const auto post = [&](const char* path, Handler handler) { routes.post(path, std::move(handler)); };
  const auto post_json = [&](const char* path, std::function<Json(const Json&)> work) {
    post(path, [work = std::move(work)](const httplib::Request& request, httplib::Response& response) {
      send_json(response, work(body_of(request)));
    });
  };
  http_.Get("/openapi.json",
            [](const httplib::Request&, httplib::Response& response) { response.set_content(openapi_json(), kJson); });
  get("/v1/models", [this](const auto&, auto& response) { send_json(response, models_json(model_)); });
  get("/props", [this](const auto&, auto& response) { send_json(response, props_json(model_)); });
  get("/stats", [this](const auto&, auto& response) { send_json(response, stats_json(engine_)); });
  get("/metrics", [this](const auto&, auto& response) {
    response.set_content(metrics_text(engine_), "text/plain; version=0.0.4");
  });
  const auto post_text = [&](const char* path, TextRequest (*read)(const ServedModel&, const Json&)) {
    post(path, [this, read](const httplib::Request& request, httplib::Response& response) {
      const Json body = body_of(request);
      TextRequest asked = read(model_, body);
      slots_.note(body, asked);
      answer_text(std::move(asked), client_of(request), response);
    });
  };
  post_text("/v1/chat/completions", read_chat_request);
  post_text("/v1/completions", read_completion_request);
  post_text("/v1/responses", read_responses_request);
  post_text("/v1/messages", read_messages_request);
  post_json("/v1/messages/count_tokens", [this](const Json& body) {
    return Json{{"input_tokens", count_messages_tokens(model_, body)}};
  });
  post_json("/v1/embeddings",
            [this](const Json& body) { return embeddings_json(model_, engine_, body, HttpServer::client_has_gone); });
  post_json("/tokenize", [this](const Json& body) { return tokenized(model_, body); });
  post_json("/detokenize", [this](const Json& body) { return detokenized(model_, body); });
  post_json("/apply-template", [this](const Json& body) {
    return Json{{"prompt", chat_prompt_of(model_, body).text}};
  });
  get("/slots", [this](const auto&, auto& response) { send_json(response, slots_.list()); });
  post(R"(/slots/(\d+))", [this](const httplib::Request& request, httplib::Response& response) {
    const Json body = body_of(request);
    send_json(response, slots_.act(request.matches[1], request.get_param_value("action"), body));
  });
  add_run_routes(routes, options_.runs);
}

void ModelServer::answer_text(TextRequest request, uint64_t client, httplib::Response& response) {
  for (Request& choice : request.choices) choice.client = client;
  auto asked = std::make_shared<TextRequest>(std::move(request));
  const auto limit = std::chrono::duration<double>(model_.most_seconds);
  auto channel =
      std::make_shared<Channel>(Channel::Clock::now() + std::chrono::duration_cast<Channel::Clock::duration>(limit));
  engine_.submit(asked->choices, channel);
  if (asked->stream) return stream(response, std::move(asked), std::move(channel));
  const auto answer = make_answer(model_, *asked);
  while (!answer->over()) {
    for (const auto& e : channel->take(kPoll)) answer->event(e);
    if (http_.client_has_gone()) return channel->close();
  }
  send_json(response, answer->whole());
}

/// Writes events as they come. httplib calls the provider until that says that it is done, or has no more to say, and
/// then lets go of it, which closes the channel.
void ModelServer::stream(httplib::Response& response, std::shared_ptr<TextRequest> request,
                         std::shared_ptr<Channel> channel) {
  const std::shared_ptr<Answer> answer = make_answer(model_, *request);
  const std::shared_ptr<void> closes(nullptr, [channel, request](void*) { channel->close(); });
  response.set_header("Cache-Control", "no-cache");
  response.set_chunked_content_provider(
      "text/event-stream",
      [channel, answer, closes, begun = std::make_shared<bool>(false)](size_t, httplib::DataSink& sink) {
        std::string sent = *begun ? "" : answer->first_events();
        *begun = true;
        for (const auto& e : channel->take(kPoll)) sent += answer->event(e);
        const bool over = answer->over();
        if (over) sent += answer->last_events();
        if (HttpServer::client_has_gone() || (!sent.empty() && !sink.write(sent.data(), sent.size()))) return false;
        if (over) sink.done();
        return true;
      });
}

}  // namespace jet
