#include "jet/serve/server.h"

#include <utility>

#include "jet/serve/answer.h"
#include "jet/serve/api_error.h"
#include "jet/serve/metrics.h"
#include "jet/serve/page.h"

namespace jet {
namespace {

constexpr std::chrono::milliseconds kPoll{100};  // between looks whether a client has gone
constexpr const char* kJson = "application/json";

/// In a time that does not tell how much of it is right.
bool is_equal(const std::string& a, const std::string& b) {
  unsigned char differs = a.size() != b.size();
  for (size_t i = 0; i < a.size(); ++i)
    differs |= static_cast<unsigned char>(a[i] ^ b[i % std::max<size_t>(1, b.size())]);
  return differs == 0;
}

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

void send_json(httplib::Response& response, const Json& json, int status = 200) {
  response.status = status;
  response.set_content(json_text(json), kJson);
}

void send_error(httplib::Response& response, int status, const std::string& message, const std::string& code = {}) {
  if (status == 429) response.set_header("Retry-After", "1");
  send_json(response, error_json(status, message, code), status);
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
  add_slot_routes();
}

/// Runs a handler where the client may ask for it; what it throws becomes the answer.
void ModelServer::guard(const httplib::Request& request, httplib::Response& response, const Handler& handler) {
  try {
    const std::string key = request.get_header_value("Authorization"), other = request.get_header_value("x-api-key");
    if (!options_.api_key.empty() && !is_equal(key, "Bearer " + options_.api_key) && !is_equal(other, options_.api_key))
      throw ApiError(401, "the API key is missing or wrong; send the header Authorization: Bearer KEY");
    handler(request, response);
  } catch (const ApiError& e) { send_error(response, e.status, e.what(), e.code); } catch (const Busy& e) {
    send_error(response, 429, e.what());
  } catch (const Error& e) {
    send_error(response, http_.stops() ? 503 : 400, e.what());
  } catch (const std::exception& e) { send_error(response, 500, e.what()); }
}

void ModelServer::add_routes() {
  const auto get = [this](const char* path, Handler handler) {
    http_.Get(path, [this, handler = std::move(handler)](const httplib::Request& request, httplib::Response& response) {
      guard(request, response, handler);
    });
  };
  const auto post = [this](const char* path, Handler handler) {
    http_.Post(path,
               [this, handler = std::move(handler)](const httplib::Request& request, httplib::Response& response) {
                 guard(request, response, handler);
               });
  };
  const auto post_json = [&](const char* path, std::function<Json(const Json&)> work) {
    post(path, [work = std::move(work)](const httplib::Request& request, httplib::Response& response) {
      send_json(response, work(body_of(request)));
    });
  };
  http_.Get("/health", [](const httplib::Request&, httplib::Response& response) {
    send_json(response, {{"status", "ok"}});
  });
  http_.Get("/", [](const httplib::Request&, httplib::Response& response) {
    response.set_header("Content-Security-Policy", "frame-ancestors 'none'");  // which the page itself cannot say
    response.set_header("X-Content-Type-Options", "nosniff");
    response.set_content(page_html(), "text/html; charset=utf-8");
  });
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
  http_.set_error_handler([](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;
    const bool unknown = response.status == 404;
    send_error(response, response.status,
               unknown ? fmt::format("there is no {} {}", request.method, request.path) : "the request cannot be read");
  });
}

void ModelServer::add_slot_routes() {
  http_.Get("/slots", [this](const httplib::Request& request, httplib::Response& response) {
    guard(request, response, [this](const auto&, auto& r) { send_json(r, slots_.list()); });
  });
  http_.Post(R"(/slots/(\d+))", [this](const httplib::Request& request, httplib::Response& response) {
    guard(request, response, [this](const httplib::Request& asked, httplib::Response& r) {
      send_json(r, slots_.act(asked.matches[1], asked.get_param_value("action"), body_of(asked)));
    });
  });
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
