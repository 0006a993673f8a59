// What a client is told when a request cannot be served, in OpenAI's form:
//
//   HTTP 400   {"error": {"message": "...", "type": "invalid_request_error", "param": null, "code": null}}
#pragma once

#include <string>

#include "jet/base/json.h"

namespace jet {

class ApiError : public Error {
 public:
  ApiError(int http_status, const std::string& text, std::string error_code = {})
      : Error(text), status(http_status), code(std::move(error_code)) {}
  int status;
  std::string code;
};

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

}  // namespace jet
