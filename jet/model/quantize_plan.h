// Which type each parameter gets when a model is quantized, and how many bits a weight that makes.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "jet/base/threads.h"
#include "jet/model/checkpoint.h"

namespace jet {

struct QuantizePlan {
  std::map<std::string, DType> types;  // of every parameter, by name
  std::vector<std::string> remarks;    // what the user should know: matrices whose numbers f16 scales do not hold, ...
};

/// stored_type() of every parameter; a matrix with a number that f16 scales cannot hold, or of numbers so small that
/// the scales would be 0, stays as it is and is remarked on. Reads all matrices once. Throws where the model is
/// quantized already or a matrix to convert holds a number that is not finite.
QuantizePlan plan_types(const Checkpoint& c, DType wanted, ThreadPool& pool);

/// Bits of all parameters, scales included, over their number.
double bits_a_weight(const Checkpoint& c, const std::map<std::string, DType>& types);

/// What a matrix of the plan costs in int4, where `cost` is how much worse the model is for it.
struct Sensitivity {
  std::string name;
  double cost = 0;
};

/// The plan under a budget: all matrices that an int8 plan quantizes in int4, the embedding and the head too, and of
/// those as many as fit in int8, in the order of what a byte gains. Throws where the budget is below the least.
QuantizePlan plan_bits(const Checkpoint& c, const QuantizePlan& of_int8, const std::vector<Sensitivity>& costs,
                       double bits);

/// visit(name, ParamSpec) of every parameter.
void each_parameter(const ModelSpec& spec, const std::function<void(const std::string&, const ParamSpec&)>& visit);

}  // namespace jet
