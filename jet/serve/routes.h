// What all routes of a server have in common: the page at "/", the API key, errors as answers.
#pragma once

#include <functional>
#include <string>

#include "jet/base/json.h"
#include "jet/serve/http_server.h"

namespace jet {

using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;

void send_json(httplib::Response& response, const Json& json, int status = 200);

class Routes {
 public:
  /// Adds the page and /health to `http`, which must outlive it, and what is told of unknown addresses. `api_key`: what
  /// the routes below ask for; empty: nothing.
  Routes(HttpServer& http, std::string api_key);

  // What a handler throws becomes the answer: of ApiError and Busy their own, of others 400, or 500.
  void get(const std::string& path, Handler handler);
  void post(const std::string& path, Handler handler);

 private:
  void guard(const httplib::Request& request, httplib::Response& response, const Handler& handler) const;

  HttpServer& http_;
  std::string api_key_;
};

}  // namespace jet
