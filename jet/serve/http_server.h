// The HTTP of the server: cpp-httplib reads requests, routes them and writes what handlers give. Sockets are ours: its
// own loop (0.11, as in Debian 12) neither says when a client has gone nor ends what runs in an orderly way.
//
//   listen --> accept --> a thread a connection: [request -> handler -> answer] again and again, while kept alive
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

namespace jet {

struct HttpOptions {
  std::string host = "127.0.0.1";
  int port = 8080;  // 0: any that is free
  size_t most_connections = 1024;
  int read_seconds = 30, write_seconds = 30, idle_seconds = 60;
  size_t most_body_bytes = size_t{32} << 20;
};

class HttpServer : public httplib::Server {
 public:
  /// Binds. Throws Error where that is not possible.
  explicit HttpServer(const HttpOptions& options);
  ~HttpServer() override;

  int port() const { return port_; }
  /// Serves until stop(), and then until all connections have ended, at most `grace_seconds`; whether they all have.
  bool serve(int grace_seconds);
  /// May be called by a signal's handler.
  void stop_serving() { stops_ = true; }
  bool stops() const { return stops_; }

  /// Of the thread that calls it, in a handler: whether its client has gone.
  static bool client_has_gone();

 private:
  class Connection;
  void accept_one();
  void serve_connection(int socket);

  HttpOptions options_;
  int socket_ = -1, port_ = 0;
  std::atomic<bool> stops_{false};
  std::mutex mutex_;
  std::condition_variable ended_;
  std::set<int> sockets_;  // of the connections
};

}  // namespace jet
