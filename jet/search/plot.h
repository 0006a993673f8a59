// Line plots as SVG text: panels side by side, one legend.
#pragma once

#include <string>
#include <vector>

namespace jet {

struct PlotLine {
  std::string label;
  std::vector<double> y, spread;  // one each a tick: mean, and the half-length of its whisker
};

/// The x axis has evenly spaced ticks, the y axis runs from 0 to 100.
struct PlotPanel {
  std::string title, x_label;
  std::vector<std::string> ticks;
  std::vector<PlotLine> lines;  // the same labels in every panel
};

std::string line_plot(const std::string& title, const std::string& y_label, const std::vector<PlotPanel>& panels);

}  // namespace jet
