// The block list: adding a token mixer is one folder and one line here. Everything that is "for every block" (weights,
// states, files, costs, law tests) walks this list.
#pragma once

#include <tuple>
#include <variant>

#include "jet/blocks/attention/attention.h"
#include "jet/blocks/delta_net/delta_net.h"
#include "jet/blocks/gated_delta_net/gated_delta_net.h"
#include "jet/blocks/gated_hybrid/gated_hybrid.h"
#include "jet/blocks/gla/gla.h"
#include "jet/blocks/jet_block/jet_block.h"
#include "jet/blocks/kda/kda.h"
#include "jet/blocks/linear_attention/linear_attention.h"
#include "jet/blocks/mamba2/mamba2.h"
#include "jet/blocks/retnet/retnet.h"
#include "jet/blocks/rwkv7/rwkv7.h"

namespace jet {

template <class... Blocks>
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
                              LinearAttention, GatedHybrid>;

/// One layer's token mixer, as data.
using MixerSpec = BlockList::Config;
template <class T>
using MixerWeights = BlockList::Weights<T>;
template <class T>
using MixerState = BlockList::State<T>;

}  // namespace jet
