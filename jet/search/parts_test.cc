// A batch worked through in parts gives the losses and gradients of the whole batch: the losses of PostNAS are sums
// over rows. What the teacher said of a row is kept for every batch that has it.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "jet/search/candidates.h"
#include "jet/search/supernet.h"

namespace jet {
namespace {

const char* const kPartsRecipe = R"(
held_out_tokens = 512
precision = "fp32"
[[data]]
name = "skills"
path = "data/train/skills.txt"
answers = '(?:\?|=|Answer:) (\S+)$'
answer_weight = 8
[eval]
items = 1
search_items = 1
)";

std::string new_folder(const std::string& name) {
  const std::string folder = testing::TempDir() + name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  write_file(folder + "/recipe.toml", kPartsRecipe);
  return folder;
}

TEST(Parts, LossesOfPartsAddUpToTheBatch) {
  const std::string folder = new_folder("jet_parts");
  jet::Run run({.recipe = folder + "/recipe.toml", .out = folder + "/run", .base = "models/base"});

  std::vector<MixerSpec> layers = run.teacher.spec().layers;
  const std::vector<int> fresh = {1, 4};
  for (int l : fresh) layers[l] = make_mixer("gated_delta_net", attention_of(run.teacher.spec(), l));
  TorchModel student = make_student(run.teacher.model, layers, 1);
  NamedTensors parameters = own_parameters(student, is_mixer_parameter);
  std::vector<at::Tensor> leaves;
  for (auto& [name, t] : parameters) leaves.push_back(t.requires_grad_(true));

  DistillConfig c;
  c.train.batch = 5, c.train.length = 41;
  DistillConfig hidden_alone = c;
  hidden_alone.feature_weight = hidden_alone.kl_weight = 0, hidden_alone.hidden_weight = 1;
  const BatchStream texts{run.data, "test", c.train};
  const std::function<at::Tensor(const Part&)> losses[] = {
      [&](const Part& p) { return align_loss(run.teacher, student, fresh, texts, p); },
      [&](const Part& p) { return end_to_end_loss(run.teacher, student, fresh, texts, p, c); },
      [&](const Part& p) { return end_to_end_loss(run.teacher, student, fresh, texts, p, hidden_alone); }};
  for (const auto& loss : losses) {
    const auto grads = [&](const at::Tensor& l) { return torch::autograd::grad({l}, leaves, {}, {}, false, true); };
    const at::Tensor whole = loss({7, 0, c.train.batch});
    const auto want = grads(whole);
    double sum = 0;
    std::vector<at::Tensor> got(leaves.size());
    for (const Part& p : parts_of(7, c.train.batch, 3)) {
      const at::Tensor l = loss(p);
      sum += l.item<double>();
      const auto g = grads(l);
      for (size_t i = 0; i < g.size(); ++i)
        if (g[i].defined()) got[i] = got[i].defined() ? got[i] + g[i] : g[i];
    }
    EXPECT_NEAR(sum, whole.item<double>(), 1e-6 * whole.item<double>());
    int compared = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_EQ(want[i].defined(), got[i].defined()) << parameters[i].first;
      if (!want[i].defined()) continue;
      ++compared;
      const double scale = want[i].norm().item<double>();
      EXPECT_LT((got[i] - want[i]).norm().item<double>(), 1e-4 * scale + 1e-9) << parameters[i].first;
    }
    EXPECT_GT(compared, 10);
  }
  std::filesystem::remove_all(folder);
}

// A layer that lost its mixer passes the residual stream on: the others are trained as ever, and the model is saved
// without the norm that it has no use for.
TEST(Parts, AStudentMayLackMixers) {
  const std::string folder = new_folder("jet_lacking");
  jet::Run run({.recipe = folder + "/recipe.toml", .out = folder + "/run", .base = "models/base"});
  std::vector<MixerSpec> layers = run.teacher.spec().layers;
  layers[1] = make_mixer("gated_delta_net", attention_of(run.teacher.spec(), 1));
  layers[2] = make_mixer("none", attention_of(run.teacher.spec(), 2));
  DistillConfig c;
  c.train.batch = 2, c.train.length = 33, c.train.tokens = 4 * 66;
  for (const bool local : {false, true}) {
    TorchModel student = make_student(run.teacher.model, layers, 1);
    EXPECT_EQ(new_layers(layers), std::vector<int>{1});
    c.local = local;
    const auto result = distill(run, student, local ? "local" : "whole", c, Scope::everything);
    EXPECT_FALSE(result.diverged);
    EXPECT_GT(result.last_loss(), 0);
    student.save(folder + "/model", "models/base", DType::bf16);
  }
  const Checkpoint saved = Checkpoint::open(folder + "/model");
  EXPECT_FALSE(has_mixer(saved.spec.layers[2]));
  EXPECT_FALSE(saved.tensors.contains("model.layers.2.input_layernorm.weight"));
  EXPECT_TRUE(saved.tensors.contains("model.layers.2.post_attention_layernorm.weight"));
  std::filesystem::remove_all(folder);
}

// A last stage that leaves the vocabulary shares it with the base, which stays as it was; all else is its own.
TEST(Parts, AStageMayLeaveTheVocabulary) {
  const std::string folder = new_folder("jet_vocabulary");
  jet::Run run({.recipe = folder + "/recipe.toml", .out = folder + "/run", .base = "models/base"});
  std::vector<MixerSpec> layers = run.teacher.spec().layers;
  layers[1] = make_mixer("gated_delta_net", attention_of(run.teacher.spec(), 1));
  TorchModel student = make_student(run.teacher.model, layers, 1);
  const auto before = run.teacher.model.weights.embed.clone();
  DistillConfig c;
  c.train.batch = 2, c.train.length = 33, c.train.tokens = 2 * 66;
  distill(run, student, "layers", c, Scope::layers);
  EXPECT_TRUE(at::equal(before, run.teacher.model.weights.embed));
  const NamedTensors base = run.teacher.model.parameters();
  int shared = 0;
  for (const auto& [name, t] : student.parameters()) {
    const auto at = std::ranges::find(base, name, [](const auto& p) { return p.first; });
    const bool same = at != base.end() && t.data_ptr() == at->second.data_ptr();
    EXPECT_EQ(same, is_vocabulary_parameter(name)) << name;
    shared += same;
  }
  EXPECT_EQ(shared, run.teacher.spec().tie_word_embeddings ? 1 : 2);
  std::filesystem::remove_all(folder);
}

// Where a block can compute what the trained branches do, students do so before their first step; others start from the
// attention, and say so.
TEST(Parts, StudentsStartFromTheSupernet) {
  const std::string folder = new_folder("jet_from_supernet");
  write_file(folder + "/recipe.toml", std::string(kPartsRecipe) + R"(held_out_length = 64
[supernet]
branch = "gated_delta_net:qk_conv=false"
starts_students = true
budget = {align = {tokens = 66, batch = 2, length = 33}, distill = {train = {tokens = 66, batch = 2, length = 33}}}
)");
  jet::Run run({.recipe = folder + "/recipe.toml", .out = folder + "/run", .base = "models/base"});
  Supernet net(run);
  net.train();
  const at::NoGradGuard no_grad;
  const at::Tensor x = at::randn({1, 19, run.teacher.spec().hidden_size});
  for (const std::string kind : {"jet", "gated_delta_net:qk_conv=false", "gla"}) {
    std::vector<MixerSpec> layers = run.teacher.spec().layers;
    for (const int l : {2, 5}) layers[l] = make_mixer(kind, attention_of(run.teacher.spec(), l));
    const Candidate c{.name = "from " + kind, .layers = layers, .speed = false};
    const TorchModel student = load_candidate(run, c);
    EXPECT_EQ(train_candidate(run, c).from_supernet, kind != "gla");
    for (const int l : {2, 5}) {
      const at::Tensor got = own_mixers(run.ops, student)(l, x), want = net.mixer(run.ops, Branch::linear, l, x);
      const float apart = ((got - want).norm() / want.norm()).item<float>();
      EXPECT_EQ(apart < 1e-5F, kind != "gla") << kind << " is " << apart << " apart";
    }
  }
  std::filesystem::remove_all(folder);
}

// What a layer takes over whole from the attention in its place is the base's own, and no part of alignment.
TEST(Parts, AlignmentLeavesWhatWasTakenOver) {
  const std::string folder = new_folder("jet_taken_over");
  jet::Run run({.recipe = folder + "/recipe.toml", .out = folder + "/run", .base = "models/base"});
  std::vector<MixerSpec> layers = run.teacher.spec().layers;
  layers[1] = make_mixer("window_delta:window=7", attention_of(run.teacher.spec(), 1));
  layers[2] = make_mixer("gated_hybrid", attention_of(run.teacher.spec(), 2));
  layers[3] = make_mixer("gla", attention_of(run.teacher.spec(), 3));
  layers[4] = make_mixer("attention:window=7,sinks=2", attention_of(run.teacher.spec(), 4));
  TorchModel student = make_student(run.teacher.model, layers, 1);
  const NamedTensors all = scope_parameters(run.teacher.spec(), student, Scope::changed_mixers);
  const NamedTensors aligned = new_parts(student, all), theirs = run.teacher.model.parameters();
  const auto of_gla = [](const NamedTensors& some) {
    return std::ranges::count_if(some, [](const auto& p) { return p.first.find("layers.3.") != p.first.npos; });
  };
  EXPECT_EQ(of_gla(aligned), of_gla(all));
  int taken = 0;
  for (const auto& [name, t] : all) {
    const bool left_out = std::none_of(aligned.begin(), aligned.end(), [&](const auto& p) { return p.first == name; });
    if (!left_out) continue;
    ++taken;
    std::string as_base = name;
    for (const char* part : {"attention.", "full."}) {
      if (const size_t at = as_base.find(std::string("self_attn.") + part); at != as_base.npos)
        as_base.erase(at + std::strlen("self_attn."), std::strlen(part));
    }
    const auto own = std::find_if(theirs.begin(), theirs.end(), [&](const auto& p) { return p.first == as_base; });
    ASSERT_NE(own, theirs.end()) << name;
    EXPECT_TRUE(at::equal(t, own->second.to(at::kFloat))) << name;
  }
  EXPECT_EQ(taken, 3 * 7) << "q, k, v, o and three biases of three layers";
  std::filesystem::remove_all(folder);
}

// Decays by how far the teacher's heads look back, against sums over their probabilities one by one.
TEST(Parts, DecaysStartFromTheLookBack) {
  const std::string folder = new_folder("jet_look_back");
  jet::Run run({.recipe = folder + "/recipe.toml", .out = folder + "/run", .base = "models/base"});
  const ModelSpec& base = run.teacher.spec();
  TrainConfig c;
  c.batch = 2, c.length = 40;
  const BatchStream texts{run.data, "fit", c};
  std::vector<at::Tensor> maps;
  {
    const at::NoGradGuard no_grad;
    TorchOps ops = run.teacher.ops;
    ops.attention_maps = &maps;
    teach(ops, run.teacher.model, texts.batch({0, 0, c.batch}).rows);
  }
  const int heads = attention_of(base, 2).heads;
  std::vector<double> rate(heads);
  for (int h = 0; h < heads; ++h) {
    double mass = 0, far = 0;
    for (int b = 0; b < c.batch; ++b) {
      const at::Tensor p = maps[2][b][h].contiguous();
      for (int t = 0; t < c.length; ++t) {
        for (int s = 4; s <= t; ++s) {
          const double here = p.data_ptr<float>()[t * c.length + s];
          mass += here, far += here * (t - s);
        }
      }
    }
    rate[h] = std::log1p(mass / far);
  }
  for (const char* block : {"gated_delta_net", "kda", "jet", "mamba2"}) {
    std::vector<MixerSpec> layers = base.layers;
    layers[2] = make_mixer(block, attention_of(base, 2));
    TorchModel student = make_student(run.teacher.model, layers, 1);
    fit_start(run.teacher, student, {2}, texts, true);
    for (const auto& [name, t] : student.parameters()) {
      if (!name.starts_with("model.layers.2.self_attn.")) continue;
      if (name.ends_with("A_log")) { EXPECT_EQ(t.abs().max().item<float>(), 0) << name; }
      if (!name.ends_with("dt_bias")) continue;
      const at::Tensor got = at::softplus(t).flatten();
      for (int64_t i = 0; i < got.numel(); ++i)
        EXPECT_NEAR(got[i].item<double>(), rate[i * heads / got.numel()], 1e-4) << name << " " << i;
    }
  }
  std::filesystem::remove_all(folder);
}

// Equal training for windows, too: they are no new blocks, but the base has them not.
TEST(Parts, CandidatesOfWindowsAreTrained) {
  const std::string folder = new_folder("jet_windows");
  jet::Run run({.recipe = folder + "/recipe.toml", .out = folder + "/run", .base = "models/base"});
  std::vector<MixerSpec> layers = run.teacher.spec().layers;
  layers[2] = make_mixer("attention:window=7,sinks=2", attention_of(run.teacher.spec(), 2));
  BudgetConfig budget;
  for (TrainConfig* c : {&budget.align, &budget.distill.train}) c->batch = 2, c->length = 33, c->tokens = 4 * 66;
  const TorchModel student = load_candidate(run, {.name = "windows", .layers = layers, .lr = 1e-3, .budget = &budget});
  std::vector<std::string> moved;
  const NamedTensors own = student.parameters(), theirs = run.teacher.model.parameters();
  ASSERT_EQ(own.size(), theirs.size());
  for (size_t i = 0; i < own.size(); ++i)
    if (!at::equal(own[i].second, theirs[i].second)) moved.push_back(own[i].first);
  EXPECT_GE(moved.size(), 4u);
  for (const auto& name : moved) EXPECT_TRUE(name.starts_with("model.layers.2.self_attn.")) << name;
  std::filesystem::remove_all(folder);
}

// Rows in chunks with carried states say what whole rows say of every token; documents apart say something else.
TEST(Parts, ChunksOfRowsAddUpToTheBatch) {
  const std::string folder = new_folder("jet_chunks");
  jet::Run run({.recipe = folder + "/recipe.toml", .out = folder + "/run", .base = "models/base"});
  std::vector<MixerSpec> layers = run.teacher.spec().layers;
  for (int l : {1, 4}) layers[l] = make_mixer("gated_delta_net", attention_of(run.teacher.spec(), l));
  const TorchModel student = make_student(run.teacher.model, layers, 1);
  TrainConfig c;
  c.batch = 3, c.length = 41;
  const at::NoGradGuard no_grad;
  const auto losses = [&](const Part& p) {
    const auto b = run.data.batch("test", p, c);
    const Trace teacher = teach(run.ops, run.teacher.model, b.rows, b.states("teacher"));
    const auto hidden = forward_with(run.ops, student, b.rows, own_mixers(run.ops, student, b.states("student")));
    return at::stack({kl_loss(run.ops, {hidden, head_of(student)}, {teacher.hidden, teacher.head}, b.weights),
                      next_token_loss(run.ops, hidden, head_of(student), b.next, b.weights), at::full({}, b.share)});
  };
  const at::Tensor whole = losses({7, 0, 3});
  EXPECT_NEAR(whole[2].item<double>(), 1, 1e-6);
  for (const int chunk : {8, 20, 40}) {  // the last one holds one token, which predicts nothing
    at::Tensor sum = at::zeros({3});
    for (const Part& rows : parts_of(7, 3, 2)) {
      for (const Part& p : chunks_of(rows, c.length, chunk)) sum += losses(p);
    }
    EXPECT_LT((sum / whole - 1).abs().max().item<double>(), 1e-5) << chunk;
  }

  const auto texts = run.data.corpus().train_batch(1, 0, 3, 256);
  ASSERT_GT(std::count(texts.starts.begin() + 256, texts.starts.end(), 1), 2);
  const auto apart = to_torch(texts, {0, 1, 2}, true);
  EXPECT_NE(apart.rows.documents, nullptr);
  const auto together = to_torch(texts, {0, 1, 2});
  const auto loss = [&](const TorchBatch& b) {
    return next_token_loss(run.ops, teach(run.ops, run.teacher.model, b.rows).hidden, head_of(run.teacher.model),
                           b.next, b.weights)
        .item<double>();
  };
  EXPECT_NE(loss(apart), loss(together));
  std::filesystem::remove_all(folder);
}

TEST(Parts, KeptTargetsAreTheTeachers) {
  const std::string folder = new_folder("jet_targets");
  jet::Run run({.recipe = folder + "/recipe.toml", .out = folder + "/run", .base = "models/base"});
  TrainConfig c;
  c.batch = 5, c.length = 33;
  const int vocab = run.teacher.spec().vocab_size;
  const auto targets = [&](int from, int rows) {
    const Part p{2, from, rows};
    return run.teacher.targets("some texts", p, run.data.batch("some texts", p, c), vocab);
  };
  const TorchBatch whole = run.data.batch("some texts", 2, c);
  const at::Tensor hidden = at::randn({5, 33, run.teacher.spec().hidden_size}), head = head_of(run.teacher.model);
  const Trace teacher = teach(run.ops, run.teacher.model, whole.rows);
  const double exact = kl_loss(run.ops, {hidden, head}, {teacher.hidden, teacher.head}, whole.weights).item<double>();
  const auto kl = [&](const Targets& t) { return kl_loss(run.ops, hidden, head, t, whole.weights).item<double>(); };
  targets(0, 2);
  EXPECT_NEAR(kl(targets(0, 5)), exact, 1e-5 * exact);  // two rows are there already
  run.teacher.model.weights.norm.zero_();               // from now on the teacher would say something else
  EXPECT_NEAR(kl(targets(0, 5)), exact, 1e-5 * exact);
  int files = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(folder + "/run/teacher")) {
    files += file.is_regular_file();
  }
  EXPECT_EQ(files, 5);
  std::filesystem::remove_all(folder);
}

TEST(Parts, KeptActivationsAreTheTeachers) {
  const std::string folder = new_folder("jet_activations");
  jet::Run run({.recipe = folder + "/recipe.toml", .out = folder + "/run", .base = "models/base"});
  TrainConfig c;
  c.batch = 5, c.length = 33;
  const BatchStream texts{run.data, "some texts", c};
  const std::vector<int> layers = {1, 6};
  const auto kept = [&](const Part& p) { return run.teacher.activations(texts.name, p, texts.batch(p), layers); };
  const Trace exact = run.teacher.trace(texts.batch({2, 0, 5}));
  const auto expect_exact = [&](const Trace& t) {
    for (const auto& [got, want] : {std::pair{&t.mixer_in, &exact.mixer_in}, {&t.mixer_out, &exact.mixer_out}}) {
      for (const int l : layers) EXPECT_TRUE((*got)[l].equal((*want)[l].to(at::kBFloat16).to(at::kFloat))) << l;
      EXPECT_FALSE((*got)[0].defined()) << "nobody asked";
    }
  };
  kept({2, 0, 2});
  expect_exact(kept({2, 0, 5}));  // two rows are there already

  std::vector<MixerSpec> mixers = run.teacher.spec().layers;
  for (const int l : layers) mixers[l] = make_mixer("gated_delta_net", attention_of(run.teacher.spec(), l));
  const TorchModel student = make_student(run.teacher.model, mixers, 1);
  const auto loss = [&](const Part& p, int batches) {
    return align_loss(run.teacher, student, layers, texts, p, batches).item<double>();
  };
  const double fresh = loss({2, 0, 5}, 0);
  EXPECT_NEAR(loss({2, 0, 5}, 3), fresh, 1e-2 * fresh);
  EXPECT_EQ(loss({5, 0, 5}, 3), loss({2, 0, 5}, 3)) << "the third of three batches, again";
  EXPECT_NE(loss({4, 0, 5}, 3), loss({2, 0, 5}, 3));
  run.teacher.model.weights.embed.zero_();  // from now on the teacher would make something else
  expect_exact(kept({2, 0, 5}));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace jet
