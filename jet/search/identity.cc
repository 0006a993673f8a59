#include "jet/search/identity.h"

#include "jet/base/hash.h"
#include "jet/eval/tasks.h"
#include "jet/storage/safetensors.h"

namespace jet {

namespace {

// Of the results that stages leave for each other; a run that another version began is not gone on with.
constexpr int kFormat = 3;

// One hash of several files, those that are there.
std::string hash_of(const std::vector<std::string>& paths) {
  Hasher all;
  for (const auto& path : paths)
    if (file_exists(path)) all.add(hash_text(file_hash(path)));
  return hash_text(all.value());
}

std::string model_hash(const std::string& folder) {
  auto files = SafeTensors::open(folder).files();
  files.push_back(folder + "/config.json");
  return hash_of(files);
}

}  // namespace

Json run_identity(const Recipe& recipe, const std::string& tokenizer_folder,
                  const std::map<std::string, std::string>& models) {
  Json id = {{"recipe", to_json_fields(recipe)}, {"format of results", kFormat}};
  for (const auto& [part, folder] : models)
    if (!folder.empty()) id[part] = model_hash(folder);
  id["tokenizer"] = hash_of({tokenizer_folder + "/tokenizer.json", tokenizer_folder + "/tokenizer_config.json"});
  for (const auto& source : recipe.data) {
    // A folder of tokens says in its manifest what the hashes of its files are.
    const bool tokens = is_folder(source.path);
    id[(tokens ? "tokens " : "text ") + source.path] =
        hash_text(file_hash(tokens ? source.path + "/manifest.json" : source.path));
  }
  for (const auto& task : task_files(recipe.eval.tasks)) id["tasks " + task] = hash_of(files_of_task(task));
  return id;
}

}  // namespace jet
