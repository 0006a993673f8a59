#include "jet/model/export.h"

#include <algorithm>
#include <filesystem>

#include "jet/model/families/families.h"
#include "jet/model/finite.h"
#include "jet/storage/shards.h"
#include "jet/tensor/quant.h"

namespace jet {

namespace {

struct Format {
  const char* name;
  std::string model_type;
};
constexpr const char* kOfficial = "jet_nemotron";
const Format kFormats[] = {{"hf", "jet_cpp"}, {"jet-nemotron", kOfficial}};

const Format& format_named(const std::string& name) {
  for (const auto& f : kFormats) {
    if (name == f.name) return f;
  }
  fail("format '{}' is unknown (known: {})", name, fmt::join(export_formats(), ", "));
}

/// The model folder of a run, or the folder itself.
std::string model_folder(const std::string& folder) {
  require(is_folder(folder), "{}: no such run or model folder", folder);
  if (file_exists(folder + "/config.json")) return folder;
  require(file_exists(folder + "/model/config.json"),
          "{}: holds neither a model (config.json) nor a finished run's (model/config.json); let the run finish first",
          folder);
  return folder + "/model";
}

/// One tensor on its way. `from` is null where the source has none: zeros.
struct Piece {
  std::string name;
  const StoredTensor* from = nullptr;
  DType to = DType::f32;
  ParamSpec spec;
};

/// What a parameter becomes: one piece, or two where it is quantized.
void add_pieces(const Checkpoint& c, const std::string& name, const ParamSpec& spec, const ExportOptions& o,
                std::vector<Piece>& pieces) {
  const DType fallback = o.dtype.value_or(c.tensors.at(kEmbedding).dtype);
  if (!c.tensors.contains(name)) return pieces.push_back({name, nullptr, fallback, spec});
  const StoredTensor& t = c.tensors.at(name);
  if (t.dtype == DType::u8) {
    require(o.format == "hf" && !o.dtype,
            "{}: tensor '{}' is quantized; export the model that it was made from, or with --format hf and no --dtype",
            c.folder, name);
    const StoredTensor& scales = c.tensors.at(name + ".scales");
    pieces.push_back({name, &t, t.dtype, {.shape = t.shape}});
    return pieces.push_back({scales.name, &scales, scales.dtype, {.shape = scales.shape}});
  }
  // 1 + w has more digits than bf16 keeps of w.
  pieces.push_back({name, &t, o.dtype.value_or(c.plus_one(name, spec) ? DType::f32 : t.dtype), spec});
}

/// All tensors of the target: packed numbers and their scales first (both take multiples of 32 bytes), then wider types
/// first, by name within a type, so that every tensor is aligned to its element.
std::vector<Piece> pieces_of(const Checkpoint& c, const ModelSpec& target, const ExportOptions& o) {
  struct Nothing {};
  ModelWeights<Nothing> w;
  std::vector<Piece> pieces;
  model_params(target, w,
               [&](const std::string& name, Nothing&, const ParamSpec& p) { add_pieces(c, name, p, o, pieces); });
  const auto rank = [](const Piece& p) {
    const bool packed = p.to == DType::u8 || p.name.ends_with(".scales");
    return packed ? 0 : 16 - static_cast<int>(size_of(p.to));
  };
  std::sort(pieces.begin(), pieces.end(), [&](const Piece& a, const Piece& b) {
    return std::pair(rank(a), std::string_view(a.name)) < std::pair(rank(b), std::string_view(b.name));
  });
  return pieces;
}

std::vector<TensorToWrite> tensors_of(const std::vector<Piece>& pieces) {
  std::vector<TensorToWrite> tensors;
  for (const auto& p : pieces) tensors.push_back({p.name, p.to, p.spec.shape});
  return tensors;
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

std::vector<bf16> narrowed(const std::vector<float>& values) {
  std::vector<bf16> narrow(values.size());
  std::transform(values.begin(), values.end(), narrow.begin(), to_bf16);
  return narrow;
}

/// Writes one tensor in parts, each of which leaves memory when it is written.
void write_piece(const Piece& p, const Checkpoint& c, ShardedSafeTensorsWriter& file) {
  const auto write = [&](std::span<const std::byte> bytes) {
    require_finite(p.to, bytes, p.name, c.folder);
    file.write(bytes);
  };
  const auto write_floats = [&](const std::vector<float>& values) {
    p.to == DType::f32 ? write(bytes_of(values)) : write(bytes_of(narrowed(values)));
  };
  if (!p.from) return write(bytes_of(std::vector<std::byte>(numel(p.spec.shape) * size_of(p.to))));
  if (c.plus_one(p.name, p.spec)) return write_floats(c.floats(p.name, p.spec));
  constexpr size_t kPart = 1 << 20;  // numbers
  const size_t width = size_of(p.from->dtype), n = p.from->bytes.size() / width;
  for (size_t i = 0; i < n; i += kPart) {
    const size_t m = std::min(kPart, n - i);
    const auto part = p.from->bytes.subspan(i * width, m * width);
    if (p.from->dtype == p.to) {
      write(part);
    } else {
      write_floats(to_floats({p.name, p.from->dtype, {static_cast<int64_t>(m)}, part}));
    }
    release_pages(part);
  }
}

const char* torch_name(DType t) { return t == DType::f32 ? "float32" : t == DType::f16 ? "float16" : "bfloat16"; }

ModelSpec windowed(const ModelSpec& s, const ExportWindows& o, const std::string& folder) {
  for (const int l : o.full) {
    require(l >= 0 && l < s.n_layers(), "{}: --full {}: there are layers 0 to {}", folder, l, s.n_layers() - 1);
    require(is_full_attention(s.layers[l]), "{}: --full {}: that layer is {}, and stays so; leave it out", folder, l,
            mixer_label(s.layers[l]));
  }
  std::vector<int> others;
  for (int l = 0; l < s.n_layers(); ++l) {
    if (is_full_attention(s.layers[l]) && std::find(o.full.begin(), o.full.end(), l) == o.full.end())
      others.push_back(l);
  }
  require(!others.empty(), "{}: --window {}: no layer of full attention is left to get it", folder, o.window);
  ModelSpec made = with_windows(s, others, o.window, o.sinks);
  check_spec(made, folder);
  return made;
}

/// The source's own text where it is in the layout already, with another dtype where one is asked for.
std::string config_text(const Checkpoint& c, const Format& format, const ModelSpec& target, const ExportOptions& o) {
  if (c.config.at("model_type") == format.model_type && !o.windows) {
    if (!o.dtype) return read_file(c.folder + "/config.json");
    Json config = c.config;
    for (const char* key : {"torch_dtype", "dtype"}) {
      if (config.contains(key)) config[key] = torch_name(*o.dtype);
    }
    return json_text(config, 2) + "\n";
  }
  Json config = family_named(format.model_type, c.folder).write(target, c.folder);
  if (format.model_type == kOfficial) {
    config["torch_dtype"] = torch_name(o.dtype.value_or(c.tensors.at(kEmbedding).dtype));
  }
  if (c.config.contains("quantization_config")) config["quantization_config"] = c.config.at("quantization_config");
  return json_text(config, 2) + "\n";
}

/// The authors' code beside a model of theirs, which the config names ("auto_map").
void copy_code(const std::string& source, const std::string& target) {
  for (const auto& entry : std::filesystem::directory_iterator(source)) {
    const auto& path = entry.path();
    if (path.extension() == ".py") write_file(target + "/" + path.filename().string(), read_file(path.string()));
  }
}

}  // namespace

std::vector<std::string> export_formats() {
  std::vector<std::string> names;
  for (const auto& f : kFormats) names.push_back(f.name);
  return names;
}

ExportReport export_model(const std::string& source, const std::string& target, const ExportOptions& options) {
  const Format& format = format_named(options.format);
  require(!options.dtype || *options.dtype == DType::f32 || *options.dtype == DType::bf16,
          "dtype {} cannot be exported (f32, bf16 can)", name_of(*options.dtype));
  const std::string model = model_folder(source);
  require_other_folder(model, target);
  const Checkpoint c = Checkpoint::open(model);
  const Family& family = family_named(format.model_type, target);
  const ModelSpec asked = options.windows ? windowed(c.spec, *options.windows, model) : c.spec;
  const ModelSpec spec = family.fitted ? family.fitted(asked) : asked;
  const std::vector<Piece> pieces = pieces_of(c, spec, options);
  const std::string config = config_text(c, format, spec, options);

  AtomicFolder folder(target);
  ShardedSafeTensorsWriter file(folder.path(), tensors_of(pieces), options.shard_bytes);
  ExportReport report{.model_type = format.model_type, .tensors = pieces.size(), .files = file.files()};
  const int64_t total = parameter_count(spec);
  int64_t done = 0;
  for (const Piece& p : pieces) {
    write_piece(p, c, file);
    report.bytes += numel(p.spec.shape) * static_cast<int64_t>(size_of(p.to));
    done += numel(p.spec.shape);
    if (options.progress) options.progress(std::min(done, total), total);
  }
  file.commit();
  copy_companions(model, folder.path());
  if (format.model_type == kOfficial && c.config.at("model_type") == kOfficial) copy_code(model, folder.path());
  write_file(folder.file("config.json"), config);
  Checkpoint::open(folder.path());  // what this program would not read must not appear
  if (family.notes) report.notes = family.notes(spec, folder.path());
  folder.commit();
  return report;
}

}  // namespace jet
