// What a client is told when a request cannot be served, in OpenAI's form, or below /v1/messages in Anthropic's:
//
//   HTTP 400   {"error": {"message": "...", "type": "invalid_request_error", "param": null, "code": null}}
//   HTTP 400   {"type": "error", "error": {"type": "invalid_request_error", "message": "..."}}
#pragma once

#include <string>
#include <utility>

#include "jet/base/json.h"

namespace jet {

class ApiError : public Error {
 public:
  ApiError(int http_status, const std::string& text, std::string error_code = {})
      : Error(text), status(http_status), code(std::move(error_code)) {}
  int status;
  std::string code;
};

/// body[key], or the fallback where it is missing or null; what is of another type is the client's error.
template <class T>
T field(const Json& body, const char* key, T fallback) {
  try {
    return get_or(body, key, std::move(fallback), "request");
  } catch (const Error& e) { throw ApiError(400, e.what()); }
}

inline bool has(const Json& body, const char* key) {
  return body.is_object() && body.contains(key) && !body[key].is_null();
}

inline const char* error_type(int status) {
  return status == 401                   ? "authentication_error"
         : status == 404                 ? "not_found_error"
         : status == 429                 ? "rate_limit_error"
         : status >= 400 && status < 500 ? "invalid_request_error"
                                         : "server_error";
}

inline Json error_json(int status, const std::string& message, const std::string& code = {}) {
  return {{"error",
           {{"message", message},
            {"type", error_type(status)},
            {"param", nullptr},
            {"code", code.empty() ? Json() : Json(code)}}}};
}

inline Json messages_error_json(int status, const std::string& message) {
  const char* type = status == 413 ? "request_too_large" : status >= 500 ? "api_error" : error_type(status);
  return {{"type", "error"}, {"error", {{"type", type}, {"message", message}}}};
}

}  // namespace jet
