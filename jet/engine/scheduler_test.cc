#include "jet/engine/scheduler.h"

#include <gtest/gtest.h>

#include "jet/engine/test_models.h"
#include "jet/engine/test_samplers.h"

namespace jet {
namespace {

using Ids = std::vector<int32_t>;
using Handle = std::shared_ptr<const Generation>;

std::vector<Request> mixed_requests() {
  std::vector<Request> requests;
  const int prompts[] = {5, 40, 1, 23, 61, 90, 12}, news[] = {12, 3, 20, 0, 9, 30, 1};
  for (int i = 0; i < 7; ++i) {
    GenerateOptions o{.max_new_tokens = news[i]};
    if (i % 2 == 0) o.sampler = {.temperature = 1.3f, .top_k = 30, .top_p = 0.95f, .seed = 100u + i};
    requests.push_back({.prompt = test_ids(prompts[i], i), .options = o});
  }
  return requests;
}

Generated alone(Engine& e, const Request& r) { return generate(e, *e.create(), r.prompt, r.options); }

class Schedulers : public testing::TestWithParam<NamedSpec> {
 protected:
  std::shared_ptr<Engine> engine() {
    ModelSpec spec = GetParam().spec;
    spec.eos_token_id = {7, 30};
    return Engine::random(spec, 1, DType::f32, {.threads = 1, .kv = DType::f32, .poison = true});
  }
};

INSTANTIATE_TEST_SUITE_P(, Schedulers, testing::ValuesIn(test_models()), [](const auto& i) { return i.param.name; });

TEST_P(Schedulers, GiveWhatEachRequestGivesAlone) {
  const auto e = engine();
  for (const bool with_cache : {false, true}) {
    PrefixCache cache(*e, 1 << 24, 16);
    Scheduler scheduler(*e, {.prefill_tokens = 17, .most_running = 5}, with_cache ? &cache : nullptr);
    for (int round = 0; round < (with_cache ? 2 : 1); ++round) {
      std::vector<Handle> handles;
      std::vector<Ids> streamed(7);
      for (Request& r : mixed_requests()) {
        r.on_token = [&streamed, i = handles.size()](const NewToken& t) { return streamed[i].push_back(t.id), true; };
        handles.push_back(scheduler.submit(std::move(r)));
      }
      while (scheduler.step()) EXPECT_LE(scheduler.running(), 5);
      const auto requests = mixed_requests();
      for (size_t i = 0; i < handles.size(); ++i) {
        const Generated want = alone(*e, requests[i]);
        EXPECT_EQ(handles[i]->ids, want.ids) << i;
        EXPECT_EQ(handles[i]->finish, want.finish) << i;
        EXPECT_EQ(handles[i]->ids, streamed[i]) << i;
        EXPECT_TRUE(handles[i]->over());
        const auto size = std::ssize(requests[i].prompt);
        const int64_t again = size > 8 ? 1 : size;  // half a stride saved is worth a pass that is cut
        EXPECT_LE(handles[i]->prompt_tokens_run, round == 0 ? size : again) << i;
        if (round == 0) { EXPECT_EQ(handles[i]->prompt_tokens_run, size) << i; }
      }
      EXPECT_EQ(handles[3]->finish, Finish::length);
      EXPECT_EQ(handles[5]->finish, handles[5]->ids.size() < 7 ? Finish::eos : Finish::context);
      EXPECT_EQ(scheduler.bytes(), 0);
    }
  }
}

TEST_P(Schedulers, TakeEverySamplerAsGenerateDoes) {
  const auto e = engine();
  std::vector<Request> requests;
  for (const SamplerOptions& o : test_samplers(17)) {
    requests.push_back({.prompt = test_ids(11, requests.size()), .options = {.max_new_tokens = 14, .sampler = o}});
  }
  Scheduler scheduler(*e, {.prefill_tokens = 30});
  std::vector<Handle> handles;
  for (const Request& r : requests) handles.push_back(scheduler.submit(r));
  while (scheduler.step()) continue;
  for (size_t i = 0; i < handles.size(); ++i) {
    const Generated want = alone(*e, requests[i]);
    EXPECT_EQ(handles[i]->ids, want.ids) << "list " << i;
    EXPECT_EQ(handles[i]->finish, want.finish) << "list " << i;
  }
}

std::shared_ptr<Engine> plain_engine() {
  return Engine::random(test_models().back().spec, 1, DType::f32, {.threads = 1, .kv = DType::f32});
}

TEST(Scheduler, MixesDecodingWithBoundedPrefill) {
  const auto e = plain_engine();
  std::vector<size_t> rows;
  e->observe([&](const char* name, int, std::span<const float> x) {
    if (std::string(name) == "hidden.embed") rows.push_back(x.size() / 40);
  });
  Scheduler scheduler(*e, {.prefill_tokens = 10});
  const auto a = scheduler.submit({.prompt = test_ids(4, 1), .options = {.max_new_tokens = 9}});
  const auto b = scheduler.submit({.prompt = test_ids(25, 2), .options = {.max_new_tokens = 3}});
  while (scheduler.step()) {}
  // a's prompt and 6 tokens of b; a decodes beside the rest of b; both decode; a alone.
  EXPECT_EQ(rows, (std::vector<size_t>{10, 11, 10, 2, 2, 1, 1, 1, 1}));
  EXPECT_EQ(a->ids.size(), 9u);
  EXPECT_EQ(b->ids.size(), 3u);
}

TEST(Scheduler, AdmitsByMemoryInOrder) {
  const auto e = plain_engine();
  const auto request = [&](int prompt, int new_tokens) {
    return Request{.prompt = test_ids(prompt, prompt), .options = {.max_new_tokens = new_tokens}};
  };
  const int64_t budget = e->sequence_bytes(40) + e->sequence_bytes(30);
  Scheduler scheduler(*e, {.cache_bytes = budget});
  const auto a = scheduler.submit(request(31, 10)), b = scheduler.submit(request(30, 11));
  const auto c = scheduler.submit(request(2, 2));
  EXPECT_EQ(scheduler.waiting(), 3);
  EXPECT_TRUE(scheduler.step());
  EXPECT_EQ(a->status, Generation::running);
  EXPECT_EQ(b->status, Generation::waiting);
  EXPECT_EQ(c->status, Generation::waiting) << "it would fit, but b was there before";
  EXPECT_EQ(scheduler.bytes(), e->sequence_bytes(40));
  while (scheduler.step()) EXPECT_LE(scheduler.bytes(), budget);
  for (const auto& g : {a, b, c}) EXPECT_EQ(g->finish, Finish::length);
  EXPECT_EQ(b->ids, alone(*e, request(30, 11)).ids);

  const auto message = [&](Request r) -> std::string {
    try {
      scheduler.submit(std::move(r));
    } catch (const Error& error) { return error.what(); }
    return "";
  };
  EXPECT_NE(message(request(60, 30)).find("bytes of cache"), std::string::npos);
  EXPECT_NE(message(request(97, 1)).find("context of 96"), std::string::npos);
  EXPECT_NE(message(request(0, 1)).find("empty"), std::string::npos);
  EXPECT_NE(message(request(1, -1)).find("max_new_tokens"), std::string::npos);
  EXPECT_NE(message({.prompt = {61}}).find("vocabulary"), std::string::npos);
  EXPECT_NE(message({.prompt = {1}, .options = {.max_new_tokens = 1, .sampler = {.top_p = 2}}}).find("top_p"),
            std::string::npos);
  EXPECT_FALSE(scheduler.step());
  for (const SchedulerOptions& o : {SchedulerOptions{.cache_bytes = 0}, {.prefill_tokens = 0}, {.most_running = 0}}) {
    EXPECT_THROW(Scheduler(*e, o), Error);
  }
}

TEST(Scheduler, ClientsTakeTurns) {
  const auto e = plain_engine();
  Scheduler scheduler(*e, {.most_running = 1});
  std::string order;
  const auto submit = [&](char name, uint64_t client) {
    scheduler.submit({.prompt = test_ids(5, 1),
                      .options = {.max_new_tokens = 2},
                      .on_token =
                          [&order, name](auto&) {
                            if (order.empty() || order.back() != name) order += name;
                            return true;
                          },
                      .client = client});
  };
  for (const char name : {'a', 'b', 'c', 'd'}) submit(name, 1);
  scheduler.step();  // 'a' runs
  submit('x', 2);
  submit('y', 2);
  submit('z', 3);
  EXPECT_EQ(scheduler.waiting_of(1), 3);
  EXPECT_EQ(scheduler.waiting_of(2), 2);
  while (order.find('b') == std::string::npos) scheduler.step();
  submit('v', 2);  // after its own 'y', and no sooner for what it had already
  while (scheduler.step()) {}
  EXPECT_EQ(order, "axzbycvd");
}

TEST(Scheduler, ReadsPromptsOfClientsInTurn) {
  const auto e = plain_engine();
  Scheduler scheduler(*e, {.prefill_tokens = 20});
  std::vector<Handle> many;
  for (int i = 0; i < 10; ++i) {
    many.push_back(scheduler.submit({.prompt = test_ids(30, i), .options = {.max_new_tokens = 1}, .client = 1}));
  }
  scheduler.step();
  const auto one = scheduler.submit({.prompt = test_ids(10, 50), .options = {.max_new_tokens = 1}, .client = 2});
  scheduler.step();
  scheduler.step();
  EXPECT_EQ(one->finish, Finish::length);
  EXPECT_FALSE(many[2]->over());
  while (scheduler.step()) {}
  EXPECT_EQ(one->ids, alone(*e, {.prompt = test_ids(10, 50), .options = {.max_new_tokens = 1}}).ids);
}

TEST(Scheduler, CancelsAndStops) {
  const auto e = plain_engine();
  Scheduler scheduler(*e, {.most_running = 3});
  const auto request = [](int n) { return Request{.prompt = test_ids(9, n), .options = {.max_new_tokens = 30}}; };
  const auto a = scheduler.submit(request(1));
  Request stops = request(2), fails = request(3);
  stops.on_token = [n = 0](const NewToken&) mutable { return ++n < 4; };
  fails.on_token = [](const NewToken&) -> bool { fail("the listener is gone"); };
  const auto b = scheduler.submit(stops), c = scheduler.submit(fails), d = scheduler.submit(request(4));
  const auto never = scheduler.submit(request(5));
  scheduler.step();
  EXPECT_EQ(c->status, Generation::failed);
  EXPECT_EQ(c->error, "the listener is gone");
  scheduler.cancel(a);
  EXPECT_EQ(a->status, Generation::cancelled);
  EXPECT_EQ(a->ids.size(), 1u);
  EXPECT_EQ(scheduler.running(), 1);
  scheduler.cancel(never);
  while (scheduler.step()) {}
  EXPECT_EQ(a->ids.size(), 1u);
  EXPECT_EQ(b->finish, Finish::stopped);
  EXPECT_EQ(b->ids.size(), 4u);
  EXPECT_EQ(d->ids, alone(*e, request(4)).ids);
  EXPECT_EQ(never->status, Generation::cancelled);
  EXPECT_TRUE(never->ids.empty());
  scheduler.cancel(d);  // over: nothing changes
  EXPECT_EQ(d->status, Generation::finished);

  // From inside a pass: a listener ends its neighbour, itself, and asks for more.
  Handle victim, self, more;
  Request killer = request(6);
  killer.on_token = [&](const NewToken&) {
    scheduler.cancel(victim);
    more = scheduler.submit(request(8));
    scheduler.cancel(self);
    return true;
  };
  self = scheduler.submit(killer);
  victim = scheduler.submit(request(7));
  while (scheduler.step()) {}
  EXPECT_EQ(victim->status, Generation::cancelled);
  EXPECT_TRUE(victim->ids.empty());
  EXPECT_EQ(self->status, Generation::cancelled);
  EXPECT_EQ(self->ids.size(), 1u);
  EXPECT_EQ(more->ids, alone(*e, request(8)).ids);
}

}  // namespace
}  // namespace jet
