// Runs as a browser asks for them: what state each is in, and that no name leads out of their folder.
#include "jet/serve/runs.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "jet/base/file.h"
#include "jet/base/lock_file.h"
#include "jet/serve/api_error.h"

namespace jet {
namespace {

namespace fs = std::filesystem;

struct RunsTest : testing::Test {
  RunsTest() {
    fs::remove_all(root);
    fs::create_directories(folder);
    write_file(root + "/secret/report.json", R"({"secret": 1})");
  }
  ~RunsTest() override { fs::remove_all(root); }

  void write(const std::string& file, const std::string& text) const { write_file(folder + "/" + file, text); }
  Json row(const std::string& name) const {
    for (const Json& r : RunsFolder(folder).list())
      if (r["name"] == name) return r;
    return nullptr;
  }

  const std::string root = testing::TempDir() + "jet_runs", folder = root + "/runs";
};

constexpr const char* kHalf = R"({"run": "postnas", "stage": "placement", "unit": "paths", "at": 4, "of": 9, "done": 61,
  "total": 260, "stage_eta_s": 12.5, "eta_s": null, "share": 0.25, "started": 1000, "updated": 2000, "finished": false,
  "more": {"is": "dropped"}})";

TEST_F(RunsTest, ARowSaysHowFarItIs) {
  write("half/progress.json", kHalf);
  write("half/report.json", R"({"title": "half"})");
  Json r = row("half");
  const Json changed = r["report_changed"];
  EXPECT_GT(changed.get<double>(), 1.7e12);
  r.erase("report_changed");
  EXPECT_EQ(r, parse_json(R"({"name": "half", "stage": "placement", "unit": "paths", "at": 4, "of": 9, "done": 61,
    "total": 260, "share": 0.25, "stage_eta_s": 12.5, "started": 1000, "state": "stopped", "finished": false,
    "updated": 2000})",
                          "expected"));
  EXPECT_EQ(RunsFolder(folder).report("half"), R"({"title": "half"})");
}

TEST_F(RunsTest, StatesAndOrder) {
  write("new/progress.json", R"({"finished": true, "updated": 9000})");
  write("half/progress.json", kHalf);
  write("old/report.json", R"({"final": {}})");
  write("old half/report.json", R"({"base": {}})");
  write("working/progress.json", kHalf);
  write("notes/text.txt", "no run");
  write("no folder", "no run");
  LockFile claims(folder + "/working/claims"), others(folder + "/half/claims");
  ASSERT_TRUE(claims.try_lock(0, /*shared=*/true) && others.try_lock(1));
  std::map<std::string, std::string> states;
  RunsFolder runs(folder);
  const Json list = runs.list();
  for (const Json& r : list) states[r["name"]] = r["state"];
  EXPECT_EQ(states, (std::map<std::string, std::string>{{"new", "finished"},
                                                        {"half", "stopped"},
                                                        {"old", "finished"},
                                                        {"old half", "stopped"},
                                                        {"working", "running"}}));
  EXPECT_EQ(list[0]["name"], "working");
  EXPECT_EQ(list.back()["name"], "half");
  write("old half/report.json", R"({"base": {}, "final": {}})");
  fs::last_write_time(folder + "/old half/report.json", fs::file_time_type::clock::now() + std::chrono::seconds(5));
  const Json later = runs.list();
  const auto same = std::find_if(later.begin(), later.end(), [](const Json& r) { return r["name"] == "old half"; });
  ASSERT_NE(same, later.end());
  EXPECT_EQ((*same)["state"], "finished") << "its report has changed";
  claims.unlock(0);
  EXPECT_EQ(row("working")["state"], "stopped");
}

TEST_F(RunsTest, NothingOutsideTheFolderIsRead) {
  write("run/report.json", "{}");
  fs::create_directory_symlink(root + "/secret", folder + "/link");
  fs::create_directory_symlink(folder + "/run", folder + "/latest");
  fs::create_directories(folder + "/linked");
  fs::create_symlink(root + "/secret/report.json", folder + "/linked/report.json");
  fs::create_symlink(root + "/secret/report.json", folder + "/linked/progress.json");
  write(".hidden/report.json", "{}");
  RunsFolder runs(folder);
  EXPECT_EQ(runs.report("run"), "{}");
  for (const std::string name : {"link", "latest", "linked", "../secret", "..", ".", "", "run/../../secret", ".hidden",
                                 "none", "run/", "/etc"}) {
    try {
      runs.report(name);
      ADD_FAILURE() << name;
    } catch (const ApiError& e) { EXPECT_EQ(e.status, 404) << name; }
  }
  EXPECT_THROW(runs.report(std::string("run\0x", 5)), ApiError);
  EXPECT_THROW(runs.report(std::string(5000, 'x')), ApiError);
  for (const Json& r : runs.list()) EXPECT_TRUE(r["name"] == "run" || r["name"] == "linked") << r;
  EXPECT_FALSE(row("linked").contains("secret"));
}

TEST_F(RunsTest, WhatIsNoRunsFileIsPassedOver) {
  write("broken/progress.json", R"({"stage": "base", )");
  write("list/progress.json", "[1, 2]");
  write("odd/progress.json",
        R"({"stage": 7, "done": "x", "updated": "y", "finished": "no", "note": ")" + std::string(5000, 'n') + R"("})");
  write("odd/report.json", "no JSON");
  write("large/progress.json", std::string(1 << 17, ' '));
  write("large/report.json", "{}");
  fs::resize_file(folder + "/large/report.json", (size_t{64} << 20) + 1);
  fs::create_directories(folder + "/folders/report.json");
  EXPECT_TRUE(row("broken").is_null());
  EXPECT_TRUE(row("list").is_null());
  const Json odd = row("odd");
  EXPECT_EQ(odd["state"], "stopped");
  EXPECT_FALSE(odd.contains("stage") || odd.contains("done"));
  EXPECT_LE(odd["note"].get<std::string>().size(), 500u);
  EXPECT_EQ(row("large")["state"], "stopped");
  RunsFolder runs(folder);
  EXPECT_THROW(runs.report("large"), ApiError);
  EXPECT_THROW(runs.report("folders"), ApiError);
}

TEST_F(RunsTest, TheFolderItselfIsChecked) {
  EXPECT_THROW(RunsFolder(folder + "/none"), Error);
  write("run/ledger.json", "{}");
  EXPECT_THROW(RunsFolder(folder + "/run"), Error);
}

TEST_F(RunsTest, OverHttp) {
  write("half/progress.json", kHalf);
  write("half/report.json", R"({"title": "half"})");
  write("a b%2F/report.json", "{}");
  HttpServer http({.port = 0});
  Routes routes(http, "key");
  add_run_routes(routes, std::make_shared<RunsFolder>(folder));
  std::thread serving([&] { http.serve(5); });
  httplib::Client client("127.0.0.1", http.port());
  const auto ask = [&](const std::string& path) { return client.Get(path, {{"Authorization", "Bearer key"}}); };
  EXPECT_EQ(client.Get("/runs")->status, 401);
  EXPECT_EQ(client.Get("/runs/half")->status, 401);
  EXPECT_EQ(client.Get("/")->status, 200);
  EXPECT_EQ(parse_json(ask("/runs")->body, "runs").size(), 2u);
  EXPECT_EQ(ask("/runs/half")->body, R"({"title": "half"})");
  EXPECT_EQ(ask("/runs/a%20b%252F")->body, "{}");
  for (const char* path : {"/runs/", "/runs/..", "/runs/../secret", "/runs/..%2Fsecret", "/runs/%2e%2e%2fsecret",
                           "/runs/half/progress.json", "/runs/half%00", "/runs//etc/passwd"})
    EXPECT_EQ(ask(path)->status, 404) << path;
  http.stop_serving();
  serving.join();
}

}  // namespace
}  // namespace jet
