// The HTTP of the server: cpp-httplib reads requests, routes them and writes what handlers give. Sockets are ours: its
// own loop (0.11, as in Debian 12) neither says when a client has gone nor ends what runs in an orderly way.
//
//   listen --> accept --> a thread a connection: [request -> handler -> answer] again and again, while kept alive
//
// A request has to come within `read_seconds`, and a second more for every 64 KiB. Compressed bodies are not unpacked
// (their Content-Type is taken off), ranges of answers are not cut out.
//
// stop_serving(): no new connections, those that wait for a request are closed, those that answer may end; the
// destructor closes them all.
#pragma once

#include <httplib.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace jet {

struct HttpOptions {
  std::string host = "127.0.0.1";
  std::string cors{};  // the origin whose pages may ask ("*": any; empty: none but our own)
  int port = 8080;     // 0: any that is free
  size_t most_connections = 1024;
  int read_seconds = 30, write_seconds = 30, idle_seconds = 60;
  size_t most_body_bytes = size_t{16} << 20;
  int64_t most_held_bytes = int64_t{128} << 20;  // of all requests that are read or answered
};

class HttpServer : public httplib::Server {
 public:
  /// Binds. Throws Error where that is not possible.
  explicit HttpServer(const HttpOptions& options);
  ~HttpServer() override;

  /// As httplib's, and kept in mind.
  void Get(const std::string& path, Handler handler);
  void Post(const std::string& path, Handler handler);
  struct Route {
    std::string method, path;
  };
  const std::vector<Route>& routes() const { return routes_; }
  /// "GET, HEAD, OPTIONS"; empty where there is no such path.
  std::string methods_of(const std::string& path) const;

  int port() const { return port_; }
  /// Serves until stop(), and then until all connections have ended, at most `grace_seconds`; whether they all have.
  bool serve(int grace_seconds);
  /// May be called by a signal's handler.
  void stop_serving() { stops_ = true; }
  bool stops() const { return stops_; }

  /// Of the thread that calls it, in a handler: whether its client has gone.
  static bool client_has_gone();
  /// Of the same, whose request was not read to its end: the connection is over with this answer. The status to give.
  static int end_connection(httplib::Response& response);

 private:
  class Connection;
  void answer_browsers();
  void accept_one();
  void serve_connection(int socket);

  HttpOptions options_;
  std::vector<Route> routes_;
  int socket_ = -1, port_ = 0;
  std::atomic<bool> stops_{false};
  std::atomic<int64_t> held_bytes_{0};
  std::mutex mutex_;
  std::condition_variable ended_;
  std::set<int> sockets_;  // of the connections
};

}  // namespace jet
