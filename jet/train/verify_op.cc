// Golden files of single operators. Each is the one recurrence of docs/design.md, with inputs of its own names:
//
//   inputs             the file has them            which are
//   r, w               as they are                  q, g                                  (RWKV-7)
//   x, dt, A, B, C, D  as they are                  q = C, k = B, v = dt x, g = dt A, and D x is added to o;
//                                                   states are [B, H, V, K]               (Mamba2)
//   q, k               "after q <- q / sqrt(..)"    of unit length first
//   g                  "gamma_h"                    log(1 - 2^(-5-h)), h the head         (retention)
//                      "s_h" and its layer          -(8 / H) (1 - layer_idx / num_layers) h     (lightning attention)
//   scale              "scale = 1", else K^-0.5
//
// What stands in quotes is in the metadata's `rule`. The layer is there too ("layer_idx=3 num_layers=12"), or is
// metadata of its own.
#include <torch/csrc/autograd/autograd.h>

#include <regex>

#include "jet/train/golden_tensors.h"
#include "jet/train/recurrence.h"
#include "jet/train/verify.h"

namespace jet {

using at::Tensor;

namespace {

class Operator {
 public:
  Operator(const std::string& path, std::vector<VerifyCase>& cases)
      : golden_(path), rule_(golden_.file.metadata().at("rule")), mamba_(golden_.has("dt")), cases_(cases) {}

  // `suffix` "": from zeros; "_h0": from h0, the final state weighing in too.
  void check(const std::string& suffix) {
    if (!golden_.has("o" + suffix)) return;
    inputs_.clear();
    const bool start = !suffix.empty();
    const Tensor h0 = start ? leaf("h0") : Tensor();
    const auto turned = [&](const Tensor& t) { return mamba_ && t.defined() ? t.transpose(-1, -2) : t; };
    Tensor skip;
    const Recurrence<Tensor> r = mamba_ ? mamba2(skip) : plain();
    auto [o, last] = chunked_recurrence(r, turned(h0));
    if (skip.defined()) o = o + skip;
    last = turned(last);
    add("o" + suffix, o.detach());
    add("final_state" + suffix, last.detach());
    Tensor loss = (o * golden_.at("do")).sum();
    if (start) loss = loss + (last * golden_.at("dht")).sum();
    std::vector<Tensor> leaves;
    for (const auto& [input, t] : inputs_) leaves.push_back(t);
    const auto grads = torch::autograd::grad({loss}, leaves);
    for (size_t i = 0; i < leaves.size(); ++i) {
      const std::string& input = inputs_[i].first;
      const std::string key = "d" + input + (input == "h0" ? "" : suffix);
      if (golden_.has(key)) add(key, grads[i]);
    }
  }

 private:
  void add(const std::string& key, const Tensor& got) {
    cases_.push_back(compare(key, relative(got, golden_.at(key)), 1e-5));
  }

  bool says(const char* pattern) const { return std::regex_search(rule_, std::regex(pattern)); }

  // A whole number of the metadata, or of the rule's "key=number".
  int64_t number(const std::string& key) const {
    std::smatch in_rule;
    const auto own = golden_.file.metadata().find(key);
    std::string text = own != golden_.file.metadata().end() ? own->second : "";
    if (text.empty() && std::regex_search(rule_, in_rule, std::regex(key + " *= *([0-9]+)"))) text = in_rule[1];
    require(std::regex_match(text, std::regex("[0-9]{1,9}")), "{}: its metadata gives no {}", golden_.file.path(), key);
    return std::stoll(text);
  }

  Tensor leaf(const std::string& key) {
    if (!golden_.has(key)) return {};
    inputs_.emplace_back(key, golden_.at(key).requires_grad_(true));
    return inputs_.back().second;
  }

  Recurrence<Tensor> plain() {
    Recurrence<Tensor> r;
    const bool rwkv = golden_.has("r");
    r.q = leaf(rwkv ? "r" : "q"), r.k = leaf("k"), r.v = leaf("v"), r.g = leaf(rwkv ? "w" : "g");
    r.beta = leaf("beta"), r.a = leaf("a"), r.b = leaf("b");
    require(r.q.defined() && r.k.defined() && r.v.defined(), "{}: holds no q, k and v", golden_.file.path());
    if (!says("scale = 1( |;|$)")) r.scale = 1 / std::sqrt(static_cast<float>(r.q.size(-1)));
    if (!r.g.defined()) r.g = constant_decay(r.q.size(2));
    if (says("q <- q / sqrt")) {
      const auto unit = [](const Tensor& t) { return t * (t.square().sum(-1, true) + 1e-6).rsqrt(); };
      r.q = unit(r.q), r.k = unit(r.k);
    }
    return r;
  }

  Tensor constant_decay(int64_t heads) const {
    const Tensor head = at::arange(heads, at::kFloat);
    if (says("gamma_h")) return at::log1p(-at::exp2(-5 - head));
    if (!says("s_h")) return {};
    const double depth = static_cast<double>(number("layer_idx")) / static_cast<double>(number("num_layers"));
    return -head * (8.0 / static_cast<double>(heads) * (1 - depth));
  }

  Recurrence<Tensor> mamba2(Tensor& skip) {
    const Tensor x = leaf("x"), dt = leaf("dt"), A = leaf("A"), B = leaf("B"), C = leaf("C"), D = leaf("D");
    require(x.defined() && A.defined() && B.defined() && C.defined(), "{}: holds no x, A, B and C",
            golden_.file.path());
    const auto shared = [&](const Tensor& t) {  // each group's by its heads
      return t.repeat_interleave(x.size(2) / t.size(2), 2);
    };
    if (D.defined()) skip = D.unsqueeze(-1) * x;
    return {.q = shared(C), .k = shared(B), .v = dt.unsqueeze(-1) * x, .g = dt * A};
  }

  Golden golden_;
  std::string rule_;
  bool mamba_;
  std::vector<VerifyCase>& cases_;
  std::vector<std::pair<std::string, Tensor>> inputs_;
};

}  // namespace

void verify_torch_op(const std::string& path, std::vector<VerifyCase>& cases) {
  Operator op(path, cases);
  op.check("");
  op.check("_h0");
  require(!cases.empty(), "{}: holds neither o nor o_h0", path);
}

}  // namespace jet
