// The backend that interprets recordings: the model's pass is written down once (jet/model/trace_ops.h) and every pass
// runs the program, op by op, through CpuOps, and the formulas of its maps step by step. It is there for the laws: what
// a compiler for another machine would be given is all that there is to know.
#pragma once

#include "jet/engine/cpu/cpu_backend.h"
#include "jet/model/trace_ops.h"

namespace jet {

class TraceBackend final : public CpuBackend {
 public:
  TraceBackend(ModelSpec spec, EngineOptions options);

 protected:
  CpuTensor forward(std::span<const int32_t> ids, const See& see) override;

 private:
  CpuTensor execute(const Program::Instruction& i, std::span<const int32_t> ids);
  CpuTensor map(const Program::Instruction& i);
  CpuTensor operand(const Program::Operand& x) const;

  Program program_;
  std::vector<CpuWeight> weights_;  // in the order of model_params()
  std::vector<CpuTensor> values_;   // what the instructions have made in this pass
};

}  // namespace jet
