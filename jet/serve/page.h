// The page at "/": web/app/dist/index.html as it was built. It names its script and style by their hashes, so nothing
// is put into it. And web/openapi.json, which describes the server to programs.
#pragma once

#include <string>

namespace jet {

const std::string& page_html();
const std::string& openapi_json();

}  // namespace jet
