// Texts by greedy generation, many prompts at once through the scheduler.
#include <memory>

#include "jet/base/error.h"
#include "jet/engine/scheduler.h"
#include "jet/eval/tasks.h"

namespace jet {

GenerateFn engine_generator(Engine& engine, const Tokenizer& tokenizer, int64_t cache_bytes) {
  const auto cache = std::make_shared<PrefixCache>(engine, cache_bytes);
  return [&engine, &tokenizer, cache](const std::vector<Prompt>& prompts) {
    Scheduler scheduler(engine, {}, cache.get());
    std::vector<std::shared_ptr<const Generation>> generations;
    for (const auto& p : prompts) {
      Request request{.prompt = p.ids};
      request.options.max_new_tokens = p.most;
      request.options.sampler = p.sampling;
      request.options.tokenizer = &tokenizer;
      request.options.stop_strings = p.until;
      generations.push_back(scheduler.submit(std::move(request)));
    }
    while (scheduler.step()) continue;
    std::vector<std::string> texts;
    for (const auto& g : generations) {
      require(g->status == Generation::finished, "{}", g->error);
      texts.push_back(g->text);
    }
    return texts;
  };
}

}  // namespace jet
