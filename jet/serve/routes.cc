#include "jet/serve/routes.h"

#include <utility>

#include "jet/serve/api_error.h"
#include "jet/serve/engine_thread.h"
#include "jet/serve/page.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

/// In a time that does not tell how much of it is right.
bool is_equal(const std::string& a, const std::string& b) {
  unsigned char differs = a.size() != b.size();
  for (size_t i = 0; i < a.size(); ++i)
    differs |= static_cast<unsigned char>(a[i] ^ b[i % std::max<size_t>(1, b.size())]);
  return differs == 0;
}

void send_error(const httplib::Request& request, httplib::Response& response, int status, const std::string& message,
                const std::string& code = {}) {
  if (status == 429 || status == 503) response.set_header("Retry-After", "1");
  const bool anthropic = request.path.starts_with("/v1/messages");
  send_json(response, anthropic ? messages_error_json(status, message) : error_json(status, message, code), status);
}

/// Of what is answered before a handler sees it.
const char* why_unread(int status) {
  switch (status) {
    case 413: return "the request's body is larger than this server takes";
    case 414: return "the request's path is longer than this server takes";
    default: return "the request cannot be read: its first line or its headers are malformed, too long or too many";
  }
}

}  // namespace

void send_json(httplib::Response& response, const Json& json, int status) {
  response.status = status;
  response.set_content(json_text(json), "application/json");
}

Routes::Routes(HttpServer& http, std::string api_key) : http_(http), api_key_(std::move(api_key)) {
  http_.Get("/health", [](const httplib::Request&, httplib::Response& response) {
    send_json(response, {{"status", "ok"}});
  });
  http_.Get("/", [](const httplib::Request&, httplib::Response& response) {
    response.set_header("Content-Security-Policy", "frame-ancestors 'none'");  // which the page itself cannot say
    response.set_header("X-Content-Type-Options", "nosniff");
    response.set_content(page_html(), "text/html; charset=utf-8");
  });
  http_.set_error_handler([server = &http_](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;
    // Of a method that httplib has never heard of it has read the target alone.
    const std::string path = request.path.empty() ? request.target.substr(0, request.target.find('?')) : request.path;
    const std::string methods = server->methods_of(path);
    int status = response.status;
    if (status != 404) status = HttpServer::end_connection(response);
    // httplib says 404 of methods that it knows, and 400 of others.
    if (!methods.empty() && methods.find(request.method) == methods.npos && (status == 400 || status == 404)) {
      response.set_header("Allow", methods);
      return send_error(request, response, 405, fmt::format("{} takes {}, not {}", path, methods, request.method));
    }
    send_error(
        request, response, status,
        status == 404 ? fmt::format("there is no {} {}", request.method, shown(request.path)) : why_unread(status));
  });
}

void Routes::get(const std::string& path, Handler handler) {
  http_.Get(path, [*this, handler = std::move(handler)](const httplib::Request& request, httplib::Response& response) {
    guard(request, response, handler);
  });
}

void Routes::post(const std::string& path, Handler handler) {
  http_.Post(path, [*this, handler = std::move(handler)](const httplib::Request& request, httplib::Response& response) {
    guard(request, response, handler);
  });
}

/// Runs a handler where the client may ask for it.
void Routes::guard(const httplib::Request& request, httplib::Response& response, const Handler& handler) const {
  try {
    const std::string key = request.get_header_value("Authorization"), other = request.get_header_value("x-api-key");
    if (!api_key_.empty() && !is_equal(key, "Bearer " + api_key_) && !is_equal(other, api_key_))
      throw ApiError(401, "the API key is missing or wrong; send the header Authorization: Bearer KEY");
    handler(request, response);
  } catch (const ApiError& e) { send_error(request, response, e.status, e.what(), e.code); } catch (const Busy& e) {
    send_error(request, response, 429, e.what());
  } catch (const Error& e) {
    send_error(request, response, http_.stops() ? 503 : 400, e.what());
  } catch (const std::exception& e) { send_error(request, response, 500, e.what()); }
}

}  // namespace jet
