#include "jet/serve/page.h"

namespace jet {

const std::string& page_html() {
  static const std::string html =
#include "page_html.inc"
      ;
  return html;
}

const std::string& openapi_json() {
  static const std::string json =
#include "openapi_json.inc"
      ;
  return json;
}

}  // namespace jet
