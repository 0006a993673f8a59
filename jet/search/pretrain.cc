#include "jet/search/identity.h"
#include "jet/search/postnas.h"
#include "jet/search/run.h"
#include "jet/train/world.h"

namespace jet {

using at::Tensor;

namespace {

ModelSpec spec_of(const ModelConfig& c, const Tokenizer& tokenizer) {
  ModelSpec s;
  s.vocab_size = tokenizer.vocab_size();
  s.hidden_size = c.hidden;
  s.intermediate_size = c.mlp;
  s.max_position_embeddings = c.context;
  const int eos = tokenizer.eos_id();
  if (eos >= 0) s.eos_token_id = {eos};
  s.bos_token_id = eos;
  Attention::Config a;
  a.heads = c.heads;
  a.kv_heads = c.kv_heads;
  a.head_dim = c.hidden / c.heads;
  a.qkv_bias = true;
  a.norm_eps = s.rms_norm_eps;
  a.rope.theta = c.rope_theta;
  s.layers.assign(c.layers, a);
  check_spec(s, "recipe: model");
  return s;
}

std::string told(const Evaluation& e, const RunFolder& folder) {
  if (!world().first()) return "";
  std::string out;
  for (const auto& [task, score] : e.tasks) {
    out += fmt::format("{:<8} {:.3f}\n", task, score.at("accuracy").get<double>());
  }
  for (const auto& [source, loss] : e.losses) out += fmt::format("{:<8} {:.3f} nats/token\n", source, loss);
  return out + fmt::format("model: {}\n", folder.model());
}

}  // namespace

std::string run_pretrain(const std::string& tokenizer_folder, const std::string& recipe_path, const std::string& out) {
  const Recipe recipe = read_recipe(recipe_path);
  TorchOps ops = recipe_ops(recipe, recipe_path);
  RunFolder folder{Ledger(out, run_identity(recipe, tokenizer_folder, {}))};
  RunProgress progress;
  const TrainingData data(recipe, tokenizer_folder, ops.device);
  const Evaluator evaluator(recipe, data, ops, progress);
  const TrainConfig& c = recipe.pretrain;
  data.require_trainable("pretrain", c);
  const TorchModel m = TorchModel::random(spec_of(recipe.model, data.tokenizer()), recipe.seed).to(ops.device);
  train({"pretrain", folder.checkpoint("pretrain"), c, m.parameters(), [&](const Part& p) {
           const auto b = data.batch("pretrain", p, c);
           const Tensor hidden = forward_with(ops, m, b.rows, own_mixers(ops, m, b.states("model")));
           return next_token_loss(ops, hidden, head_of(m), b.next, b.weights);
         }});
  const Evaluation result = evaluator.evaluate(m);
  if (world().first()) m.save(folder.model(), tokenizer_folder, DType::bf16, "qwen2");
  return told(result, folder);
}

}  // namespace jet
