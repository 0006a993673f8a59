// The block list. Adding a token mixer is one folder and its entry here (the header and the name); everything that is
// "for every block" (weights, states, files, costs, law tests) walks this list.
#pragma once

#include <concepts>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "jet/blocks/attention/attention.h"
#include "jet/blocks/delta_net/delta_net.h"
#include "jet/blocks/gated_delta_net/gated_delta_net.h"
#include "jet/blocks/gated_hybrid/gated_hybrid.h"
#include "jet/blocks/gla/gla.h"
#include "jet/blocks/jet_block/jet_block.h"
#include "jet/blocks/kda/kda.h"
#include "jet/blocks/linear_attention/linear_attention.h"
#include "jet/blocks/mamba2/mamba2.h"
#include "jet/blocks/none/none.h"
#include "jet/blocks/retnet/retnet.h"
#include "jet/blocks/rwkv7/rwkv7.h"
#include "jet/blocks/window_delta/window_delta.h"

namespace jet {

/// What jet/blocks/block.h asks of a block, but for its templates.
template <class B>
concept TokenMixer = requires(const typename B::Config& c, const Attention::Config& attention,
                              const std::string& where) {
  { B::kind } -> std::convertible_to<std::string>;
  c.check(where);
  { B::Config::like(attention, MixerDims{}) } -> std::same_as<typename B::Config>;
  { B::Config::examples() } -> std::same_as<std::vector<typename B::Config>>;
  { B::roles(c) } -> std::same_as<std::vector<AttentionRole>>;
};

template <TokenMixer... Blocks>
struct BlockListOf {
  using Config = std::variant<typename Blocks::Config...>;
  template <class T>
  using Weights = std::variant<typename Blocks::template Weights<T>...>;
  template <class T>
  using State = std::variant<typename Blocks::template State<T>...>;

  /// f.template operator()<Block>(config) for the block whose config `m` holds.
  template <class F>
  static decltype(auto) visit(const Config& m, F&& f) {
    return visit_from<0>(m, std::forward<F>(f));
  }
  /// f.template operator()<Block>() for every block.
  template <class F>
  static void for_each(F&& f) {
    (f.template operator()<Blocks>(), ...);
  }
  /// f.template operator()<Block>() for the block of this kind; throws where there is none.
  template <class F>
  static void with_kind(const std::string& kind, const std::string& where, F&& f) {
    bool found = false;
    std::string known;
    for_each([&]<class Block>() {
      known += std::string(known.empty() ? "" : ", ") + Block::kind;
      if (kind == Block::kind) f.template operator()<Block>(), found = true;
    });
    require(found, "{}: unknown mixer kind '{}' (known: {})", where, kind, known);
  }

 private:
  template <size_t I, class F>
  static decltype(auto) visit_from(const Config& m, F&& f) {
    if constexpr (I + 1 < sizeof...(Blocks)) {
      if (m.index() != I) return visit_from<I + 1>(m, std::forward<F>(f));
    }
    using Block = std::tuple_element_t<I, std::tuple<Blocks...>>;
    return f.template operator()<Block>(std::get<I>(m));
  }
};

using BlockList = BlockListOf<Attention, Gla, RetNet, Mamba2, DeltaNet, GatedDeltaNet, Rwkv7, JetBlock, Kda,
                              LinearAttention, GatedHybrid, WindowDelta, None>;

/// One layer's token mixer, as data.
using MixerSpec = BlockList::Config;
template <class T>
using MixerWeights = BlockList::Weights<T>;
template <class T>
using MixerState = BlockList::State<T>;

}  // namespace jet
