// The extension module jet_nemotron._jet: model, states, tokenizer and chat template for the Python beside it, which
// says what users may ask. Arrays come as int32 and go as fp32; the interpreter's lock is held in conversions and in
// callbacks only.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <chrono>

#include "jet/text/chat_template.h"
#include "python/src/generate.h"
#include "python/src/model.h"

namespace nb = nanobind;

namespace jet::python {
namespace {

using IdArray = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using FloatArray = nb::ndarray<nb::numpy, float>;
using Unlocked = nb::call_guard<nb::gil_scoped_release>;

std::vector<int32_t> ids_of(const IdArray& array) { return {array.data(), array.data() + array.size()}; }

FloatArray array_of(std::vector<float>&& values, const std::vector<size_t>& shape) {
  auto* kept = new std::vector<float>(std::move(values));
  const nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<float>*>(p); });
  return {kept->data(), shape.size(), shape.data(), owner};
}

/// Lets Python run its signal handlers now and then; throws what they raise, KeyboardInterrupt as a rule.
Pause interruptible() {
  using Clock = std::chrono::steady_clock;
  return [last = Clock::now()]() mutable {
    if (Clock::now() - last < std::chrono::milliseconds(50)) return;
    last = Clock::now();
    const nb::gil_scoped_acquire locked;
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
  };
}

/// `work` without the interpreter's lock, by one thread at a time.
template <class F>
auto run_alone(Model& model, F&& work) {
  const nb::gil_scoped_release unlocked;
  const Turn turn(model);
  return work();
}

Job job_of(const std::vector<IdArray>& prompts, const Settings& settings, const Tokenizer* tokenizer,
           const nb::object& on_token) {
  Job job{.prompts = {}, .settings = settings, .tokenizer = tokenizer, .pause = interruptible()};
  for (const auto& p : prompts) job.prompts.push_back(ids_of(p));
  // By reference: its owner is the caller, and nothing may count references without the lock.
  if (!on_token.is_none()) {
    job.on_token = [&on_token](size_t row, int32_t id) {
      const nb::gil_scoped_acquire locked;
      on_token(row, id);
    };
  }
  return job;
}

EngineOptions engine_options(int threads, const std::string& kv, const std::string& state, bool exact) {
  return {
      .threads = threads, .kv = dtype_from_name(kv, "kv"), .state = dtype_from_name(state, "state"), .exact = exact};
}

void add_settings(nb::module_& m) {
  nb::class_<Settings>(m, "Settings")
      .def(nb::init<>())
      .def_rw("temperature", &Settings::temperature)
      .def_rw("top_k", &Settings::top_k)
      .def_rw("top_p", &Settings::top_p)
      .def_rw("min_p", &Settings::min_p)
      .def_rw("typical_p", &Settings::typical_p)
      .def_rw("repetition_penalty", &Settings::repetition_penalty)
      .def_rw("presence_penalty", &Settings::presence_penalty)
      .def_rw("frequency_penalty", &Settings::frequency_penalty)
      .def_rw("logit_bias", &Settings::logit_bias)
      .def_rw("seed", &Settings::seed)
      .def_rw("max_new_tokens", &Settings::max_new_tokens)
      .def_rw("min_new_tokens", &Settings::min_new_tokens)
      .def_rw("no_repeat_ngram_size", &Settings::no_repeat_ngram_size)
      .def_rw("ends", &Settings::ends)
      .def_rw("stop_strings", &Settings::stop_strings)
      .def_rw("lookup", &Settings::lookup)
      .def_rw("num_beams", &Settings::num_beams)
      .def_rw("num_return_sequences", &Settings::num_return_sequences)
      .def_rw("length_penalty", &Settings::length_penalty)
      .def_rw("early_stopping", &Settings::early_stopping);
  nb::class_<Text>(m, "Text").def_ro("ids", &Text::ids).def_ro("finish", &Text::finish).def_ro("score", &Text::score);
}

void add_state(nb::module_& m) {
  nb::class_<State>(m, "State")
      .def("__len__", [](const State& s) { return s.sequence->length(); })
      .def_prop_ro("bytes", [](const State& s) { return s.sequence->bytes(); })
      .def("fork", [](State& s) { return run_alone(*s.model, [&] { return State(s.model, s.sequence->fork()); }); })
      .def("reset", [](State& s) { run_alone(*s.model, [&] { s.sequence->reset(); }); })
      .def("save", [](State& s, const std::string& path) { run_alone(*s.model, [&] { s.sequence->save(path); }); })
      .def("load", [](State& s, const std::string& path) { run_alone(*s.model, [&] { s.sequence->load(path); }); })
      .def("tensors",
           [](State& s) {
             nb::dict arrays;
             auto tensors = run_alone(*s.model, [&] { return tensors_of(s); });
             for (auto& [name, t] : tensors) arrays[name.c_str()] = array_of(std::move(t.values), t.shape);
             return arrays;
           })
      .def("forward",
           [](State& s, const IdArray& array, int64_t keep) {
             const auto ids = ids_of(array);
             const auto vocab = static_cast<size_t>(s.model->engine->spec().vocab_size);
             const auto rows = static_cast<size_t>(std::clamp<int64_t>(keep, 0, std::ssize(ids)));
             std::vector<float> logits;
             run_alone(*s.model, [&] {
               logits.resize(rows * vocab);
               whole_or_not(s, [&] { read(*s.model->engine, *s.sequence, ids, logits, interruptible()); });
             });
             return array_of(std::move(logits), {rows, vocab});
           })
      .def(
          "generate",
          [](State& state, const IdArray& prompt, const Settings& settings, const Tokenizer* tokenizer,
             const nb::object& on_token) {
            const Job job = job_of({prompt}, settings, tokenizer, on_token);
            const nb::gil_scoped_release unlocked;
            return generate_on(state, job);
          },
          nb::arg("prompt"), nb::arg("settings"), nb::arg("tokenizer").none() = nb::none(),
          nb::arg("on_token").none() = nb::none());
}

void add_model(nb::module_& m) {
  nb::class_<Model>(m, "Model")
      .def_static(
          "load",
          [](const std::string& folder, int threads, const std::string& kv, const std::string& state, bool exact) {
            return std::make_shared<Model>(folder, engine_options(threads, kv, state, exact));
          },
          nb::arg("folder"), nb::arg("threads") = 0, nb::arg("kv") = "bf16", nb::arg("state") = "f32",
          nb::arg("exact") = false, Unlocked())
      .def("spec", [](const Model& model) { return json_text(spec_to_json(model.engine->spec())); })
      .def("eos_token_ids", [](const Model& model) { return model.engine->generation().eos_token_id; })
      .def("notes", [](const Model& model) { return model.engine->notes(); })
      .def("parameters", [](const Model& model) { return parameter_count(model.engine->spec()); })
      .def("weight_bytes", [](const Model& model) { return model.engine->weight_bytes(); })
      .def("state_bytes", [](const Model& model, int64_t n) { return model.engine->sequence_bytes(n); })
      .def("state", [](const std::shared_ptr<Model>& model) { return State(model); })
      .def(
          "generate",
          [](Model& model, const std::vector<IdArray>& prompts, const Settings& settings, const Tokenizer* tokenizer,
             const nb::object& on_token) {
            const Job job = job_of(prompts, settings, tokenizer, on_token);
            const nb::gil_scoped_release unlocked;
            return generate_all(model, job);
          },
          nb::arg("prompts"), nb::arg("settings"), nb::arg("tokenizer").none() = nb::none(),
          nb::arg("on_token").none() = nb::none())
      .def("score", [](Model& model, const std::vector<std::pair<IdArray, IdArray>>& pairs) {
        std::vector<Pair> asked;
        for (const auto& [context, text] : pairs) asked.emplace_back(ids_of(context), ids_of(text));
        std::vector<PairScore> scores;
        {
          const nb::gil_scoped_release unlocked;
          scores = score(model, asked, interruptible());
        }
        nb::list made;
        for (const PairScore& s : scores) made.append(nb::make_tuple(s.logprob, s.is_greedy));
        return made;
      });
}

/// Which can be copied.
struct Chat {
  std::shared_ptr<const ChatTemplate> of_model;
};

void add_text(nb::module_& m) {
  nb::class_<Tokenizer>(m, "Tokenizer")
      .def_static("load", &Tokenizer::load, Unlocked())
      .def("__len__", &Tokenizer::vocab_size)
      .def("encode",
           [](const Tokenizer& t, const nb::bytes& text, bool special) {
             const std::string_view view(text.c_str(), text.size());
             const nb::gil_scoped_release unlocked;
             return t.encode(view, special);
           })
      .def("decode", &Tokenizer::decode, Unlocked())
      .def("token", [](const Tokenizer& t, int32_t id) { return t.decode({id}); })
      .def("id_of", [](const Tokenizer& t, const std::string& token) { return t.id_of(token); })
      .def("is_special", &Tokenizer::is_special)
      .def("bos_id", &Tokenizer::bos_id)
      .def("eos_id", &Tokenizer::eos_id);
  nb::class_<Chat>(m, "ChatTemplate")
      .def_static("find",
                  [](const std::string& folder) -> std::optional<Chat> {
                    auto found = ChatTemplate::find(folder);
                    if (!found) return std::nullopt;
                    return Chat{std::make_shared<const ChatTemplate>(std::move(*found))};
                  })
      .def(
          "render",
          [](const Chat& chat, const Tokenizer& tokenizer, const std::string& input) {
            const auto rendered = chat.of_model->render(chat_input_from(parse_json(input, "messages"), "messages"));
            return std::pair(rendered.text, encode_chat(tokenizer, rendered));
          },
          Unlocked());
}

}  // namespace

}  // namespace jet::python

NB_MODULE(_jet, m) {
  nb::exception<jet::Error>(m, "JetError", PyExc_ValueError);
  jet::python::add_settings(m);
  jet::python::add_text(m);
  jet::python::add_state(m);
  jet::python::add_model(m);
}
