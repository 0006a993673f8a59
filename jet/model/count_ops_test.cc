#include <gtest/gtest.h>

#include "jet/model/model_cost.h"
#include "jet/model/shapes.h"

namespace jet {
namespace {

ModelSpec model_of(std::vector<MixerSpec> layers) {
  ModelSpec s;
  s.vocab_size = 96, s.hidden_size = 32, s.intermediate_size = 48, s.max_position_embeddings = 4096;
  s.layers = std::move(layers);
  return s;
}

/// Each block in the place of one attention layer; that layer, and with a window.
std::vector<MixerSpec> every_block() {
  Attention::Config a{.heads = 4, .kv_heads = 2, .head_dim = 8, .qkv_bias = true, .qk_norm = true};
  std::vector<MixerSpec> all;
  BlockList::for_each([&]<class Block>() { all.push_back(Block::Config::like(a, {2, 8, 16})); });
  a.window = 16;
  all.push_back(a);
  return all;
}

bool has_parameters(const MixerSpec& m) {
  bool any = false;
  MixerWeights<char> w;
  mixer_params(m, 32, w, [&](const char*, char&, const ParamSpec&) { any = true; });
  return any;
}

struct Matrices {
  double numbers = 0, parameters = 0;
};

/// What the products of a token multiply: all matrices but the embedding, which is looked up (and, tied, is the head).
Matrices matrices_of(const ModelSpec& spec) {
  struct Nothing {};
  ModelWeights<Nothing> w;
  Matrices m;
  model_params(spec, w, [&](const std::string& name, Nothing&, const ParamSpec& p) {
    m.parameters += static_cast<double>(numel(p.shape));
    const bool looked_up = name == "model.embed_tokens.weight" && !spec.tie_word_embeddings;
    if (p.is_matrix() && !looked_up) m.numbers += static_cast<double>(numel(p.shape));
  });
  return m;
}

double linear_flops(const ModelCost& cost) {
  double sum = 0;
  for (const auto& [kind, c] : cost.kinds()) sum += kind.starts_with("linear") ? c.flops : 0;
  return sum;
}

TEST(CountOps, ProductsAreTwiceTokensTimesMatrices) {
  for (const MixerSpec& m : every_block()) {
    for (const bool tied : {true, false}) {
      ModelSpec spec = model_of({m});
      spec.tie_word_embeddings = tied;
      const CountPass pass{.sequences = 3, .tokens = 7, .context = 5, .logits = 7};
      const ModelCost cost = count_model(spec, pass, plain_types(DType::f32, 4));
      const Matrices all = matrices_of(spec);
      EXPECT_DOUBLE_EQ(linear_flops(cost), 2 * 21 * all.numbers) << mixer_label(m);
      // Every parameter is read once; of the embedding the rows of 21 tokens, for a tied one beside the head.
      const double rows = 21.0 * spec.hidden_size, table = tied ? 0 : 96.0 * spec.hidden_size;
      EXPECT_DOUBLE_EQ(cost.total().weight_bytes, 4 * (all.parameters - table + rows)) << mixer_label(m);
    }
  }
}

TEST(CountOps, AttentionCountsVisiblePairs) {
  for (const int window : {0, 1, 5, 100}) {
    for (const int64_t context : {0, 3, 40}) {
      for (const int64_t tokens : {1, 4, 12}) {
        double pairs = 0;
        for (int64_t t = context; t < context + tokens; ++t) {
          for (int64_t j = 0; j <= t; ++j) pairs += window == 0 || t - j < window ? 1 : 0;
        }
        EXPECT_DOUBLE_EQ(visible_pairs(context, tokens, window), pairs) << window << " " << context << " " << tokens;
        const ModelSpec spec =
            model_of({Attention::Config{.heads = 4, .kv_heads = 2, .head_dim = 8, .window = window}});
        const auto kinds =
            count_model(spec, {.sequences = 2, .tokens = tokens, .context = context}, engine_types(DType::bf16))
                .kinds();
        const Count& c = kinds.at(window > 0 ? "window attention" : "attention");
        EXPECT_DOUBLE_EQ(c.flops, 2 * 4 * pairs * 4 * 8);
        const int64_t kept = window > 0 ? std::min<int64_t>(window, context) : context;
        EXPECT_DOUBLE_EQ(c.state_read_bytes, 2.0 * static_cast<double>(kept) * 2 * 2 * 8 * 2);
      }
    }
  }
}

/// Kinds of op of one layer with this mixer.
std::map<std::string, Count> layer_kinds(const MixerSpec& m, const CountPass& pass) {
  return count_model(model_of({m}), pass, engine_types(DType::bf16)).layers[0];
}

TEST(CountOps, RecurrencesByStepAndByChunk) {
  const double K = 8, V = 16, KV = K * V, rows = 2 * 128, C = 64;
  const CountPass steps{.sequences = 2, .tokens = 128}, chunks{.sequences = 2, .tokens = 128, .chunk = 64};
  const auto flops = [&](const MixerSpec& m, const CountPass& pass) {
    return layer_kinds(m, pass).at("recurrence").flops;
  };
  const RetNet::Config retnet{.heads = 1, .dk = 8, .dv = 16};
  EXPECT_DOUBLE_EQ(flops(retnet, steps), rows * 5 * KV);
  EXPECT_DOUBLE_EQ(flops(retnet, chunks), rows * ((4 + 1 / C) * KV + (C + 1) * (K + V)));
  const DeltaNet::Config delta{.heads = 1, .dk = 8, .dv = 16};
  EXPECT_DOUBLE_EQ(flops(delta, steps), rows * 6 * KV);
  EXPECT_DOUBLE_EQ(flops(delta, chunks), rows * (6 * KV + 2 * C * (K + V)));
  const Rwkv7::Config rwkv7{.heads = 1, .dk = 8, .dv = 16};
  EXPECT_DOUBLE_EQ(flops(rwkv7, steps), rows * 9 * KV);
  EXPECT_DOUBLE_EQ(flops(rwkv7, chunks), rows * ((8 + 1 / C) * KV + 4 * C * (K + V)));
}

TEST(CountOps, ScalesWithBatchAndLength) {
  for (const MixerSpec& m : every_block()) {
    const ModelSpec spec = model_of({m, m});
    const CountTypes types = engine_types(DType::bf16);
    const auto total = [&](int64_t sequences, int64_t tokens) {
      return count_model(spec, {.sequences = sequences, .tokens = tokens, .logits = tokens, .chunk = 32}, types,
                         all_trained)
          .total();
    };
    const Count one = total(1, 64), batch = total(4, 64), twice = total(1, 128);
    const double small = 1e-5 * batch.flops;  // functions of parameters alone, once a pass
    EXPECT_NEAR(batch.flops, 4 * one.flops, small) << mixer_label(m);
    EXPECT_NEAR(batch.backward_flops, 4 * one.backward_flops, 2 * small) << mixer_label(m);
    EXPECT_DOUBLE_EQ(batch.saved_bytes, 4 * one.saved_bytes) << mixer_label(m);
    EXPECT_DOUBLE_EQ(batch.state_bytes(), 4 * one.state_bytes()) << mixer_label(m);
    // Twice the length: twice the work of everything but full attention, whose pairs grow with the square.
    double pairs = 0;
    MixerState<char> state;
    mixer_state(m, 32, state, [&](const std::string& name, char&, const StateSpec& p) {
      if (!name.ends_with("keys")) return;
      pairs += visible_pairs(0, 128, p.window) - 2 * visible_pairs(0, 64, p.window);
    });
    EXPECT_NEAR(twice.flops, 2 * one.flops + 2 * 4 * 4 * 8 * pairs, small) << mixer_label(m);
  }
}

TEST(CountOps, PromptsInPartsDoTheSameWork) {
  const ModelSpec spec = model_of(every_block());
  const CountTypes types = engine_types(DType::q8);
  const Count whole = count_prompt(spec, 0, 128, 128, types).total();
  const Count parts = count_prompt(spec, 0, 128, 32, types).total();
  EXPECT_NEAR(parts.flops, whole.flops, 1e-5 * whole.flops);
  EXPECT_GT(parts.weight_bytes, 3.5 * (whole.weight_bytes - 96 * 32)) << "weights are read once a part";
  EXPECT_EQ(parts.ops, 4 * whole.ops);
}

TEST(CountOps, FormulasAreCountedByElement) {
  CountOps ops({.sequences = 2, .tokens = 3}, plain_types(DType::f32, 4));
  ops.enter(0);
  const CountTensor x = ops.input({4, 8}, true), one_a_head = ops.input({4, 1}, false);
  // A product and a sum of 4 x 8 numbers, exp of 4.
  const CountTensor y = ops.map([](auto a, auto b) { return a * exp(b) + a; }, x, one_a_head);
  EXPECT_EQ(y.shape, (Shape{4, 8}));
  const Count& c = ops.layers()[0].at("elementwise");
  EXPECT_EQ(c.ops, 1);
  EXPECT_DOUBLE_EQ(c.flops, 6 * (2 * 32 + 4));
  EXPECT_DOUBLE_EQ(c.activation_bytes, 6 * 4 * (32 + 4 + 32));
  EXPECT_DOUBLE_EQ(c.saved_bytes, 6 * 4 * 4) << "exp(b), which x's gradient needs; b wants none, so x is not kept";
  EXPECT_THROW(ops.map([](auto a, auto b) { return a + b; }, x, ops.input({3, 8}, false)), Error);
  EXPECT_THROW(ops.heads(x, 5), Error);
  EXPECT_THROW(ops.linear(x, {.shape = {4, 7}, .present = true}), Error);
}

TEST(CountOps, BackwardIsTwiceForwardWhereAllIsTrainedAndOnceThroughFrozenProducts) {
  for (const MixerSpec& m : every_block()) {
    const ModelSpec spec = model_of({m, m});
    const CountPass pass{.tokens = 32, .logits = 32, .chunk = 32};
    const auto linear = [&](const IsTrained& trained, size_t layer) {
      Count sum;
      const ModelCost cost = count_model(spec, pass, plain_types(DType::f32, 4), trained);
      for (const auto& [kind, c] : cost.layers[layer]) {
        if (kind.starts_with("linear")) sum += c;
      }
      return sum;
    };
    for (size_t layer = 0; layer < 3; ++layer) {
      EXPECT_DOUBLE_EQ(linear(all_trained, layer).backward_flops, 2 * linear(all_trained, layer).flops);
      EXPECT_DOUBLE_EQ(linear(none_trained, layer).backward_flops, 0);
    }
    const auto mixers = [](const std::string& name) { return is_mixer_parameter(name); };
    // Nothing before the first mixer is trained: its products make weight gradients alone, but for those on inputs that
    // depend on its own parameters; the MLPs behind it pass gradients on.
    const double mlp = 3.0 * 2 * 32 * 32 * 48;
    const Count first = linear(mixers, 0), second = linear(mixers, 1), head = linear(mixers, 2);
    const bool any = has_parameters(m);
    EXPECT_DOUBLE_EQ(second.backward_flops, any ? 2 * second.flops - mlp : 0) << mixer_label(m);
    EXPECT_LE(first.backward_flops, second.backward_flops) << mixer_label(m);
    EXPECT_DOUBLE_EQ(head.backward_flops, any ? head.flops : 0) << mixer_label(m);
  }
}

TEST(CountOps, KeepsWhatABackwardPassNeeds) {
  const ModelSpec spec = model_of({Attention::Config{.heads = 4, .kv_heads = 2, .head_dim = 8}});
  const CountPass pass{.sequences = 2, .tokens = 5, .logits = 5};
  const auto saved = [&](const IsTrained& trained) {
    return count_model(spec, pass, plain_types(DType::f32, 4), trained).total().saved_bytes / (4 * 10);
  };
  EXPECT_EQ(saved(none_trained), 0);
  // All: two norms' inputs, the mixer's input, q, k, v, o, the MLP's input, gate, silu(gate), up and their product, the
  // final norm's input and output.
  const double hidden = 32, mlp = 48;
  EXPECT_DOUBLE_EQ(saved(all_trained), 2 * hidden + hidden + (32 + 16 + 16 + 32) + hidden + 4 * mlp + 2 * hidden);
  // Mixers only: the first norm, the MLP's input and its product are not needed.
  EXPECT_DOUBLE_EQ(saved([](const std::string& n) { return is_mixer_parameter(n); }),
                   hidden + hidden + (32 + 16 + 16 + 32) + 3 * mlp + hidden);
}

}  // namespace
}  // namespace jet
