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

std::vector<SafeTensors> Teacher::kept_rows(const std::string& stream, int64_t length, const std::string& what,
                                            const Part& part, const std::function<std::vector<Row>()>& make) const {
  std::string name = stream;
  std::replace(name.begin(), name.end(), ' ', '-');
  const std::string folder = fmt::format("{}/{}-{}-{}", kept_, name, length, what);
  const auto path = [&](int row) { return fmt::format("{}/{}-{}.safetensors", folder, part.step, part.from + row); };
  bool all = true;
  for (int row = 0; row < part.rows; ++row) all = all && file_exists(path(row));
  if (!all) {
    std::filesystem::create_directories(folder);
    const std::vector<Row> made = make();
    for (int row = 0; row < part.rows; ++row) {
      std::vector<Tensor> here;  // what is written points into them
      std::vector<TensorToWrite> file;
      for (const auto& [key, t] : made[row]) {
        const Tensor& x = here.emplace_back(t.to(at::kCPU).contiguous());
        const auto type = x.scalar_type();
        const DType dtype = type == at::kInt ? DType::i32 : type == at::kBFloat16 ? DType::bf16 : DType::f32;
        file.push_back({key, dtype, x.sizes().vec(), x.const_data_ptr()});
      }
      write_safetensors(path(row), file);
    }
  }
  std::vector<SafeTensors> files;
  for (int row = 0; row < part.rows; ++row) files.push_back(SafeTensors::open(path(row)));
  return files;
}

Targets Teacher::targets(const std::string& stream, const Part& part, const TorchBatch& rows, int k) const {
  const int64_t each = rows.next.size(1);
  const auto files = kept_rows(stream, rows.rows.ids.size(1), std::to_string(k), part, [&] {
    const Trace said = teach(ops, model, rows.rows);
    const Targets made = top_targets(ops, said.hidden.narrow(1, 0, each), said.head, k);
    std::vector<Row> out;
    for (int64_t at = 0; at < part.rows * each; at += each) {
      out.push_back({{"ids", made.ids.narrow(0, at, each)},
                     {"log_p", made.log_p.narrow(0, at, each)},
                     {"log_rest", made.log_rest.narrow(0, at, each)}});
    }
    return out;
  });
  std::vector<Tensor> ids, log_p, rest;
  for (const SafeTensors& file : files) {
    ids.push_back(to_tensor(file.at("ids")).to(at::kInt)), log_p.push_back(to_tensor(file.at("log_p")));
    rest.push_back(to_tensor(file.at("log_rest")));
    require(
        ids.back().dim() == 2 && ids.back().size(0) == each && ids.back().size(1) == k && rest.back().numel() == each,
        "{}: not the {} targets of {} positions; remove the folder", file.path(), k, each);
  }
  return {at::cat(ids).to(ops.device), at::cat(log_p).to(ops.device), at::cat(rest).to(ops.device)};
}

Trace Teacher::activations(const std::string& stream, const Part& part, const TorchBatch& rows,
                           const std::vector<int>& layers) const {
  const int64_t length = rows.rows.ids.size(1), hidden = spec().hidden_size;
  const auto in = [](int layer) { return fmt::format("in.{}", layer); };
  const auto out = [](int layer) { return fmt::format("out.{}", layer); };
  const auto files = kept_rows(stream, length, "mixers", part, [&] {
    const Trace made = teach(ops, model, rows.rows);
    std::vector<Row> all(part.rows);
    for (int l = 0; l < spec().n_layers(); ++l) {
      if (!made.mixer_out[l].defined()) continue;
      for (int row = 0; row < part.rows; ++row) {
        all[row].push_back({in(l), made.mixer_in[l][row].to(at::kBFloat16)});
        all[row].push_back({out(l), made.mixer_out[l][row].to(at::kBFloat16)});
      }
    }
    return all;
  });
  const auto of_rows = [&](const std::string& key) {
    std::vector<Tensor> x;
    for (const SafeTensors& file : files) {
      x.push_back(to_tensor(file.at(key)).to(at::kFloat));
      require(x.back().sizes() == at::IntArrayRef({length, hidden}), "{}: {} is not [{}, {}]; remove the folder",
              file.path(), key, length, hidden);
    }
    return at::stack(x).to(ops.device);
  };
  Trace trace;
  trace.mixer_in.resize(spec().n_layers()), trace.mixer_out.resize(spec().n_layers());
  for (const int l : layers) trace.mixer_in[l] = of_rows(in(l)), trace.mixer_out[l] = of_rows(out(l));
  return trace;
}

}  // namespace jet
