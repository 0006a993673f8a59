#include "jet/serve/server.h"

#include <utility>

#include "jet/serve/answer.h"
#include "jet/serve/api_error.h"
#include "jet/serve/metrics.h"
#include "jet/serve/routes.h"
#include "jet/serve/runs.h"

namespace jet {
namespace {

constexpr std::chrono::milliseconds kPoll{100};  // between looks whether a client has gone
constexpr const char* kJson = "application/json";

Json body_of(const httplib::Request& request) {
  if (request.get_header_value("Content-Type").rfind(kJson, 0) != 0)
    throw ApiError(415, "the body is not of type application/json; send the header Content-Type: application/json");
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
  if (!body.contains("tokens") || !fits<std::vector<int32_t>>(body["tokens"]))
    throw ApiError(400, "request: 'tokens' is no list of ids");
  return {{"content", model.tokenizer.decode(body["tokens"].get<std::vector<int32_t>>())}};
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
      answer_text(std::move(asked), response);
    });
  };
  post_text("/v1/chat/completions", read_chat_request);
  post_text("/v1/completions", read_completion_request);
  post_text("/v1/messages", read_messages_request);
  post_json("/v1/messages/count_tokens", [this](const Json& body) {
    return Json{{"input_tokens", count_messages_tokens(model_, body)}};
  });
  post_json("/v1/embeddings", [this](const Json& body) { return embeddings(body); });
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
  if (options_.runs) add_run_routes(routes, options_.runs);
}

void ModelServer::answer_text(TextRequest request, httplib::Response& response) {
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

/// The mean over a text's tokens of what the head reads: hidden states after the last norm.
Json ModelServer::embeddings(const Json& body) {
  std::vector<std::string> texts;
  if (body.contains("input") && body["input"].is_string()) {
    texts = {body["input"].get<std::string>()};
  } else if (body.contains("input") && fits<std::vector<std::string>>(body["input"]) && !body["input"].empty()) {
    for (const Json& t : body["input"]) {
      if (!t.is_string()) throw ApiError(400, "request: 'input' is a text or a list of texts");
      texts.push_back(t.get<std::string>());
    }
  } else {
    throw ApiError(400, "request: 'input' is a text or a list of texts");
  }
  Json data = Json::array();
  int64_t tokens = 0;
  for (const auto& text : texts) {
    const auto ids = model_.tokenizer.encode(text, /*add_special_tokens=*/true);
    if (ids.empty()) throw ApiError(400, "request: a text without tokens has no embedding");
    tokens += std::ssize(ids);
    std::vector<float> mean;
    engine_.run([&](Engine& engine) { mean = mean_hidden(engine, ids); });
    data.push_back({{"object", "embedding"}, {"index", data.size()}, {"embedding", mean}});
  }
  return {{"object", "list"},
          {"data", data},
          {"model", model_.name},
          {"pooling", "mean of the last hidden states"},
          {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}};
}

}  // namespace jet
