#include "jet/serve/http_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <regex>
#include <system_error>
#include <thread>
#include <utility>

#include "jet/base/error.h"

namespace jet {
namespace {

constexpr int64_t kSlowestBytes = 64 << 10;   // of a request, a second
constexpr int64_t kMostLineBytes = 32 << 10;  // of its headers, and half of what comes besides

/// Whether `events` have come within so many milliseconds.
bool wait_for(int socket, short events, int milliseconds) {
  pollfd p{socket, events, 0};
  int n = 0;
  do n = ::poll(&p, 1, milliseconds);
  while (n < 0 && errno == EINTR);
  return n > 0;
}

int bound_socket(const HttpOptions& o) {
  addrinfo hints{}, *list = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  const int error = ::getaddrinfo(o.host.c_str(), std::to_string(o.port).c_str(), &hints, &list);
  require(error == 0, "--host {}: {}", o.host, ::gai_strerror(error));
  int made = -1, why = 0;
  for (const addrinfo* a = list; a && made < 0; a = a->ai_next) {
    made = ::socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made < 0) continue;
    const int on = 1;
    ::setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(made, a->ai_addr, a->ai_addrlen) == 0 && ::listen(made, 128) == 0) break;
    why = errno;
    ::close(made);
    made = -1;
  }
  ::freeaddrinfo(list);
  require(made >= 0, "cannot listen on {} port {}: {}; choose another with --port", o.host, o.port, std::strerror(why));
  return made;
}

void address_of(int (*name)(int, sockaddr*, socklen_t*), int socket, std::string& ip, int& port) {
  sockaddr_storage a{};
  socklen_t size = sizeof a;
  char host[NI_MAXHOST] = "", service[NI_MAXSERV] = "0";
  if (name(socket, reinterpret_cast<sockaddr*>(&a), &size) == 0)
    ::getnameinfo(reinterpret_cast<sockaddr*>(&a), size, host, sizeof host, service, sizeof service,
                  NI_NUMERICHOST | NI_NUMERICSERV);
  ip = host, port = std::atoi(service);
}

/// Takes off what would have httplib answer many times what is there (ranges), or unpack any amount of a body.
void simplify(httplib::Request& request) {
  request.ranges.clear();
  if (request.headers.erase("Content-Encoding") > 0) request.headers.erase("Content-Type");
}

}  // namespace

class HttpServer::Connection : public httplib::Stream {
 public:
  Connection(int socket, const HttpOptions& options, std::atomic<int64_t>& held)
      : socket_(socket), options_(options), held_(held) {}
  ~Connection() override { held_ -= bytes_; }

  /// To be called before each request: its time and its bytes are counted from here.
  void begin_request() {
    held_ -= std::exchange(bytes_, 0);
    line_bytes_ = 0, is_too_large = false, began_ = Clock::now();
  }
  /// Until the request is too slow: a sender may take so long, and a second more for each of so many bytes.
  bool is_readable() const override {
    if (at_ < end_) return true;
    const auto end = began_ + std::chrono::seconds(options_.read_seconds + bytes_ / kSlowestBytes);
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    return left > 0 && wait_for(socket_, POLLIN, static_cast<int>(left));
  }
  bool is_writable() const override { return wait_for(socket_, POLLOUT, 1000 * options_.write_seconds) && !has_gone(); }
  /// httplib reads lines byte by byte and bounds each, but not how many there are.
  ssize_t read(char* to, size_t size) override {
    is_too_large = is_too_large || bytes_ > most_bytes();
    if (is_too_large) return -1;
    if (size == 1 && ++line_bytes_ > kMostLineBytes + bytes_ / 2) return -1;  // chunks have lines, too
    if (at_ == end_) {
      if (!is_readable()) return -1;
      const ssize_t n = ::recv(socket_, buffer_, sizeof buffer_, 0);
      if (n <= 0) return n;
      at_ = 0, end_ = static_cast<size_t>(n);
    }
    const size_t n = std::min(size, end_ - at_);
    std::memcpy(to, buffer_ + at_, n);
    at_ += n;
    bytes_ += static_cast<int64_t>(n);
    if ((held_ += static_cast<int64_t>(n)) > options_.most_held_bytes) return -1;
    return static_cast<ssize_t>(n);
  }
  ssize_t write(const char* from, size_t size) override {
    if (!wait_for(socket_, POLLOUT, 1000 * options_.write_seconds)) return -1;
    return ::send(socket_, from, size, MSG_NOSIGNAL);
  }
  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    address_of(::getpeername, socket_, ip, port);
  }
  void get_local_ip_and_port(std::string& ip, int& port) const override {
    address_of(::getsockname, socket_, ip, port);
  }
  socket_t socket() const override { return socket_; }

  /// The other end is closed, and all that it sent was read.
  bool has_gone() const {
    if (at_ < end_ || !wait_for(socket_, POLLIN, 0)) return false;
    char c = 0;
    const ssize_t n = ::recv(socket_, &c, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
  }
  /// Whether a next request begins before the idle time or the server ends.
  bool has_next(const std::atomic<bool>& stops) const {
    for (int tenths = 0; tenths < 10 * options_.idle_seconds && !stops; ++tenths)
      if (at_ < end_ || wait_for(socket_, POLLIN, 100)) return true;
    return false;
  }

  /// Where it says so itself, nothing of it is read.
  void check_size(const httplib::Request& request) {
    is_too_large = request.get_header_value<uint64_t>("Content-Length") > options_.most_body_bytes;
  }
  /// What is still on its way is read and dropped for a while: closed at once, the answer might never be seen.
  void linger() {
    ::shutdown(socket_, SHUT_WR);
    const auto end = Clock::now() + std::chrono::seconds(options_.idle_seconds) / 20;
    while (Clock::now() < end && wait_for(socket_, POLLIN, 1000) && ::recv(socket_, buffer_, sizeof buffer_, 0) > 0) {}
  }

  static thread_local Connection* current;
  bool ends = false;          // nothing more is to be read
  bool is_too_large = false;  // the request is

 private:
  using Clock = std::chrono::steady_clock;
  int64_t most_bytes() const { return static_cast<int64_t>(options_.most_body_bytes) + 8 * kMostLineBytes; }

  int socket_;
  const HttpOptions& options_;
  std::atomic<int64_t>& held_;  // bytes of all connections' requests
  char buffer_[16384];
  size_t at_ = 0, end_ = 0;
  int64_t bytes_ = 0, line_bytes_ = 0;  // of the request
  Clock::time_point began_ = Clock::now();
};

thread_local HttpServer::Connection* HttpServer::Connection::current = nullptr;

int HttpServer::end_connection(httplib::Response& response) {
  response.set_header("Connection", "close");
  if (!Connection::current) return response.status;
  Connection::current->ends = true;
  return Connection::current->is_too_large ? 413 : response.status;
}

bool HttpServer::client_has_gone() { return Connection::current && Connection::current->has_gone(); }

HttpServer::HttpServer(const HttpOptions& options) : options_(options), socket_(bound_socket(options)) {
  std::string ip;
  address_of(::getsockname, socket_, ip, port_);
  set_payload_max_length(options.most_body_bytes);
  answer_browsers();
  svr_sock_ = socket_;  // httplib takes a server without one for one that shuts down, and breaks streams off
}

HttpServer::~HttpServer() {
  svr_sock_ = INVALID_SOCKET;
  ::close(socket_);
  std::unique_lock lock(mutex_);
  for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
  ended_.wait(lock, [&] { return sockets_.empty(); });
}

namespace {

/// httplib reads no body of these; what stays in the connection would be taken for the next request.
bool leaves_a_body(const httplib::Request& r) {
  const bool is_read = r.method == "POST" || r.method == "PUT" || r.method == "PATCH" || r.method == "DELETE";
  return !is_read && (r.has_header("Transfer-Encoding") ||
                      (r.has_header("Content-Length") && r.get_header_value("Content-Length") != "0"));
}

}  // namespace

/// Whose pages may ask, and what browsers ask before they do.
void HttpServer::answer_browsers() {
  set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    if (leaves_a_body(request)) end_connection(response);
    if (!options_.cors.empty()) {
      response.set_header("Access-Control-Allow-Origin", options_.cors);
      response.set_header("Vary", "Origin");
    }
    const std::string methods = request.method == "OPTIONS" ? methods_of(request.path) : "";
    if (methods.empty()) return HandlerResponse::Unhandled;
    response.status = 204;
    response.set_header("Allow", methods);
    if (!options_.cors.empty()) {
      response.set_header("Access-Control-Allow-Methods", methods);
      response.set_header("Access-Control-Allow-Headers", "*, Authorization");
    }
    return HandlerResponse::Handled;
  });
}

void HttpServer::Get(const std::string& path, Handler handler) {
  routes_.push_back({"GET", path});
  httplib::Server::Get(path, std::move(handler));
}

void HttpServer::Post(const std::string& path, Handler handler) {
  routes_.push_back({"POST", path});
  httplib::Server::Post(path, std::move(handler));
}

std::string HttpServer::methods_of(const std::string& path) const {
  std::string methods;
  for (const Route& route : routes_) {
    const bool is_pattern = route.path.find('(') != std::string::npos;
    if (is_pattern ? std::regex_match(path, std::regex(route.path)) : route.path == path)
      methods += route.method == "GET" ? "GET, HEAD, " : route.method + ", ";
  }
  return methods.empty() ? "" : methods + "OPTIONS";
}

bool HttpServer::serve(int grace_seconds) {
  while (!stops_)
    if (wait_for(socket_, POLLIN, 100)) accept_one();
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, std::chrono::seconds(grace_seconds), [&] { return sockets_.empty(); });
}

void HttpServer::accept_one() {
  const int socket = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
  if (socket < 0) {  // it has gone, or there are no file descriptors left
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return;
  }
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  {
    const std::lock_guard lock(mutex_);
    if (sockets_.size() >= options_.most_connections) {
      static constexpr char kFull[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
      ::send(socket, kFull, sizeof kFull - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
      ::close(socket);
      return;
    }
    sockets_.insert(socket);
  }
  try {
    std::thread([this, socket] { serve_connection(socket); }).detach();
  } catch (const std::system_error&) {  // as many threads as the system allows
    const std::lock_guard lock(mutex_);
    sockets_.erase(socket);
    ::close(socket);
  }
}

void HttpServer::serve_connection(int socket) {
  {
    Connection connection(socket, options_, held_bytes_);
    Connection::current = &connection;
    bool closed = false;
    while (!closed && !connection.ends && connection.has_next(stops_)) {
      connection.begin_request();
      const auto look_at = [&](httplib::Request& request) {
        connection.check_size(request);
        simplify(request);
      };
      if (!process_request(connection, stops_, closed, look_at)) break;
    }
    if (connection.ends) connection.linger();
    Connection::current = nullptr;
  }
  const std::lock_guard lock(mutex_);
  sockets_.erase(socket);  // before another may have its number
  ::shutdown(socket, SHUT_RDWR);
  ::close(socket);
  ended_.notify_all();
}

}  // namespace jet
