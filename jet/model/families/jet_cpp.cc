// Our own layout: config.json is {"model_type": "jet_cpp", "spec": the ModelSpec}.
#include "jet/model/families/families.h"

namespace jet {

ModelSpec read_jet_cpp(const Json& config, const std::string& where) {
  return spec_from_json(get<Json>(config, "spec", where), where);
}

Json write_jet_cpp(const ModelSpec& spec, const std::string& /*where*/) {
  return {{"architectures", {"JetCppForCausalLM"}}, {"model_type", "jet_cpp"}, {"spec", spec_to_json(spec)}};
}

}  // namespace jet
