// A run's folder: the ledger of its results, and files beside it.
//
//   ledger.json, claims             results, and who is at which (ledger.h)
//   checkpoints/NAME.safetensors    of every training (train/trainer.h)
//   teacher/STREAM-LENGTH-K/        the teacher's greatest probabilities, where a recipe keeps them (teacher.h)
//   speed-probe/                    a model while its speed is measured
//   model/                          what came out
//   report.json, report.html        what is told of it
//   progress.json                   where it stands (run_watch.h)
#pragma once

#include <string>

#include "jet/search/ledger.h"

namespace jet {

struct RunFolder {
  Ledger ledger;

  const std::string& path() const { return ledger.folder(); }
  std::string checkpoint(const std::string& name) const { return path() + "/checkpoints/" + name + ".safetensors"; }
  std::string model() const { return path() + "/model"; }
};

}  // namespace jet
