#include "jet/engine/trace/trace_backend.h"

#include <utility>

namespace jet {

TraceBackend::TraceBackend(ModelSpec spec, EngineOptions options)
    : CpuBackend(std::move(spec), options), program_(record_program(this->spec())) {}

CpuTensor TraceBackend::forward(std::span<const int32_t> ids, const See& see) {
  weights_.clear();
  ModelWeights<CpuWeight> handles = weights();
  model_params(spec(), handles,
               [&](const std::string&, const CpuWeight& w, const ParamSpec&) { weights_.push_back(w); });
  values_.clear();
  auto sight = program_.sights.begin();
  for (const Program::Instruction& i : program_.code) {
    const CpuTensor& made = values_.emplace_back(execute(i, ids));
    require(made.dims.count() == numel(i.shape) && made.dims.inner == i.shape.back() && made.tokens == i.tokens,
            "instruction {} of the recorded pass made [{}, {}] a token where {} is recorded", values_.size() - 1,
            made.dims.outer, made.dims.inner, to_string(i.shape));
    for (; sight != program_.sights.end() && sight->value < static_cast<int>(values_.size()); ++sight) {
      if (see) see(sight->name.c_str(), sight->layer, numbers(values_[sight->value]));
    }
  }
  CpuTensor logits = std::move(values_.back());
  values_.clear();
  return logits;
}

CpuTensor TraceBackend::execute(const Program::Instruction& i, std::span<const int32_t> ids) {
  using Op = Program::Op;
  const auto w = [&](size_t k) {
    return i.in[k].kind == Program::Operand::weight ? weights_[i.in[k].index] : CpuWeight{};
  };
  const auto x = [&](size_t k) { return operand(i.in[k]); };
  const auto s = [&](size_t k) { return CpuState{i.states[k]}; };
  const auto size = [&] { return std::get<int64_t>(i.with); };
  const auto number = [&] { return std::get<float>(i.with); };
  CpuOps& o = ops();
  switch (i.op) {
    case Op::linear: return o.linear(x(0), w(1), w(2));
    case Op::map: return map(i);
    case Op::heads: return o.heads(x(0), size());
    case Op::flat: return o.flat(x(0));
    case Op::slice: return o.slice(x(0), std::get<Program::Slice>(i.with).begin, std::get<Program::Slice>(i.with).size);
    case Op::repeat_heads: return o.repeat_heads(x(0), size());
    case Op::rms_norm: return o.rms_norm(x(0), w(1), number());
    case Op::layer_norm: return o.layer_norm(x(0), number());
    case Op::l2_norm: return o.l2_norm(x(0), number());
    case Op::sum_last: return o.sum_last(x(0));
    case Op::constant: return o.constant(std::get<std::vector<float>>(i.with));
    case Op::rope: return o.rope(x(0), std::get<Rope>(i.with));
    case Op::shift: return o.shift(x(0), s(0));
    case Op::short_conv: return o.short_conv(x(0), w(1), w(2), s(0));
    case Op::dynamic_conv: return o.dynamic_conv(x(0), x(1), s(0));
    case Op::attention: return o.attention(x(0), x(1), x(2), std::get<AttentionShape>(i.with), s(0), s(1));
    case Op::recurrence: return o.recurrence({x(0), x(1), x(2), x(3), x(4), x(5), x(6), number()}, s(0));
    case Op::embed: return o.embed(ids, w(0));
    case Op::last_rows: return o.last_rows(x(0));
  }
  fail("instruction {} is not known", static_cast<int>(i.op));
}

CpuTensor TraceBackend::operand(const Program::Operand& x) const {
  switch (x.kind) {
    case Program::Operand::value: return values_[x.index];
    case Program::Operand::weight: return CpuOps::tensor(weights_[x.index]);
    default: return {};
  }
}

CpuTensor TraceBackend::map(const Program::Instruction& i) {
  std::vector<CpuTensor> x;
  for (const auto& operand_of : i.in) x.push_back(operand(operand_of));
  return ops().map_recorded(std::get<Formula>(i.with), x);
}

}  // namespace jet
