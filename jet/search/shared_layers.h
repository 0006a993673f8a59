// What paths of a supernet have in common is run once: asked about rows that it was asked about before, a path goes on
// from the first layer where it differs from the path that came before it.
//
//   before   F L L F L L      kept after every layer: x, and the value that a first layer has for all later ones
//   next     F L L L F L      begins at the fourth layer with what the third one made
//
// Paths that come in lexicographic order meet each of their common beginnings once. The numbers are those of whole
// passes: the same operations on the same values.
#pragma once

#include <map>
#include <string>

#include "jet/train/distill.h"

namespace jet {

class SharedLayers {
 public:
  /// For passes over at most `tokens` in all through models like `spec`. `bytes` bounds what is kept: every layer's
  /// output where that is enough, else every second's, every third's; 0 keeps nothing.
  SharedLayers(int64_t bytes, int64_t tokens, const ModelSpec& spec);

  /// forward_with() of `m`, without gradients. `path` has a character a layer: layers of the same character, after the
  /// same ones, have the same mixer.
  at::Tensor hidden(TorchOps& ops, const TorchModel& m, const std::string& path, const at::Tensor& ids,
                    const MixerFn& mixer);
  /// The share of their layers that all passes since the last call ran.
  double take_share();
  int64_t bytes() const { return held_; }
  void forget() { rows_.clear(), held_ = 0; }

  /// The share of its layers that a path of `layers` runs on average, where the paths of a beam's depth differ in one
  /// layer each; 1 where nothing is kept.
  double expected_share(int layers) const;

 private:
  struct After {
    at::Tensor x, first;  // first: TorchOps::first
  };
  struct Rows {
    std::string path;
    std::map<int, After> after;  // by layer
  };
  int begin(Rows& rows, const std::string& path);

  int64_t most_, held_ = 0;
  int stride_ = 1;
  std::map<uint64_t, Rows> rows_;  // by the hash of their ids
  int64_t asked_ = 0, ran_ = 0;    // layers times tokens
};

}  // namespace jet
