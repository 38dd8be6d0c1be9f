// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The file seam: everything the library reads or writes goes through here, so that one test can fail every call.

#include <sqs/core/bytes.hpp>

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <sys/stat.h>
#include <sys/types.h>
#include <system_error>
#include <unistd.h>

namespace sqs {

/// The operating system's calls, replaceable one by one in tests. Each behaves as POSIX says: -1 and errno on failure.
struct file_calls {
  std::function<int(const char*, int, mode_t)> open = [](const char* p, int f, mode_t m) { return ::open(p, f, m); };
  std::function<ssize_t(int, void*, std::size_t)> read = [](int d, void* b, std::size_t n) { return ::read(d, b, n); };
  std::function<ssize_t(int, const void*, std::size_t)> write = [](int d, const void* b, std::size_t n) {
    return ::write(d, b, n);
  };
  std::function<int(int, struct stat*)> fstat = [](int d, struct stat* s) { return ::fstat(d, s); };
  std::function<int(int)> fsync = [](int d) { return ::fsync(d); };
  std::function<int(int)> close = [](int d) { return ::close(d); };
  std::function<int(const char*, const char*)> rename = [](const char* a, const char* b) { return ::rename(a, b); };
  std::function<int(const char*)> unlink = [](const char* p) { return ::unlink(p); };
};

namespace detail {

inline std::string errno_text(int code) { return concat(std::generic_category().message(code), " (errno ", code, ")"); }

/// A descriptor that is closed on every path.
class open_file {
public:
  open_file(const file_calls& calls, const std::string& path, int flags, mode_t mode = 0) : calls_(&calls) {
    do { descriptor_ = calls.open(path.c_str(), flags | O_CLOEXEC, mode); } while (descriptor_ < 0 && errno == EINTR);
  }
  ~open_file() {
    if (descriptor_ >= 0) { calls_->close(descriptor_); }
  }
  open_file(const open_file&) = delete;
  open_file& operator=(const open_file&) = delete;
  int get() const { return descriptor_; }
  explicit operator bool() const { return descriptor_ >= 0; }
  /// Closes and returns errno, 0 if all is well. The descriptor is gone either way: closing twice is never right.
  int close() {
    const int result = calls_->close(std::exchange(descriptor_, -1));
    return result == 0 || errno == EINTR ? 0 : errno;
  }

private:
  const file_calls* calls_;
  int descriptor_ = -1;
};

/// A regular file opened for reading, no larger than `limits::file_bytes`. Messages begin with `sqs::WHERE`.
class input_file {
public:
  input_file(const char* where, const std::filesystem::path& path, const limits& most, const file_calls& calls)
      : where_(where),
        name_(path.string()),
        calls_(calls),
        file_(calls, name_, O_RDONLY | O_NONBLOCK) { // a pipe without a writer would never open
    if (!file_) { fail("open", errno); }
    struct stat info {};
    if (calls.fstat(file_.get(), &info) != 0) { fail("stat", errno); }
    if (!S_ISREG(info.st_mode)) {
      raise<file_error>("sqs::", where_, ": ", name_, " is not a regular file; give the path of a file");
    }
    size_ = static_cast<std::uint64_t>(info.st_size);
    if (size_ > most.file_bytes) {
      raise<file_error>("sqs::", where_, ": ", name_, " has ", size_, " bytes, above the limit of ", most.file_bytes,
                        "; raise limits::file_bytes if this file is genuine");
    }
  }

  const std::string& name() const { return name_; }
  std::uint64_t size() const { return size_; } ///< when it was opened
  /// Fills at most `n` bytes; 0 at the end.
  std::size_t read(void* to, std::size_t n) const {
    for (;;) {
      const ssize_t got = calls_.read(file_.get(), to, n);
      if (got >= 0) { return static_cast<std::size_t>(got); }
      if (errno != EINTR) { fail("read", errno); }
    }
  }

private:
  [[noreturn]] void fail(const char* operation, int code) const {
    raise<file_error>("sqs::", where_, ": cannot ", operation, " ", name_, ": ", errno_text(code),
                      "; check the path and its permissions");
  }

  const char* where_;
  std::string name_;
  const file_calls& calls_;
  open_file file_;
  std::uint64_t size_ = 0;
};

} // namespace detail

/// The whole content of a regular file.
///
/// Errors      file_error naming path, operation and errno text; also for a directory or device, for a file above
///             `limits::file_bytes`, and for one that shrinks while it is read.
inline std::vector<std::byte> read_file(const std::filesystem::path& path, const limits& most = {},
                                        const file_calls& calls = {}) {
  const detail::input_file file("read_file", path, most, calls);
  std::vector<std::byte> content(static_cast<std::size_t>(file.size()));
  for (std::size_t done = 0; done < content.size();) {
    const std::size_t n = file.read(content.data() + done, content.size() - done);
    if (n == 0) {
      raise<file_error>("sqs::read_file: ", file.name(), " ended after ", done, " of ", file.size(),
                        " bytes; it changed while it was read: try again when its writer has finished");
    }
    done += n;
  }
  return content;
}

namespace detail {

/// The steps of `write_file_atomic`, kept together with what they must undo.
struct atomic_writer {
  const file_calls& calls;
  std::string path, temporary = {};
  std::uint64_t total = 0, written = 0;

  [[noreturn]] void fail(const char* operation, const std::string& target, int code) {
    if (!temporary.empty()) { calls.unlink(temporary.c_str()); }
    std::error_code ignored;
    const auto folder = std::filesystem::path(path).parent_path();
    if (code == ENOENT && !folder.empty() && !std::filesystem::exists(folder, ignored)) {
      raise<file_error>("sqs::write_file_atomic: cannot save ", path, ": the folder ", folder.string(),
                        " does not exist; make it first");
    }
    const auto space = std::filesystem::space(folder, ignored);
    raise<file_error>("sqs::write_file_atomic: cannot save ", path, ": to ", operation, " ", target,
                      " failed: ", errno_text(code), " after ", written, " of ", total, " bytes, ",
                      ignored ? 0 : space.available,
                      " bytes free there; the previous file is untouched: free space or fix the permissions, "
                      "then save again");
  }
  void write_all(const open_file& file, std::span<const std::byte> piece) {
    for (std::size_t done = 0; done < piece.size();) {
      // Below 2^31, the most one call transfers.
      const std::size_t ask = std::min<std::size_t>(piece.size() - done, std::size_t{1} << 30);
      const ssize_t n = calls.write(file.get(), piece.data() + done, ask);
      if (n < 0 && errno == EINTR) { continue; }
      // A call that takes nothing and reports no error would loop for ever.
      if (n <= 0) { fail("write", temporary, n < 0 ? errno : EIO); }
      done += static_cast<std::size_t>(n);
      written += static_cast<std::uint64_t>(n);
    }
  }
  void write_temporary(std::span<const std::span<const std::byte>> pieces) {
    std::string candidate;
    for (int attempt = 0;; ++attempt) {
      candidate = concat(path, ".tmp.", ::getpid(), ".", attempt);
      open_file file(calls, candidate, O_WRONLY | O_CREAT | O_EXCL, 0644);
      // The name is taken by another thread's save, or left by a killed process that had this number.
      if (!file && errno == EEXIST && attempt < 1000) { continue; }
      if (!file) { fail("create", candidate, errno); }
      temporary = candidate;
      for (const auto piece : pieces) { write_all(file, piece); }
      // After a failed fsync the kernel may have dropped the pages: never retry on this descriptor.
      if (calls.fsync(file.get()) != 0) { fail("sync", temporary, errno); }
      if (const int code = file.close(); code != 0) { fail("close", temporary, code); }
      return;
    }
  }
  void publish() {
    const auto parent = std::filesystem::path(path).parent_path();
    const std::string folder = parent.empty() ? "." : parent.string();
    // Opened before the rename, so that a folder which cannot be synced fails while the old file is still there.
    const open_file directory(calls, folder, O_RDONLY | O_DIRECTORY);
    if (!directory) { fail("open the folder", folder, errno); }
    if (calls.rename(temporary.c_str(), path.c_str()) != 0) { fail("rename to", path, errno); }
    temporary.clear();
    // EINVAL: the file system has no such thing as syncing a folder.
    if (calls.fsync(directory.get()) != 0 && errno != EINVAL) {
      raise<file_error>("sqs::write_file_atomic: ", path,
                        " is complete, but its folder cannot be synced: ", errno_text(errno),
                        "; it may not survive a power loss: save again");
    }
  }
};

} // namespace detail

/// Replaces `path` by the concatenation of `pieces`: afterwards the file is either wholly the old or wholly the new
/// one, also across a crash or a full disk.
///
/// Errors      file_error naming path, operation and errno text. No temporary file is left and the previous file is
///             untouched, unless only the sync of the folder failed: then the new file is complete, and the message
///             says so.
/// Cost        one write of the data, two fsyncs.
inline void write_file_atomic(const std::filesystem::path& path, std::span<const std::span<const std::byte>> pieces,
                              const file_calls& calls = {}) {
  detail::atomic_writer writer{.calls = calls, .path = path.string()};
  for (const auto piece : pieces) { writer.total += piece.size(); }
  writer.write_temporary(pieces);
  writer.publish();
}
inline void write_file_atomic(const std::filesystem::path& path, std::span<const std::byte> data,
                              const file_calls& calls = {}) {
  write_file_atomic(path, std::span<const std::span<const std::byte>>(&data, 1), calls);
}

/// Removes what killed saves left in `folder`: files named `*.tmp.<pid>.<n>` of processes that no longer run.
/// Returns the removed paths, for the log.
inline std::vector<std::filesystem::path> remove_stale_temporaries(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> removed;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    const auto at = name.rfind(".tmp.");
    if (at == std::string::npos) { continue; }
    const std::string tail = name.substr(at + 5);
    const auto dot = tail.find('.');
    if (dot == std::string::npos || dot == 0 || dot > 9 || dot + 1 == tail.size() || tail.size() > 20 ||
        tail.find_first_not_of("0123456789.") != std::string::npos) {
      continue;
    }
    const std::string pid = tail.substr(0, dot);
    const bool alive = pid == std::to_string(::getpid()) || std::filesystem::exists("/proc/" + pid, ignored);
    if (!alive && std::filesystem::remove(entry.path(), ignored)) { removed.push_back(entry.path()); }
  }
  return removed;
}

/// The path of a file that a table of a data set names, if it lies under `root`.
///
/// A link at the top of the data set, as `samples` to another disk, was made by its owner and is followed; a link
/// further down must stay under the folder that the top one leads to, or under `root`.
/// Errors      file_error, naming `what` (table and token), for an absolute path, one with `..`, one that leaves through
///             a symbolic link, one with a NUL byte, an empty one and one above 4096 bytes.
inline std::filesystem::path contained_path(const std::filesystem::path& root, const std::string& relative,
                                            const std::string& what) {
  const auto fail = [&](const std::string& why) {
    std::string shown = relative.substr(0, 120);
    for (char& c : shown) {
      if (c < ' ') { c = '?'; }
    }
    raise<file_error>("sqs::contained_path: ", what, " names the file '", shown, "', which ", why,
                      "; file names must be relative and stay under ", root.string());
  };
  if (relative.empty()) { fail("is empty"); }
  if (relative.size() > 4096) { fail("is longer than 4096 bytes"); }
  if (relative.find('\0') != std::string::npos) { fail("contains a NUL byte"); }
  const std::filesystem::path part(relative);
  if (part.is_absolute()) { fail("is absolute"); }
  std::filesystem::path first; // the folder or file at the top
  for (const auto& component : part) {
    if (component == "..") { fail("contains '..'"); }
    if (first.empty() && component != ".") { first = component; }
  }
  const auto resolved = [&](const std::filesystem::path& path) {
    std::error_code error;
    auto out = std::filesystem::weakly_canonical(path, error);
    if (error) { fail("cannot be resolved (" + error.message() + ")"); }
    return out;
  };
  std::error_code error;
  const auto base = std::filesystem::canonical(root, error);
  if (error) { fail("cannot be resolved (" + error.message() + ")"); }
  const auto full = resolved(base / part);
  const auto holds = [&](const std::filesystem::path& folder) {
    return std::mismatch(folder.begin(), folder.end(), full.begin(), full.end()).first == folder.end();
  };
  if (!holds(base) && !holds(resolved(base / first))) {
    fail("leads outside through a symbolic link below '" + first.string() + "' (only links at the top are followed)");
  }
  return full;
}

} // namespace sqs
