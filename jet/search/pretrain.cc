#include <cstdio>

#include "jet/search/postnas.h"
#include "jet/search/student.h"
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

void print_evaluation(const Json& e) {
  for (const auto& [task, score] : e.at("tasks").items()) {
    std::printf("%-8s %.3f\n", task.c_str(), score.at("accuracy").get<double>());
  }
  for (const auto& [source, loss] : e.at("losses").items()) {
    std::printf("%-8s %.3f nats/token\n", source.c_str(), loss.get<double>());
  }
}

}  // namespace

void run_pretrain(const std::string& tokenizer_folder, const std::string& recipe, const std::string& out) {
  Run run(tokenizer_folder, recipe, out);
  TorchModel m = TorchModel::random(spec_of(run.recipe.model, run.tokenizer), run.recipe.seed).to(run.device);
  const TrainConfig& c = run.recipe.pretrain;
  run.require_epochs("pretrain", c);
  const TrainResult r = train({"pretrain", run.checkpoint("pretrain"), c, m.parameters(), [&](const Part& p) {
                                 const auto b = run.batch("pretrain", p, c);
                                 const Tensor hidden =
                                     forward_with(run.ops, m, b.rows, own_mixers(run.ops, m, b.states("model")));
                                 return next_token_loss(run.ops, hidden, head_of(m), b.next, b.weights);
                               }});
  require(!r.diverged, "pretrain: the loss stopped being finite after {} tokens; lower pretrain.lr", r.tokens);
  if (world().first()) m.save(out + "/model", tokenizer_folder, DType::bf16, "qwen2");
  print_evaluation(run.evaluate(run.tasks, m));
  std::printf("model: %s/model\n", out.c_str());
}

void run_distill(const std::string& teacher, const std::string& student_folder, const std::string& recipe,
                 const std::string& out) {
  Run run(teacher, recipe, out);
  run.require_epochs("distill.stage1.train", run.recipe.distill.stage1.train);
  run.require_epochs("distill.stage2.train", run.recipe.distill.stage2.train);
  TorchModel student = run.load_model(student_folder);
  require(student.spec.n_layers() == run.base.spec.n_layers() &&
              student.spec.hidden_size == run.base.spec.hidden_size &&
              student.spec.vocab_size == run.base.spec.vocab_size,
          "{}: layers, hidden or vocabulary size differ from those of {}", student_folder, teacher);
  distill(run, student, "distill-stage1", run.recipe.distill.stage1, Scope::all_mixers);
  distill(run, student, "distill-stage2", run.recipe.distill.stage2, Scope::everything);
  if (world().first()) student.save(out + "/model", teacher, DType::bf16);
  print_evaluation(run.evaluate(run.tasks, student));
  std::printf("model: %s/model\n", out.c_str());
}

}  // namespace jet
