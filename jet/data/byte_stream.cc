#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "jet/base/error.h"
#include "jet/data/document_reader.h"

namespace jet {
namespace {

class PlainStream : public ByteStream {
 public:
  explicit PlainStream(std::string path) : path_(std::move(path)), fd_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
    require(fd_ >= 0, "{}: cannot open: {}", path_, std::strerror(errno));
  }
  ~PlainStream() override { ::close(fd_); }
  size_t read(char* out, size_t size) override {
    ssize_t n = 0;
    do n = ::read(fd_, out, size);
    while (n < 0 && errno == EINTR);
    require(n >= 0, "{}: cannot read at byte {}: {}", path_, position_, std::strerror(errno));
    position_ += n;
    return static_cast<size_t>(n);
  }
  int64_t position() const override { return position_; }

 private:
  std::string path_;
  int fd_;
  int64_t position_ = 0;
};

/// Members one after another, with zeros between and behind them (tapes and block devices pad so), and nothing else.
class GzipStream : public ByteStream {
 public:
  explicit GzipStream(const std::string& path) : path_(path), file_(path), packed_(size_t{1} << 18) {
    require(inflateInit2(&z_, 16 + MAX_WBITS) == Z_OK, "{}: no memory to read gzip", path);
  }
  ~GzipStream() override { inflateEnd(&z_); }
  size_t read(char* out, size_t size) override {
    z_.next_out = reinterpret_cast<Bytef*>(out), z_.avail_out = static_cast<uInt>(size);
    while (z_.avail_out == size && next_member()) {
      const int code = inflate(&z_, Z_NO_FLUSH);
      require(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR,
              "{}: not gzip, or damaged near byte {}; fetch it again", path_, position());
      if (code != Z_STREAM_END) continue;
      within_ = false;
      inflateReset(&z_);
    }
    return size - z_.avail_out;
  }
  int64_t position() const override { return file_.position() - z_.avail_in; }

 private:
  /// Whether there is a member to read on in; false at the end of the file.
  bool next_member() {
    for (;;) {
      if (z_.avail_in == 0) {
        z_.next_in = reinterpret_cast<Bytef*>(packed_.data());
        z_.avail_in = static_cast<uInt>(file_.read(packed_.data(), packed_.size()));
        require(z_.avail_in > 0 || !within_, "{}: ends in the midst of its gzip data; fetch it again", path_);
        require(z_.avail_in > 0 || seen_, "{}: is empty, where gzip data is expected", path_);
        if (z_.avail_in == 0) return false;
      }
      if (within_ || *z_.next_in != 0 || !seen_) {
        within_ = seen_ = true;
        return true;
      }
      ++z_.next_in, --z_.avail_in;
    }
  }

  std::string path_;
  PlainStream file_;
  std::vector<char> packed_;
  z_stream z_{};
  bool within_ = false, seen_ = false;  // a member; one at least
};

class ZstdStream : public ByteStream {
 public:
  explicit ZstdStream(const std::string& path)
      : path_(path), file_(path), context_(ZSTD_createDStream()), packed_(ZSTD_DStreamInSize()) {
    ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, 31);  // of files written with --long
  }
  ~ZstdStream() override { ZSTD_freeDStream(context_); }
  size_t read(char* out, size_t size) override {
    ZSTD_outBuffer to{out, size, 0};
    while (to.pos == 0) {
      if (in_.pos == in_.size && !full_) {  // an output buffer that was filled may leave more to come without input
        in_ = {packed_.data(), file_.read(packed_.data(), packed_.size()), 0};
        if (in_.size == 0) {
          require(frame_done_, "{}: ends in the midst of its zstd data; fetch it again", path_);
          return 0;
        }
      }
      const size_t left = ZSTD_decompressStream(context_, &to, &in_);
      require(!ZSTD_isError(left), "{}: damaged zstd data near byte {}: {}", path_, file_.position(),
              ZSTD_getErrorName(left));
      full_ = to.pos == to.size && left != 0;
      frame_done_ = left == 0;
    }
    return to.pos;
  }
  int64_t position() const override { return file_.position(); }

 private:
  std::string path_;
  PlainStream file_;
  ZSTD_DStream* context_;
  std::vector<char> packed_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  bool frame_done_ = true, full_ = false;
};

}  // namespace

std::unique_ptr<ByteStream> open_stream(const std::string& path, const std::string& field) {
  require(std::filesystem::is_regular_file(path), "{}: no such file", path);
  const std::string ending = std::filesystem::path(path).extension();
  if (ending == ".gz") return std::make_unique<GzipStream>(path);
  if (ending == ".parquet") return open_parquet(path, field);
  if (ending == ".zst") return std::make_unique<ZstdStream>(path);
  return std::make_unique<PlainStream>(path);
}

}  // namespace jet
