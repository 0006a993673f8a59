#include "jet/serve/page.h"

namespace jet {

const std::string& page_html() {
  static const std::string html =
#include "page_html.inc"
      ;
  return html;
}

}  // namespace jet
