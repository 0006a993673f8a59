#include "jet/search/run_watch.h"

#include <algorithm>
#include <cstdlib>

#include "jet/base/clock.h"
#include "jet/base/file.h"
#include "jet/base/number.h"

namespace jet {

namespace {

// When the run was begun, if another process did so; a file that cannot be read is replaced.
int64_t first_start(const std::string& path) {
  try {
    if (file_exists(path)) return get<int64_t>(read_json(path), "started", path);
  } catch (const Error&) {}
  return now_in_seconds();
}

std::chrono::duration<double> seconds_or(double usual) {
  const char* set = std::getenv("JET_WATCH_SECONDS");
  return std::chrono::duration<double>(set ? read_number<double>("JET_WATCH_SECONDS", set, 0, 1e6) : usual);
}

}  // namespace

void RunWatch::open(const std::string& folder, std::function<Json(const Json& so_far)> report) {
  folder_ = folder, report_ = std::move(report);
  progress_.pause = seconds_or(1), results_.pause = seconds_or(3);
  started_ = first_start(folder_ + "/progress.json");
  write_standing();
}

void RunWatch::stands(const RunStanding& standing) {
  if (folder_.empty()) return;
  if (standing.stage != standing_.stage) progress_.next = {};
  standing_ = standing;
  if (Clock::now() >= progress_.next) write_standing();
}

void RunWatch::found(const char* stage, const std::function<Json()>& result) {
  if (folder_.empty() || Clock::now() < results_.next) return;
  write(results_, "report.json", [&] { return report_({{stage, result()}}); });
}

void RunWatch::end(bool finished) {
  if (folder_.empty()) return;
  finished_ = finished;
  write_standing();
}

void RunWatch::fail(const std::string& error) {
  if (folder_.empty()) return;
  error_ = error.substr(0, error.find('\n'));
  write_standing();
}

void RunWatch::write(File& file, const std::string& name, const std::function<Json()>& content) {
  const auto begun = Clock::now();
  write_file(folder_ + "/" + name, json_text(content(), 1) + "\n");
  const auto written = Clock::now();
  file.next = written + std::max(std::chrono::duration_cast<Clock::duration>(file.pause), 100 * (written - begun));
}

void RunWatch::write_standing() {
  write(progress_, "progress.json", [&] { return progress(); });
}

Json RunWatch::progress() const {
  Json j = to_json_fields(standing_);
  j["started"] = started_, j["updated"] = now_in_seconds(), j["finished"] = finished_;
  if (!error_.empty()) j["error"] = error_;
  return j;
}

}  // namespace jet
