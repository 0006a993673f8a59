#include "jet/search/teacher.h"

#include <algorithm>
#include <filesystem>

namespace jet {

using at::Tensor;

TorchModel load_frozen(const std::string& folder, const Recipe& recipe, at::Device device) {
  return (recipe.frozen == "mapped" ? TorchModel::map(folder) : TorchModel::load(folder)).to(device);
}

Teacher::Teacher(std::string folder, const Recipe& recipe, TorchOps& o, std::string kept)
    : ops(o), model(load_frozen(folder, recipe, o.device)), folder_(std::move(folder)), kept_(std::move(kept)) {}

namespace {

Targets read(const std::string& path) {
  const SafeTensors file = SafeTensors::open(path);
  const Tensor ids = to_tensor(file.at("ids"));
  return {ids.to(at::kInt), to_tensor(file.at("log_p")), to_tensor(file.at("log_rest"))};
}

void write(const std::string& path, const Targets& t) {
  const auto here = [](const Tensor& x) { return x.to(at::kCPU).contiguous(); };
  const Tensor ids = here(t.ids), log_p = here(t.log_p), log_rest = here(t.log_rest);
  write_safetensors(path, {{"ids", DType::i32, ids.sizes().vec(), ids.const_data_ptr()},
                           {"log_p", DType::f32, log_p.sizes().vec(), log_p.const_data_ptr()},
                           {"log_rest", DType::f32, log_rest.sizes().vec(), log_rest.const_data_ptr()}});
}

}  // namespace

Targets Teacher::targets(const std::string& stream, const Part& part, const TorchBatch& rows, int k) const {
  const int64_t length = rows.rows.ids.size(1), each = rows.next.size(1);
  std::string name = stream;
  std::replace(name.begin(), name.end(), ' ', '-');
  const std::string folder = fmt::format("{}/{}-{}-{}", kept_, name, length, k);
  const auto path = [&](int row) { return fmt::format("{}/{}-{}.safetensors", folder, part.step, part.from + row); };
  bool all = true;
  for (int row = 0; row < part.rows; ++row) all = all && file_exists(path(row));
  if (!all) {
    std::filesystem::create_directories(folder);
    const Trace said = teach(ops, model, rows.rows);
    const Targets made = top_targets(ops, said.hidden.narrow(1, 0, each), said.head, k);
    for (int row = 0; row < part.rows; ++row) {
      write(path(row), {made.ids.narrow(0, row * each, each), made.log_p.narrow(0, row * each, each),
                        made.log_rest.narrow(0, row * each, each)});
    }
  }
  std::vector<Tensor> ids, log_p, rest;
  for (int row = 0; row < part.rows; ++row) {
    const Targets t = read(path(row));
    require(t.ids.dim() == 2 && t.ids.size(0) == each && t.ids.size(1) == k && t.log_rest.numel() == each,
            "{}: not the {} targets of {} positions; remove the folder", path(row), k, each);
    ids.push_back(t.ids), log_p.push_back(t.log_p), rest.push_back(t.log_rest);
  }
  return {at::cat(ids).to(ops.device), at::cat(log_p).to(ops.device), at::cat(rest).to(ops.device)};
}

}  // namespace jet
