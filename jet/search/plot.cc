#include "jet/search/plot.h"

#include <fmt/format.h>

#include <algorithm>

namespace jet {

namespace {

constexpr double kWidth = 360, kHeight = 260;                     // of a panel's axes
constexpr double kLeft = 56, kTop = 64, kBottom = 52, kGap = 40;  // around them
constexpr double kRow = 18, kLetter = 7;                          // of the legend
constexpr const char* kColours[] = {"#1b1d20", "#1a5fb4", "#c4441c", "#2a8a57", "#8a4fb0", "#b88a00",
                                    "#1a9ab0", "#c23a7a", "#6b7a2a", "#6a5040", "#7a8ea8"};
constexpr const char* kDashes[] = {"", "6 3", "2 3"};  // a round of colours each

std::string escaped(const std::string& s) {
  std::string out;
  for (char c : s) out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  return out;
}

std::string text(double x, double y, const char* anchor, const std::string& s, const char* more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, anchor, more,
                     escaped(s));
}

std::string line(double x1, double y1, double x2, double y2, const std::string& stroke) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1, y1, x2, y2, stroke);
}

std::string stroke(size_t i) {
  constexpr size_t n = std::size(kColours);
  return fmt::format("stroke=\"{}\" stroke-dasharray=\"{}\"", kColours[i % n], kDashes[i / n % std::size(kDashes)]);
}

std::string mark(size_t i, double x, double y) {
  return fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", x, y,
                     kColours[i % std::size(kColours)]);
}

std::string panel(const PlotPanel& p, double left) {
  const auto x_of = [&](size_t i) {
    return left + kWidth * (static_cast<double>(i) + 0.5) / static_cast<double>(p.ticks.size());
  };
  const auto y_of = [](double v) { return kTop + kHeight * (1 - std::clamp(v, 0.0, 100.0) / 100); };
  std::string s = text(left + kWidth / 2, kTop - 12, "middle", p.title, " font-weight=\"bold\"");
  for (int v = 0; v <= 100; v += 20) {
    s += line(left, y_of(v), left + kWidth, y_of(v), "stroke=\"#e2e2dc\"");
    s += text(left - 8, y_of(v) + 4, "end", std::to_string(v));
  }
  for (size_t i = 0; i < p.ticks.size(); ++i) s += text(x_of(i), kTop + kHeight + 18, "middle", p.ticks[i]);
  s += text(left + kWidth / 2, kTop + kHeight + 38, "middle", p.x_label);
  for (size_t k = 0; k < p.lines.size(); ++k) {
    const PlotLine& l = p.lines[k];
    // Lines that share a point stay apart: each is moved by a pixel or two.
    const double aside = 2.5 * (static_cast<double>(k) - static_cast<double>(p.lines.size() - 1) / 2);
    std::string points;
    for (size_t i = 0; i < l.y.size(); ++i) points += fmt::format("{:.1f},{:.1f} ", x_of(i) + aside, y_of(l.y[i]));
    s += fmt::format("<polyline points=\"{}\" fill=\"none\" stroke-width=\"1.8\" {}/>\n", points, stroke(k));
    for (size_t i = 0; i < l.y.size(); ++i) {
      const double x = x_of(i) + aside;
      s += line(x, y_of(l.y[i] - l.spread[i]), x, y_of(l.y[i] + l.spread[i]), stroke(k));
      s += mark(k, x, y_of(l.y[i]));
    }
  }
  return s;
}

}  // namespace

std::string line_plot(const std::string& title, const std::string& y_label, const std::vector<PlotPanel>& panels) {
  const auto n = static_cast<double>(panels.size());
  size_t longest = 0;
  for (const auto& p : panels) {
    for (const auto& l : p.lines) longest = std::max(longest, l.label.size());
  }
  const double legend = kLeft + n * (kWidth + kGap), width = legend + 50 + kLetter * static_cast<double>(longest);
  const size_t lines = panels.empty() ? 0 : panels[0].lines.size();
  const double height = std::max(kTop + kHeight + kBottom, kTop + kRow * static_cast<double>(lines) + 16);
  std::string s = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "font-family=\"sans-serif\" font-size=\"12\" fill=\"#1b1d20\">\n<rect width=\"100%\" height=\"100%\" "
      "fill=\"#fcfcfa\"/>\n",
      width, height);
  s += text(kLeft, 24, "start", title, " font-size=\"15\" font-weight=\"bold\"");
  s += text(kLeft - 40, kTop - 12, "start", y_label);
  for (size_t i = 0; i < panels.size(); ++i) s += panel(panels[i], kLeft + static_cast<double>(i) * (kWidth + kGap));
  for (size_t k = 0; k < lines; ++k) {
    const double y = kTop + kRow * (static_cast<double>(k) + 0.5);
    s += line(legend, y, legend + 26, y, stroke(k) + " stroke-width=\"1.8\"") + mark(k, legend + 13, y);
    s += text(legend + 34, y + 4, "start", panels[0].lines[k].label);
  }
  return s + "</svg>\n";
}

}  // namespace jet
