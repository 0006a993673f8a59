// An elementwise function, written down: its steps in order, each of numbers that are there already. Recorded from the
// lambdas that blocks give to map() (jet/blocks/formula.h); run by kernels, compiled for GPUs, counted by the cost
// model. x * silu(z + 1) is
//
//   0  argument 0
//   1  argument 1
//   2  constant 1.0
//   3  add   1 2
//   4  silu  3
//   5  mul   0 4        <- result
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "jet/base/error.h"

namespace jet {

struct Formula {
  enum class Op : uint8_t {
    argument,
    constant,
    add,
    sub,
    mul,
    div,
    neg,
    exp,
    tanh,
    sigmoid,
    silu,
    softplus,
    log_sigmoid,
    clamp_min
  };
  struct Instruction {
    Op op = Op::argument;
    int a = 0, b = 0;  // instructions before this one; of an argument: which
    float value = 0;   // of a constant; of clamp_min: the least
  };
  static constexpr size_t kMost = 64, kMostArguments = 8;  // instructions; arguments are the first of them
  std::vector<Instruction> code;
  int result = 0;  // an instruction

  int append(const Instruction& i) {
    require(code.size() < kMost, "a formula of map() has more than {} steps: split it", kMost);
    code.push_back(i);
    return static_cast<int>(code.size()) - 1;
  }
};

}  // namespace jet
