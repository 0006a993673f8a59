#include "jet/search/shared_layers.h"

#include <algorithm>

#include "jet/base/hash.h"

namespace jet {

using at::Tensor;

SharedLayers::SharedLayers(int64_t bytes, int64_t tokens, const ModelSpec& spec) : most_(bytes) {
  const double whole = 4.0 * static_cast<double>(tokens) * spec.hidden_size * (spec.n_layers() - 1);
  if (bytes > 0) stride_ = static_cast<int>(std::clamp(std::ceil(whole / static_cast<double>(bytes)), 1.0, 1e6));
}

// The first layer that `path` has to run; what was kept after it is of another path, and forgotten.
int SharedLayers::begin(Rows& rows, const std::string& path) {
  int from = 0;
  for (auto it = rows.after.begin(); it != rows.after.end();) {
    const int layers = it->first + 1;
    if (path.compare(0, layers, rows.path, 0, layers) == 0) {
      from = layers, ++it;
    } else {
      held_ -= static_cast<int64_t>(it->second.x.nbytes());
      it = rows.after.erase(it);
    }
  }
  rows.path = path;
  return from;
}

Tensor SharedLayers::hidden(TorchOps& ops, const TorchModel& m, const std::string& path, const Tensor& ids,
                            const MixerFn& mixer) {
  const Tensor here = ids.to(at::kCPU).contiguous();
  Hasher key;
  key.add(here.sizes().data(), here.dim() * sizeof(int64_t));
  key.add(here.data_ptr(), here.nbytes());
  Rows& rows = rows_[key.value()];
  const int from = begin(rows, path), layers = m.spec.n_layers();
  asked_ += layers * ids.numel(), ran_ += (layers - from) * ids.numel();
  int at = 0;
  const auto around = [&](const auto& layer, const Tensor& x) {
    const int i = at++;
    if (i + 1 < from) return x;
    if (i + 1 == from) {
      ops.first = rows.after.at(i).first;
      return rows.after.at(i).x;
    }
    Tensor out = layer(x);
    const auto size = static_cast<int64_t>(out.nbytes());
    if (i + 1 < layers && (i + 1) % stride_ == 0 && held_ + size <= most_) {
      rows.after[i] = {out, ops.first};
      held_ += size;
    }
    return out;
  };
  return hidden_forward(ops, m.spec, m.weights, TokenRows(ids), mixer, Hooks{SeeNothing{}, around});
}

double SharedLayers::take_share() {
  const double share = asked_ > 0 ? static_cast<double>(ran_) / static_cast<double>(asked_) : 1;
  asked_ = ran_ = 0;
  return share;
}

double SharedLayers::expected_share(int layers) const {
  return most_ > 0 ? std::min(1.0, (layers + 2.0 + stride_) / (2.0 * layers)) : 1;
}

}  // namespace jet
