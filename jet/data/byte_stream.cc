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

class GzipStream : public ByteStream {
 public:
  explicit GzipStream(std::string path) : path_(std::move(path)), file_(::gzopen(path_.c_str(), "rbe")) {
    require(file_ != nullptr, "{}: cannot open: {}", path_, std::strerror(errno));
    ::gzbuffer(file_, 1 << 18);
  }
  ~GzipStream() override { ::gzclose(file_); }
  size_t read(char* out, size_t size) override {
    const int n = ::gzread(file_, out, static_cast<unsigned>(size));
    require(n >= 0 && ::gzdirect(file_) == 0, "{}: not gzip, or damaged near byte {}", path_, ::gzoffset(file_));
    int code = Z_OK;
    ::gzerror(file_, &code);
    require(code == Z_OK || code == Z_STREAM_END, "{}: ends in the midst of its gzip data; fetch it again", path_);
    return static_cast<size_t>(n);
  }
  int64_t position() const override { return ::gzoffset(file_); }

 private:
  std::string path_;
  gzFile file_;
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
