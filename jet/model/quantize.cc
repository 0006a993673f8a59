#include "jet/model/quantize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "jet/base/threads.h"
#include "jet/model/checkpoint.h"
#include "jet/model/finite.h"
#include "jet/tensor/quant.h"

namespace jet {

DType stored_type(const ParamSpec& matrix, DType wanted, DType now) {
  if (!is_quantized(wanted)) return wanted;
  if (matrix.role == ParamRole::gate || matrix.shape[0] < 64 || matrix.shape[1] % kGroupColumns != 0) return now;
  return matrix.role == ParamRole::vocabulary ? DType::q8 : wanted;
}

std::vector<float> matrix_rows(const StoredTensor& t, int64_t begin, int64_t end, const std::string& path) {
  const int64_t cols = t.shape[1];
  const size_t row_bytes = static_cast<size_t>(cols) * size_of(t.dtype);
  const auto part = t.bytes.subspan(begin * row_bytes, (end - begin) * row_bytes);
  auto values = to_floats({t.name, t.dtype, {end - begin, cols}, part});
  for (size_t i = 0; i < values.size(); ++i) {
    require(std::isfinite(values[i]), "{}: tensor '{}' holds {} in row {}; the weights are damaged", path, t.name,
            values[i], begin + static_cast<int64_t>(i) / cols);
  }
  return values;
}

namespace {

/// One parameter on its way: `from` as stored, `to` another type or the same (then it is copied).
struct Job {
  const StoredTensor* from;
  DType to;
  bool copied() const { return from->dtype == to; }
};

/// All parameters. Quantized ones come first, layer by layer and then the vocabulary, then wider types first: what is
/// written is aligned without gaps, as packed numbers and scales take multiples of 32 bytes.
std::vector<Job> jobs_of(const Checkpoint& c, const QuantizePlan& plan, QuantizeReport& report) {
  std::vector<std::pair<int, Job>> jobs;
  each_parameter(c.spec, [&](const std::string& name, const ParamSpec& p) {
    const StoredTensor& t = c.tensors.at(name);
    const Job job{&t, plan.types.at(name)};
    const int rank =
        is_quantized(job.to) ? (p.role == ParamRole::vocabulary ? 1 : 0) : 16 - static_cast<int>(size_of(job.to));
    jobs.emplace_back(rank, job);
    report.source_bytes += static_cast<int64_t>(t.bytes.size());
    report.matrices += p.is_matrix() ? 1 : 0;
    report.converted += job.copied() ? 0 : 1;
  });
  std::stable_sort(jobs.begin(), jobs.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Job> sorted;
  for (const auto& [rank, job] : jobs) sorted.push_back(job);
  return sorted;
}

std::vector<TensorToWrite> tensors_of(const std::vector<Job>& jobs, QuantizeReport& report) {
  std::vector<TensorToWrite> tensors;
  for (const Job& j : jobs) {
    const auto& [name, dtype, shape, bytes] = *j.from;
    if (is_quantized(j.to)) {
      tensors.push_back({name, DType::u8, {packed_bytes(j.to, shape[0], shape[1])}});
      tensors.push_back({name + ".scales", DType::f16, {panels_of(shape[0]), shape[1] / kGroupColumns, kPanelRows}});
      report.bytes += matrix_bytes(j.to, shape[0], shape[1]);
    } else {
      tensors.push_back({name, j.to, shape});
      report.bytes += numel(shape) * static_cast<int64_t>(size_of(j.to));
    }
  }
  return tensors;
}

/// Converts one matrix and hands its bytes to `file`.
void convert(const Job& job, const std::string& path, const RoundMatrix& round, ThreadPool& pool,
             SafeTensorsWriter& file) {
  const StoredTensor& t = *job.from;
  const int64_t rows = t.shape[0], cols = t.shape[1];
  const bool quantized = is_quantized(job.to);
  std::vector<uint8_t> packed(quantized ? packed_bytes(job.to, rows, cols) : 0);
  std::vector<f16> scales(quantized ? scale_count(rows, cols) : 0);
  std::vector<bf16> plain(quantized ? 0 : rows * cols);
  const bool is_rounded = quantized && round && round(t.name, job.to, packed.data(), scales.data());
  pool.parallel_for(is_rounded ? 0 : panels_of(rows), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t first = p * kPanelRows, last = std::min(rows, first + kPanelRows);
      const std::vector<float> values = matrix_rows(t, first, last, path);
      if (quantized) {
        quantize_panel(job.to, values.data(), last - first, cols, &packed[p * packed_bytes(job.to, kPanelRows, cols)],
                       &scales[p * scale_count(kPanelRows, cols)]);
      } else {
        std::transform(values.begin(), values.end(), plain.begin() + first * cols, to_bf16);
      }
    }
  });
  require_finite(DType::bf16, std::as_bytes(std::span(plain)), t.name, path);  // the largest of fp32 round to infinity
  file.write(quantized ? static_cast<const void*>(packed.data()) : plain.data());
  if (quantized) file.write(scales.data());
}

Json config_for(Json config, DType type) {
  if (is_quantized(type)) {
    config["quantization_config"] = {{"quant_method", "jet"}, {"type", name_of(type)}, {"group", kGroupColumns}};
    return config;
  }
  for (const char* key : {"torch_dtype", "dtype"}) {
    if (config.contains(key)) config[key] = "bfloat16";
  }
  return config;
}

}  // namespace

QuantizeReport quantize_model(const std::string& source, const std::string& target, const QuantizeOptions& options) {
  require(options.type == DType::bf16 || is_quantized(options.type), "type {} cannot be made (bf16, int8, int4 can)",
          name_of(options.type));
  require_other_folder(source, target);
  const Checkpoint c = Checkpoint::open(source);
  ThreadPool pool(threads_asked(options.threads));
  const QuantizePlan plan = options.plan ? *options.plan : plan_types(c, options.type, pool);
  QuantizeReport report;
  report.remarks = plan.remarks, report.bits = bits_a_weight(c, plan.types);
  const std::vector<Job> jobs = jobs_of(c, plan, report);

  AtomicFolder folder(target);
  SafeTensorsWriter file(folder.file("model.safetensors"), tensors_of(jobs, report), {{"format", "pt"}});
  const int64_t total = parameter_count(c.spec);
  int64_t done = 0;
  for (const Job& job : jobs) {
    if (job.copied()) {
      require_finite(job.to, job.from->bytes, job.from->name, c.tensors.path());
      file.write(job.from->bytes.data());
    } else {
      convert(job, c.tensors.path(), options.round, pool, file);
    }
    done += numel(job.from->shape);
    if (options.progress) options.progress(done, total);
  }
  file.commit();
  copy_companions(source, folder.path());
  write_file(folder.file("config.json"), json_text(config_for(c.config, options.type), 2) + "\n");
  folder.commit();
  return report;
}

}  // namespace jet
