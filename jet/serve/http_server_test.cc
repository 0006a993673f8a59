#include "jet/serve/http_server.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

namespace jet {
namespace {

int connected(int port) {
  const int made = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET, address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(made, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  return made;
}

/// Whether the other end closes while `text` is sent again and again, with so many milliseconds between.
bool closes(int socket, const std::string& text, int times, int milliseconds) {
  for (int i = 0; i < times; ++i) {
    if (::send(socket, text.data(), text.size(), MSG_NOSIGNAL) < 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  }
  return false;
}

class RunningHttpServer : public testing::Test {
 protected:
  RunningHttpServer() {
    server_.Post("/", [](const httplib::Request&, httplib::Response& r) { r.set_content("read", "text/plain"); });
    thread_ = std::thread([this] { server_.serve(5); });
  }
  ~RunningHttpServer() override {
    server_.stop_serving();
    thread_.join();
  }
  HttpServer server_{{.port = 0, .read_seconds = 1, .idle_seconds = 1, .most_held_bytes = 1 << 20}};
  std::thread thread_;
};

TEST_F(RunningHttpServer, WaitsForNoneThatSendsDropByDrop) {
  const int head = connected(server_.port()), body = connected(server_.port());
  const std::string begins = "POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n";
  EXPECT_EQ(::send(body, begins.data(), begins.size(), MSG_NOSIGNAL), static_cast<ssize_t>(begins.size()));
  EXPECT_TRUE(closes(head, "X", 200, 50));
  EXPECT_TRUE(closes(body, "X", 200, 50));
  ::close(head), ::close(body);
}

TEST_F(RunningHttpServer, HoldsSoManyBytesAndNoMore) {
  const int one = connected(server_.port());
  const std::string begins = "POST / HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n";
  EXPECT_EQ(::send(one, begins.data(), begins.size(), MSG_NOSIGNAL), static_cast<ssize_t>(begins.size()));
  EXPECT_TRUE(closes(one, std::string(1 << 16, 'x'), 100, 1));
  ::close(one);
  httplib::Client client("127.0.0.1", server_.port());
  const auto answer = client.Post("/", std::string(1 << 19, 'x'), "text/plain");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "read");
}

}  // namespace
}  // namespace jet
