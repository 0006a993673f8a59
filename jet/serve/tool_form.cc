#include "jet/serve/tool_form.h"

#include <algorithm>

#include "jet/serve/api_error.h"
#include "jet/serve/json_form.h"

namespace jet {
namespace {

enum class Family { tagged_json, tagged_xml, bare_json, json_list };

/// By what the template makes of a call.
Family family_of(const ServedModel& model) {
  const Json function{{"name", "f"}, {"arguments", {{"a", 1}}}};
  ChatInput input{
      .messages = Json::array(
          {{{"role", "user"}, {"content", "x"}},
           {{"role", "assistant"},
            {"content", ""},
            {"tool_calls", Json::array({{{"type", "function"}, {"id", "123456789"}, {"function", function}}})}}})};
  std::string text;
  try {
    if (model.chat) text = model.chat->render(input).text;
  } catch (const Error&) {}  // a template that knows no calls
  if (text.find("<function=f>") != text.npos) return Family::tagged_xml;
  if (text.find("<tool_call>") != text.npos) return Family::tagged_json;
  if (text.find("[TOOL_CALLS]") != text.npos || text.find("<|tool_call|>") != text.npos) return Family::json_list;
  return text.find("\"parameters\"") != text.npos ? Family::bare_json : Family::tagged_json;
}

Json text_form(std::string text) { return {{"type", "const_string"}, {"value", std::move(text)}}; }

/// A call of one tool, from `begin` on.
Json call_form(const Json& tool, Family family) {
  const Json& function = tool["function"];
  const Json schema = function.value("parameters", Json());
  Json arguments = json_form(schema.is_null() ? Json{{"type", "object"}} : schema);
  if (family == Family::tagged_xml) {
    arguments["style"] = "qwen_xml";
    return {{"type", "tag"},
            {"begin", "<tool_call>\n<function=" + function["name"].get<std::string>() + ">\n"},
            {"content", arguments},
            {"end", "\n</function>\n</tool_call>"}};
  }
  const bool tagged = family == Family::tagged_json;
  const char* key = family == Family::bare_json ? "parameters" : "arguments";
  return {{"type", "tag"},
          {"begin",
           fmt::format("{}{{\"name\": {}, \"{}\": ", tagged ? "<tool_call>\n" : "", json_text(function["name"]), key)},
          {"content", arguments},
          {"end", tagged ? "}\n</tool_call>" : "}"}};
}

/// As "tools" should list them. Throws ApiError.
void check_tools(const Json& tools) {
  if (!tools.is_array()) throw ApiError(400, "request: 'tools' is no list");
  for (const Json& tool : tools) {
    const Json function = tool.is_object() ? tool.value("function", Json()) : Json();
    if (!function.is_object() || !function.contains("name") || !function["name"].is_string())
      throw ApiError(400,
                     "request: a tool is {\"type\": \"function\", \"function\": {\"name\": ..., \"parameters\": ...}}");
    const Json schema = function.value("parameters", Json());
    if (!schema.is_null() && !schema.is_object())
      throw ApiError(400,
                     fmt::format("request: the parameters of tool {} are no JSON schema", json_text(function["name"])));
  }
}

Json call_forms(const ToolChoice& choice, Family family) {
  check_tools(choice.tools);
  Json forms = Json::array();
  for (const Json& tool : choice.tools) forms.push_back(call_form(tool, family));
  return forms;
}

}  // namespace

ToolChoice tool_choice_of(const Json& body) {
  const Json tools = body.value("tools", Json()), asked = body.value("tool_choice", Json("auto"));
  const bool any = !tools.is_null() && !(tools.is_array() && tools.empty());
  ToolChoice choice;
  const bool names = asked.is_object();
  if (!names && asked != "required" && asked != "auto" && asked != "none" && !asked.is_null())
    throw ApiError(400,
                   R"(request: 'tool_choice' is "none", "auto", "required" or {"type": "function", "function": ...})");
  const bool forces = names || asked == "required";
  if (!any && forces) throw ApiError(400, "request: 'tool_choice' asks for a call, and there are no 'tools'");
  if (!any || asked == "none") return choice;
  choice.parallel = body.value("parallel_tool_calls", Json(true)) != false;
  choice.kind = forces ? ToolChoice::required : ToolChoice::free;
  const auto is_strict = [](const Json& tool) {
    return tool.is_object() && tool.contains("function") && tool["function"].is_object() &&
           tool["function"].value("strict", Json()) == true;
  };
  choice.strict = tools.is_array() && std::any_of(tools.begin(), tools.end(), is_strict);
  choice.tools = tools;
  if (!names) return choice;
  check_tools(tools);
  const Json function = asked.value("function", Json::object());
  const Json name = function.is_object() ? function.value("name", Json()) : Json();
  const auto found =
      std::find_if(tools.begin(), tools.end(), [&](const Json& t) { return t["function"]["name"] == name; });
  if (found == tools.end())
    throw ApiError(400, fmt::format("request: 'tool_choice' names {}, which is none of the 'tools'", json_text(name)));
  choice.tools = Json::array({*found});
  choice.parallel = false;
  return choice;
}

Json calls_form(const ServedModel& model, const ToolChoice& choice) {
  const Family family = family_of(model);
  const bool one = !choice.parallel || family == Family::bare_json;
  const Json calls{{"type", "tags_with_separator"},
                   {"tags", call_forms(choice, family)},
                   {"separator", family == Family::json_list ? ", " : "\n"},
                   {"at_least_one", true},
                   {"stop_after_first", one}};
  if (family != Family::json_list) return calls;
  return {{"type", "sequence"}, {"elements", Json::array({text_form("["), calls, text_form("]")})}};
}

Json text_with_calls_form(const ServedModel& model, const ToolChoice& choice) {
  const Family family = family_of(model);
  if (family != Family::tagged_json && family != Family::tagged_xml) return nullptr;
  return {{"type", "triggered_tags"},
          {"triggers", Json::array({"<tool_call>"})},
          {"tags", call_forms(choice, family)},
          {"at_least_one", false},
          {"stop_after_first", !choice.parallel}};
}

}  // namespace jet
